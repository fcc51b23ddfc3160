export * from "./labels.ts";
export * from "./object-meta.ts";
export * from "./schema.ts";
export * from "./condition.ts";
export * from "./custom-resource.ts";
export * from "./biz-group-resource-quota.ts";
export * from "./resources.ts";

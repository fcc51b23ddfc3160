export * from "./errors.ts";
export * from "./core/criu/image.ts";
export { defaultImageLimits, type ImageLimits } from "./core/criu/extra.ts";
export { imageKinds, type ImageKind } from "./core/criu/kind-table.ts";
export * from "./core/criu/pagemap.ts";
export * from "./core/inspect/image-set.ts";
export * from "./core/inspect/memory.ts";
export * from "./core/inspect/memory-search.ts";

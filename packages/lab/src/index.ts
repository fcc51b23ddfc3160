export * from "./binaries.ts";
export * from "./control-plane.ts";
export { auditWrites } from "./control-plane-flags.ts";
export type { AuditRule } from "./control-plane-flags.ts";
export type { Flags } from "./component.ts";
export { labErrorCodes } from "./errors.ts";
export { cleanUpLeftovers } from "./workspace.ts";
export type { CleanUpResult } from "./workspace.ts";

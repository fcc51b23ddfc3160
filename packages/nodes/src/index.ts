export { podAnnotations } from "./annotations.ts";
export { simulatedLabel } from "./node-object.ts";
export type { NodePool } from "./node-object.ts";
export type { Taint } from "./kinds.ts";
export * from "./simulated-nodes.ts";

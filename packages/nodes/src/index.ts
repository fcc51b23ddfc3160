export { podAnnotations } from "./annotations.ts";
export { simulatedLabel } from "./node-object.ts";
export type { NodePool } from "./node-object.ts";
export * from "./simulated-nodes.ts";

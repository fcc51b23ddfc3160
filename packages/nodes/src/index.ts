export { podAnnotations } from "./annotations.ts";
export { simulatedLabel } from "./node-object.ts";
export type { NodePool } from "./node-object.ts";
export { faultAnnotation } from "./node-fault.ts";
export type { NodeFault } from "./node-fault.ts";
export { NoLogs } from "./pod-logs.ts";
export type { PodLogOptions } from "./pod-logs.ts";
export * from "./simulated-nodes.ts";

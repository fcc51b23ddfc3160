export * from "./server/start-twin.ts";
export type { ServerCredentials } from "./server/credentials.ts";
export { sizeHeap } from "./cluster/size-heap.ts";
export * from "./cluster/start-cluster.ts";
export * from "./simulation/simulation.ts";
export type { FaultRates, FaultyTransport } from "./simulation/faulty-transport.ts";
export { WebhookCallFailure } from "./admission/webhook-client.ts";

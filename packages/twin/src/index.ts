export * from "./server/start-twin.ts";
export type { ServerCredentials } from "./server/credentials.ts";
export * from "./cluster/start-cluster.ts";

export type { Rights } from "./access.ts";
export { installCustomResources } from "./up/install.ts";
export { checkpointRights, managerRights } from "./rights.ts";

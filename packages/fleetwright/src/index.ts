export type { Rights } from "./access.ts";
export { checkpointRights, managerRights } from "./rights.ts";

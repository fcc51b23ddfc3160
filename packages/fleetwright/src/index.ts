export type { Rights } from "./access.ts";
export { managerRights } from "./rights.ts";

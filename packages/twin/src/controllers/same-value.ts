import { jsonEqual } from "@fleetwright/kube";
import type { Json } from "@fleetwright/kube";

/** Whether two values are the same JSON; absent fields count as absent. */
export const sameValue = (left: unknown, right: unknown): boolean => jsonEqual(left as Json, right as Json);

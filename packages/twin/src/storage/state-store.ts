import type { Clock } from "@fleetwright/kube";
import type { Store } from "./store.ts";

export interface StateStoreOptions {
  /** Made if it is not there. */
  readonly directory: string;
  readonly clock: Clock;
}

/** A store that outlives the process. */
export function openStateStore(options: StateStoreOptions): Promise<Store> {
  return Promise.reject(new Error(`${options.directory}: the state directory is not there yet`));
}

import type { Clock } from "@fleetwright/kube";
import { RevisionStore } from "./revision-store.ts";
import type { Store } from "./store.ts";

export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** History is kept for at least this long, and at most twice as long. @default 300_000, kube-apiserver's --etcd-compaction-interval */
  readonly windowMs?: number;
  /** Older versions and deleted objects may take so much memory; then the window gets shorter. @default 512 MiB */
  readonly historyLimitBytes?: number;
  /** Of the first write. @default 2: a fresh etcd is at 1 */
  readonly firstRevision?: number;
  /** @default "bytes" */
  readonly keeps?: "bytes" | "objects";
  /** Freezes the objects that it keeps: who changes one then fails, instead of changing everybody's. @default false */
  readonly freezes?: boolean;
}

/** A store that is gone with the process. */
export function createMemoryStore(options: MemoryStoreOptions): Store {
  const {
    clock,
    windowMs = 300_000,
    historyLimitBytes = 512 * 2 ** 20,
    firstRevision = 2,
    keeps = "bytes",
    freezes = false,
  } = options;
  return new RevisionStore({ clock, windowMs, historyLimitBytes, firstRevision, keeps, freezes });
}

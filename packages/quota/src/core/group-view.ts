import type { Amounts } from "./amounts.ts";
import type { Slot } from "./ledger.ts";

/** The two sums of a ledger: what workloads use, and what is granted to child groups. */
export type Part = "workloads" | "groups";

/** The newest version of an object that was seen, in whatever group; of one that is gone, the version at which it went. */
export interface Sighting {
  readonly version: string;
}

/**
 * What one replica knows of one group, from caches or a live list. Everything that decides reads the API through this, so that caches, live reads
 * and tests are the same to it.
 */
export interface GroupView {
  /** Kinds that make up a part, as `deployments.apps`. */
  kinds(part: Part): readonly string[];
  /** The resource version up to which a kind's objects are known; `""` when they are not. */
  version(kind: string): string;
  /** The highest resource version among the objects of a kind that are counted to this group; `""` when there are none. */
  newest(kind: string): string;
  /** What the objects of this group use together. */
  total(part: Part): Amounts;
  /** What the object of a slot uses of this group; nothing if it is not in it, or free as a child of one that is. */
  charge(slot: Slot): Amounts;
  /** How many objects name the group. */
  members(part: Part): number;
  /** @param uid `""`, of a hold that stands for several creates, is never seen */
  sighting(kind: string, uid: string): Sighting | undefined;
}

import type { KubeObject } from "@fleetwright/kube";
import { slotKey, type Hold, type Ledger } from "./ledger.ts";
import { newer } from "./recompute.ts";

/** Holds that are old enough to be looked up. @param now milliseconds since the epoch */
export function expiredHolds(ledger: Ledger, now: number, holdLifeMs: number): readonly Hold[] {
  return ledger.holds.filter((hold) => now - hold.at >= holdLifeMs);
}

/** When the next hold (or the closing mark) will be old enough, in milliseconds since the epoch. */
export function nextExpiry(ledger: Ledger, holdLifeMs: number): number | undefined {
  const times = ledger.holds.map((hold) => hold.at + holdLifeMs);
  if (ledger.closingSince !== undefined) times.push(ledger.closingSince + holdLifeMs);
  return times.length === 0 ? undefined : Math.min(...times);
}

/** A hold whose time is over, and what its look-up showed. */
export interface Expired {
  readonly hold: Hold;
  /** The resource version of the object that has the slot in this group; `""` when there is none. */
  readonly shown: string;
}

/**
 * What a live read makes of an old hold. Whatever it stands for is decided by now. If an object of this group has the slot, of whatever UID, the hold may
 * be all that it is counted by: its room stays booked until somebody counts from a cache that is as new as that object.
 *
 * @param live the object in the hold's slot, read live; `undefined` when there is none
 */
export function expire(
  hold: Hold,
  live: KubeObject | undefined,
  group: string,
  groupOfLive: string | undefined,
): Expired {
  return { hold, shown: live && groupOfLive === group ? (live.metadata.resourceVersion ?? "") : "" };
}

/** Takes expired holds out; one that was renewed since it was looked up stays. */
export function withoutHolds(ledger: Ledger, expired: readonly Expired[]): Ledger {
  if (expired.length === 0) return ledger;
  const idOf = (hold: Hold): string => `${slotKey(hold)}/${hold.uid}/${hold.base}/${hold.at}`;
  const present = new Set(ledger.holds.map(idOf));
  const gone = new Set<string>();
  const seen: Record<string, string> = { ...ledger.seen };
  for (const { hold, shown } of expired) {
    if (!present.has(idOf(hold))) continue;
    gone.add(idOf(hold));
    if (shown !== "") seen[hold.kind] = newer(seen[hold.kind], shown);
  }
  return { ...ledger, seen, holds: ledger.holds.filter((hold) => !gone.has(idOf(hold))) };
}

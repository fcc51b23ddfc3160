import type { KubeObject } from "@fleetwright/kube";
import type { Hold, Ledger } from "./ledger.ts";
import { isNewer } from "./recompute.ts";

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

/**
 * Whether a live read shows that an old hold protects nothing: the object is not there, is still what it was, or has left the group. If it is
 * newer and in the group the hold stays until a cache shows it.
 *
 * @param live the object under the hold's name, read live; `undefined` when there is none
 */
export function isReleased(
  hold: Hold,
  live: KubeObject | undefined,
  group: string,
  groupOfLive: string | undefined,
): boolean {
  if (!live || live.metadata.uid !== hold.uid || live.metadata.resourceVersion === hold.base) return true;
  return groupOfLive !== group && isNewer(live.metadata.resourceVersion ?? "", hold.base);
}

/** Takes released holds out; one that was renewed since it was looked up stays. */
export function withoutHolds(ledger: Ledger, released: readonly Hold[]): Ledger {
  if (released.length === 0) return ledger;
  const gone = new Set(released.map((hold) => `${hold.uid}/${hold.base}/${hold.at}`));
  return { ...ledger, holds: ledger.holds.filter((hold) => !gone.has(`${hold.uid}/${hold.base}/${hold.at}`)) };
}

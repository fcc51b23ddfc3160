import { compareResourceVersions } from "@fleetwright/kube";
import { addInto, max, noAmounts, subtractFrom, type Amounts } from "./amounts.ts";
import type { GroupView, Part, Sighting } from "./group-view.ts";
import { isSameSlot, slotKey, type Hold, type Ledger, type Slot } from "./ledger.ts";

/** Resource versions as text, where `""` is before all. */
export const isNewer = (left: string, right: string): boolean =>
  left !== "" && (right === "" || compareResourceVersions(left, right) > 0);

export const newer = (left: string | undefined, right: string): string =>
  left !== undefined && !isNewer(right, left) ? left : right;

export const partOf = (kind: string, view: GroupView): Part =>
  view.kinds("groups").includes(kind) ? "groups" : "workloads";

/** Whether a part may be counted from this view: it knows at least all that any replica has counted before. */
function isFresh(ledger: Ledger, view: GroupView, part: Part): boolean {
  return view.kinds(part).every((kind) => {
    const version = view.version(kind);
    return version !== "" && !isNewer(ledger.seen[kind] ?? "", version);
  });
}

/** Whether the view shows what became of a change: it was the first after its base, or it lost to another, which has a hold of its own. */
function settledBy(hold: Hold, view: GroupView): Sighting | undefined {
  const sighting = view.sighting(hold.kind, hold.uid);
  return sighting && (hold.base === "" || isNewer(sighting.version, hold.base)) ? sighting : undefined;
}

/** The greatest hold of each slot, per key. */
function holdsBySlot(holds: readonly Hold[]): Iterable<Pick<Hold, keyof Slot | "charge">> {
  const bySlot = new Map<string, Pick<Hold, keyof Slot | "charge">>();
  for (const hold of holds) {
    const key = slotKey(hold);
    const before = bySlot.get(key);
    bySlot.set(key, before ? { ...before, charge: max(before.charge, hold.charge) } : hold);
  }
  return bySlot.values();
}

/** Counts a part from the view: `Σ max(charge as known, charges of unsettled holds)`. Settled holds go. The view must be fresh. */
function recount(ledger: Ledger, view: GroupView, part: Part): Ledger {
  const seen: Record<string, string> = { ...ledger.seen };
  const holds = ledger.holds.filter((hold) => {
    if (partOf(hold.kind, view) !== part) return true;
    const settled = settledBy(hold, view);
    if (settled) seen[hold.kind] = newer(seen[hold.kind], settled.version);
    return settled === undefined;
  });
  const total = new Map(view.total(part));
  for (const hold of holdsBySlot(holds.filter((each) => partOf(each.kind, view) === part))) {
    const known = view.charge(hold);
    addInto(total, max(known, hold.charge));
    subtractFrom(total, known);
  }
  for (const kind of view.kinds(part)) {
    const newest = view.newest(kind);
    if (newest !== "") seen[kind] = newer(seen[kind], newest);
  }
  return part === "workloads" ? { ...ledger, self: total, holds, seen } : { ...ledger, granted: total, holds, seen };
}

export interface Recomputed {
  readonly ledger: Ledger;
  /** Parts that were counted; the others were left as they are, since this view is behind what another replica has counted. */
  readonly fresh: ReadonlySet<Part>;
}

/** Counts what may be counted from this view. */
export function recompute(ledger: Ledger, view: GroupView): Recomputed {
  const fresh = new Set((["workloads", "groups"] as const).filter((part) => isFresh(ledger, view, part)));
  let next = ledger;
  for (const part of fresh) next = recount(next, view, part);
  return { ledger: next, fresh };
}

/** What the view and the holds say that a slot takes of the group now. Exact right after a recompute from this view. */
export const termOf = (ledger: Ledger, view: GroupView, slot: Slot): Amounts =>
  max(view.charge(slot), heldTermOf(ledger, slot));

/** What the sum contains of a slot for certain, without a fresh view: its holds were each booked in full. */
export function heldTermOf(ledger: Ledger, slot: Slot): Amounts {
  let term = noAmounts;
  for (const hold of ledger.holds) if (isSameSlot(hold, slot)) term = max(term, hold.charge);
  return term;
}

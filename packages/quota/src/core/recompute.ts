import { compareResourceVersions } from "@fleetwright/kube";
import { addInto, max, noAmounts, subtractFrom, type Amounts } from "./amounts.ts";
import type { GroupView, Part, Sighting } from "./group-view.ts";
import type { Hold, Ledger } from "./ledger.ts";

/** Resource versions as text, where `""` is before all. */
export const isNewer = (left: string, right: string): boolean =>
  left !== "" && (right === "" || compareResourceVersions(left, right) > 0);

const newer = (left: string | undefined, right: string): string =>
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

/** The greatest hold of each object, per key. */
function holdsByObject(holds: readonly Hold[]): ReadonlyMap<string, { kind: string; charge: Amounts }> {
  const byObject = new Map<string, { kind: string; charge: Amounts }>();
  for (const { uid, kind, charge } of holds) {
    const before = byObject.get(uid);
    byObject.set(uid, { kind, charge: before ? max(before.charge, charge) : charge });
  }
  return byObject;
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
  for (const [uid, { kind, charge }] of holdsByObject(holds.filter((hold) => partOf(hold.kind, view) === part))) {
    const known = view.charge(kind, uid);
    addInto(total, max(known, charge));
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

/** What the view and the holds say that one object takes of the group now. */
export function termOf(ledger: Ledger, view: GroupView, kind: string, uid: string): Amounts {
  let term = view.charge(kind, uid);
  for (const hold of ledger.holds) if (hold.uid === uid) term = max(term, hold.charge);
  return term;
}

/** What is known without a fresh view: the holds, and the object as it was, unless it may have been counted at a later version. */
export function knownTermOf(ledger: Ledger, kind: string, uid: string, base: string, before: Amounts): Amounts {
  let term = base !== "" && !isNewer(ledger.seen[kind] ?? "", base) ? before : noAmounts;
  for (const hold of ledger.holds) if (hold.uid === uid) term = max(term, hold.charge);
  return term;
}

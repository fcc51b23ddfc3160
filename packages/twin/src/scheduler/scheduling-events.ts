import type { Rejection } from "./framework.ts";
import type { NodeInfo } from "./snapshot.ts";

/** `0/24 nodes are available: 3 Insufficient cpu, 21 …` (`FitError.Error`). */
export function unavailableText(rejected: ReadonlyMap<NodeInfo, Rejection>, all: number): string {
  if (all === 0) return "no nodes available to schedule pods";
  const counts = new Map<string, number>();
  for (const { reasons } of rejected.values())
    for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return `0/${all} nodes are available: ${countsText(counts)}.`;
}

/** What comes after the reasons: the plugin of dynamic resources has nothing to give back, and this is what preemption says. */
export const afterFilters = (preemption: string): string => ` no new claims to deallocate, preemption: ${preemption}`;

/** What preemption says when it found nothing to do. */
export function noPreemptionText(rejected: ReadonlyMap<NodeInfo, Rejection>, all: number): string {
  const helpless = [...rejected.values()].filter(({ isResolvable }) => !isResolvable).length;
  const counts = new Map<string, number>();
  if (helpless > 0) counts.set("Preemption is not helpful for scheduling", helpless);
  if (rejected.size > helpless) counts.set("No preemption victims found for incoming pod", rejected.size - helpless);
  return `0/${all} nodes are available: ${countsText(counts)}.`;
}

/** Sorted as texts, as Go does it. */
const countsText = (counts: ReadonlyMap<string, number>): string =>
  Array.from(counts, ([reason, count]) => `${count} ${reason}`)
    .toSorted()
    .join(", ");

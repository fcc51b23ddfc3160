import { parseQuantity } from "@fleetwright/kube";
import type { Pod } from "@fleetwright/kube";
import { conditionOf, isReady } from "./pod-state.ts";

const costAnnotation = "controller.kubernetes.io/pod-deletion-cost";
const phases: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

const timeOf = (text: string | null | undefined): number => (text ? Date.parse(text) : 0);

function costOf(pod: Pod): number {
  const text = pod.metadata.annotations?.[costAnnotation];
  if (text === undefined || !/^[-+]?\d+$/.test(text)) return 0;
  return parseQuantity(text).toNumber();
}

const restartsOf = (pod: Pod): number =>
  Math.max(0, ...(pod.status?.containerStatuses ?? []).map(({ restartCount }) => restartCount));

/** Larger for a shorter time, in powers of two, so that small differences do not matter (`afterOrZero` of logarithmic scale-down). */
const ageBucket = (since: number, now: number): number =>
  since === 0 ? 0 : Math.floor(Math.log2(Math.max(1, now - since)));

/**
 * Which pods go first: unbound, pending, not ready, cheap, crowded, ready for a shorter time, restarted more, younger
 * (`ActivePodsWithRanks`).
 *
 * @param ranks how many pods of the same owner run on each node
 */
export function byDeletionRank(pods: readonly Pod[], ranks: ReadonlyMap<string, number>, now: number): readonly Pod[] {
  const rank = (pod: Pod): number => ranks.get(pod.spec?.nodeName ?? "") ?? 0;
  const readySince = (pod: Pod): number => timeOf(conditionOf(pod, "Ready")?.lastTransitionTime);
  return pods.toSorted((left, right) => {
    const bound = Number(Boolean(left.spec?.nodeName)) - Number(Boolean(right.spec?.nodeName));
    if (bound !== 0) return bound;
    const phase = (phases[left.status?.phase ?? ""] ?? 0) - (phases[right.status?.phase ?? ""] ?? 0);
    if (phase !== 0) return phase;
    const ready = Number(isReady(left)) - Number(isReady(right));
    if (ready !== 0) return ready;
    const cost = costOf(left) - costOf(right);
    if (cost !== 0) return cost;
    const crowded = rank(right) - rank(left);
    if (crowded !== 0) return crowded;
    if (isReady(left) && isReady(right)) {
      const readyFor = ageBucket(readySince(left), now) - ageBucket(readySince(right), now);
      if (readyFor !== 0) return readyFor;
    }
    const restarts = restartsOf(right) - restartsOf(left);
    if (restarts !== 0) return restarts;
    const created = (pod: Pod): number => timeOf(pod.metadata.creationTimestamp);
    const age = ageBucket(created(left), now) - ageBucket(created(right), now);
    if (age !== 0) return age;
    // Upstream leaves it open; this way a run repeats.
    return (left.metadata.uid ?? "") < (right.metadata.uid ?? "") ? -1 : 1;
  });
}

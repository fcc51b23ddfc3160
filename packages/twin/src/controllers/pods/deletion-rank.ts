import type { Pod } from "@fleetwright/kube";
import { conditionOf, isReady } from "./pod-state.ts";

const costAnnotation = "controller.kubernetes.io/pod-deletion-cost";
const phases: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };
const maxInt32 = 2_147_483_647;

const timeOf = (text: string | null | undefined): number => (text ? Date.parse(text) : 0);

/** A 32-bit number without a plus sign or leading zeros; anything else is 0 (pkg/apis/core/v1/helper `GetDeletionCostFromPodAnnotations`). */
function costOf(pod: Pod): number {
  const text = pod.metadata.annotations?.[costAnnotation];
  if (text === undefined || !/^(?:0|[1-9]\d*|-\d+)$/.test(text)) return 0;
  const cost = Number(text);
  return cost > maxInt32 || cost < -maxInt32 - 1 ? 0 : cost;
}

const most = (counts: readonly number[]): number => Math.max(0, ...counts);

const restartsOf = ({ status }: Pod): number =>
  most((status?.containerStatuses ?? []).map(({ restartCount }) => restartCount));

function sidecarRestartsOf({ spec, status }: Pod): number {
  const sidecars = new Set(
    (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always").map(({ name }) => name),
  );
  return most(
    (status?.initContainerStatuses ?? [])
      .filter(({ name }) => sidecars.has(name))
      .map(({ restartCount }) => restartCount),
  );
}

/** Powers of two of nanoseconds, as upstream's durations are: in any other unit the bounds between ranks would be others. */
const ageRank = (since: number, now: number): number =>
  now > since ? Math.floor(Math.log2((now - since) * 1_000_000)) : -1;

/** Who has no time goes first, then who is younger by rank; within a rank it is the UID's to say (`logarithmicRankDiff`). */
function byAge(left: Pod, right: Pod, timeOfPod: (pod: Pod) => number, now: number): number {
  const [first, second] = [timeOfPod(left), timeOfPod(right)];
  if (first === 0 || second === 0) return first === 0 ? -1 : 1;
  return ageRank(first, now) - ageRank(second, now) || byUid(left, right);
}

const byUid = (left: Pod, right: Pod): number => ((left.metadata.uid ?? "") < (right.metadata.uid ?? "") ? -1 : 1);

const readySince = (pod: Pod): number => timeOf(conditionOf(pod, "Ready")?.lastTransitionTime);
const createdAt = (pod: Pod): number => timeOf(pod.metadata.creationTimestamp);

/**
 * Which pods go first: unbound, pending, not ready, cheap, crowded, ready for a shorter time, restarted more, younger
 * (pkg/controller/controller_utils.go, `ActivePodsWithRanks`).
 *
 * @param ranks how many pods of the same owner run on each node
 */
export function byDeletionRank(pods: readonly Pod[], ranks: ReadonlyMap<string, number>, now: number): readonly Pod[] {
  const rank = (pod: Pod): number => ranks.get(pod.spec?.nodeName ?? "") ?? 0;
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
    if (isReady(left) && isReady(right) && readySince(left) !== readySince(right))
      return byAge(left, right, readySince, now);
    const restarts = restartsOf(right) - restartsOf(left) || sidecarRestartsOf(right) - sidecarRestartsOf(left);
    if (restarts !== 0) return restarts;
    if (createdAt(left) !== createdAt(right)) return byAge(left, right, createdAt, now);
    // Upstream leaves it open; this way a run repeats.
    return byUid(left, right);
  });
}

import type { Pod } from "@fleetwright/kube";
import { isAvailable, isReady, isTerminating } from "../pods/pod-state.ts";

/** What to do about a DaemonSet's pods, without I/O (pkg/controller/daemon/{daemon_controller,update}.go). */

export interface DaemonView {
  /** Whether a pod is of the present template. */
  readonly isCurrent: (pod: Pod) => boolean;
  readonly minReadySeconds: number;
  readonly now: number;
}

/** What one node needs (`podsShouldBeOnNode`). */
export interface NodeNeeds {
  readonly isMissing: boolean;
  /** Go at once. */
  readonly excess: readonly Pod[];
  /** Go after their back-off. */
  readonly failed: readonly Pod[];
  readonly succeeded: readonly Pod[];
}

/** Bound ones first, then the oldest (`podByCreationTimestampAndPhase`). */
export function byAge(left: Pod, right: Pod): number {
  const bound = Number(Boolean(right.spec?.nodeName)) - Number(Boolean(left.spec?.nodeName));
  if (bound !== 0) return bound;
  const [first, second] = [left.metadata.creationTimestamp ?? "", right.metadata.creationTimestamp ?? ""];
  if (first !== second) return first < second ? -1 : 1;
  return (left.metadata.name ?? "") < (right.metadata.name ?? "") ? -1 : 1;
}

/**
 * @param place whether the node should have a pod, and whether one that is there may stay
 * @param surges whether two pods, one of the present template and one of an earlier, may be there at the same time
 */
export function needsOfNode(
  place: { readonly run: boolean; readonly stay: boolean },
  pods: readonly Pod[],
  surges: boolean,
  view: DaemonView,
): NodeNeeds {
  const none: NodeNeeds = { isMissing: false, excess: [], failed: [], succeeded: [] };
  if (place.run && pods.length === 0) return { ...none, isMissing: true };
  const live = pods.filter((pod) => !isTerminating(pod));
  if (!place.stay) return { ...none, excess: live };
  const ended = (phase: string): readonly Pod[] => live.filter(({ status }) => status?.phase === phase);
  const [failed, succeeded] = [ended("Failed"), ended("Succeeded")];
  const running = live.filter((pod) => !failed.includes(pod) && !succeeded.includes(pod)).toSorted(byAge);
  const excess = surges ? surgeExcess(running, view) : running.slice(1);
  // One that is going does not keep a surge waiting.
  return { isMissing: surges && place.run && running.length === 0, excess, failed, succeeded };
}

/** One of each template may stay; the old one only as long as it is ready and the new one is not available. */
function surgeExcess(running: readonly Pod[], { isCurrent, minReadySeconds, now }: DaemonView): readonly Pod[] {
  const fresh = running.find(isCurrent);
  const old = running.find((pod) => !isCurrent(pod));
  const more = running.filter((pod) => pod !== fresh && pod !== old);
  if (fresh === undefined || old === undefined) return more;
  return !isReady(old) || isAvailable(fresh, minReadySeconds, now) ? [...more, old] : more;
}

export interface RolloutView extends DaemonView {
  /** By the node that they are for. */
  readonly byNode: ReadonlyMap<string, readonly Pod[]>;
  readonly runsOn: (nodeName: string) => boolean;
  /** How many nodes should have a pod. */
  readonly desired: number;
  readonly surge: number;
  readonly unavailable: number;
}

export interface RolloutSteps {
  readonly remove: readonly Pod[];
  /** Nodes that get a second pod. */
  readonly surgeOn: readonly string[];
}

/** The next step of a rolling update (`rollingUpdate`). */
export const rolloutSteps = (view: RolloutView): RolloutSteps => (view.surge === 0 ? replacing(view) : surging(view));

/** The two pods of a node; `undefined`: it has too many, which are dealt with first (`findUpdatedPodsOnNode`). */
function pairOf(
  pods: readonly Pod[],
  isCurrent: (pod: Pod) => boolean,
): { readonly fresh: Pod | undefined; readonly old: Pod | undefined } | undefined {
  const live = pods.filter((pod) => !isTerminating(pod));
  const [fresh, ...moreFresh] = live.filter(isCurrent);
  const [old, ...moreOld] = live.filter((pod) => !isCurrent(pod));
  return moreFresh.length + moreOld.length > 0 ? undefined : { fresh, old };
}

/** Old pods go as far as availability allows; {@link needsOfNode} finds their nodes without one afterwards. */
function replacing({ byNode, isCurrent, minReadySeconds, now, unavailable }: RolloutView): RolloutSteps {
  const remove: Pod[] = [];
  const candidates: Pod[] = [];
  let missing = 0;
  for (const pods of byNode.values()) {
    const pair = pairOf(pods, isCurrent);
    const only = pair?.fresh === undefined ? pair?.old : pair.old === undefined ? pair.fresh : undefined;
    if (only === undefined) missing += 1;
    else if (!isAvailable(only, minReadySeconds, now)) {
      missing += 1;
      // It serves nobody: nothing is lost by it.
      if (only === pair?.old) remove.push(only);
    } else if (only === pair?.old) candidates.push(only);
  }
  return { remove: [...remove, ...candidates.slice(0, Math.max(0, unavailable - missing))], surgeOn: [] };
}

/** New pods come first, so many at a time; old ones go once they are available. */
function surging(view: RolloutView): RolloutSteps {
  const { byNode, isCurrent, minReadySeconds, now, runsOn, desired, surge } = view;
  const available = (pod: Pod): boolean => isAvailable(pod, minReadySeconds, now);
  const remove: Pod[] = [];
  const leaving: Pod[] = [];
  const [urgent, candidates]: [string[], string[]] = [[], []];
  let [surged, served] = [0, 0];
  for (const [nodeName, pods] of byNode) {
    const pair = pairOf(pods, isCurrent);
    if (pair === undefined) {
      surged += 1;
      continue;
    }
    const { fresh, old } = pair;
    const speaker = old ?? fresh;
    if (speaker !== undefined && available(speaker)) served += 1;
    if (old === undefined) continue;
    if (fresh !== undefined) {
      if (available(fresh)) remove.push(old);
      else surged += 1;
    } else if (!runsOn(nodeName)) (available(old) ? leaving : remove).push(old);
    else (available(old) ? candidates : urgent).push(nodeName);
  }
  // Where the daemon moves from one node to another, it leaves only when the other serves.
  const maySpare = Math.max(0, served - desired);
  return {
    remove: [...remove, ...leaving.slice(0, maySpare)],
    surgeOn: [...urgent, ...candidates.slice(0, Math.max(0, surge - surged))],
  };
}

import { controllerOf, matchesLabels, selectorOf } from "@fleetwright/kube";
import type { TopologySpreadConstraint } from "@fleetwright/kube";
import type { NodeInfo, PodInfo, Snapshot } from "../snapshot.ts";
import { requiredNodeAffinityMatches } from "./node-affinity.ts";
import { isTolerated } from "./taint-toleration.ts";

/** Spreading over topologies (plugins/podtopologyspread). */

const spreadReason = "node(s) didn't match pod topology spread constraints";
const missingLabelReason = "node(s) didn't match pod topology spread constraints (missing required label)";

export interface SpreadState {
  filter(node: NodeInfo): { readonly reason: string; readonly isResolvable: boolean } | undefined;
  /** Fewer is better. */
  score(node: NodeInfo): number;
  readonly hasScores: boolean;
}

interface Counted {
  readonly constraint: TopologySpreadConstraint;
  readonly counts: ReadonlyMap<string, number>;
  readonly least: number;
  readonly self: number;
}

const hostname = "kubernetes.io/hostname";

/** Whether a node counts for a constraint (`nodeAffinityPolicy`, `nodeTaintsPolicy`). */
function isEligible({ spec }: PodInfo, constraint: TopologySpreadConstraint, node: NodeInfo): boolean {
  if ((constraint.nodeAffinityPolicy ?? "Honor") === "Honor" && !requiredNodeAffinityMatches(spec, node.node))
    return false;
  if (constraint.nodeTaintsPolicy !== "Honor") return true;
  return node.taints.every((taint) => taint.effect === "PreferNoSchedule" || isTolerated(taint, spec.tolerations));
}

function counted(
  info: PodInfo,
  constraint: TopologySpreadConstraint,
  keys: readonly string[],
  snapshot: Snapshot,
): Counted {
  const { namespace = "", labels = {} } = info.pod.metadata;
  const selector = selectorOf(constraint.labelSelector);
  const counts = new Map<string, number>();
  for (const node of snapshot.order) {
    const value = node.labels[constraint.topologyKey];
    if (
      value === undefined ||
      keys.some((key) => node.labels[key] === undefined) ||
      !isEligible(info, constraint, node)
    )
      continue;
    let matching = 0;
    for (const { pod } of node.pods.values()) {
      const { metadata } = pod;
      if (
        metadata.deletionTimestamp === undefined &&
        (metadata.namespace ?? "") === namespace &&
        matchesLabels(selector, metadata.labels)
      )
        matching++;
    }
    counts.set(value, (counts.get(value) ?? 0) + matching);
  }
  const least = counts.size < (constraint.minDomains ?? 1) ? 0 : Math.min(...counts.values());
  return {
    constraint,
    counts,
    least: Number.isFinite(least) ? least : 0,
    self: matchesLabels(selector, labels) ? 1 : 0,
  };
}

/**
 * What spreading asks of a pod's nodes; `undefined`: nothing. A pod of a controller that says nothing itself prefers nodes with fewer of
 * its kind, as upstream's default constraint on the host name makes it; the one on zones is left out.
 */
export function spreadState(info: PodInfo, snapshot: Snapshot): SpreadState | undefined {
  const all = info.spec.topologySpreadConstraints ?? [];
  const controller = controllerOf(info.pod)?.uid;
  if (all.length === 0) return controller === undefined ? undefined : defaultSpread(controller);
  const of = (action: string): readonly Counted[] => {
    const chosen = all.filter(({ whenUnsatisfiable }) => whenUnsatisfiable === action);
    const keys = chosen.map(({ topologyKey }) => topologyKey);
    return chosen.map((constraint) => counted(info, constraint, keys, snapshot));
  };
  const hard = of("DoNotSchedule");
  const soft = of("ScheduleAnyway");
  return {
    hasScores: soft.length > 0,
    filter(node) {
      for (const { constraint, counts, least, self } of hard) {
        const value = node.labels[constraint.topologyKey];
        if (value === undefined) return { reason: missingLabelReason, isResolvable: false };
        if ((counts.get(value) ?? 0) + self - least > constraint.maxSkew)
          return { reason: spreadReason, isResolvable: true };
      }
      return undefined;
    },
    score(node) {
      let total = 0;
      for (const { constraint, counts } of soft) {
        const value = node.labels[constraint.topologyKey];
        if (value !== undefined)
          total += (counts.get(value) ?? 0) * Math.log(counts.size + 2) + (constraint.maxSkew - 1);
      }
      return Math.round(total);
    },
  };
}

function defaultSpread(controller: string): SpreadState {
  const weight = 2;
  return {
    hasScores: true,
    filter: () => undefined,
    score(node) {
      if (node.labels[hostname] === undefined) return 0;
      let siblings = 0;
      for (const { pod } of node.pods.values()) if (controllerOf(pod)?.uid === controller) siblings++;
      return siblings * weight;
    },
  };
}

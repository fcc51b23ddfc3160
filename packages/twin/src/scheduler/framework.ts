import type { Random } from "@fleetwright/kube";
import { affinityState } from "./plugins/inter-pod-affinity.ts";
import type { AffinityState, NamespaceLabels } from "./plugins/inter-pod-affinity.ts";
import { filterNodeAffinity, scoreNodeAffinity } from "./plugins/node-affinity.ts";
import { filterPorts, fitsEmpty, lacking, scoreBalanced, scoreLeastAllocated } from "./plugins/node-resources.ts";
import { spreadState } from "./plugins/pod-topology-spread.ts";
import type { SpreadState } from "./plugins/pod-topology-spread.ts";
import { countSoftTaints, filterTaints, filterUnschedulable } from "./plugins/taint-toleration.ts";
import type { NodeInfo, PodInfo, Snapshot } from "./snapshot.ts";

/** Why a node will not do. */
export interface Rejection {
  readonly reasons: readonly string[];
  /** Taking lower pods off the node could help. */
  readonly isResolvable: boolean;
}

/** What is gathered once for a pod. */
export interface CycleState {
  readonly info: PodInfo;
  readonly affinity: AffinityState | undefined;
  readonly spread: SpreadState | undefined;
}

export function cycleState(info: PodInfo, snapshot: Snapshot, namespaceLabels: NamespaceLabels): CycleState {
  return { info, affinity: affinityState(info, snapshot, namespaceLabels), spread: spreadState(info, snapshot) };
}

const nodeNameReason = "node(s) didn't match the requested node name";
const unresolvable = (reason: string): Rejection => ({ reasons: [reason], isResolvable: false });

/** The filters of the default profile, in its order; the first that says no decides. */
export function filterNode({ info, affinity, spread }: CycleState, node: NodeInfo): Rejection | undefined {
  const unschedulable = filterUnschedulable(info, node);
  if (unschedulable !== undefined) return unresolvable(unschedulable);
  if (info.spec.nodeName !== undefined && info.spec.nodeName !== "" && info.spec.nodeName !== node.name)
    return unresolvable(nodeNameReason);
  const tainted = filterTaints(info, node);
  if (tainted !== undefined) return unresolvable(tainted);
  const unwanted = filterNodeAffinity(info, node);
  if (unwanted !== undefined) return unresolvable(unwanted);
  const ports = filterPorts(info, node);
  if (ports !== undefined) return { reasons: [ports], isResolvable: true };
  const reasons = lacking(info, node);
  if (reasons.length > 0) return { reasons, isResolvable: fitsEmpty(info, node) };
  const skewed = spread?.filter(node);
  if (skewed !== undefined) return { reasons: [skewed.reason], isResolvable: skewed.isResolvable };
  const apart = affinity?.filter(node);
  if (apart !== undefined) return { reasons: [apart.reason], isResolvable: apart.isResolvable };
  return undefined;
}

/** Raw scores of one node, before they are made comparable. */
interface RawScores {
  readonly taints: number;
  readonly nodeAffinity: number;
  readonly spread: number;
  readonly podAffinity: number;
  /** Comparable as they are. */
  readonly resources: number;
}

function rawScores({ info, affinity, spread }: CycleState, node: NodeInfo): RawScores {
  return {
    taints: countSoftTaints(info, node),
    nodeAffinity: scoreNodeAffinity(info, node),
    spread: spread?.score(node) ?? 0,
    podAffinity: affinity?.score(node) ?? 0,
    resources: scoreLeastAllocated(info, node) + scoreBalanced(info, node),
  };
}

/** Weights of the default profile (apis/config/v1/default_plugins.go). */
const weights = { taints: 3, nodeAffinity: 2, spread: 2, podAffinity: 2 } as const;

/** What raw scores are compared with. */
interface Range {
  readonly min: RawScores;
  readonly max: RawScores;
}

function total(raw: RawScores, { min, max }: Range, state: CycleState): number {
  let sum = raw.resources;
  // Fewer soft taints are better; without any, all are best.
  sum += weights.taints * (max.taints === 0 ? 100 : 100 - Math.floor((raw.taints * 100) / max.taints));
  if (max.nodeAffinity > 0) sum += weights.nodeAffinity * Math.floor((raw.nodeAffinity * 100) / max.nodeAffinity);
  if (state.spread?.hasScores === true) {
    sum +=
      weights.spread *
      (max.spread === 0 ? 100 : Math.floor((100 * (max.spread + min.spread - raw.spread)) / max.spread));
  }
  if (state.affinity?.hasScores === true) {
    const width = max.podAffinity - min.podAffinity;
    sum += weights.podAffinity * (width === 0 ? 0 : Math.floor((100 * (raw.podAffinity - min.podAffinity)) / width));
  }
  return sum;
}

export interface Candidate {
  readonly node: NodeInfo;
  readonly score: number;
  /** The node's when it was looked at. */
  readonly generation: number;
}

/** Nodes with scores that can be compared, and a way to look at one of them again by the same measure. */
export interface Scored {
  readonly candidates: readonly Candidate[];
  again(node: NodeInfo): Candidate;
}

export function scoreNodes(state: CycleState, nodes: readonly NodeInfo[]): Scored {
  const raws = nodes.map((node) => rawScores(state, node));
  const extreme = (pick: (...values: number[]) => number): RawScores => ({
    taints: pick(...raws.map(({ taints }) => taints)),
    nodeAffinity: pick(...raws.map(({ nodeAffinity }) => nodeAffinity)),
    spread: pick(...raws.map(({ spread }) => spread)),
    podAffinity: pick(...raws.map(({ podAffinity }) => podAffinity)),
    resources: 0,
  });
  const range: Range = { min: extreme(Math.min), max: extreme(Math.max) };
  const candidate = (node: NodeInfo, raw: RawScores): Candidate => ({
    node,
    score: total(raw, range, state),
    generation: node.generation,
  });
  return {
    candidates: nodes.map((node, index) => candidate(node, raws[index] ?? rawScores(state, node))),
    again: (node) => candidate(node, rawScores(state, node)),
  };
}

/** One of the best, each equally likely (`selectHost`). */
export function pickBest(candidates: readonly Candidate[], random: Random): Candidate | undefined {
  let score = Number.NEGATIVE_INFINITY;
  let equal = 0;
  for (const candidate of candidates) {
    if (candidate.score > score) [score, equal] = [candidate.score, 1];
    else if (candidate.score === score) equal++;
  }
  let left = equal > 1 ? Math.floor(random.next() * equal) : 0;
  return candidates.find((candidate) => candidate.score === score && left-- === 0);
}

/** How many nodes that fit are enough (`numFeasibleNodesToFind`). */
export function enoughNodes(all: number): number {
  if (all < 100) return all;
  const percent = Math.max(5, 50 - Math.floor(all / 125));
  return Math.max(100, Math.floor((all * percent) / 100));
}

import { matchesLabels, selectorOf } from "@fleetwright/kube";
import type { Pod, PodDisruptionBudget } from "@fleetwright/kube";
import { filterNode } from "./framework.ts";
import type { CycleState, Rejection } from "./framework.ts";
import { priorityOf } from "./resources.ts";
import type { NodeInfo, PodInfo } from "./snapshot.ts";

/** Who goes so that a pod of higher priority can run (framework/preemption, plugins/defaultpreemption). */
export interface Preemption {
  readonly node: NodeInfo;
  readonly victims: readonly Pod[];
  readonly violations: number;
}

const startOf = (pod: Pod): number =>
  pod.status?.startTime === undefined ? Number.MAX_SAFE_INTEGER : Date.parse(pod.status.startTime);

/** Higher priority first, then the one that started earlier (`MoreImportantPod`). */
const byImportance = (left: Pod, right: Pod): number =>
  priorityOf(right) - priorityOf(left) || startOf(left) - startOf(right);

/** The least harm that helps, of nodes on which something can be done; `undefined`: nothing helps. */
export function findPreemption(
  state: CycleState,
  rejected: ReadonlyMap<NodeInfo, Rejection>,
  budgets: readonly PodDisruptionBudget[],
  filter: (node: NodeInfo) => Rejection | undefined = (node) => filterNode(state, node),
): Preemption | undefined {
  const candidates: Preemption[] = [];
  // Upstream looks at a tenth of the nodes, a hundred at least (minCandidateNodesPercentage, minCandidateNodesAbsolute).
  const enough = Math.max(100, Math.floor(rejected.size / 10));
  for (const [node, { isResolvable }] of rejected) {
    if (!isResolvable) continue;
    const candidate = victimsOn(state, node, budgets, filter);
    if (candidate !== undefined) candidates.push(candidate);
    if (candidates.length >= enough) break;
  }
  return candidates.toSorted(byHarm)[0];
}

/** Fewest violations of budgets, lowest highest priority, lowest sum, fewest pods, youngest (`pickOneNodeForPreemption`). */
function byHarm(left: Preemption, right: Preemption): number {
  const highest = ({ victims }: Preemption): number => Math.max(...victims.map(priorityOf));
  // Priorities may be negative: each counts from the lowest there is.
  const sum = ({ victims }: Preemption): number =>
    victims.reduce((total, pod) => total + priorityOf(pod) + 2_147_483_648, 0);
  const earliest = (preemption: Preemption): number =>
    Math.min(...preemption.victims.filter((pod) => priorityOf(pod) === highest(preemption)).map(startOf));
  return (
    left.violations - right.violations ||
    highest(left) - highest(right) ||
    sum(left) - sum(right) ||
    left.victims.length - right.victims.length ||
    earliest(right) - earliest(left)
  );
}

function victimsOn(
  state: CycleState,
  node: NodeInfo,
  budgets: readonly PodDisruptionBudget[],
  filter: (node: NodeInfo) => Rejection | undefined,
): Preemption | undefined {
  const priority = priorityOf(state.info.pod);
  const lower = [...node.pods.values()].filter(({ pod }) => priorityOf(pod) < priority);
  if (lower.length === 0) return undefined;
  const trial = node.clone();
  for (const { pod } of lower) trial.remove(pod.metadata.uid ?? "");
  if (filter(trial) !== undefined) return undefined;
  const { violating, others } = splitByBudgets(lower, budgets);
  const victims: Pod[] = [];
  let violations = 0;
  const reprieve = (info: PodInfo): boolean => {
    trial.add(info);
    if (filter(trial) === undefined) return true;
    trial.remove(info.pod.metadata.uid ?? "");
    victims.push(info.pod);
    return false;
  };
  for (const info of violating) if (!reprieve(info)) violations += 1;
  for (const info of others) reprieve(info);
  return { node, victims: victims.toSorted(byImportance), violations };
}

/** Which of the pods, the most important first, would break a budget (`filterPodsWithPDBViolation`). */
function splitByBudgets(pods: readonly PodInfo[], budgets: readonly PodDisruptionBudget[]) {
  const left = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]));
  const violating: PodInfo[] = [];
  const others: PodInfo[] = [];
  for (const info of pods.toSorted((one, other) => byImportance(one.pod, other.pod))) {
    const { metadata } = info.pod;
    let breaks = false;
    for (const budget of budgets) {
      const selects =
        budget.metadata.namespace === metadata.namespace &&
        metadata.labels !== undefined &&
        budget.spec?.selector !== undefined &&
        matchesLabels(selectorOf(budget.spec.selector), metadata.labels);
      if (!selects || budget.status?.disruptedPods?.[metadata.name ?? ""] !== undefined) continue;
      const allowed = (left.get(budget) ?? 0) - 1;
      left.set(budget, allowed);
      if (allowed < 0) breaks = true;
    }
    (breaks ? violating : others).push(info);
  }
  return { violating, others };
}

import type { Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec } from "@fleetwright/kube";
import type { NodeInfo, PodInfo } from "../snapshot.ts";

/** nodeSelector and node affinity (plugins/nodeaffinity, component-helpers/scheduling/corev1/nodeaffinity). */

const integer = (text: string | undefined): number =>
  text !== undefined && /^[-+]?\d+$/.test(text) ? Number(text) : Number.NaN;

function requirementHolds(
  { key, operator, values = [] }: NodeSelectorRequirement,
  actual: string | undefined,
): boolean {
  switch (operator) {
    case "In":
      return actual !== undefined && values.includes(actual);
    case "NotIn":
      return actual === undefined || !values.includes(actual);
    case "Exists":
      return actual !== undefined;
    case "DoesNotExist":
      return actual === undefined;
    case "Gt":
      return integer(actual) > integer(values[0]);
    case "Lt":
      return integer(actual) < integer(values[0]);
    default:
      throw new Error(`the operator ${JSON.stringify(operator)} of ${key} is none`);
  }
}

/** An empty term matches nothing. */
function termHolds({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, { metadata }: Node): boolean {
  if (matchExpressions.length === 0 && matchFields.length === 0) return false;
  return (
    matchExpressions.every((requirement) => requirementHolds(requirement, metadata.labels?.[requirement.key])) &&
    matchFields.every((requirement) =>
      requirementHolds(requirement, requirement.key === "metadata.name" ? metadata.name : undefined),
    )
  );
}

const nodeSelectorMatches = (selector: NodeSelector, node: Node): boolean =>
  selector.nodeSelectorTerms.some((term) => termHolds(term, node));

/** Whether a pod's nodeSelector and required node affinity let it onto a node (`GetRequiredNodeAffinity`). */
export function requiredNodeAffinityMatches(spec: PodSpec, node: Node): boolean {
  for (const key in spec.nodeSelector) if (node.metadata.labels?.[key] !== spec.nodeSelector[key]) return false;
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || nodeSelectorMatches(required, node);
}

const nodeAffinityReason = "node(s) didn't match Pod's node affinity/selector";

export const filterNodeAffinity = ({ spec }: PodInfo, { node }: NodeInfo): string | undefined =>
  requiredNodeAffinityMatches(spec, node) ? undefined : nodeAffinityReason;

/** The weights of the preferred terms that hold; normalised to 100 by the best node's. */
export function scoreNodeAffinity({ spec }: PodInfo, { node }: NodeInfo): number {
  let total = 0;
  for (const { weight, preference } of spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ??
    []) {
    if (termHolds(preference, node)) total += weight;
  }
  return total;
}

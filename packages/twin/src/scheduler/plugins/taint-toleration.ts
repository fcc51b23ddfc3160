import type { Taint, Toleration } from "@fleetwright/kube";
import type { NodeInfo, PodInfo } from "../snapshot.ts";

/** Taints and cordons (plugins/tainttoleration, plugins/nodeunschedulable). */

/** `Toleration.ToleratesTaint`. */
export function tolerates(
  { key = "", operator = "Equal", value = "", effect = "" }: Toleration,
  taint: Taint,
): boolean {
  if (effect !== "" && effect !== taint.effect) return false;
  if (key !== "" && key !== taint.key) return false;
  if (operator === "Exists") return true;
  if (operator === "Gt" || operator === "Lt") {
    const [own, theirs] = [Number(value), Number(taint.value)];
    return operator === "Gt" ? theirs > own : theirs < own;
  }
  return key !== "" && value === (taint.value ?? "");
}

export const isTolerated = (taint: Taint, tolerations: readonly Toleration[] | undefined): boolean =>
  tolerations?.some((toleration) => tolerates(toleration, taint)) === true;

const taintReason = "node(s) had untolerated taint(s)";
const unschedulableReason = "node(s) were unschedulable";
const unschedulable: Taint = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };

export function filterUnschedulable({ spec }: PodInfo, { node }: NodeInfo): string | undefined {
  if (node.spec?.unschedulable !== true || isTolerated(unschedulable, spec.tolerations)) return undefined;
  return unschedulableReason;
}

export function filterTaints({ spec }: PodInfo, { taints }: NodeInfo): string | undefined {
  const unwanted = taints.find((taint) => taint.effect !== "PreferNoSchedule" && !isTolerated(taint, spec.tolerations));
  return unwanted === undefined ? undefined : taintReason;
}

/** How many soft taints the pod does not tolerate: fewer are better. */
export function countSoftTaints({ spec }: PodInfo, { taints }: NodeInfo): number {
  if (taints.length === 0) return 0;
  const soft = spec.tolerations?.filter(
    ({ effect }) => effect === undefined || effect === "" || effect === "PreferNoSchedule",
  );
  return taints.filter((taint) => taint.effect === "PreferNoSchedule" && !isTolerated(taint, soft)).length;
}

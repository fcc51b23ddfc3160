import type { DaemonSet, Node, Pod, PodSpec, Toleration } from "@fleetwright/kube";
import { requiredNodeAffinityMatches } from "../../scheduler/plugins/node-affinity.ts";
import { isTolerated } from "../../scheduler/plugins/taint-toleration.ts";
import { scaled } from "../percentage.ts";

/** Where a DaemonSet's pods belong (pkg/controller/daemon/{daemon_controller,update,util}.go). */

/** What every daemon tolerates (`AddOrUpdateDaemonPodTolerations`). */
function daemonTolerations(spec: PodSpec): readonly Toleration[] {
  const added: Toleration[] = [
    { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" },
    { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute" },
    { key: "node.kubernetes.io/disk-pressure", operator: "Exists", effect: "NoSchedule" },
    { key: "node.kubernetes.io/memory-pressure", operator: "Exists", effect: "NoSchedule" },
    { key: "node.kubernetes.io/pid-pressure", operator: "Exists", effect: "NoSchedule" },
    { key: "node.kubernetes.io/unschedulable", operator: "Exists", effect: "NoSchedule" },
  ];
  if (spec.hostNetwork === true)
    added.push({ key: "node.kubernetes.io/network-unavailable", operator: "Exists", effect: "NoSchedule" });
  const isSame = (left: Toleration, right: Toleration): boolean =>
    left.key === right.key && left.operator === right.operator && left.effect === right.effect;
  const own = (spec.tolerations ?? []).filter((toleration) => !added.some((other) => isSame(other, toleration)));
  return [...own, ...added];
}

/** The template with tolerations and the one node that it is for; other node affinity by field is replaced (`ReplaceDaemonSetPodNodeNameNodeAffinity`). */
export function daemonSpec(spec: PodSpec, nodeName: string): PodSpec {
  const matchFields = [{ key: "metadata.name", operator: "In", values: [nodeName] }];
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const terms = required?.nodeSelectorTerms ?? [{}];
  const nodeSelectorTerms = terms.map((term) => ({ ...term, matchFields }));
  return {
    ...spec,
    tolerations: daemonTolerations(spec),
    affinity: {
      ...spec.affinity,
      nodeAffinity: {
        ...spec.affinity?.nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms },
      },
    },
  };
}

/** The node that a daemon's pod is for, bound or not. */
export function targetNodeOf(pod: Pod): string | undefined {
  if (pod.spec?.nodeName) return pod.spec.nodeName;
  const terms =
    pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const { matchFields = [] } of terms) {
    for (const { key, operator, values = [] } of matchFields)
      if (key === "metadata.name" && operator === "In" && values.length === 1) return values[0];
  }
  return undefined;
}

/** Whether a node should have the daemon, and whether one that is there may stay (`NodeShouldRunDaemonPod`). */
export function belongsOn({ spec }: DaemonSet, node: Node): { readonly run: boolean; readonly stay: boolean } {
  const pod = spec?.template.spec;
  if (pod === undefined) return { run: false, stay: false };
  if (pod.nodeName && pod.nodeName !== node.metadata.name) return { run: false, stay: false };
  if (!requiredNodeAffinityMatches(pod, node)) return { run: false, stay: false };
  const tolerations = daemonTolerations(pod);
  const unwanted = (node.spec?.taints ?? [])
    .filter(({ effect }) => effect !== "PreferNoSchedule")
    .filter((taint) => !isTolerated(taint, tolerations));
  if (unwanted.length === 0) return { run: true, stay: true };
  return { run: false, stay: unwanted.every(({ effect }) => effect !== "NoExecute") };
}

/** How many pods may be missing and how many there may be twice, of so many nodes. */
export function rollingBounds(
  { spec }: DaemonSet,
  wanted: number,
): { readonly surge: number; readonly unavailable: number } {
  const { maxSurge, maxUnavailable } = spec?.updateStrategy?.rollingUpdate ?? {};
  const surge = scaled(maxSurge, wanted, "up");
  const unavailable = scaled(maxUnavailable ?? 1, wanted, "up");
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable };
}

import type { PersistentVolumeClaim, Pod, StatefulSet } from "@fleetwright/kube";
import { StatefulSets } from "@fleetwright/kube";
import { podOfTemplate } from "../pods/pod-writer.ts";

/** Names and identity of a StatefulSet's pods (pkg/controller/statefulset/stateful_set_utils.go). */

const revisionLabel = "controller-revision-hash";
/** Of the revisions themselves (history.ControllerRevisionHashLabel). */
export const historyLabel = "controller.kubernetes.io/hash";
const nameLabel = "statefulset.kubernetes.io/pod-name";
const indexLabel = "apps.kubernetes.io/pod-index";

/** A pod's number; -1: its name is not of the set. */
export function ordinalOf(set: StatefulSet, pod: Pod): number {
  const prefix = `${set.metadata.name ?? ""}-`;
  const { name = "" } = pod.metadata;
  const rest = name.startsWith(prefix) ? name.slice(prefix.length) : "";
  return /^\d+$/.test(rest) ? Number(rest) : -1;
}

export const startOrdinal = ({ spec }: StatefulSet): number => spec?.ordinals?.start ?? 0;
export const wantedOf = ({ spec }: StatefulSet): number => spec?.replicas ?? 1;
export const isParallel = ({ spec }: StatefulSet): boolean => spec?.podManagementPolicy === "Parallel";

/** Whether the pod is one of those that are wanted, not one that a smaller size leaves over. */
export function isInRange(set: StatefulSet, pod: Pod): boolean {
  const ordinal = ordinalOf(set, pod);
  return ordinal >= startOrdinal(set) && ordinal < startOrdinal(set) + wantedOf(set);
}

/** Whether the pod has the label that names it (`identityMatches`); one that was adopted may lack it. */
export const isIdentified = (set: StatefulSet, { metadata }: Pod): boolean =>
  metadata.labels?.[nameLabel] === metadata.name && metadata.namespace === set.metadata.namespace;

/** The pod with the labels of its name and number (`updateIdentity`). */
export const withIdentity = (pod: Pod, ordinal: number): Pod => ({
  ...pod,
  metadata: {
    ...pod.metadata,
    labels: { ...pod.metadata.labels, [nameLabel]: pod.metadata.name ?? "", [indexLabel]: String(ordinal) },
  },
});

const podName = (set: StatefulSet, ordinal: number): string => `${set.metadata.name ?? ""}-${ordinal}`;

const claimName = (set: StatefulSet, template: PersistentVolumeClaim, ordinal: number): string =>
  `${template.metadata.name ?? ""}-${set.metadata.name ?? ""}-${ordinal}`;

export function claimsOf(set: StatefulSet, ordinal: number): readonly PersistentVolumeClaim[] {
  return (set.spec?.volumeClaimTemplates ?? []).map((template) => ({
    ...template,
    metadata: {
      ...template.metadata,
      name: claimName(set, template, ordinal),
      namespace: set.metadata.namespace ?? "",
      labels: { ...template.metadata.labels, ...set.spec?.selector.matchLabels },
    },
  }));
}

/** The pod of a number, of the template of a revision (`newVersionedStatefulSetPod`). */
export function statefulPod(set: StatefulSet, ordinal: number, template: StatefulSet["spec"], revision: string): Pod {
  const name = podName(set, ordinal);
  const pod = podOfTemplate(template?.template, { resource: StatefulSets, object: set });
  const claims = claimsOf(set, ordinal);
  const claimNames = new Set(claims.map((_, index) => set.spec?.volumeClaimTemplates?.[index]?.metadata.name ?? ""));
  const volumes = [
    ...claims.map((claim, index) => ({
      name: set.spec?.volumeClaimTemplates?.[index]?.metadata.name ?? "",
      persistentVolumeClaim: { claimName: claim.metadata.name ?? "" },
    })),
    ...(pod.spec?.volumes ?? []).filter((volume) => !claimNames.has(volume.name)),
  ];
  return {
    metadata: {
      ...pod.metadata,
      name,
      labels: { ...pod.metadata.labels, [nameLabel]: name, [indexLabel]: String(ordinal), [revisionLabel]: revision },
    },
    spec: {
      ...pod.spec,
      containers: pod.spec?.containers ?? [],
      hostname: name,
      ...(set.spec?.serviceName ? { subdomain: set.spec.serviceName } : {}),
      ...(volumes.length > 0 ? { volumes } : {}),
    },
  };
}

export const revisionOfPod = (pod: Pod): string => pod.metadata.labels?.[revisionLabel] ?? "";

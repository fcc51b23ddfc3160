import type { LabelSelector, Pod } from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import { dns1123LabelProblems } from "./name-checks.ts";
import { setPodCondition } from "./pod-conditions.ts";
import { defaultPod } from "./pod-defaults.ts";
import { dropDisabledFields } from "./pod-dropped-fields.ts";
import { qosClass } from "./pod-level-resources.ts";
import { podStatusErrors } from "./pod-status-validation.ts";
import { podUpdateErrors } from "./pod-update-validation.ts";
import { podErrors } from "./pod-validation.ts";
import { podWarnings } from "./pod-warnings.ts";

const selectableFields = {
  "spec.nodeName": (pod: Pod) => pod.spec?.nodeName,
  "spec.restartPolicy": (pod: Pod) => pod.spec?.restartPolicy,
  "spec.schedulerName": (pod: Pod) => pod.spec?.schedulerName,
  "spec.serviceAccountName": (pod: Pod) => pod.spec?.serviceAccountName,
  "spec.hostNetwork": (pod: Pod) => String(pod.spec?.hostNetwork === true),
  "status.phase": (pod: Pod) => pod.status?.phase,
  "status.podIP": (pod: Pod) => pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP,
  "status.podIPs": (pod: Pod) => pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP,
  "status.nominatedNodeName": (pod: Pod) => pod.status?.nominatedNodeName,
} as const;

interface KeyedTerm {
  labelSelector?: Mutable<LabelSelector>;
  matchLabelKeys?: string[];
  mismatchLabelKeys?: string[];
}

/** The pod's own values of the named labels become part of the selector. */
function applyLabelKeys(term: KeyedTerm, labels: Readonly<Record<string, string>>): void {
  const { labelSelector } = term;
  if (!labelSelector) return;
  const add = (keys: readonly string[] | undefined, operator: string): void => {
    for (const key of keys ?? []) {
      const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
      if (value === undefined) continue;
      (labelSelector.matchExpressions ??= []).push({ key, operator, values: [value] } as never);
    }
  };
  add(term.matchLabelKeys, "In");
  add(term.mismatchLabelKeys, "NotIn");
}

function applyAllLabelKeys(pod: Mutable<Pod>): void {
  const labels = pod.metadata.labels ?? {};
  const { affinity, topologySpreadConstraints } = pod.spec ?? {};
  for (const part of [affinity?.podAffinity, affinity?.podAntiAffinity]) {
    for (const { podAffinityTerm } of part?.preferredDuringSchedulingIgnoredDuringExecution ?? []) {
      applyLabelKeys(podAffinityTerm, labels);
    }
    for (const term of part?.requiredDuringSchedulingIgnoredDuringExecution ?? []) applyLabelKeys(term, labels);
  }
  for (const constraint of topologySpreadConstraints ?? []) applyLabelKeys(constraint, labels);
}

/** Where the node's answer lacks them, what the server said before stays: kubelets of old drop these fields. */
function keepObservedGenerations(pod: Mutable<Pod>, old: Readonly<Pod>): void {
  const status = (pod.status ??= {});
  if (!status.qosClass && old.status?.qosClass !== undefined) status.qosClass = old.status.qosClass;
  if (!status.observedGeneration && old.status?.observedGeneration !== undefined) {
    status.observedGeneration = old.status.observedGeneration;
  }
  const before = new Map<string, number[]>();
  for (const { type, observedGeneration = 0 } of old.status?.conditions ?? []) {
    before.set(type, [...(before.get(type) ?? []), observedGeneration]);
  }
  for (const condition of status.conditions ?? []) {
    const generation = before.get(condition.type)?.shift() ?? 0;
    if (!condition.observedGeneration && generation !== 0) condition.observedGeneration = generation;
  }
}

const isFinished = (pod: Readonly<Pod>): boolean => pod.status?.phase === "Failed" || pod.status?.phase === "Succeeded";

/** pkg/registry/core/pod/strategy.go. */
export const podStrategy = defineStrategy<Pod>({
  hasGeneration: true,
  hasStatus: true,
  returnsDeletedObject: true,
  selectableFields: Object.keys(selectableFields),
  fieldValue: (pod, field) =>
    (Object.hasOwn(selectableFields, field)
      ? selectableFields[field as keyof typeof selectableFields](pod)
      : undefined) ?? "",
  watchIndexField: "spec.nodeName",
  watchIndex: (pod) => pod.spec?.nodeName ?? "",
  graceSeconds(pod, requested) {
    // Nothing runs: nothing needs time to stop.
    if (!pod.spec?.nodeName || isFinished(pod)) return 0;
    const seconds = requested ?? pod.spec.terminationGracePeriodSeconds ?? 0;
    return seconds < 0 ? 1 : seconds;
  },
  defaults: defaultPod,
  prepareForCreate(pod, context) {
    pod.status = { phase: "Pending", qosClass: qosClass(pod.spec ?? { containers: [] }) };
    if ((pod.spec?.schedulingGates ?? []).length > 0) {
      setPodCondition(
        pod,
        {
          type: "PodScheduled",
          status: "False",
          reason: "SchedulingGated",
          message: "Scheduling is blocked due to non-empty scheduling gates",
        },
        context.nowMs,
      );
    }
    dropDisabledFields(pod.spec, undefined);
    applyAllLabelKeys(pod);
  },
  prepareForUpdate(pod, old) {
    dropDisabledFields(pod.spec, old.spec);
  },
  validate: (pod) => podErrors(pod),
  validateUpdate: (pod, old) => podUpdateErrors(pod, old),
  prepareForStatusUpdate(pod, old) {
    keepObservedGenerations(pod, old);
  },
  validateStatusUpdate: (pod, old) => podStatusErrors(pod, old),
  warnings(pod, old) {
    if (old !== undefined) return [];
    const problems = dns1123LabelProblems(pod.metadata.name ?? "");
    return [
      ...(problems.length === 0
        ? []
        : [
            `metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [${problems.join(" ")}]`,
          ]),
      ...podWarnings(pod),
    ];
  },
});

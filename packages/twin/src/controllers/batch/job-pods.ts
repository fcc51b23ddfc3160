import { Jobs } from "@fleetwright/kube";
import type { Container, EnvVar, Job, Pod } from "@fleetwright/kube";
import { podOfTemplate } from "../pods/pod-writer.ts";

/** A Job's pods: names, indexes, counts of failures (pkg/controller/job/{job_controller,indexed_job_utils}.go). */

export const trackingFinalizer = "batch.kubernetes.io/job-tracking";
const indexAnnotation = "batch.kubernetes.io/job-completion-index";
const failureCountAnnotation = "batch.kubernetes.io/job-index-failure-count";
const ignoredCountAnnotation = "batch.kubernetes.io/job-index-ignored-failure-count";

export const isIndexed = ({ spec }: Job): boolean => spec?.completionMode === "Indexed";
export const isTracked = (pod: Pod): boolean => pod.metadata.finalizers?.includes(trackingFinalizer) === true;

/** Pods are replaced once they have failed, not as soon as they are going. */
export const replacesOnlyFailed = ({ spec }: Job): boolean =>
  spec?.podReplacementPolicy === "Failed" || spec?.podFailurePolicy !== undefined;

export const isSucceeded = (pod: Pod): boolean => pod.status?.phase === "Succeeded";

export function isFailed(job: Job, pod: Pod): boolean {
  if (pod.status?.phase === "Failed") return true;
  return !replacesOnlyFailed(job) && pod.metadata.deletionTimestamp !== undefined && pod.status?.phase !== "Succeeded";
}

export function indexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[indexAnnotation];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

const countOf = (pod: Pod, annotation: string): number => Number(pod.metadata.annotations?.[annotation] ?? 0) || 0;

/** How often an index had failed when this pod of it was made, and with it, if it failed. */
export const failuresWith = (pod: Pod, counts: boolean): number =>
  countOf(pod, failureCountAnnotation) + (counts ? 1 : 0);

/** What the next pod of an index is told about the failed ones before it. */
export function failureMarks(
  failed: readonly { readonly pod: Pod; readonly ignored: boolean }[],
): Readonly<Record<string, string>> {
  let [count, ignored] = [0, 0];
  for (const each of failed) {
    count = Math.max(count, failuresWith(each.pod, !each.ignored));
    ignored = Math.max(ignored, countOf(each.pod, ignoredCountAnnotation) + (each.ignored ? 1 : 0));
  }
  return { [failureCountAnnotation]: String(count), ...(ignored > 0 && { [ignoredCountAnnotation]: String(ignored) }) };
}

const indexVariable: EnvVar = {
  name: "JOB_COMPLETION_INDEX",
  valueFrom: { fieldRef: { fieldPath: `metadata.labels['${indexAnnotation}']` } },
};

const withIndex = (container: Container): Container =>
  container.env?.some(({ name }) => name === indexVariable.name) === true
    ? container
    : { ...container, env: [...(container.env ?? []), indexVariable] };

/** A new pod, of an index where the Job has them. */
export function jobPod(job: Job, index: number | undefined, marks: Readonly<Record<string, string>> = {}): Pod {
  const pod = podOfTemplate(job.spec?.template, { resource: Jobs, object: job });
  const finalizers = [...(pod.metadata.finalizers ?? []), trackingFinalizer];
  if (index === undefined) return { ...pod, metadata: { ...pod.metadata, finalizers } };
  const { name = "" } = job.metadata;
  const text = String(index);
  return {
    metadata: {
      ...pod.metadata,
      generateName: `${name}-${text}-`,
      labels: { ...pod.metadata.labels, [indexAnnotation]: text },
      annotations: { ...pod.metadata.annotations, [indexAnnotation]: text, ...marks },
      finalizers,
    },
    spec: {
      ...pod.spec,
      hostname: `${name}-${text}`,
      containers: (pod.spec?.containers ?? []).map(withIndex),
      ...(pod.spec?.initContainers && { initContainers: pod.spec.initContainers.map(withIndex) }),
    },
  };
}

/** When a pod ended, in milliseconds (`getFinishTimeFromContainers` and what stands in for it). */
export function finishTime(pod: Pod): number {
  let latest = 0;
  for (const { state } of pod.status?.containerStatuses ?? []) {
    if (state?.terminated?.finishedAt !== undefined) latest = Math.max(latest, Date.parse(state.terminated.finishedAt));
  }
  if (latest > 0) return latest;
  const ready = pod.status?.conditions?.find(({ type }) => type === "Ready")?.lastTransitionTime;
  return Date.parse(ready ?? pod.metadata.deletionTimestamp ?? pod.metadata.creationTimestamp ?? "");
}

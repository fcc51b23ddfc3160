import { Deployments, Jobs, Pods, ReplicaSets, StatefulSets } from "@fleetwright/kube";
import type { Client, Pod } from "@fleetwright/kube";

/** How far the workloads of a cluster are. */
export interface Progress {
  /** Pods that run or have ended. */
  readonly started: number;
  /** `namespace/name: why`, of pods that the scheduler has found no node for. */
  readonly unschedulable: readonly string[];
  /** Nothing is on its way any more: every wanted pod is there, and has started or cannot. */
  readonly settled: boolean;
}

/** Looks once. */
export async function workloadProgress(client: Client, signal: AbortSignal): Promise<Progress> {
  const [pods, deployments, replicaSets, statefulSets, jobs] = await Promise.all([
    client.list(Pods, { signal }),
    client.list(Deployments, { signal }),
    client.list(ReplicaSets, { signal }),
    client.list(StatefulSets, { signal }),
    client.list(Jobs, { signal }),
  ]);
  const unschedulable: string[] = [];
  let started = 0;
  let pending = 0;
  for (const pod of pods.items) {
    const why = unschedulableReason(pod);
    if (pod.status?.phase !== "Pending") started += 1;
    else if (why === undefined) pending += 1;
    else unschedulable.push(`${pod.metadata.namespace ?? ""}/${pod.metadata.name ?? ""}: ${why}`);
  }
  const seen = (items: readonly Workload[]): boolean =>
    items.every(({ metadata, status }) => (status?.observedGeneration ?? 0) >= (metadata.generation ?? 1));
  const made = (items: readonly Workload[]): boolean =>
    items.every(({ spec, status }) => (status?.replicas ?? 0) >= (spec?.replicas ?? 1));
  // A StatefulSet that starts in order has its later pods only when the earlier ones run: those it has are enough.
  const workloads = [...deployments.items, ...replicaSets.items];
  const settled =
    pending === 0 &&
    seen([...workloads, ...statefulSets.items]) &&
    made(workloads) &&
    statefulSets.items.every(({ status }) => (status?.replicas ?? 0) > 0 || started + unschedulable.length > 0) &&
    jobs.items.every(({ spec, status }) => spec?.suspend === true || status?.startTime !== undefined);
  return { started, unschedulable, settled };
}

interface Workload {
  readonly metadata: { readonly generation?: number };
  readonly spec?: { readonly replicas?: number };
  readonly status?: { readonly observedGeneration?: number; readonly replicas?: number };
}

function unschedulableReason(pod: Pod): string | undefined {
  const condition = pod.status?.conditions?.find(({ type, status }) => type === "PodScheduled" && status === "False");
  return condition === undefined ? undefined : (condition.message ?? condition.reason ?? "not scheduled");
}

import type { KubeObject, LabelSelector, Resource } from "@fleetwright/kube";
import { parseAmount } from "./amounts.ts";
import type { ClaimSpec, Container, PodSpec, PodTemplate } from "./pod-template.ts";

/** How quota reads a kind of workload. A plug-in for another kind (Argo Rollout, TFJob) is one more of these. */
export interface WorkloadKind {
  readonly resource: Resource;
  /** The pods' template: what one replica is. */
  template(object: KubeObject): PodTemplate;
  /** How many replicas are charged: what the object asks for, 0 while suspended or once finished. */
  replicas(object: KubeObject): number;
  /** Claims that each replica brings. */
  claims?(object: KubeObject): readonly ClaimSpec[];
  /** Selects the children that the object really owns; absent: it owns by name and UID only. */
  selector?(object: KubeObject): LabelSelector | undefined;
  /** Kinds whose objects can own this one, as `kind` of an owner reference with its group. */
  readonly owners: readonly { readonly group: string; readonly kind: string }[];
  /** The API server has applied LimitRange and RuntimeClass to it (pods). */
  readonly defaulted?: boolean;
  /** Has a `/scale`. */
  readonly scalable?: boolean;
  /** It creates workloads that are charged by themselves; the template must then carry the group's label too. */
  chargesChildren?(object: KubeObject): boolean;
  /** Labels that the children it makes carry, when they are not the pods' (CronJob's jobTemplate). */
  childLabels?(object: KubeObject): Readonly<Record<string, string>> | undefined;
  /** Done for good: nothing of it runs any more. */
  finished?(object: KubeObject): boolean;
}

interface Spec {
  readonly replicas?: number;
  readonly template?: PodTemplate;
  readonly selector?: LabelSelector;
  readonly parallelism?: number;
  readonly completions?: number;
  readonly suspend?: boolean;
  readonly concurrencyPolicy?: string;
  readonly jobTemplate?: {
    readonly metadata?: { readonly labels?: Readonly<Record<string, string>> };
    readonly spec?: Spec;
  };
  readonly volumeClaimTemplates?: readonly { readonly spec?: ClaimSpec }[];
}

interface Status {
  readonly phase?: string;
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
  readonly containerStatuses?: readonly ContainerStatus[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
}

interface ContainerStatus {
  readonly name: string;
  readonly resources?: Container["resources"];
  readonly allocatedResources?: Readonly<Record<string, string | number>>;
}

const specOf = (object: KubeObject): Spec => (object as { spec?: Spec }).spec ?? {};
const statusOf = (object: KubeObject): Status => (object as { status?: Status }).status ?? {};

const apps = (kind: string, plural: string): Resource => ({
  group: "apps",
  version: "v1",
  kind,
  plural,
  namespaced: true,
});
const batch = (kind: string, plural: string): Resource => ({
  group: "batch",
  version: "v1",
  kind,
  plural,
  namespaced: true,
});

const replicated = {
  template: (object: KubeObject) => specOf(object).template ?? {},
  replicas: (object: KubeObject) => specOf(object).replicas ?? 1,
  selector: (object: KubeObject) => specOf(object).selector,
  scalable: true,
};

export const deployments: WorkloadKind = { resource: apps("Deployment", "deployments"), ...replicated, owners: [] };

export const statefulSets: WorkloadKind = {
  resource: apps("StatefulSet", "statefulsets"),
  ...replicated,
  owners: [],
  claims: (object) => (specOf(object).volumeClaimTemplates ?? []).map((claim) => claim.spec ?? {}),
};

export const replicaSets: WorkloadKind = {
  resource: apps("ReplicaSet", "replicasets"),
  ...replicated,
  owners: [{ group: "apps", kind: "Deployment" }],
};

const jobReplicas = (spec: Spec): number => Math.min(spec.parallelism ?? 1, spec.completions ?? Infinity);

const jobFinished = (object: KubeObject): boolean =>
  (statusOf(object).conditions ?? []).some(
    (condition) => (condition.type === "Complete" || condition.type === "Failed") && condition.status === "True",
  );

export const jobs: WorkloadKind = {
  resource: batch("Job", "jobs"),
  template: (object) => specOf(object).template ?? {},
  replicas: (object) => (specOf(object).suspend || jobFinished(object) ? 0 : jobReplicas(specOf(object))),
  selector: (object) => specOf(object).selector,
  owners: [{ group: "batch", kind: "CronJob" }],
  finished: jobFinished,
};

const allowsMany = (object: KubeObject): boolean => (specOf(object).concurrencyPolicy ?? "Allow") === "Allow";

export const cronJobs: WorkloadKind = {
  resource: batch("CronJob", "cronjobs"),
  template: (object) => specOf(object).jobTemplate?.spec?.template ?? {},
  replicas: (object) =>
    specOf(object).suspend || allowsMany(object) ? 0 : jobReplicas(specOf(object).jobTemplate?.spec ?? {}),
  owners: [],
  chargesChildren: allowsMany,
  childLabels: (object) => specOf(object).jobTemplate?.metadata?.labels,
};

const terminal = (object: KubeObject): boolean => ["Succeeded", "Failed"].includes(statusOf(object).phase ?? "");

export const pods: WorkloadKind = {
  resource: { group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true },
  template: (object) => ({ metadata: { labels: object.metadata.labels ?? {} }, spec: actuatedSpec(object) }),
  replicas: (object) => (terminal(object) ? 0 : 1),
  owners: [
    { group: "apps", kind: "ReplicaSet" },
    { group: "apps", kind: "StatefulSet" },
    { group: "batch", kind: "Job" },
  ],
  defaulted: true,
  finished: terminal,
};

/** The kinds that are charged out of the box. */
export const builtInKinds: readonly WorkloadKind[] = [deployments, statefulSets, replicaSets, jobs, cronJobs, pods];

/**
 * A pod that is being resized in place holds the greatest of what is asked, allocated and actual; of a resize that can't be done, what it
 * has (`determineEffectiveRequests`, KEP-1287).
 */
function actuatedSpec(object: KubeObject): PodSpec {
  const spec = specOf(object) as PodSpec;
  const status = statusOf(object);
  const infeasible = (status.conditions ?? []).some(
    ({ type, reason }) => type === "PodResizePending" && reason === "Infeasible",
  );
  const statuses = new Map(
    [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])].map(
      (each) => [each.name, each] as const,
    ),
  );
  if (statuses.size === 0) return spec;
  const actuated = (container: Container): Container => {
    const seen = statuses.get(container.name);
    if (!seen?.resources) return container;
    const asked = infeasible ? [] : [container.resources?.requests];
    return {
      ...container,
      resources: {
        requests: greatest([...asked, seen.resources.requests, seen.allocatedResources]),
        limits: greatest([infeasible ? undefined : container.resources?.limits, seen.resources.limits]),
      },
    };
  };
  return {
    ...spec,
    containers: (spec.containers ?? []).map(actuated),
    // One-shot init containers can't be resized.
    initContainers: (spec.initContainers ?? []).map((each) =>
      each.restartPolicy === "Always" ? actuated(each) : each,
    ),
  };
}

function greatest(
  lists: readonly (Readonly<Record<string, string | number>> | undefined)[],
): Record<string, string | number> {
  const result: Record<string, string | number> = {};
  for (const list of lists) {
    for (const [name, value] of Object.entries(list ?? {})) {
      const before = result[name];
      if (before === undefined || parseAmount(value, name) > parseAmount(before, name)) result[name] = value;
    }
  }
  return result;
}

import { cpuTypeLabel, gpuTypeLabel, groupLabel, memoryTypeLabel, type BizGroupResourceQuota } from "@fleetwright/api";
import type { KubeObject } from "@fleetwright/kube";
import type { Container, PodSpec, PodTemplate } from "../core/pod-template.ts";
import type { WorkloadKind } from "../core/workload-kind.ts";

const ourLabels = [groupLabel, cpuTypeLabel, gpuTypeLabel, memoryTypeLabel];

/** Shared texts that are kept at most; beyond, sharing starts anew. */
const maxShared = 20_000;

const container = ({ name, resources, restartPolicy }: Container): Container => ({
  name,
  ...(resources && { resources }),
  ...(restartPolicy && { restartPolicy }),
});

function podSpec(spec: PodSpec | undefined): PodSpec {
  const { containers = [], initContainers = [], resources, overhead, runtimeClassName, volumes = [] } = spec ?? {};
  const ephemeral = volumes
    .filter((volume) => volume.ephemeral)
    .map(({ name, ephemeral: claim }) => ({ name, ephemeral: claim }));
  return {
    containers: containers.map(container),
    ...(initContainers.length > 0 && { initContainers: initContainers.map(container) }),
    ...(resources && { resources }),
    ...(overhead && { overhead }),
    ...(runtimeClassName && { runtimeClassName }),
    ...(ephemeral.length > 0 && { volumes: ephemeral as PodSpec["volumes"] & object }),
  };
}

const template = (of: PodTemplate): PodTemplate => {
  const group = of.metadata?.labels?.[groupLabel];
  return { ...(group !== undefined && { metadata: { labels: { [groupLabel]: group } } }), spec: podSpec(of.spec) };
};

/**
 * What a cache keeps of a workload: enough to charge it and to tell whether it is really owned. Pods of one template share their spec: 100,000
 * pods cost what their names cost.
 */
export function createProjection(kind: WorkloadKind): (object: KubeObject) => KubeObject {
  const shared = new Map<string, unknown>();
  const share = <T>(value: T): T => {
    const text = JSON.stringify(value);
    const known = shared.get(text);
    if (known !== undefined) return known as T;
    if (shared.size >= maxShared) shared.clear();
    shared.set(text, value);
    return value;
  };
  const isPod = kind.resource.kind === "Pod";
  return (object) => {
    const { metadata } = object;
    // Labels beside ours are needed only where an owner selects by them.
    const controlled = (metadata.ownerReferences ?? []).filter((reference) => reference.controller === true);
    const labels = Object.entries(metadata.labels ?? {}).filter(
      ([key]) => controlled.length > 0 || ourLabels.includes(key),
    );
    const spec = (object as { spec?: object }).spec ?? {};
    const status = (object as { status?: { phase?: string; conditions?: readonly { type: string }[] } }).status ?? {};
    const keep = isPod
      ? podSpec(kind.template(object).spec)
      : Object.fromEntries(
          Object.entries(spec).flatMap(([key, value]) => {
            if (key === "template") return [[key, template(value as PodTemplate)]];
            if (key !== "jobTemplate") return keptFields.has(key) ? [[key, value]] : [];
            const job = value as { metadata?: { labels?: object }; spec?: { template?: PodTemplate } };
            const jobSpec = { ...job.spec, template: template(job.spec?.template ?? {}) };
            return [
              [key, { ...(job.metadata?.labels && { metadata: { labels: job.metadata.labels } }), spec: jobSpec }],
            ];
          }),
        );
    const conditions = (status.conditions ?? []).filter(({ type }) => type === "Complete" || type === "Failed");
    const projected: object = {
      metadata: {
        ...(metadata.name !== undefined && { name: metadata.name }),
        ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
        ...(metadata.uid !== undefined && { uid: metadata.uid }),
        ...(metadata.resourceVersion !== undefined && { resourceVersion: metadata.resourceVersion }),
        ...(metadata.creationTimestamp != null && { creationTimestamp: metadata.creationTimestamp }),
        ...(metadata.deletionTimestamp !== undefined && { deletionTimestamp: metadata.deletionTimestamp }),
        labels: share(Object.fromEntries(labels)),
        ...(controlled.length > 0 && { ownerReferences: share(controlled) }),
      },
      spec: share(keep),
      ...(isPod ? { status: share({ phase: status.phase }) } : conditions.length > 0 ? { status: { conditions } } : {}),
    };
    return projected as KubeObject;
  };
}

const keptFields = new Set([
  "replicas",
  "selector",
  "parallelism",
  "completions",
  "suspend",
  "concurrencyPolicy",
  "volumeClaimTemplates",
]);

/** Groups are kept whole, without what only the API server reads. */
export function projectGroup(group: BizGroupResourceQuota): BizGroupResourceQuota {
  const { managedFields: _dropped, ...metadata } = group.metadata as KubeObject["metadata"];
  return { ...group, metadata };
}

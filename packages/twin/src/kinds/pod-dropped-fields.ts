import type { PodSpec } from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";

/**
 * Fields of features that are off by default in 1.36 are dropped, unless the object has them already
 * (pkg/api/pod/util.go, `dropDisabledFields`): ContainerStopSignals, ClusterTrustBundleProjection,
 * PodCertificateRequest, GenericWorkload.
 */
export function dropDisabledFields(spec: Mutable<PodSpec> | undefined, old: PodSpec | undefined): void {
  if (spec === undefined) return;
  const oldContainers = [...(old?.containers ?? []), ...(old?.initContainers ?? [])];
  if (!oldContainers.some(({ lifecycle }) => lifecycle?.stopSignal !== undefined)) {
    for (const { lifecycle } of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
      if (lifecycle) delete lifecycle.stopSignal;
    }
  }
  const oldSources = (old?.volumes ?? []).flatMap(({ projected }) => projected?.sources ?? []);
  const sources = (spec.volumes ?? []).flatMap(({ projected }) => projected?.sources ?? []);
  for (const name of ["clusterTrustBundle", "podCertificate"] as const) {
    if (oldSources.some((source) => source[name] !== undefined)) continue;
    for (const source of sources) delete source[name];
  }
  if (old?.schedulingGroup === undefined) delete spec.schedulingGroup;
}

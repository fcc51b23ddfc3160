import { matchesLabels, selectorOfLabels, watch } from "@fleetwright/kube";
import type { Container, Informer, Pod, Service, ServicePort, Source } from "@fleetwright/kube";
import { keyOf } from "@fleetwright/kube";
import { isFinished } from "../pods/pod-state.ts";
import { sameValue } from "../same-value.ts";

/** Which pods are behind a Service, and what of their changes matters to it. */

export const hasSelector = ({ spec }: Service): boolean =>
  Object.keys(spec?.selector ?? {}).length > 0 && spec?.type !== "ExternalName";

export function podsOf(service: Service, pods: Informer<Pod>): readonly Pod[] {
  const selector = selectorOfLabels(service.spec?.selector ?? {});
  return pods
    .list(service.metadata.namespace)
    .filter(
      (pod) => matchesLabels(selector, pod.metadata.labels) && !isFinished(pod) && (pod.status?.podIP ?? "") !== "",
    );
}

/** The pod's port for a service's: a number, or a container's port of that name; `undefined`: it has none (`podutil.FindPort`). */
export function targetPort({ targetPort: target, port, protocol = "TCP" }: ServicePort, pod: Pod): number | undefined {
  if (typeof target === "number" && target !== 0) return target;
  if (target === undefined || target === 0 || target === "") return port;
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const containers: readonly Container[] = [...(pod.spec?.containers ?? []), ...sidecars];
  for (const { ports = [] } of containers) {
    for (const each of ports)
      if (each.name === target && (each.protocol ?? "TCP") === protocol) return each.containerPort;
  }
  return undefined;
}

/** Names are those of the pods' host names where a headless Service and its pods agree on them. */
export const hostnameOf = (service: Service, pod: Pod): string | undefined =>
  pod.spec?.hostname &&
  pod.spec.subdomain === service.metadata.name &&
  service.metadata.namespace === pod.metadata.namespace
    ? pod.spec.hostname
    : undefined;

const visible = ({ metadata, status, spec }: Pod): unknown => [
  metadata.labels,
  metadata.deletionTimestamp,
  status?.podIPs,
  status?.podIP,
  status?.phase,
  status?.conditions?.find(({ type }) => type === "Ready")?.status,
  spec?.nodeName,
  spec?.hostname,
];

/** Services and the pods that they select. */
export function serviceSources(services: Informer<Service>, pods: Informer<Pod>): readonly Source[] {
  const selecting = (pod: Pod) =>
    services
      .list(pod.metadata.namespace)
      .filter(
        (service) =>
          hasSelector(service) && matchesLabels(selectorOfLabels(service.spec?.selector ?? {}), pod.metadata.labels),
      )
      .map(keyOf);
  return [
    watch(services),
    watch(pods, {
      map: selecting,
      predicates: [
        {
          added: () => services.size > 1,
          deleted: () => services.size > 1,
          updated: (before, after) => services.size > 1 && !sameValue(visible(before), visible(after)),
        },
      ],
    }),
  ];
}

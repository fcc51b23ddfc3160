import { createController, Endpoints, isAlreadyExists, isNotFound, Pods, Services, timeText } from "@fleetwright/kube";
import type { EndpointAddress, EndpointSubset, Pod, Service } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { isReady, isTerminating } from "../pods/pod-state.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import { hasSelector, hostnameOf, podsOf, serviceSources, targetPort } from "./service-pods.ts";

const name = "endpoint-controller";
const managedBy = "endpoints.kubernetes.io/managed-by";
const headless = "service.kubernetes.io/headless";
const triggerTime = "endpoints.kubernetes.io/last-change-trigger-time";
const overCapacity = "endpoints.kubernetes.io/over-capacity";
const maxAddresses = 1_000;

/** The older form of what is behind a Service (pkg/controller/endpoint). */
export const endpointsController: Controllers = (context) => [start(context)];

function start({ cache, clientOf, clock, logger }: ControllerContext): Part {
  const services = cache.informer(Services);
  const pods = cache.informer(Pods);
  const endpoints = cache.informer(Endpoints);
  const client = clientOf(name);
  return createController({
    name: "endpoint",
    reconciler: retryConflicts(async (key) => {
      const service = services.get(key);
      const present = endpoints.get(key);
      if (service === undefined) {
        if (present?.metadata.labels?.[managedBy] !== name) return;
        await client.delete(Endpoints, key).catch(ignoreGone);
        return;
      }
      if (!hasSelector(service)) return;
      const all = subsetsOf(service, podsOf(service, pods));
      const { subsets, isCut } = cut(all);
      const { [headless]: _headless, ...own } = service.metadata.labels ?? {};
      const labels = { ...own, [managedBy]: name, ...(service.spec?.clusterIP === "None" && { [headless]: "" }) };
      if (present === undefined) {
        // Nothing to say of a service that nobody serves would be said all the same: upstream creates it, too.
        const annotations = {
          [triggerTime]: service.metadata.creationTimestamp ?? timeText(clock.now()),
          ...(isCut && { [overCapacity]: "truncated" }),
        };
        const { name: serviceName = "", namespace = "" } = service.metadata;
        try {
          await client.create(Endpoints, {
            metadata: { name: serviceName, namespace, labels, annotations },
            ...(subsets.length > 0 && { subsets }),
          });
        } catch (error) {
          if (!isAlreadyExists(error)) throw error;
        }
        return;
      }
      if (sameValue(subsets, present.subsets ?? []) && sameValue(labels, present.metadata.labels ?? {})) return;
      const annotations = { ...present.metadata.annotations, [triggerTime]: timeText(clock.now()) };
      const { subsets: _before, ...rest } = present;
      await client.update(Endpoints, {
        ...rest,
        metadata: { ...present.metadata, labels, annotations },
        ...(subsets.length > 0 && { subsets }),
      });
    }),
    sources: serviceSources(services, pods),
    concurrency: 5,
    clock,
    logger,
  });
}

function ignoreGone(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

/** Addresses with the same ports together, each in order (`RepackSubsets`). */
function subsetsOf(service: Service, pods: readonly Pod[]): readonly EndpointSubset[] {
  const publishes = service.spec?.publishNotReadyAddresses === true;
  const groups = new Map<
    string,
    { ports: EndpointSubset["ports"]; ready: EndpointAddress[]; notReady: EndpointAddress[] }
  >();
  for (const pod of pods) {
    if (isTerminating(pod) && !publishes) continue;
    const { name: podName = "", namespace = "", uid = "" } = pod.metadata;
    const hostname = hostnameOf(service, pod);
    const address: EndpointAddress = {
      ip: pod.status?.podIP ?? "",
      ...(hostname === undefined ? {} : { hostname }),
      ...(pod.spec?.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
      targetRef: { kind: "Pod", namespace, name: podName, uid },
    };
    const ports = (service.spec?.ports ?? []).flatMap((port) => {
      const number = targetPort(port, pod);
      if (number === undefined) return [];
      const { name: portName, protocol = "TCP", appProtocol } = port;
      return [
        {
          ...(portName && { name: portName }),
          port: number,
          protocol,
          ...(appProtocol === undefined ? {} : { appProtocol }),
        },
      ];
    });
    if (ports.length === 0 && (service.spec?.ports?.length ?? 0) > 0) continue;
    const id = JSON.stringify(ports);
    const group = groups.get(id) ?? { ports: ports.length === 0 ? undefined : ports, ready: [], notReady: [] };
    groups.set(id, group);
    (isReady(pod) || publishes ? group.ready : group.notReady).push(address);
  }
  const byAddress = (left: EndpointAddress, right: EndpointAddress): number =>
    left.ip < right.ip ? -1 : Number(left.ip !== right.ip);
  return [...groups]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([, { ports, ready, notReady }]) => ({
      ...(ready.length > 0 && { addresses: ready.toSorted(byAddress) }),
      ...(notReady.length > 0 && { notReadyAddresses: notReady.toSorted(byAddress) }),
      ...(ports !== undefined && { ports }),
    }));
}

/** A thousand addresses at most (`truncateEndpoints`). */
function cut(subsets: readonly EndpointSubset[]): {
  readonly subsets: readonly EndpointSubset[];
  readonly isCut: boolean;
} {
  const count = subsets.reduce(
    (sum, { addresses = [], notReadyAddresses = [] }) => sum + addresses.length + notReadyAddresses.length,
    0,
  );
  if (count <= maxAddresses) return { subsets, isCut: false };
  let left = maxAddresses;
  const kept = subsets.map((subset): EndpointSubset => {
    const addresses = subset.addresses?.slice(0, left) ?? [];
    left -= addresses.length;
    const notReadyAddresses = subset.notReadyAddresses?.slice(0, left) ?? [];
    left -= notReadyAddresses.length;
    return {
      ...(addresses.length > 0 && { addresses }),
      ...(notReadyAddresses.length > 0 && { notReadyAddresses }),
      ...(subset.ports && { ports: subset.ports }),
    };
  });
  return { subsets: kept.filter(({ addresses, notReadyAddresses }) => addresses ?? notReadyAddresses), isCut: true };
}

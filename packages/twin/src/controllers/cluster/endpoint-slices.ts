import {
  createController,
  EndpointSlices,
  isNotFound,
  keyOf,
  Nodes,
  ownerReferenceTo,
  Pods,
  Services,
  timeText,
  toOwners,
  watch,
} from "@fleetwright/kube";
import type { Endpoint, EndpointPort, EndpointSlice, Pod, Service } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { isReady, isTerminating } from "../pods/pod-state.ts";
import { catchUpMs, WrittenVersions } from "../pods/controlled.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import { hasSelector, hostnameOf, podsOf, serviceSources, targetPort } from "./service-pods.ts";

const name = "endpointslice-controller";
const manager = "endpointslice-controller.k8s.io";
const serviceLabel = "kubernetes.io/service-name";
const managedBy = "endpointslice.kubernetes.io/managed-by";
const headless = "service.kubernetes.io/headless";
const triggerTime = "endpoints.kubernetes.io/last-change-trigger-time";
/** `--max-endpoints-per-slice` */
const maxEndpoints = 100;

/** What is behind a Service (pkg/controller/endpointslice). */
export const endpointSliceController: Controllers = (context) => [start(context)];

interface Wanted {
  readonly addressType: string;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}

function start({ cache, clientOf, clock, logger }: ControllerContext): Part {
  const services = cache.informer(Services);
  const pods = cache.informer(Pods);
  const nodes = cache.informer(Nodes);
  const slices = cache.informer(EndpointSlices, { indexes: { service: byService } });
  const client = clientOf(name);
  const written = new WrittenVersions(slices);

  async function reconcile(key: {
    readonly namespace?: string;
    readonly name: string;
  }): Promise<{ requeueAfterMs?: number }> {
    const service = services.get(key);
    const id = `${key.namespace ?? ""}/${key.name}`;
    if (!written.caughtUp(id)) return { requeueAfterMs: catchUpMs };
    const present = slices.byIndex("service", id).filter(({ metadata }) => metadata.labels?.[managedBy] === manager);
    // The garbage collector takes the slices of a service that is gone.
    if (service === undefined || !hasSelector(service)) return {};
    const left = new Set(present.filter((slice) => slice.metadata.deletionTimestamp === undefined));
    const wanted = wantedOf(service, podsOf(service, pods));
    const labels = labelsOf(service);
    for (const each of wanted) {
      const mates = [...left].filter(
        (slice) => slice.addressType === each.addressType && sameValue(slice.ports ?? [], each.ports),
      );
      for (const slice of mates) left.delete(slice);
      await settle(service, id, each, mates, labels, left);
    }
    // One empty slice stays, so that who follows them knows the service.
    const isBare = wanted.length === 0;
    const [first] = left;
    if (isBare && first !== undefined) {
      const isLabelled = Object.entries(labels).every(([label, value]) => first.metadata.labels?.[label] === value);
      if ((first.endpoints?.length ?? 0) > 0 || !isLabelled)
        await fill(id, first, { addressType: first.addressType, ports: [], endpoints: [] }, labels);
      left.delete(first);
    } else if (isBare) await create(service, id, { addressType: "IPv4", ports: [], endpoints: [] }, labels);
    for (const slice of left) await client.delete(EndpointSlices, keyOf(slice)).catch(ignoreGone);
    return {};
  }

  /** Endpoints stay in the slice that has them; new ones fill what room there is. */
  async function settle(
    service: Service,
    id: string,
    wanted: Wanted,
    mates: readonly EndpointSlice[],
    labels: Readonly<Record<string, string>>,
    spare: Set<EndpointSlice>,
  ): Promise<void> {
    const byUid = new Map(wanted.endpoints.map((endpoint) => [endpoint.targetRef?.uid ?? "", endpoint]));
    const plans = mates.map((slice) => {
      const kept = (slice.endpoints ?? []).flatMap(({ targetRef }) => {
        const endpoint = byUid.get(targetRef?.uid ?? "");
        byUid.delete(targetRef?.uid ?? "");
        return endpoint === undefined ? [] : [endpoint];
      });
      return { slice, kept };
    });
    const fresh = [...byUid.values()];
    for (const plan of plans) plan.kept.push(...fresh.splice(0, maxEndpoints - plan.kept.length));
    for (const { slice, kept } of plans) {
      if (kept.length === 0 && (plans.length > 1 || wanted.endpoints.length > 0)) {
        await client.delete(EndpointSlices, keyOf(slice)).catch(ignoreGone);
        continue;
      }
      const known = Object.entries(labels).every(([label, value]) => slice.metadata.labels?.[label] === value);
      if (sameValue(kept, slice.endpoints ?? []) && known) continue;
      const annotations = { ...slice.metadata.annotations, [triggerTime]: timeText(clock.now()) };
      const next = {
        ...slice,
        metadata: { ...slice.metadata, labels: { ...slice.metadata.labels, ...labels }, annotations },
        endpoints: kept,
      };
      written.note(id, await client.update(EndpointSlices, next));
    }
    while (fresh.length > 0) {
      const endpoints = fresh.splice(0, maxEndpoints);
      // A slice that nobody needs any more is filled instead of a new one (`finalize`).
      const reused = [...spare].find(({ addressType }) => addressType === wanted.addressType);
      if (reused === undefined) await create(service, id, { ...wanted, endpoints }, labels);
      else {
        spare.delete(reused);
        await fill(id, reused, { ...wanted, endpoints }, labels);
      }
    }
  }

  async function fill(
    id: string,
    slice: EndpointSlice,
    { ports, endpoints }: Wanted,
    labels: Readonly<Record<string, string>>,
  ): Promise<void> {
    const annotations = { ...slice.metadata.annotations, [triggerTime]: timeText(clock.now()) };
    const metadata = { ...slice.metadata, labels: { ...slice.metadata.labels, ...labels }, annotations };
    written.note(id, await client.update(EndpointSlices, { ...slice, metadata, ports, endpoints }));
  }

  async function create(
    service: Service,
    id: string,
    { addressType, ports, endpoints }: Wanted,
    labels: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { name: serviceName = "", namespace = "" } = service.metadata;
    const annotations = { [triggerTime]: service.metadata.creationTimestamp ?? timeText(clock.now()) };
    const ownerReferences = [ownerReferenceTo(Services, service, { controller: true, blockOwnerDeletion: true })];
    const slice: EndpointSlice = {
      metadata: { generateName: `${serviceName}-`, namespace, labels, annotations, ownerReferences },
      addressType,
      endpoints,
      ports,
    };
    written.note(id, await client.create(EndpointSlices, slice));
  }

  /** Endpoints with the same ports and kind of address together. */
  function wantedOf(service: Service, selected: readonly Pod[]): readonly Wanted[] {
    const groups = new Map<string, { addressType: string; ports: EndpointPort[]; endpoints: Endpoint[] }>();
    for (const pod of selected) {
      const ports = (service.spec?.ports ?? []).flatMap((port): EndpointPort[] => {
        const number = targetPort(port, pod);
        if (number === undefined) return [];
        return [
          {
            name: port.name ?? "",
            protocol: port.protocol ?? "TCP",
            port: number,
            ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
          },
        ];
      });
      if (ports.length === 0 && (service.spec?.ports?.length ?? 0) > 0) continue;
      for (const family of service.spec?.ipFamilies ?? ["IPv4"]) {
        const addresses = (pod.status?.podIPs ?? []).flatMap(({ ip }) =>
          ip.includes(":") === (family === "IPv6") ? [ip] : [],
        );
        if (addresses.length === 0) continue;
        const id = JSON.stringify([family, ports]);
        const group = groups.get(id) ?? { addressType: family, ports, endpoints: [] };
        groups.set(id, group);
        group.endpoints.push(endpointOf(service, pod, addresses.slice(0, 1)));
      }
    }
    return [...groups.values()];
  }

  function endpointOf(service: Service, pod: Pod, addresses: readonly string[]): Endpoint {
    const { name: podName = "", namespace = "", uid = "" } = pod.metadata;
    const nodeName = pod.spec?.nodeName;
    const zone =
      nodeName === undefined
        ? undefined
        : nodes.get({ name: nodeName })?.metadata.labels?.["topology.kubernetes.io/zone"];
    const hostname = hostnameOf(service, pod);
    const serving = isReady(pod);
    const terminating = isTerminating(pod);
    const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
    return {
      addresses,
      conditions: { ready, serving, terminating },
      ...(hostname === undefined ? {} : { hostname }),
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(zone === undefined ? {} : { zone }),
      targetRef: { kind: "Pod", namespace, name: podName, uid },
    };
  }

  return createController({
    name: "endpointslice",
    reconciler: retryConflicts(reconcile),
    sources: [
      ...serviceSources(services, pods),
      watch(slices, {
        map: toOwners(Services),
        predicates: [
          {
            added: () => false,
            updated: (before, after) =>
              !isOurs(before) || !isOurs(after) || !sameValue(before.endpoints, after.endpoints),
            deleted: isOurs,
          },
        ],
      }),
    ],
    concurrency: 5,
    clock,
    logger,
  });
}

const isOurs = ({ metadata }: EndpointSlice): boolean => metadata.labels?.[managedBy] === manager;

const byService = ({ metadata }: EndpointSlice): readonly string[] => [
  `${metadata.namespace ?? ""}/${metadata.labels?.[serviceLabel] ?? ""}`,
];

function labelsOf(service: Service): Readonly<Record<string, string>> {
  const { [headless]: _headless, ...own } = service.metadata.labels ?? {};
  return {
    ...own,
    ...(service.spec?.clusterIP === "None" && { [headless]: "" }),
    [serviceLabel]: service.metadata.name ?? "",
    [managedBy]: manager,
  };
}

function ignoreGone(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

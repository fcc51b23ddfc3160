import { isConflict, isNotFound, keyOf, Leases, Nodes, Pods, timeText } from "@fleetwright/kube";
import type { Lease, Node, NodeCondition, Pod, Taint } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { byNode, nodeIndex } from "./pods-by-node.ts";

const name = "node-controller";
const monitorMs = 5_000;
/** `--node-monitor-grace-period` and `--node-startup-grace-period` */
const graceMs = 50_000;
const startupGraceMs = 60_000;

const notReady = "node.kubernetes.io/not-ready";
const unreachable = "node.kubernetes.io/unreachable";
const networkUnavailable = "node.kubernetes.io/network-unavailable";
/** Taints that conditions set (`nodeConditionToTaintKeyStatusMap`). */
const conditionTaints: readonly { readonly type: string; readonly status: string; readonly key: string }[] = [
  { type: "Ready", status: "False", key: notReady },
  { type: "Ready", status: "Unknown", key: unreachable },
  { type: "MemoryPressure", status: "True", key: "node.kubernetes.io/memory-pressure" },
  { type: "DiskPressure", status: "True", key: "node.kubernetes.io/disk-pressure" },
  { type: "NetworkUnavailable", status: "True", key: networkUnavailable },
  { type: "PIDPressure", status: "True", key: "node.kubernetes.io/pid-pressure" },
];
const unschedulableKey = "node.kubernetes.io/unschedulable";
const ownKeys = new Set([...conditionTaints.map(({ key }) => key), unschedulableKey]);
/** Evictions per second of a zone (`--node-eviction-rate`), of one in which many nodes are down, and how many that is. */
const evictionsPerSecond = 0.1;
const fewEvictionsPerSecond = 0.01;
const unhealthyZoneShare = 0.55;
const largeZone = 50;

/** What was last seen of a node, by our own clock: theirs may be wrong. */
interface Seen {
  probeTime: number;
  renewTime: string;
  heartbeat: string;
  markedPods: boolean;
}

/** Finds nodes that are silent, and taints nodes by their conditions (pkg/controller/nodelifecycle). */
export const nodeLifecycleController: Controllers = (context) => [start(context)];

function start(context: ControllerContext): Part {
  const { cache, clock, logger, heartbeatOf } = context;
  const nodes = cache.informer(Nodes);
  const leases = cache.informer(Leases);
  const pods = cache.informer(Pods, { indexes: { [nodeIndex]: byNode } });
  const client = context.clientOf(name);
  const events = context.eventsOf(name);
  const seen = new Map<string, Seen>();
  /** When a zone may evict the next node. */
  const nextEviction = new Map<string, number>();
  let stopped = false;
  let tainting = Promise.resolve();

  const conditionOf = (node: Node, type: string): NodeCondition | undefined =>
    node.status?.conditions?.find((condition) => condition.type === type);

  /** When a node was last known alive. */
  function probe(node: Node, now: number): Seen {
    const nodeName = node.metadata.name ?? "";
    const lease: Lease | undefined = leases.get({ namespace: "kube-node-lease", name: nodeName });
    const renewTime = lease?.spec?.renewTime ?? "";
    const heartbeat = conditionOf(node, "Ready")?.lastHeartbeatTime ?? "";
    const known = seen.get(nodeName);
    const derived = heartbeatOf(nodeName);
    if (known === undefined) {
      const first = { probeTime: derived ?? now, renewTime, heartbeat, markedPods: false };
      seen.set(nodeName, first);
      return first;
    }
    if (derived !== undefined) known.probeTime = Math.max(known.probeTime, derived);
    else if (known.renewTime !== renewTime || known.heartbeat !== heartbeat) known.probeTime = now;
    known.renewTime = renewTime;
    known.heartbeat = heartbeat;
    return known;
  }

  async function monitor(): Promise<void> {
    const now = clock.now();
    const all = nodes.list();
    const troubled: Node[] = [];
    for (const node of all) {
      const last = probe(node, now);
      const ready = conditionOf(node, "Ready");
      const grace = ready === undefined ? startupGraceMs : graceMs;
      const isSilent = now > last.probeTime + grace;
      if (isSilent && (ready === undefined || ready.status !== "Unknown")) await markUnknown(node, now);
      if (ready?.status !== "True" || isSilent) troubled.push(node);
      else last.markedPods = false;
    }
    for (const nodeName of seen.keys()) if (nodes.get({ name: nodeName }) === undefined) seen.delete(nodeName);
    for (const node of troubled) {
      // Somebody else has written the node: the next look is at what it is then.
      await handleUnready(node.metadata.name ?? "", all).catch((error: unknown) => {
        if (!isConflict(error)) throw error;
      });
    }
  }

  /** All that the node said is in doubt (`tryUpdateNodeHealth`). */
  async function markUnknown(node: Node, now: number): Promise<void> {
    const at = timeText(now);
    const types = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
    const conditions = types.flatMap((type): NodeCondition[] => {
      const known = conditionOf(node, type);
      if (known?.status === "Unknown") return [];
      const reason = known === undefined ? "NodeStatusNeverUpdated" : "NodeStatusUnknown";
      const message =
        known === undefined ? "Kubelet never posted node status." : "Kubelet stopped posting node status.";
      const lastHeartbeatTime = known?.lastHeartbeatTime ?? node.metadata.creationTimestamp ?? at;
      return [{ type, status: "Unknown", reason, message, lastHeartbeatTime, lastTransitionTime: at }];
    });
    if (conditions.length === 0) return;
    await client
      .patch(Nodes, keyOf(node), { type: "strategic", patch: { status: { conditions } } }, { subresource: "status" })
      .catch(ignoreGone);
  }

  async function handleUnready(nodeName: string, all: readonly Node[]): Promise<void> {
    const node = nodes.get({ name: nodeName });
    const last = seen.get(nodeName);
    const ready = node === undefined ? undefined : conditionOf(node, "Ready");
    if (node === undefined || last === undefined || ready?.status === "True") return;
    if (!last.markedPods) {
      last.markedPods = true;
      events.event({
        about: node,
        type: "Normal",
        reason: "NodeNotReady",
        message: `Node ${nodeName} status is now: NodeNotReady`,
      });
      for (const pod of pods.byIndex(nodeIndex, nodeName)) await markPodNotReady(pod);
    }
    await taintForEviction(node, ready?.status === "Unknown" ? unreachable : notReady, all);
  }

  async function markPodNotReady(pod: Pod): Promise<void> {
    const ready = pod.status?.conditions?.find(({ type }) => type === "Ready");
    if (ready?.status !== "True") return;
    const condition = {
      ...ready,
      status: "False",
      observedGeneration: pod.metadata.generation,
      lastTransitionTime: timeText(clock.now()),
    };
    const patch = { metadata: { uid: pod.metadata.uid }, status: { conditions: [condition] } };
    await client.patch(Pods, keyOf(pod), { type: "strategic", patch }, { subresource: "status" }).catch(ignoreGone);
    events.event({ about: pod, type: "Warning", reason: "NodeNotReady", message: "Node is not ready" });
  }

  /** NoExecute, one node at a time in a zone, and slower where many are down: then it is rather the network (`doNoExecuteTaintingPass`). */
  async function taintForEviction(node: Node, key: string, all: readonly Node[]): Promise<void> {
    const taints = node.spec?.taints ?? [];
    const other = key === unreachable ? notReady : unreachable;
    const isTainted = taints.some((taint) => taint.key === key && taint.effect === "NoExecute");
    if (isTainted) return;
    const zone = zoneOf(node);
    const now = clock.now();
    if ((nextEviction.get(zone) ?? 0) > now) return;
    const mates = all.filter((each) => zoneOf(each) === zone);
    const down = mates.filter((each) => conditionOf(each, "Ready")?.status !== "True").length;
    const isWholeClusterDown = all.every((each) => conditionOf(each, "Ready")?.status !== "True");
    // Nobody left to go to, or nobody whom one could trust: nothing is evicted.
    if (isWholeClusterDown && all.length > 1) return;
    const isBad = down > 2 && down / mates.length >= unhealthyZoneShare && down < mates.length;
    const rate = !isBad ? evictionsPerSecond : mates.length > largeZone ? fewEvictionsPerSecond : 0;
    if (rate === 0) return;
    const next: Taint[] = [
      ...taints.filter((taint) => !(taint.effect === "NoExecute" && (taint.key === other || taint.key === key))),
      { key, effect: "NoExecute", timeAdded: timeText(now) },
    ];
    await client.patch(Nodes, keyOf(node), { type: "strategic", patch: taintPatch(node, next) }).catch(ignoreGone);
    nextEviction.set(zone, now + 1000 / rate);
  }

  /** Taints follow conditions (`doNoScheduleTaintingPass`); who is ready again loses those that evict. */
  async function taintByConditions(nodeName: string): Promise<void> {
    const node = nodes.get({ name: nodeName });
    if (node === undefined || stopped) return;
    const taints = node.spec?.taints ?? [];
    const wanted: Taint[] = conditionTaints.flatMap(({ type, status, key }) =>
      conditionOf(node, type)?.status === status ? [{ key, effect: "NoSchedule" }] : [],
    );
    if (node.spec?.unschedulable === true) wanted.push({ key: unschedulableKey, effect: "NoSchedule" });
    const isReady = conditionOf(node, "Ready")?.status === "True";
    const kept = taints.filter(({ key, effect }) => {
      if (effect === "NoSchedule" && ownKeys.has(key)) return wanted.some((taint) => taint.key === key);
      return !(isReady && effect === "NoExecute" && (key === notReady || key === unreachable));
    });
    const added = wanted.filter(
      ({ key }) => !taints.some((taint) => taint.key === key && taint.effect === "NoSchedule"),
    );
    if (added.length === 0 && kept.length === taints.length) return;
    const next = [...kept, ...added.map((taint) => ({ ...taint, timeAdded: timeText(clock.now()) }))];
    await client.patch(Nodes, keyOf(node), { type: "strategic", patch: taintPatch(node, next) }).catch(ignoreGone);
  }

  const queued = new Set<string>();
  function queueTaints({ metadata }: Node): void {
    const nodeName = metadata.name ?? "";
    if (queued.has(nodeName)) return;
    queued.add(nodeName);
    tainting = tainting
      .then(() => {
        queued.delete(nodeName);
        return taintByConditions(nodeName);
      })
      .catch((error: unknown) => {
        if (stopped) return;
        if (!isConflict(error))
          logger.warn({ node: nodeName, error }, "a node's taints could not be written; they are looked at again");
        clock.setTimer(isConflict(error) ? 50 : 1_000, () => queueTaints({ metadata: { name: nodeName } }));
      });
  }

  const summary = ({ spec, status }: Node): string =>
    JSON.stringify([
      spec?.unschedulable,
      spec?.taints,
      status?.conditions?.map(({ type, status: value }) => [type, value]),
    ]);

  return {
    name: "node lifecycle",
    async start(signal) {
      const remove = nodes.addHandler({
        added(node, initial) {
          queueTaints(node);
          const { name: nodeName = "" } = node.metadata;
          if (!initial)
            events.event({
              about: node,
              type: "Normal",
              reason: "RegisteredNode",
              message: `Node ${nodeName} event: Registered Node ${nodeName} in Controller`,
            });
        },
        updated(before, after) {
          if (summary(before) !== summary(after)) queueTaints(after);
        },
        deleted(node) {
          const { name: nodeName = "" } = node.metadata;
          events.event({
            about: node,
            type: "Normal",
            reason: "RemovingNode",
            message: `Node ${nodeName} event: Removing Node ${nodeName} from Controller`,
          });
        },
      });
      await new Promise<void>((resolve) => {
        let timer = clock.setTimer(monitorMs, tick);
        function tick(): void {
          void monitor()
            .catch((error: unknown) => {
              if (!stopped) logger.warn({ error }, "nodes could not all be looked after; they are looked at again");
            })
            .finally(() => {
              if (!stopped) timer = clock.setTimer(monitorMs, tick);
            });
        }
        const stop = (): void => {
          stopped = true;
          timer.cancel();
          resolve();
        };
        if (signal.aborted) stop();
        else signal.addEventListener("abort", stop, { once: true });
      });
      remove();
      await tainting;
    },
  };
}

/** Taints are a list that is written whole, of the version that was seen. */
const taintPatch = ({ metadata }: Node, taints: readonly Taint[]): object => ({
  metadata: { resourceVersion: metadata.resourceVersion },
  spec: { taints: taints.length === 0 ? null : taints },
});

const zoneOf = ({ metadata }: Node): string =>
  `${metadata.labels?.["topology.kubernetes.io/region"] ?? ""}:${metadata.labels?.["topology.kubernetes.io/zone"] ?? ""}`;

function ignoreGone(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

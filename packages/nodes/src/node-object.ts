import { brokenGpus, faultConditions } from "./node-fault.ts";
import type { NodeFault } from "./node-fault.ts";
import { timeText } from "@fleetwright/kube";
import { microTime, type Lease, type Node, type NodeCondition, type NodeStatus, type Taint } from "@fleetwright/kube";

/** Nodes that are alike. */
export interface NodePool {
  /** Nodes are called `<name>-0`, `<name>-1`, … */
  readonly name: string;
  readonly count: number;
  /** @default "64" */
  readonly cpu?: string;
  /** @default "512Gi" */
  readonly memory?: string;
  /** How many pods it takes. @default "110" */
  readonly pods?: string;
  /** Sets `nvidia.com/gpu`, and the labels that GPU feature discovery sets. */
  readonly gpu?: {
    /** `nvidia.com/gpu.product`: `NVIDIA-A100-SXM4-80GB`, `A30`, … */
    readonly product: string;
    /** On each node. */
    readonly count: number;
    /** `nvidia.com/gpu.memory`, in MiB. */
    readonly memoryMiB?: number;
  };
  /** Further resources, which win over those above. */
  readonly capacity?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Its own; the taints that the server gives to every new node are taken off. */
  readonly taints?: readonly Taint[];
}

/** Where kubelets keep their leases. */
export const leaseNamespace = "kube-node-lease";

/** Leases are kept for so long without being renewed; the node controller itself waits for 50 s. */
const leaseDurationSeconds = 40;

/** Marks the nodes that are simulated. */
export const simulatedLabel = "nodes.fleetwright.dev/simulated";

export const nodeName = (pool: NodePool, index: number): string => `${pool.name}-${index}`;

/** A node as its kubelet registers it: with its status, Ready from the first moment. */
export function newNode(pool: NodePool, index: number, address: string, now: number): Node {
  const name = nodeName(pool, index);
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { ...labelsOf(pool, name), ...pool.labels } },
    spec: { providerID: `fleetwright://${name}`, ...(pool.taints && { taints: pool.taints }) },
    status: nodeStatus(pool, name, address, now),
  };
}

function labelsOf(pool: NodePool, name: string): Record<string, string> {
  const { gpu } = pool;
  return {
    [simulatedLabel]: "true",
    "kubernetes.io/hostname": name,
    "kubernetes.io/os": "linux",
    "kubernetes.io/arch": "amd64",
    // Kubelets still set these two; the node controller adds them where they are missing, at two calls a node.
    "beta.kubernetes.io/os": "linux",
    "beta.kubernetes.io/arch": "amd64",
    ...(gpu && {
      "nvidia.com/gpu.present": "true",
      "nvidia.com/gpu.product": gpu.product,
      "nvidia.com/gpu.count": String(gpu.count),
      ...(gpu.memoryMiB !== undefined && { "nvidia.com/gpu.memory": String(gpu.memoryMiB) }),
    }),
  };
}

/** Everything that a node says about itself. */
function nodeStatus(pool: NodePool, name: string, address: string, now: number): NodeStatus {
  const capacity = {
    cpu: pool.cpu ?? "64",
    memory: pool.memory ?? "512Gi",
    pods: pool.pods ?? "110",
    "ephemeral-storage": "1Ti",
    ...(pool.gpu && { "nvidia.com/gpu": String(pool.gpu.count) }),
    ...pool.capacity,
  };
  return {
    capacity,
    allocatable: capacity,
    conditions: nodeConditions(undefined, now),
    addresses: [
      { type: "InternalIP", address },
      { type: "Hostname", address: name },
    ],
    nodeInfo: {
      architecture: "amd64",
      operatingSystem: "linux",
      osImage: "Fleetwright simulated node",
      kernelVersion: "6.12.0",
      kubeletVersion: "v1.36.3",
      kubeProxyVersion: "v1.36.3",
      containerRuntimeVersion: "simulated://1",
      machineID: name,
      systemUUID: name,
      bootID: bootId(name, now),
    },
  };
}

/** What of its status a node reports again and again, with what is the matter with it. */
export function reportedStatus(pool: NodePool, name: string, bootedAt: number, faults: readonly NodeFault[]) {
  const broken = brokenGpus(faults).size;
  const gpus = pool.gpu === undefined ? undefined : String(pool.gpu.count - broken);
  return {
    conditions: faultConditions(faults),
    nodeInfo: { bootID: bootId(name, bootedAt) },
    ...(gpus !== undefined && { allocatable: { "nvidia.com/gpu": gpus } }),
  };
}

const bootId = (name: string, bootedAt: number): string => `${name}-${Math.floor(bootedAt)}`;

/** Ready and without pressure but for what is said. A condition that held before keeps the time of its last change. */
export function nodeConditions(
  before: readonly NodeCondition[] | undefined,
  now: number,
  different: readonly Pick<NodeCondition, "type" | "status" | "reason" | "message">[] = [],
): readonly NodeCondition[] {
  const at = timeText(now);
  const healthy: readonly Pick<NodeCondition, "type" | "status" | "reason" | "message">[] = [
    { type: "Ready", status: "True", reason: "KubeletReady", message: "simulated kubelet is posting ready status" },
    { type: "MemoryPressure", status: "False", reason: "KubeletHasSufficientMemory", message: "" },
    { type: "DiskPressure", status: "False", reason: "KubeletHasNoDiskPressure", message: "" },
    { type: "PIDPressure", status: "False", reason: "KubeletHasSufficientPID", message: "" },
  ];
  const wanted = healthy.map((condition) => different.findLast(({ type }) => type === condition.type) ?? condition);
  return wanted.map((next) => {
    const old = before?.find(({ type }) => type === next.type);
    const since = old?.status === next.status ? old.lastTransitionTime : undefined;
    return { ...next, lastHeartbeatTime: at, lastTransitionTime: since ?? at };
  });
}

export const isReady = (node: Node): boolean =>
  node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;

/** A node's lease, renewed now. It goes with its node. */
export function leaseOf(name: string, uid: string, now: number): Lease {
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: {
      name,
      namespace: leaseNamespace,
      ownerReferences: [{ apiVersion: "v1", kind: "Node", name, uid }],
    },
    spec: { holderIdentity: name, leaseDurationSeconds, renewTime: microTime(now) },
  };
}

/** `10.128.0.1` and on: the node with this number, of all pools together. */
export const nodeAddress = (ordinal: number): string => ipv4(0x0a80_0001 + ordinal);

/** `10.0.0.1` to `10.127.255.254`, over and over: the pod with this number. */
export const podAddress = (ordinal: number): string => ipv4(0x0a00_0001 + (ordinal % 0x7f_fffe));

const ipv4 = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join(".");

/**
 * How often each lease is renewed, in milliseconds: every 10 s as kubelets do, and less often when there are many nodes.
 * Never so rarely that a renewal which is some seconds late makes a node Unknown: hence the longest interval.
 */
export function renewalIntervalMs(nodeCount: number, renewalsPerSecond: number, longestMs: number): number {
  return Math.min(longestMs, Math.max(10_000, (nodeCount / renewalsPerSecond) * 1000));
}

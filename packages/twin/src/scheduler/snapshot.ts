import type { Node, Pod, PodAffinityTerm, PodSpec, Taint } from "@fleetwright/kube";
import { add, amountsOf, podRequests, scoredRequests } from "./resources.ts";
import type { Amounts } from "./resources.ts";

/** What the scheduler keeps of a pod. */
export interface PodInfo {
  /** Its newest state; what is derived from its spec stays. */
  pod: Pod;
  readonly spec: PodSpec;
  readonly requests: Readonly<Amounts>;
  readonly scored: { readonly cpu: number; readonly memory: number };
  /** `protocol/port` and `address/protocol/port`. */
  readonly ports: readonly HostPort[];
  readonly requiredAffinity: readonly PodAffinityTerm[];
  readonly requiredAntiAffinity: readonly PodAffinityTerm[];
}

interface HostPort {
  readonly address: string;
  readonly protocol: string;
  readonly port: number;
}

const emptySpec: PodSpec = { containers: [] };

export function podInfo(pod: Pod): PodInfo {
  const spec = pod.spec ?? emptySpec;
  const requests = podRequests(spec);
  const { podAffinity, podAntiAffinity } = spec.affinity ?? {};
  return {
    pod,
    spec,
    requests,
    scored: scoredRequests(spec, requests),
    ports: hostPorts(spec),
    requiredAffinity: podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [],
    requiredAntiAffinity: podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [],
  };
}

function hostPorts(spec: PodSpec): readonly HostPort[] {
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  return [...spec.containers, ...sidecars].flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort = 0, hostIP, protocol }) =>
      hostPort > 0 ? [{ address: hostIP || "0.0.0.0", protocol: protocol ?? "TCP", port: hostPort }] : [],
    ),
  );
}

/** A node with what runs on it. */
export class NodeInfo {
  readonly name: string;
  node: Node;
  labels: Readonly<Record<string, string>> = {};
  taints: readonly Taint[] = [];
  allocatable: Readonly<Amounts> = {};
  readonly requested: Amounts = {};
  scoredCpu = 0;
  scoredMemory = 0;
  readonly pods = new Map<string, PodInfo>();
  /** Of its pods, those with required anti-affinity. */
  antiAffinityPods = 0;
  /** Grows with every change. */
  generation = 0;

  constructor(node: Node) {
    this.name = node.metadata.name ?? "";
    this.node = node;
    this.setNode(node);
  }

  setNode(node: Node): void {
    this.node = node;
    this.labels = node.metadata.labels ?? {};
    this.taints = node.spec?.taints ?? [];
    this.allocatable = amountsOf(node.status?.allocatable as Record<string, string> | undefined);
    this.generation++;
  }

  add(info: PodInfo): void {
    this.#count(info, 1);
    this.pods.set(info.pod.metadata.uid ?? "", info);
  }

  remove(uid: string): void {
    const info = this.pods.get(uid);
    if (info === undefined) return;
    this.pods.delete(uid);
    this.#count(info, -1);
  }

  #count(info: PodInfo, sign: 1 | -1): void {
    add(this.requested, info.requests, sign);
    this.scoredCpu += sign * info.scored.cpu;
    this.scoredMemory += sign * info.scored.memory;
    if (info.requiredAntiAffinity.length > 0) this.antiAffinityPods += sign;
    this.generation++;
  }

  /** A copy to try removals on. */
  clone(): NodeInfo {
    const copy = new NodeInfo(this.node);
    for (const info of this.pods.values()) copy.add(info);
    return copy;
  }
}

/** All nodes, interleaved by zone as upstream's node tree does, and the pods on them, assumed ones included. */
export class Snapshot {
  readonly nodes = new Map<string, NodeInfo>();
  /** Pods whose node is not known yet. */
  readonly #homeless = new Map<string, Map<string, PodInfo>>();
  readonly #nodeOfPod = new Map<string, string>();
  #order: readonly NodeInfo[] | undefined;
  /** Pods with required anti-affinity, on all nodes. */
  antiAffinityPods = 0;
  /** Grows when room appears: a pod goes, a node comes or changes. */
  freed = 0;

  setNode(node: Node): void {
    const name = node.metadata.name ?? "";
    const known = this.nodes.get(name);
    this.freed++;
    if (known !== undefined) {
      const moved = zoneOf(known.labels) !== zoneOf(node.metadata.labels ?? {});
      known.setNode(node);
      if (moved) this.#order = undefined;
      return;
    }
    const info = new NodeInfo(node);
    this.nodes.set(name, info);
    this.#order = undefined;
    for (const pod of this.#homeless.get(name)?.values() ?? []) info.add(pod);
    this.#homeless.delete(name);
  }

  removeNode(name: string): void {
    const info = this.nodes.get(name);
    if (info === undefined) return;
    this.nodes.delete(name);
    this.#order = undefined;
    if (info.pods.size > 0) this.#homeless.set(name, new Map(info.pods));
  }

  /** A newer state of a pod that stays where it is. */
  refresh(pod: Pod): void {
    const uid = pod.metadata.uid ?? "";
    const info = this.nodes.get(this.#nodeOfPod.get(uid) ?? "")?.pods.get(uid);
    if (info !== undefined) info.pod = pod;
  }

  /** On the node that it names, or assumed on another's word. */
  addPod(info: PodInfo, nodeName: string): void {
    const uid = info.pod.metadata.uid ?? "";
    if (this.#nodeOfPod.has(uid)) this.#take(uid);
    this.#nodeOfPod.set(uid, nodeName);
    if (info.requiredAntiAffinity.length > 0) this.antiAffinityPods++;
    const node = this.nodes.get(nodeName);
    if (node !== undefined) return node.add(info);
    const homeless = this.#homeless.get(nodeName) ?? new Map<string, PodInfo>();
    homeless.set(uid, info);
    this.#homeless.set(nodeName, homeless);
  }

  nodeOf(uid: string): string | undefined {
    return this.#nodeOfPod.get(uid);
  }

  removePod(uid: string): void {
    if (!this.#nodeOfPod.has(uid)) return;
    this.#take(uid);
    this.freed++;
  }

  #take(uid: string): void {
    const nodeName = this.#nodeOfPod.get(uid) ?? "";
    this.#nodeOfPod.delete(uid);
    const node = this.nodes.get(nodeName);
    const info = node?.pods.get(uid) ?? this.#homeless.get(nodeName)?.get(uid);
    if ((info?.requiredAntiAffinity.length ?? 0) > 0) this.antiAffinityPods--;
    node?.remove(uid);
    this.#homeless.get(nodeName)?.delete(uid);
  }

  /** One node of each zone in turn (internal/cache/node_tree.go). */
  get order(): readonly NodeInfo[] {
    if (this.#order !== undefined) return this.#order;
    const zones = [...Map.groupBy(this.nodes.values(), ({ labels }) => zoneOf(labels)).values()];
    const order: NodeInfo[] = [];
    for (let index = 0; order.length < this.nodes.size; index++) {
      for (const zone of zones) {
        const node = zone[index];
        if (node !== undefined) order.push(node);
      }
    }
    this.#order = order;
    return order;
  }
}

const zoneOf = (labels: Readonly<Record<string, string>>): string =>
  `${labels["topology.kubernetes.io/region"] ?? ""}\u0000${labels["topology.kubernetes.io/zone"] ?? ""}`;

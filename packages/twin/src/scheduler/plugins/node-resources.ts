import type { NodeInfo, PodInfo } from "../snapshot.ts";

/** Room on nodes (plugins/noderesources/{fit,least_allocated,balanced_allocation}.go) and their ports (plugins/nodeports). */

/** What a node lacks for a pod; none: it fits. */
export function lacking({ requests }: PodInfo, node: NodeInfo): readonly string[] {
  let reasons: string[] | undefined;
  if (node.pods.size + 1 > (node.allocatable["pods"] ?? 0)) reasons = ["Too many pods"];
  for (const resource in requests) {
    const wanted = requests[resource] ?? 0;
    if (wanted === 0 || wanted <= (node.allocatable[resource] ?? 0) - (node.requested[resource] ?? 0)) continue;
    (reasons ??= []).push(`Insufficient ${resource}`);
  }
  return reasons ?? none;
}

const none: readonly string[] = [];

/** Whether an empty node would do: otherwise taking pods off it does not help. */
export function fitsEmpty({ requests }: PodInfo, { allocatable }: NodeInfo): boolean {
  if ((allocatable["pods"] ?? 0) < 1) return false;
  for (const resource in requests) if ((requests[resource] ?? 0) > (allocatable[resource] ?? 0)) return false;
  return true;
}

const portsReason = "node(s) didn't have free ports for the requested pod ports";

export function filterPorts({ ports }: PodInfo, node: NodeInfo): string | undefined {
  if (ports.length === 0) return undefined;
  for (const { ports: taken } of node.pods.values()) {
    for (const theirs of taken) {
      const clash = ports.some(
        (own) =>
          own.port === theirs.port &&
          own.protocol === theirs.protocol &&
          (own.address === theirs.address || own.address === "0.0.0.0" || theirs.address === "0.0.0.0"),
      );
      if (clash) return portsReason;
    }
  }
  return undefined;
}

/** 100 for an empty node, 0 for a full one: the mean over processors and memory. */
export function scoreLeastAllocated({ scored }: PodInfo, { allocatable, scoredCpu, scoredMemory }: NodeInfo): number {
  const free = (capacity: number, used: number): number =>
    capacity === 0 || used > capacity ? 0 : Math.floor(((capacity - used) * 100) / capacity);
  const cpu = free(allocatable["cpu"] ?? 0, scoredCpu + scored.cpu);
  const memory = free(allocatable["memory"] ?? 0, scoredMemory + scored.memory);
  return Math.floor((cpu + memory) / 2);
}

/** 100 when processors and memory are used in the same measure. */
export function scoreBalanced({ requests }: PodInfo, { allocatable, requested }: NodeInfo): number {
  const share = (resource: string): number => {
    const capacity = allocatable[resource] ?? 0;
    return capacity === 0 ? 1 : Math.min(1, ((requested[resource] ?? 0) + (requests[resource] ?? 0)) / capacity);
  };
  const [cpu, memory] = [share("cpu"), share("memory")];
  return Math.floor((1 - Math.abs((cpu - memory) / 2)) * 100);
}

import { FleetwrightError } from "@fleetwright/kube";
import type { NodeCondition } from "@fleetwright/kube";

/** What can go wrong with a node, on demand. */
export type NodeFault =
  /** A GPU reports an XID (docs.nvidia.com/deploy/xid-errors); those that mean broken hardware take the GPU away. */
  | { readonly kind: "xid"; readonly code: number; readonly gpu: number }
  /** Uncorrectable memory errors: XID 48, and the GPU is taken away. */
  | { readonly kind: "ecc"; readonly gpu: number }
  /** The kubelet says that it is not ready. */
  | { readonly kind: "notReady"; readonly message?: string }
  /** Nothing is heard of the node, and its pods stand still. */
  | { readonly kind: "partition" }
  /** Pods that start from now on need so much longer. */
  | { readonly kind: "slowStart"; readonly ms: number }
  /** Memory or disk runs out: the condition, and pods are evicted. */
  | { readonly kind: "eviction"; readonly resource: "memory" | "disk" }
  /** The machine starts anew: another boot ID, containers restart, GPUs come back. */
  | { readonly kind: "reboot" };

/** Plain kubectl injects faults by this: `{"kind":"xid","code":79,"gpu":3}`; taking it away heals. */
export const faultAnnotation = "nodes.fleetwright.dev/fault";

/** XIDs after which a GPU cannot be used until it is reset or replaced (the NVIDIA device plugin skips application errors). */
const applicationXids = new Set([13, 31, 43, 45, 68, 109]);

const breaksGpu = (code: number): boolean => !applicationXids.has(code);

/** The kernel's line for a fault; `undefined`: it does not reach the kernel log. */
export function kernelLine(fault: NodeFault): string | undefined {
  const bus = (gpu: number): string => `0000:${(0x10 + gpu).toString(16)}:00`;
  if (fault.kind === "xid")
    return `NVRM: Xid (PCI:${bus(fault.gpu)}): ${fault.code}, pid='<unknown>', name=<unknown>, simulated`;
  if (fault.kind === "ecc")
    return `NVRM: Xid (PCI:${bus(fault.gpu)}): 48, pid='<unknown>', name=<unknown>, An uncorrectable double bit error (DBE) has been detected on GPU`;
  if (fault.kind === "eviction" && fault.resource === "memory") return "Memory cgroup out of memory: simulated";
  return undefined;
}

/** Conditions that differ from a healthy node's. */
export function faultConditions(
  faults: readonly NodeFault[],
): readonly Pick<NodeCondition, "type" | "status" | "reason" | "message">[] {
  const result: Pick<NodeCondition, "type" | "status" | "reason" | "message">[] = [];
  for (const fault of faults) {
    if (fault.kind === "notReady") {
      result.push({
        type: "Ready",
        status: "False",
        reason: "KubeletNotReady",
        message: fault.message ?? "container runtime is down",
      });
    } else if (fault.kind === "eviction") {
      const [type, reason, what] =
        fault.resource === "memory"
          ? ["MemoryPressure", "KubeletHasInsufficientMemory", "memory"]
          : ["DiskPressure", "KubeletHasDiskPressure", "disk space"];
      result.push({
        type: type ?? "",
        status: "True",
        reason: reason ?? "",
        message: `kubelet has insufficient ${what} available`,
      });
    }
  }
  return result;
}

/** Which GPUs are out of use. */
export function brokenGpus(faults: readonly NodeFault[]): ReadonlySet<number> {
  const broken = new Set<number>();
  for (const fault of faults) {
    if (fault.kind === "ecc" || (fault.kind === "xid" && breaksGpu(fault.code))) broken.add(fault.gpu);
  }
  return broken;
}

/** @throws FleetwrightError `FW_NODES_FAULT` with what is wrong */
export function parseFault(text: string, gpus: number): NodeFault {
  const refuse = (why: string): FleetwrightError =>
    new FleetwrightError("FW_NODES_FAULT", `${faultAnnotation} ${JSON.stringify(text)}: ${why}`);
  let value: Readonly<Record<string, unknown>>;
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    throw refuse('write JSON such as {"kind":"xid","code":79,"gpu":3}');
  }
  const { kind, gpu, code, ms, resource, message } = value;
  const known = ["xid", "ecc", "notReady", "partition", "slowStart", "eviction", "reboot"];
  if (typeof kind !== "string" || !known.includes(kind)) throw refuse(`kind must be one of ${known.join(", ")}`);
  if (kind === "xid" || kind === "ecc") {
    if (typeof gpu !== "number" || !Number.isInteger(gpu) || gpu < 0 || gpu >= gpus)
      throw refuse(`gpu must be from 0 to ${gpus - 1}`);
    if (kind === "ecc") return { kind, gpu };
    if (typeof code !== "number" || !Number.isInteger(code) || code < 1)
      throw refuse("code must be an XID, such as 79");
    return { kind, code, gpu };
  }
  if (kind === "slowStart") {
    if (typeof ms !== "number" || ms < 0)
      throw refuse("ms must be how much longer pods need to start, in milliseconds");
    return { kind, ms };
  }
  if (kind === "eviction") {
    if (resource !== "memory" && resource !== "disk") throw refuse("resource must be memory or disk");
    return { kind, resource };
  }
  if (kind === "notReady") return { kind, ...(typeof message === "string" && { message }) };
  return { kind: kind as "partition" | "reboot" };
}

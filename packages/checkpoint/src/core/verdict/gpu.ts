import { quantityFromJson, type Container } from "@fleetwright/kube";
import { isAtLeast } from "./version.ts";
import { verdictOf } from "./verdict-codes.ts";
import type { Verdict } from "./verdict-codes.ts";

/** What a program does with NVIDIA GPUs, as far as it decides whether CRIU's CUDA plugin can save it. */
export interface GpuUse {
  /** Address space of CUDA's managed memory; the driver answers its checkpoint with CUDA_ERROR_NOT_SUPPORTED (801, seen with 580). */
  readonly managedBytes: number;
  /** It is a client of CUDA's Multi-Process Service. */
  readonly usesMps: boolean;
  /** It holds a right to a MIG instance. */
  readonly usesMig: boolean;
  /** GPU memory, of all GPUs; absent when nvidia-smi did not say. */
  readonly deviceBytes?: number;
}

/** What a node has for GPUs. */
export interface NvidiaFacts {
  readonly driver?: string | undefined;
  /** What CRIU lacks to save GPUs: `cuda_plugin.so`, `cuda-checkpoint`. Absent: not known. */
  readonly missing?: readonly string[] | undefined;
}

/** All processes of a container together; nothing when none uses a GPU. */
export function gpuUseOf(processes: readonly { readonly gpu?: GpuUse }[]): GpuUse | undefined {
  const uses = processes.flatMap(({ gpu }) => (gpu === undefined ? [] : [gpu]));
  if (uses.length === 0) return undefined;
  const known = uses.flatMap(({ deviceBytes }) => (deviceBytes === undefined ? [] : [deviceBytes]));
  return {
    managedBytes: uses.reduce((sum, { managedBytes }) => sum + managedBytes, 0),
    usesMps: uses.some(({ usesMps }) => usesMps),
    usesMig: uses.some(({ usesMig }) => usesMig),
    ...(known.length > 0 && { deviceBytes: known.reduce((sum, bytes) => sum + bytes, 0) }),
  };
}

/** For messages. */
export const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

/** What speaks against a checkpoint of a container because of its GPUs (CRIU 4.2, plugins/cuda/README.md). */
export function gpuVerdicts(
  spec: Container | undefined,
  container: {
    readonly name: string;
    readonly residentBytes: number;
    readonly openKinds: readonly string[];
    readonly gpu?: GpuUse | undefined;
  },
  { driver, missing }: NvidiaFacts,
): readonly Verdict[] {
  const { name, residentBytes, openKinds, gpu } = container;
  const verdicts: Verdict[] = [];
  const resources = Object.keys({ ...spec?.resources?.limits, ...spec?.resources?.requests });
  const environment = spec?.env ?? [];
  const mig =
    resources.find((key) => key.startsWith("nvidia.com/mig-")) ??
    environment.find(({ value }) => value?.includes("MIG-"))?.name ??
    (gpu?.usesMig === true ? "it holds a right to one" : undefined);
  if (mig !== undefined) verdicts.push(verdictOf("GpuMig", `container "${name}" uses a MIG slice (${mig})`, name));
  const mps = environment.find((each) => each.name.startsWith("CUDA_MPS_"))?.name;
  if (mps !== undefined || gpu?.usesMps === true)
    verdicts.push(
      verdictOf("GpuMps", `container "${name}" uses MPS (${mps ?? "CUDA_MPS_PIPE_DIRECTORY"} is set)`, name),
    );
  const devices = openKinds.filter((kind) => kind.startsWith("/dev/nvidia"));
  if (devices.length === 0) return verdicts;
  if (!isAtLeast(driver, "555.0")) verdicts.push(verdictOf("GpuDriverTooOld", `the NVIDIA driver is ${driver}`, name));
  if (gpu !== undefined && gpu.managedBytes > 0)
    verdicts.push(
      verdictOf(
        isAtLeast(driver, "581.0") ? "GpuManagedMemoryUntried" : "GpuManagedMemory",
        `container "${name}" has ${mebibytes(gpu.managedBytes)} of managed memory`,
        name,
      ),
    );
  const hasTools = missing?.length === 0;
  const lacks =
    missing === undefined ? "; what the node has for it is not known" : `; the node lacks ${missing.join(" and ")}`;
  const memory = gpu?.deviceBytes === undefined ? "an unknown amount" : mebibytes(gpu.deviceBytes);
  verdicts.push(
    verdictOf(
      hasTools ? "GpuMemoryCopied" : "GpuNeedsPlugin",
      `container "${name}" holds ${devices.join(", ")} with ${memory} of GPU memory${hasTools ? "" : lacks}`,
      name,
    ),
  );
  const limit = spec?.resources?.limits?.["memory"];
  const needed = residentBytes + (gpu?.deviceBytes ?? 0);
  if (limit !== undefined && BigInt(needed) > quantityFromJson(limit).value())
    verdicts.push(
      verdictOf(
        "GpuExceedsMemoryLimit",
        `container "${name}" needs ${mebibytes(needed)} with its GPU memory in host memory, its limit is ${limit}`,
        name,
      ),
    );
  return verdicts;
}

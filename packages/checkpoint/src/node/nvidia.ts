import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { HostFacts } from "../core/image/annotations.ts";
import type { GpuUse } from "../core/verdict/gpu.ts";
import { orGone, textOf } from "./proc.ts";

/** The driver's version and GPUs; nothing where there is none. */
export async function readNvidiaNode(proc = "/proc"): Promise<Pick<HostFacts, "nvidiaDriver" | "gpuModels">> {
  const folder = join(proc, "driver/nvidia");
  // "… x86_64 Kernel Module  550.54.15  …", and of the open module "… Open Kernel Module for x86_64  580.159.04  …".
  const version = /Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s/.exec(await textOf(join(folder, "version")))?.[1];
  if (version === undefined) return {};
  const gpus = ((await orGone(readdir(join(folder, "gpus")))) ?? []).toSorted();
  const models = await Promise.all(
    gpus.map(async (gpu) => /^Model:\s*(.*)$/m.exec(await textOf(join(folder, "gpus", gpu, "information")))?.[1]),
  );
  return { nvidiaDriver: version, gpuModels: models.filter((model) => model !== undefined) };
}

/** Where CRIU looks unless told otherwise (criu/include/plugin.h). */
const pluginFolder = "/usr/lib/criu";

/** What CRIU needs for GPUs and would not find: `cuda_plugin.so` in its folder, `cuda-checkpoint` in the PATH. */
export async function missingCudaTools(
  folder = pluginFolder,
  path = process.env["PATH"] ?? "",
): Promise<readonly string[]> {
  const exists = async (file: string): Promise<boolean> => (await orGone(stat(file))) !== undefined;
  const [plugin, ...programs] = await Promise.all([
    exists(join(folder, "cuda_plugin.so")),
    ...path.split(":").map((each) => exists(join(each, "cuda-checkpoint"))),
  ]);
  return [...(plugin ? [] : ["cuda_plugin.so"]), ...(programs.includes(true) ? [] : ["cuda-checkpoint"])];
}

/**
 * What the driver maps for itself lies below this (CUDA reserves addresses from 2^33 on); managed memory is where a program's other memory is.
 * Seen with driver 580: every CUDA program has 2 MiB of /dev/nvidia-uvm at 0x204a00000, `cudaMallocManaged` adds a mapping at 0x7fd55e000000.
 */
const leastManagedAddress = 2 ** 40;
/** `nvidia-cap1` is MIG's configuration and `nvidia-cap2` its monitor, which any program may hold; the others are instances' (NVIDIA's MIG guide, mig-minors). */
const migInstance = /^\/dev\/nvidia-caps\/nvidia-cap(?![12]$)\d+$/;

/** How a process uses GPUs. @param folder its own in /proc @param targets what it has open */
export async function readGpuUse(folder: string, targets: readonly string[]): Promise<GpuUse | undefined> {
  if (!targets.some((target) => target.startsWith("/dev/nvidia"))) return undefined;
  const [maps, environment] = await Promise.all([textOf(join(folder, "maps")), textOf(join(folder, "environ"))]);
  let managedBytes = 0;
  for (const [, from = "", to = ""] of maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) .*\s\/dev\/nvidia-uvm$/gm)) {
    const start = Number.parseInt(from, 16);
    if (start >= leastManagedAddress) managedBytes += Number.parseInt(to, 16) - start;
  }
  return {
    managedBytes,
    usesMps: environment.split("\0").some((each) => each.startsWith("CUDA_MPS_PIPE_DIRECTORY=")),
    usesMig: targets.some((target) => migInstance.test(target)),
  };
}

/** Bytes of GPU memory by PID of the node, over all GPUs, as nvidia-smi tells; nothing where there is none. */
export async function readGpuMemory(): Promise<ReadonlyMap<number, number>> {
  const query = ["--query-compute-apps=pid,used_gpu_memory", "--format=csv,noheader,nounits"];
  const answer = await orGone(promisify(execFile)("nvidia-smi", query, { timeout: 10_000 }));
  return parseGpuMemory(answer?.stdout ?? "");
}

/** Lines of `pid, MiB`, one for each process and GPU; where a driver does not tell, `[N/A]` stands instead. */
export function parseGpuMemory(text: string): ReadonlyMap<number, number> {
  const memory = new Map<number, number>();
  for (const [, pid, mebibytes] of text.matchAll(/^(\d+), *(\d+)\s*$/gm))
    memory.set(Number(pid), (memory.get(Number(pid)) ?? 0) + Number(mebibytes) * 2 ** 20);
  return memory;
}

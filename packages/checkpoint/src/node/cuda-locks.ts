import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { FailedDump } from "../core/verdict/refusal.ts";
import { readLiveContainer } from "./containers.ts";

/** Runs NVIDIA's `cuda-checkpoint`, as CRIU's plugin finds it; what it prints. */
type RunCudaCheckpoint = (...args: readonly string[]) => Promise<string>;

const runCudaCheckpoint: RunCudaCheckpoint = async (...args) =>
  (await promisify(execFile)("cuda-checkpoint", args, { timeout: 30_000 })).stdout;

/** CRIU's plugin says that it could not bring a program's devices back: it leaves it locked then (CRIU 4.2, plugins/cuda/cuda_plugin.c, `resume_device`). */
export const leavesLocked = (criuErrors: readonly string[]): boolean =>
  criuErrors.some((error) => /cuda_plugin: (RESUME_DEVICES \w+ failed|Failed to unlock)/.test(error));

/**
 * Lets a container's CUDA programs go on that stand still at their next call, because a dump that failed left them locked. Seen with managed memory on driver 580.
 *
 * @param id of the container
 * @returns PIDs on the node
 */
export async function unlockCuda(
  id: string,
  { proc, run = runCudaCheckpoint }: { readonly proc?: string; readonly run?: RunCudaCheckpoint } = {},
): Promise<Required<Pick<FailedDump, "unlocked" | "stillLocked">>> {
  const { processes } = await readLiveContainer(id, { ...(proc && { proc }) });
  const unlocked: number[] = [];
  const stillLocked: number[] = [];
  for (const { hostPid, gpu } of processes) {
    if (gpu === undefined) continue;
    const pid = String(hostPid);
    try {
      if ((await run("--get-state", "--pid", pid)).trim() !== "locked") continue;
      await run("--action", "unlock", "--pid", pid);
      unlocked.push(hostPid);
    } catch {
      stillLocked.push(hostPid);
    }
  }
  return { unlocked, stillLocked };
}

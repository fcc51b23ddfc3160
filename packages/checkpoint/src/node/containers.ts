import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import type { GpuUse } from "../core/verdict/gpu.ts";
import { readGpuUse } from "./nvidia.ts";
import { orGone } from "./proc.ts";

/** A process of a container that runs. */
export interface LiveProcess {
  /** On the node. */
  readonly hostPid: number;
  /** In the innermost PID namespace: what a checkpoint calls it. */
  readonly pid: number;
  readonly parentHostPid: number;
  /** The kernel's name of the task, at most 15 bytes. */
  readonly command: string;
  /** As in `/proc/<pid>/stat`, hexadecimal: where the program's stack and arguments begin. Chosen by chance at every start, kept by a restore. */
  readonly stackStart: string;
  readonly argumentsStart: string;
  readonly residentBytes: number;
  /** Of one that has NVIDIA devices open. */
  readonly gpu?: GpuUse;
  readonly openFiles: readonly { readonly fd: number; readonly target: string }[];
}

/** The same without names of files, which tell of a program's data. */
export interface LiveProcessSummary extends Omit<LiveProcess, "openFiles"> {
  /** What it has open that is no file, pipe or socket of its own: `anon_inode:[io_uring]`, `/dev/nvidia0`. */
  readonly openKinds: readonly string[];
}

/** What a checkpoint of a container that runs would meet. */
export interface LiveContainer<Process = LiveProcess> {
  readonly id: string;
  /** By host PID; none when it does not run. */
  readonly processes: readonly Process[];
  readonly residentBytes: number;
  /** A runtime is taking its checkpoint now. */
  readonly checkpointing: boolean;
  /** `address:port` in hexadecimal, as in `/proc/net/tcp`, with the state's number. */
  readonly tcp: readonly {
    readonly local: string;
    readonly remote: string;
    readonly state: "established" | "listen" | "other";
  }[];
}

const tcpStates: Readonly<Record<string, "established" | "listen">> = { "01": "established", "0A": "listen" };

async function readProcess(proc: string, hostPid: number): Promise<LiveProcess | undefined> {
  const folder = join(proc, String(hostPid));
  const [stat, status] = await Promise.all([
    orGone(readFile(join(folder, "stat"), "latin1")),
    orGone(readFile(join(folder, "status"), "latin1")),
  ]);
  if (stat === undefined || status === undefined) return undefined;
  // The name is in parentheses and may hold any of the separators.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const line = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  const hex = (text: string | undefined): string => `0x${BigInt(text ?? "0").toString(16)}`;
  const files = (await orGone(readdir(join(folder, "fd")))) ?? [];
  const openFiles = await Promise.all(
    files.map(async (fd) => ({ fd: Number(fd), target: (await orGone(readlink(join(folder, "fd", fd)))) ?? "" })),
  );
  const gpu = await readGpuUse(
    folder,
    openFiles.map(({ target }) => target),
  );
  return {
    hostPid,
    pid: Number(line("NSpid").split(/\s+/).at(-1)),
    parentHostPid: Number(fields[1]),
    command: stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")")),
    // Numbers of proc_pid_stat(5), counted from the state, which is the third.
    stackStart: hex(fields[28 - 3]),
    argumentsStart: hex(fields[48 - 3]),
    residentBytes: Number(line("VmRSS").split(" ")[0] || 0) * 1024,
    ...(gpu && { gpu }),
    openFiles: openFiles.filter(({ target }) => target !== "").toSorted((a, b) => a.fd - b.fd),
  };
}

/** `runc … checkpoint … <id>`: as runc and crun are called. */
async function isCheckpointOf(folder: string, id: string): Promise<boolean> {
  const name = (await orGone(readFile(join(folder, "comm"), "latin1")))?.trim() ?? "";
  if (!/^(runc|crun|youki)/.test(name)) return false;
  const words = ((await orGone(readFile(join(folder, "cmdline"), "latin1"))) ?? "").split("\0");
  return words.includes("checkpoint") && words.includes(id);
}

async function readTcp(proc: string, hostPid: number): Promise<LiveContainer["tcp"]> {
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((name) => orGone(readFile(join(proc, String(hostPid), "net", name), "latin1"))),
  );
  return tables.flatMap((table) =>
    (table ?? "")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => {
        const [, local = "", remote = "", state = ""] = line.trim().split(/\s+/);
        return { local, remote, state: tcpStates[state] ?? ("other" as const) };
      }),
  );
}

interface LiveContainerOptions {
  readonly proc?: string;
  /** Tells bytes of GPU memory by PID, where they are wanted: nvidia-smi takes its time. */
  readonly gpuMemory?: (() => Promise<ReadonlyMap<number, number>>) | undefined;
}

/**
 * What runs of a container, from `/proc`, by its control group. TCP connections are those of its network namespace: the whole pod's.
 *
 * @param id the engine's, without `containerd://`: 64 hexadecimal digits
 */
export async function readLiveContainer(
  id: string,
  { proc = "/proc", gpuMemory }: LiveContainerOptions = {},
): Promise<LiveContainer> {
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: LiveProcess[] = [];
  let checkpointing = false;
  for (const pid of pids) {
    const groups = await orGone(readFile(join(proc, String(pid), "cgroup"), "latin1"));
    // cri-containerd-<id>.scope, crio-<id>.scope, or the id itself.
    if (groups === undefined || !groups.includes(id)) {
      checkpointing ||= await isCheckpointOf(join(proc, String(pid)), id);
      continue;
    }
    const process = await readProcess(proc, pid);
    if (process) found.push(process);
  }
  const memory = found.some(({ gpu }) => gpu) ? await gpuMemory?.() : undefined;
  const processes = found
    .map((process) => {
      const deviceBytes = memory?.get(process.hostPid);
      return process.gpu && deviceBytes ? { ...process, gpu: { ...process.gpu, deviceBytes } } : process;
    })
    .toSorted((a, b) => a.hostPid - b.hostPid);
  const [first] = processes;
  return {
    id,
    processes,
    checkpointing,
    residentBytes: processes.reduce((sum, { residentBytes }) => sum + residentBytes, 0),
    tcp: first === undefined ? [] : await readTcp(proc, first.hostPid),
  };
}

const isPlain = (target: string): boolean =>
  (target.startsWith("/") && !/^\/dev\/(nvidia|kfd|dri|infiniband|fuse)/.test(target)) ||
  /^(pipe|socket):/.test(target);

export function summarizeContainer(container: LiveContainer): LiveContainer<LiveProcessSummary> {
  return {
    ...container,
    processes: container.processes.map(({ openFiles, ...process }) => ({
      ...process,
      openKinds: [...new Set(openFiles.map(({ target }) => target).filter((target) => !isPlain(target)))],
    })),
  };
}

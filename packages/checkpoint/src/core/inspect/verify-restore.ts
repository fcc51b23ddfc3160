import { bigintOf } from "./entry-fields.ts";
import type { Images } from "./image-set.ts";
import { readOpenFiles } from "./open-files.ts";
import { readProcesses } from "./processes.ts";
import { cudaPlugin, readPlugins } from "./summary.ts";

/** What is known of a process that goes on, or should. */
export interface RestoredProcess {
  /** In its innermost PID namespace. */
  readonly pid: number;
  readonly command: string;
  /** Hexadecimal addresses, as in `/proc/<pid>/stat`. */
  readonly stackStart: string;
  readonly argumentsStart: string;
  readonly openFiles: readonly { readonly fd: number; readonly target: string }[];
  /** Whatever is known of its use of NVIDIA GPUs; absent when it has none of their devices open. */
  readonly gpu?: object;
}

export interface RestoredState {
  readonly processes: readonly RestoredProcess[];
  /** As `/proc/net/tcp` writes them: `00000000:1F90`. */
  readonly listening: readonly string[];
  /** Commands of all processes that were seen lately. @default those of `processes` */
  readonly programs?: ReadonlySet<string>;
}

/** Something that is not as the checkpoint has it. */
export interface RestoreDifference {
  readonly subject: "processes" | "memory" | "files" | "sockets" | "gpu";
  readonly message: string;
}

const portOf = (address: string): number => Number.parseInt(address.slice(address.lastIndexOf(":") + 1), 16);

/**
 * Compares a container with the checkpoint that it should have gone on from. A restore keeps every process's id and the addresses of its stack and arguments, which the kernel
 * chooses by chance at a start: a program that began anew has others. What a program did since (children that came and went, more threads, files that it closed) is no difference, but its
 * first process, a listening socket or a program that is gone altogether are.
 *
 * @returns the differences; none when it is what was saved
 */
export async function verifyRestore(images: Images, live: RestoredState): Promise<readonly RestoreDifference[]> {
  const differences: RestoreDifference[] = [];
  const saved = (await readProcesses(images, { commandLines: false })).filter(
    ({ state }) => state !== "dead" && state !== "zombie",
  );
  if (saved.length === 0)
    return [{ subject: "processes", message: "the checkpoint holds no process that could go on" }];
  const byPid = new Map(live.processes.map((process) => [process.pid, process]));
  const programs = live.programs ?? new Set(live.processes.map(({ command }) => command));
  const first = saved.find(({ parent }) => !saved.some(({ pid }) => pid === parent)) ?? saved[0];
  let kept = 0;
  for (const process of saved) {
    const other = byPid.get(process.pid);
    const isFirst = process === first;
    if (other === undefined || other.command !== process.command) {
      const found = other === undefined ? "is not there" : `is "${other.command}"`;
      // A shell's commands come and go.
      if (isFirst || !programs.has(process.command))
        differences.push({
          subject: "processes",
          message: `process ${process.pid}, "${process.command}" in the checkpoint, ${found}`,
        });
      continue;
    }
    const [mm] = (await images.entries(`mm-${process.pid}.img`, "MM")) ?? [];
    const places = [
      ["stack", bigintOf(mm, "mm_start_stack"), other.stackStart],
      ["arguments", bigintOf(mm, "mm_arg_start"), other.argumentsStart],
    ] as const;
    const moved = places.filter(([, was, is]) => was !== undefined && was !== BigInt(is));
    if (moved.length === 0) kept++;
    else if (isFirst)
      for (const [what, was, is] of moved)
        differences.push({
          subject: "memory",
          message: `process ${process.pid}, "${process.command}", has its ${what} at ${is}, not at 0x${was?.toString(16)}: it began anew`,
        });
  }
  if (kept === 0 && differences.length === 0)
    differences.push({ subject: "memory", message: "no process is the one that was saved" });
  // CRIU restores a CUDA program without its devices and calls it a success where it cannot bring them back: it stands still at its next call (seen with CRIU 4.2.1 without cuda-checkpoint).
  if ((await readPlugins(images)).plugins.includes(cudaPlugin) && !live.processes.some(({ gpu }) => gpu))
    differences.push({
      subject: "gpu",
      message: "no process has an NVIDIA device: their GPU memory was not brought back, and they stand still",
    });
  const ports = new Set(live.listening.map(portOf));
  if (first !== undefined)
    for (const { fd, type, socket } of await readOpenFiles(images, first.pid)) {
      const port =
        socket?.source === undefined ? undefined : Number(socket.source.slice(socket.source.lastIndexOf(":") + 1));
      if (type === "INETSK" && socket?.state === "LISTEN" && port !== undefined && !ports.has(port))
        differences.push({
          subject: "sockets",
          message: `nothing listens on ${socket.source}, which descriptor ${fd} of process ${first.pid} did`,
        });
    }
  return differences;
}

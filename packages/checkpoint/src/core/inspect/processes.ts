import type { JsonObject } from "../criu/message-json.ts";
import { bigintOf, numberOf, numbersOf, objectOf, textOf } from "./entry-fields.ts";
import type { Images } from "./image-set.ts";
import { processMemory, shortRange } from "./memory.ts";

export type ProcessState = "alive" | "dead" | "stopped" | "zombie" | "unknown";

/** A process of a checkpoint; ids are those within its PID namespace. */
export interface CheckpointProcess {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** The kernel's name of the task, at most 15 bytes. */
  readonly command: string;
  readonly state: ProcessState;
  /** Absent when the checkpoint does not hold the pages that it is in. */
  readonly commandLine?: readonly string[];
  /** Secrets are in here: read only when asked for. */
  readonly environment?: readonly string[];
  readonly threads: readonly number[];
  readonly user?: number;
  readonly userGroup?: number;
  /** Bytes of pages that the checkpoint holds of it. */
  readonly memoryBytes: number;
}

/** criu/include/proc_parse.h; crit names them otherwise. */
const states: Readonly<Record<number, ProcessState>> = { 1: "alive", 2: "dead", 3: "stopped", 6: "zombie" };

/** As much as Linux lets a new process have (MAX_ARG_STRINGS aside): a quarter of the default stack. */
const textBytes = 2 * 1024 * 1024;

async function strings(
  images: Images,
  pid: number,
  mm: JsonObject | undefined,
  what: "arg" | "env",
): Promise<readonly string[] | undefined> {
  const from = bigintOf(mm, `mm_${what}_start`);
  const to = bigintOf(mm, `mm_${what}_end`);
  const memory = await processMemory(images, pid);
  if (from === undefined || to === undefined || memory === undefined || to < from) return undefined;
  if (to === from) return [];
  if (to - from > BigInt(textBytes)) {
    images.note(`mm-${pid}.img`, new Error(`says ${to - from} bytes of ${what}: more than a process may have`));
    return undefined;
  }
  try {
    const bytes = await shortRange(images, memory, from, to);
    return bytes && Buffer.from(bytes).toString("utf8").replace(/\0+$/, "").split("\0");
  } catch (error) {
    images.note(`pages-${memory.index.pagesId}.img`, error);
    return undefined;
  }
}

export interface ProcessOptions {
  /** @default true */
  readonly commandLines?: boolean;
  /** @default false */
  readonly environments?: boolean;
}

/** The processes of a checkpoint, in CRIU's order: parents before children. What cannot be read is noted in `images`. */
export async function readProcesses(
  images: Images,
  { commandLines = true, environments = false }: ProcessOptions = {},
): Promise<readonly CheckpointProcess[]> {
  const processes: CheckpointProcess[] = [];
  for (const entry of (await images.entries("pstree.img", "PSTREE")) ?? []) {
    const pid = numberOf(entry, "pid");
    if (pid === undefined) continue;
    const [core] = (await images.entries(`core-${pid}.img`, "CORE")) ?? [];
    const task = objectOf(core, "tc");
    const state = states[numberOf(task, "task_state") ?? 0] ?? "unknown";
    const isDead = state === "dead" || state === "zombie";
    const [mm] = isDead ? [] : ((await images.entries(`mm-${pid}.img`, "MM")) ?? []);
    const memory = isDead ? undefined : await processMemory(images, pid);
    const commandLine = commandLines && !isDead ? await strings(images, pid, mm, "arg") : undefined;
    const environment = environments && !isDead ? await strings(images, pid, mm, "env") : undefined;
    const credentials = objectOf(objectOf(core, "thread_core"), "creds");
    const user = numberOf(credentials, "uid");
    const userGroup = numberOf(credentials, "gid");
    processes.push({
      pid,
      parent: numberOf(entry, "ppid") ?? 0,
      group: numberOf(entry, "pgid") ?? 0,
      session: numberOf(entry, "sid") ?? 0,
      command: textOf(task, "comm") ?? "",
      state,
      ...(commandLine ? { commandLine } : {}),
      ...(environment ? { environment } : {}),
      threads: numbersOf(entry, "threads"),
      ...(user === undefined ? {} : { user }),
      ...(userGroup === undefined ? {} : { userGroup }),
      memoryBytes: memory?.index.bytes ?? 0,
    });
  }
  return processes;
}

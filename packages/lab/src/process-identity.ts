import { readFileSync } from "node:fs";
import { sleep } from "@fleetwright/kube";
import type { Clock } from "@fleetwright/kube";

/** A process, so that a later one that got the same number is never taken for it. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, `/proc/<pid>/stat` field 22, with the boot's id before it. */
  readonly startTime: string;
}

/** Who has this process id now; `undefined` when nobody, or only a zombie that waits for its parent. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The command in parentheses may hold anything, spaces and parentheses included: fields are counted from its end.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const startTicks = fields[18];
  if (startTicks === undefined || state === "Z" || state === "X") return undefined;
  return { pid, startTime: `${bootId()}-${startTicks}` };
}

/** Whether exactly this process still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identityOf(identity.pid)?.startTime === identity.startTime;
}

/** Ends exactly this process at once and waits until it is gone, at most `timeoutMs`. */
export async function endProcess(identity: ProcessIdentity, clock: Clock, timeoutMs: number): Promise<boolean> {
  const deadline = clock.now() + timeoutMs;
  if (isAlive(identity)) signalProcess(identity.pid, "SIGKILL");
  while (isAlive(identity)) {
    if (clock.now() >= deadline) return false;
    await sleep(clock, 20);
  }
  return true;
}

/** Sends a signal; a process that is gone already is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

let cachedBootId: string | undefined;
function bootId(): string {
  cachedBootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, 8);
  return cachedBootId;
}

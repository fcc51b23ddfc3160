import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { sleep, systemClock } from "@fleetwright/kube";

/** The sources of the program. */
export const programPath = fileURLToPath(new URL("../../packages/fleetwright/src/main.ts", import.meta.url));

/** How a program ended, and what it said. */
export interface Ended {
  /** The exit code, or the signal that ended it. */
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program as a process of its own. */
export interface RunningProgram {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** How it ended; `undefined` while it runs. */
  endedBy(): Ended | undefined;
  /** The first line (of either output) that matches, also one from earlier. Rejects when the program ends before. */
  line(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  signal(name: NodeJS.Signals): void;
  /** As a terminal does: to the program and all that it has in its process group. */
  signalGroup(name: NodeJS.Signals): void;
  /** `kill -9` if it still runs, and waits. */
  kill(): Promise<void>;
}

export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly cwd?: string;
}

/** Runs `fleetwright …` from the sources, with this Node, in a process group of its own. */
export function startProgram(args: readonly string[], options: ProcessOptions = {}): RunningProgram {
  return startProcess(process.execPath, [programPath, ...args], options);
}

/** Runs `fleetwright …` to its end. */
export function runProgram(args: readonly string[], options: ProcessOptions = {}): Promise<Ended> {
  return startProgram(args, options).ended;
}

/** Starts any program, without the KUBECONFIG of whoever runs the tests. */
export function startProcess(path: string, args: readonly string[], options: ProcessOptions = {}): RunningProgram {
  const { KUBECONFIG: _theirs, ...inherited } = process.env;
  const child: ChildProcess = spawn(path, args, {
    stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    detached: true,
    env: { ...inherited, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  // A program that does not read its input may end before it was written.
  child.stdin?.on("error", () => {});
  child.stdin?.end(options.stdin);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  let how: Ended | undefined;
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      how = { code: signal ?? code ?? -1, stdout, stderr };
      resolve(how);
    });
  });
  const { pid = 0 } = child;
  const send = (to: number, name: NodeJS.Signals): void => {
    // Not after its end: the number may be somebody else's by then.
    if (pid !== 0 && child.exitCode === null && child.signalCode === null) process.kill(to, name);
  };
  return {
    pid,
    ended,
    endedBy: () => how,
    async line(pattern, timeoutMs = 60_000) {
      const deadline = systemClock.now() + timeoutMs;
      for (;;) {
        const found = pattern.exec(stdout) ?? pattern.exec(stderr);
        if (found) return found;
        if (how) throw new Error(`ended (${how.code}) before it said ${String(pattern)}:\n${stdout}${stderr}`);
        if (systemClock.now() > deadline)
          throw new Error(`not within ${timeoutMs} ms: ${String(pattern)} in\n${stdout}${stderr}`);
        await sleep(systemClock, 20);
      }
    },
    signal: (name) => send(pid, name),
    signalGroup: (name) => send(-pid, name),
    async kill() {
      send(pid, "SIGKILL");
      await ended;
    },
  };
}

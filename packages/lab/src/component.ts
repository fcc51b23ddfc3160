import { spawn } from "node:child_process";
import { closeSync, openSync, readSync, fstatSync } from "node:fs";
import { basename } from "node:path";
import type { Clock } from "@fleetwright/kube";
import { labError } from "./errors.ts";
import { signalProcess } from "./process-identity.ts";
import type { Workspace } from "./workspace.ts";

/** `--name value`; a list is joined with commas; booleans are spelled out; `undefined` leaves the flag out. */
export type Flags = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** A process of the control plane. */
export interface Component {
  readonly name: string;
  readonly pid: number;
  readonly logPath: string;
  /** Resolves when the process has ended, with how (`exit code 1`, `SIGKILL`). */
  readonly ended: Promise<string>;
  /** How it ended; `undefined` while it runs. */
  endedBy(): string | undefined;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL when it still runs after `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

export interface ComponentOptions {
  readonly name: string;
  readonly path: string;
  /** What comes before the flags. */
  readonly arguments?: readonly string[];
  readonly flags: Flags;
  readonly workspace: Workspace;
  readonly logPath: string;
  readonly clock: Clock;
}

/** Turns flags into arguments. */
export function argumentsOf(flags: Flags): readonly string[] {
  return Object.entries(flags).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return [`--${name}=${Array.isArray(value) ? value.join(",") : String(value)}`];
  });
}

/** Those that a hard end of this process must take along: nobody else would know of them until the next start. */
const running = new Set<number>();
let exitHookSet = false;
function endWithThisProcess(pid: number): void {
  running.add(pid);
  if (exitHookSet) return;
  exitHookSet = true;
  process.on("exit", () => {
    for (const child of running) signalProcess(child, "SIGKILL");
  });
}

/** Starts a program; its output is appended to the log file. */
export async function startComponent(options: ComponentOptions): Promise<Component> {
  const { name, workspace, logPath, clock } = options;
  const log = openSync(logPath, "a", 0o600);
  // A group of its own: Ctrl-C reaches us alone, and we stop the parts in order.
  const child = spawn(options.path, [...(options.arguments ?? []), ...argumentsOf(options.flags)], {
    stdio: ["ignore", log, log],
    detached: true,
  });
  const { pid } = child;
  if (pid === undefined) {
    closeSync(log);
    const cause = await new Promise<unknown>((resolve) => child.once("error", resolve));
    throw labError("FW_LAB_START", `${name} cannot be run from ${options.path}: ${String(cause)}`, cause);
  }
  const identity = workspace.record(name, pid);
  closeSync(log);
  endWithThisProcess(pid);
  let how: string | undefined;
  const ended = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => {
      how = signal ?? `exit code ${code}`;
      running.delete(pid);
      resolve(how);
    });
  });
  const send = (signal: NodeJS.Signals): void => {
    if (how === undefined) signalProcess(pid, signal);
  };
  return {
    name,
    pid,
    logPath,
    ended,
    endedBy: () => how,
    signal: send,
    async stop(graceMs) {
      if (how === undefined) {
        send("SIGTERM");
        // A stopped process (SIGSTOP) would only note the SIGTERM.
        send("SIGCONT");
        const timer = clock.setTimer(graceMs, () => send("SIGKILL"));
        await ended;
        timer.cancel();
      }
      workspace.forget(identity);
    },
  };
}

/** The error of a component that did not get ready: how it ended, its last lines, and where all of them are. */
export function startFailure(component: Component, what: string): Error {
  const lines = lastLines(component.logPath, 8);
  const shown = lines.length === 0 ? "it wrote nothing" : `its last lines:\n  ${lines.join("\n  ")}`;
  return labError("FW_LAB_START", `${component.name} ${what}; ${shown}\n(all of its log: ${component.logPath})`);
}

/** Whether a component failed because somebody else took its port first. */
export function lostItsPort(component: Component): boolean {
  return lastLines(component.logPath, 40).some((line) => line.includes("address already in use"));
}

function lastLines(path: string, count: number): readonly string[] {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const buffer = Buffer.alloc(Math.min(size, 16_384));
    readSync(file, buffer, 0, buffer.length, size - buffer.length);
    return buffer
      .toString()
      .split("\n")
      .filter((line) => line.trim() !== "")
      .slice(-count);
  } catch (error) {
    return [`${basename(path)} cannot be read: ${String(error)}`];
  } finally {
    closeSync(file);
  }
}

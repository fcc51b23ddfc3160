import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startControlPlane } from "@fleetwright/lab";
import type { ServerProgram } from "@fleetwright/lab";
import { sleep, systemClock } from "@fleetwright/kube";
import type { Target } from "./connection.ts";

export type ServerName = "twin" | "real";

/** A server in processes of its own, and what they have taken so far. */
export interface MeasuredServer {
  readonly name: ServerName;
  /** As a member of system:masters. */
  readonly admin: Target;
  /** As a user whose rights come from RBAC alone. */
  user(name: string): Promise<Target>;
  /** Resident memory now and at most, in MB, of all of the server's processes together. */
  memory(): { readonly nowMb: number; readonly peakMb: number };
  /** Processor time so far, in seconds. */
  processorSeconds(): number;
  /** The longest stall of the twin's event loop since the last call, in milliseconds, as its own histogram has it; the real one has no loop. */
  longestStallMs(): Promise<number | undefined>;
  stop(): Promise<void>;
}

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The program as it is installed; what measures its event loop is loaded before it. */
function twinProgram(program: string): ServerProgram {
  return {
    path: process.execPath,
    arguments: ["--import", source("event-loop.ts"), program, "twin"],
    flags: (files, { port }) => ({ port, certificates: files.directory }),
  };
}

/** The kernel counts processor time in hundredths of a second. */
const ticksPerSecond = 100;

function processorSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function kilobytesOf(pid: number, field: "VmRSS" | "VmHWM"): number {
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
}

export async function startServer(name: ServerName, program: string): Promise<MeasuredServer> {
  const controlPlane = await startControlPlane(name === "twin" ? { server: twinProgram(program) } : {});
  const pids = (["kube-apiserver", "etcd"] as const)
    .map((component) => controlPlane.pid(component))
    .filter((pid) => pid !== undefined);
  const target = ({ certificate, key }: { readonly certificate: string; readonly key: string }): Target => ({
    port: controlPlane.port,
    ca: controlPlane.caCertificate,
    certificate,
    key,
  });
  const megabytes = (field: "VmRSS" | "VmHWM"): number =>
    pids.reduce((sum, pid) => sum + kilobytesOf(pid, field), 0) / 1024;
  let stalls = 0;
  return {
    name,
    admin: target(controlPlane.admin),
    user: async (user) => target(await controlPlane.issueUser(user)),
    memory: () => ({ nowMb: megabytes("VmRSS"), peakMb: megabytes("VmHWM") }),
    processorSeconds: () => pids.reduce((sum, pid) => sum + processorSecondsOf(pid), 0),
    async longestStallMs() {
      const [pid] = pids;
      if (name === "real" || pid === undefined) return undefined;
      process.kill(pid, "SIGUSR2");
      for (;;) {
        await sleep(systemClock, 20);
        const lines = (await readFile(controlPlane.logPath("kube-apiserver"), "utf8"))
          .split("\n")
          .filter((line) => line.startsWith("longest stall "));
        if (lines.length === stalls) continue;
        stalls = lines.length;
        return Number(lines.at(-1)?.split(" ")[2]);
      }
    },
    stop: () => controlPlane.stop(),
  };
}

export const sourceProgram = source("../../../packages/fleetwright/src/main.ts");
export const bundledProgram = join(source("../../../"), "dist", "fleetwright.mjs");

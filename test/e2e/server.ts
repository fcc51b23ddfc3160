import { fileURLToPath } from "node:url";
import { findBinaries, findBinary, startControlPlane } from "@fleetwright/lab";
import type { ControlPlane, ControlPlaneOptions, ServerProgram } from "@fleetwright/lab";

const program = fileURLToPath(new URL("../../packages/fleetwright/src/main.ts", import.meta.url));

/** What the twin cannot do yet is refused, so that no test believes it has asked for it. */
type TwinServerOptions = Omit<ControlPlaneOptions, "server" | "apiServerFlags" | "etcdFlags" | "admissionPlugins">;

/** The twin as a process of its own, with the lab's certificates: it can be stopped, killed and started again like the real server. */
export const twinProgram = (options: TwinServerOptions): ServerProgram => ({
  path: process.execPath,
  arguments: [program, "twin"],
  flags: (files, { directory, port }) => ({
    port,
    certificates: files.directory,
    state: `${directory}/state`,
    "history-window": options.compactionIntervalSeconds,
    // Every write in full, whatever the rules: who reads the log looks for what it needs.
    "audit-log": options.audit && `${directory}/logs/audit.jsonl`,
  }),
});

/** Which server the end-to-end tests run on: `FLEETWRIGHT_SERVER=twin` or the real one. */
export const serverName: "real" | "twin" = process.env["FLEETWRIGHT_SERVER"] === "twin" ? "twin" : "real";

/** Why there can be no kube-controller-manager and no kube-scheduler: programs are missing. Absent: there can. */
export const controllersProblem: string | undefined = await findBinaries().then(
  () => undefined,
  (error: Error) => error.message,
);
if (controllersProblem !== undefined) {
  console.warn(`SKIPPED: tests with kube-controller-manager, kube-scheduler or kubectl: ${controllersProblem}`);
}

/** The pinned kubectl, where it has been built. */
export const kubectl = (await findBinary("kubectl"))?.path;

/** A cluster's API for a test, on the server that this run is about. */
export function startServer(options: TwinServerOptions = {}): Promise<ControlPlane> {
  if (serverName === "real") return startControlPlane(options);
  return startControlPlane({ ...options, server: twinProgram(options) });
}

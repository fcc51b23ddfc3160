import { startControlPlane } from "@fleetwright/lab";
import type { ControlPlane, ControlPlaneOptions, ServerProgram } from "@fleetwright/lab";

/** The twin as a process of its own, with the lab's certificates: it can be stopped, killed and started again like the real server. */
const twin: ServerProgram = {
  path: process.execPath,
  arguments: ["packages/fleetwright/src/main.ts", "twin"],
  flags: (files, { directory, port }) => ({
    port,
    certificates: files.directory,
    state: `${directory}/state`,
  }),
};

/** Which server the end-to-end tests run on: `FLEETWRIGHT_SERVER=twin` or the real one. */
export const serverName: "real" | "twin" = process.env["FLEETWRIGHT_SERVER"] === "twin" ? "twin" : "real";

/** A cluster's API for a test, on the server that this run is about. */
export function startServer(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  if (serverName === "real") return startControlPlane(options);
  return startControlPlane({ ...options, server: twin });
}

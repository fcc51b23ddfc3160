import { readFile, writeFile } from "node:fs/promises";
import { loadCertificateAuthority } from "@fleetwright/kube";
import { startCluster, startTwin } from "@fleetwright/twin";
import type { TwinOptions } from "@fleetwright/twin";
import { defineCommand, flag, integer, text } from "../command.ts";

/** `fleetwright twin`: see docs/commands.md. */
export const twinCommand = defineCommand({
  name: "twin",
  summary: "Serve the API of a cluster from this process; Ctrl-C ends it",
  details:
    "An API server that behaves as kube-apiserver 1.36 does, without etcd; with --controllers the built-in controllers and a " +
    "default scheduler too. Needs nothing but Node. Where it differs: docs/twin-differences.md.",
  options: {
    address: text("--address <address>", "where to listen", "127.0.0.1"),
    port: integer("--port <port>", "port to listen on; 0 takes a free one", 0, 0, 65_535),
    kubeconfig: text("--kubeconfig <file>", "write the administrator's kubeconfig here"),
    state: text("--state <folder>", "keep everything in this folder, and go on from it (default: in memory)"),
    historyWindow: integer("--history-window <seconds>", "how long old versions can be read", 300, 1, 86_400),
    controllers: flag("--controllers", "also run the built-in controllers and a default scheduler"),
    auditLog: text("--audit-log <file>", "append every write to this file, one audit.k8s.io/v1 Event a line"),
    certificateDirectory: text(
      "--certificates <folder>",
      "folder with ca.crt, ca.key, apiserver.crt, apiserver.key and service-accounts.key (default: own ones)",
    ),
    logLevel: { ...text("--log-level <level>", "what is logged", "warn"), choices: ["debug", "info", "warn", "error"] },
  },
  async run(context, options) {
    const start = options.controllers ? startCluster : startTwin;
    const twin = await start({
      host: options.address,
      port: options.port,
      historyWindowMs: options.historyWindow * 1000,
      clock: context.clock,
      random: context.random,
      logger: context.createLogger(options.logLevel),
      ...(options.state === "" ? {} : { stateDirectory: options.state }),
      ...(options.auditLog === "" ? {} : { auditLogPath: options.auditLog }),
      ...(options.certificateDirectory === ""
        ? {}
        : { credentials: await readCredentials(options.certificateDirectory, context.clock) }),
    });
    if (options.kubeconfig !== "") await writeFile(options.kubeconfig, twin.kubeconfig, { mode: 0o600 });
    context.stdout(
      `ready: server=${twin.url}${options.kubeconfig === "" ? "" : ` kubeconfig=${options.kubeconfig}`}\n`,
    );
    if (!context.signal.aborted) {
      await new Promise<void>((resolve) => {
        context.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    await twin.stop();
  },
});

async function readCredentials(
  directory: string,
  clock: Parameters<typeof loadCertificateAuthority>[0],
): Promise<NonNullable<TwinOptions["credentials"]>> {
  // One after the other: of several that are missing, the first is named each time.
  const read = (name: string): Promise<string> => readFile(`${directory}/${name}`, "utf8");
  const authority = await loadCertificateAuthority(clock, {
    certificate: await read("ca.crt"),
    key: await read("ca.key"),
  });
  const serving = { certificate: await read("apiserver.crt"), key: await read("apiserver.key") };
  return { authority, serving, serviceAccountKey: await read("service-accounts.key") };
}

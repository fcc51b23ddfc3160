import { sizeHeap } from "@fleetwright/twin";
import { defineCommand, integer, text } from "../command.ts";
import { startUp } from "../up/up.ts";

/** `fleetwright up`: see docs/commands.md. */
export const upCommand = defineCommand({
  name: "up",
  summary: "Start a cluster with a fleet of simulated GPU nodes, the manager and workloads; Ctrl-C ends it",
  details:
    "Everything lives in this process and listens on loopback; kubectl uses the kubeconfig as it is. " +
    'With --cluster real the same runs on the real control plane, which "make kubernetes" brings.',
  options: {
    fleet: text(
      "--fleet <file>",
      "nodes and manifests (default: 24 nodes of three models, four teams and their quota)",
    ),
    cluster: {
      ...text("--cluster <kind>", "what it runs on: this process, or the real control plane", "twin"),
      choices: ["twin", "real"],
    },
    apiPort: integer("--api-port <port>", "port of the API server; 0 takes a free one", 0, 0, 65_535),
    state: text("--state <folder>", "keep everything in this folder, and go on from it (default: in memory)"),
    kubeconfig: text("--kubeconfig <file>", "where the kubeconfig goes (default: a folder that goes with the cluster)"),
    logLevel: {
      ...text("--log-level <level>", "what the manager logs", "warn"),
      choices: ["debug", "info", "warn", "error"],
    },
  },
  async run(context, options) {
    if (options.cluster !== "real") sizeHeap();
    const up = await startUp({
      clock: context.clock,
      random: context.random,
      logger: context.createLogger(options.logLevel),
      cluster: options.cluster === "real" ? "real" : "twin",
      apiPort: options.apiPort,
      ...(options.fleet === "" ? {} : { fleet: options.fleet }),
      ...(options.state === "" ? {} : { state: options.state }),
      ...(options.kubeconfig === "" ? {} : { kubeconfig: options.kubeconfig }),
      progress: (line) => context.stderr(`${line} …\n`),
      signal: context.signal,
    });
    context.stdout(`ready: kubeconfig=${up.kubeconfigPath} server=${up.url}\n`);
    if (!context.signal.aborted) {
      await new Promise<void>((resolve) => {
        context.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    context.stderr("stopping …\n");
    await up.stop();
  },
});

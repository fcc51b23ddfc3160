import { defineCommand, text } from "../command.ts";
import { startUp } from "../up.ts";

/** `fleetwright up`: see docs/commands.md. */
export const upCommand = defineCommand({
  name: "up",
  summary: "Start a cluster with 24 simulated GPU nodes, the manager and the example; Ctrl-C ends it",
  details: 'The control plane is a real one: it needs what "make kubernetes" brings. Everything listens on loopback.',
  options: {
    kubeconfig: text("--kubeconfig <file>", "also write the kubeconfig here"),
    logLevel: {
      ...text("--log-level <level>", "what the manager logs", "warn"),
      choices: ["debug", "info", "warn", "error"],
    },
  },
  async run(context, options) {
    const up = await startUp({
      clock: context.clock,
      random: context.random,
      logger: context.createLogger(options.logLevel),
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

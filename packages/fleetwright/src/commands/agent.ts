import { hostFacts, openStore, startImageServer } from "@fleetwright/checkpoint";
import { defineCommand, integer, text } from "../command.ts";

/** `fleetwright agent`: see docs/checkpoints.md. */
export const agentCommand = defineCommand({
  name: "agent",
  summary: "Look after the checkpoints of the node that this runs on",
  details:
    "Describes the archives that the kubelet leaves, and serves them as images to the node's own engine, on loopback. It never calls the API server.",
  options: {
    store: text("--checkpoints <folder>", "where the kubelet puts checkpoints", "/var/lib/kubelet/checkpoints"),
    imagePort: integer("--image-port <port>", "port of the images on 127.0.0.1; 0 takes a free one", 5780, 0, 65_535),
    logLevel: { ...text("--log-level <level>", "what is logged", "info"), choices: ["debug", "info", "warn", "error"] },
  },
  async run(context, options) {
    const logger = context.createLogger(options.logLevel);
    const store = await openStore(options.store, { host: hostFacts() });
    const server = await startImageServer({ store, port: options.imagePort, logger });
    const { checkpoints, unreadable } = await store.list();
    for (const { file, problem } of unreadable) logger.warn({ file, problem }, "not a checkpoint");
    context.stdout(
      `ready: ${checkpoints.length} checkpoints in ${store.directory}, images on localhost:${server.port}\n`,
    );
    if (!context.signal.aborted)
      await new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve(), { once: true }));
    await server.close();
  },
});

import { createClient, FleetwrightError, loadKubeconfig } from "@fleetwright/kube";
import { startNodes } from "@fleetwright/nodes";
import type { NodePool } from "@fleetwright/nodes";
import { clusterOptions, defineCommand, integer, text } from "../command.ts";
import { readFleetFile } from "../fleet/fleet-file.ts";
import { gpuModels } from "../fleet/gpu-models.ts";

/** `fleetwright nodes`: see docs/nodes.md. */
export const nodesCommand = defineCommand({
  name: "nodes",
  summary: "Attach simulated nodes to a cluster; Ctrl-C ends their heartbeats",
  details:
    "Nodes as objects, with kubelets that run pods by a script (docs/nodes.md). They attach to any API server, a real one too; " +
    "their objects stay when this ends, and the node controller finds them dead.",
  options: {
    ...clusterOptions,
    fleet: text("--fleet <file>", "the pools of a fleet file, instead of the options below"),
    name: text("--name <name>", "nodes are called <name>-0, <name>-1, …", "sim"),
    count: integer("--count <count>", "how many", 1, 1, 20_000),
    model: text("--model <model>", `GPUs of each node: ${Object.keys(gpuModels).join(", ")} (default: none)`),
    cpu: text("--cpu <amount>", "processors of each node (default: the model's, or 64)"),
    memory: text("--memory <amount>", "memory of each node (default: the model's, or 512Gi)"),
    connections: integer("--connections <count>", "calls at a time", 32, 1, 512),
    logLevel: { ...text("--log-level <level>", "what is logged", "warn"), choices: ["debug", "info", "warn", "error"] },
  },
  async run(context, options) {
    const pools = options.fleet === "" ? [poolOf(options)] : (await readFleetFile(options.fleet)).pools;
    const kubeconfig = loadKubeconfig({
      ...(options.kubeconfig === "" ? {} : { kubeconfig: options.kubeconfig }),
      ...(options.context === "" ? {} : { context: options.context }),
    });
    const { clock, random } = context;
    const logger = context.createLogger(options.logLevel);
    const client = createClient({ kubeconfig, clock, logger, connections: options.connections, timeoutMs: 120_000 });
    try {
      const nodes = await startNodes({ client, pools, clock, random, logger, concurrency: options.connections });
      context.stdout(`ready: ${nodes.names.length} nodes\n`);
      if (!context.signal.aborted) {
        await new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve(), { once: true }));
      }
      await nodes.stop();
    } finally {
      await client.close();
    }
  },
});

function poolOf(options: {
  readonly name: string;
  readonly count: number;
  readonly model: string;
  readonly cpu: string;
  readonly memory: string;
}): NodePool {
  const model = options.model === "" ? undefined : gpuModels[options.model];
  if (options.model !== "" && model === undefined) {
    throw new FleetwrightError(
      "FW_FLAG",
      `--model ${JSON.stringify(options.model)}: known are ${Object.keys(gpuModels).join(", ")}`,
    );
  }
  const cpu = options.cpu || model?.cpu;
  const memory = options.memory || model?.memory;
  return {
    name: options.name,
    count: options.count,
    ...(cpu === undefined ? {} : { cpu }),
    ...(memory === undefined ? {} : { memory }),
    ...(model === undefined ? {} : { gpu: { product: model.product, count: model.gpus, memoryMiB: model.memoryMiB } }),
  };
}

import { readFile } from "node:fs/promises";
import { Registry } from "prom-client";
import type { CheckpointSettings } from "../checkpoints.ts";
import { clusterOptions, defineCommand, duration, flag, integer, text } from "../command.ts";
import { withCluster } from "../connection.ts";
import { readRegistryOptions, registryOptions } from "../registry-options.ts";
import { startManager } from "../manager.ts";
import { parseAddress, parseServiceName } from "../address.ts";

async function checkpointSettings(options: {
  readonly agentCertDir: string;
  readonly agentPort: number;
  readonly kubeletCertDir: string;
  readonly plainRegistries: string;
  readonly registryCa: string;
  readonly signingKey: string;
  readonly checkpointsPerNode: number;
}): Promise<CheckpointSettings> {
  return {
    agentCertificates: options.agentCertDir,
    agentPort: options.agentPort,
    maxConcurrentPerNode: options.checkpointsPerNode,
    ...(options.kubeletCertDir === "" ? {} : { kubeletCertificates: options.kubeletCertDir }),
    ...(await readRegistryOptions(options)),
    ...(options.signingKey === "" ? {} : { signingKey: await readFile(options.signingKey, "utf8") }),
  };
}

/** `fleetwright manager`: see docs/manager.md. */
export const managerCommand = defineCommand({
  name: "manager",
  summary: "Run the controllers and webhooks; several replicas may run, one of them reconciles",
  options: {
    ...clusterOptions,
    namespace: text(
      "--namespace <name>",
      "namespace of the manager's own objects; it is exempt from the webhooks",
      "fleetwright-system",
    ),
    webhookAddress: text(
      "--webhook-address <address>",
      "where webhooks listen; port 0 takes a free one",
      "0.0.0.0:9443",
    ),
    webhookService: text(
      "--webhook-service <namespace/name>",
      "Service by which the API server reaches the webhooks (default: fleetwright-manager in --namespace)",
    ),
    webhookUrl: text("--webhook-url <url>", "URL by which the API server reaches the webhooks, instead of a Service"),
    certDir: text(
      "--cert-dir <folder>",
      "folder with tls.crt, tls.key and ca.crt, read again when they change (default: own CA in a Secret)",
    ),
    healthAddress: text(
      "--health-address <address>",
      'where /healthz, /readyz and /metrics are served; "off" for nowhere',
      "0.0.0.0:8080",
    ),
    leaderElect: text("--leader-elect <on|off>", 'let one replica reconcile; "off" only where a single one runs', "on"),
    quotaRefresh: duration("--quota-refresh <duration>", "how often every group is recomputed", 300_000),
    quotaWorkers: integer("--quota-workers <count>", "groups that are recomputed at once", 5, 1, 100),
    quotaHoldLife: duration(
      "--quota-hold-life <duration>",
      "how long an admitted change is held before a live read looks for it; must exceed the API server's request timeout",
      90_000,
    ),
    requireBizGroup: flag(
      "--require-biz-group",
      "refuse workloads without a group in every namespace, not only in labelled ones",
    ),
    agentCertDir: text(
      "--agent-cert-dir <folder>",
      "folder with tls.crt and tls.key that the nodes' agents know, and their ca.crt (default: no checkpoints)",
    ),
    agentPort: integer("--agent-port <port>", "where agents listen on their nodes", 5781, 1, 65_535),
    kubeletCertDir: text(
      "--kubelet-cert-dir <folder>",
      "folder with tls.crt and tls.key of a user that may create nodes/checkpoint, and the kubelets' ca.crt (default: through the API server)",
    ),
    ...registryOptions,
    signingKey: text("--signing-key <file>", "private key, PEM, that checkpoints in registries are signed with"),
    checkpointsPerNode: integer(
      "--checkpoints-per-node <count>",
      "containers of a node that are frozen at once",
      1,
      1,
      64,
    ),
    qps: integer("--kube-api-qps <count>", "calls a second to the API server; 0 is no limit", 0, 0, 100_000),
    burst: integer("--kube-api-burst <count>", "calls at once above that rate; 0 is the rate itself", 0, 0, 100_000),
    logLevel: { ...text("--log-level <level>", "what is logged", "info"), choices: ["debug", "info", "warn", "error"] },
  },
  async run(context, options) {
    const logger = context.createLogger(options.logLevel);
    const metrics = new Registry();
    await withCluster(
      context,
      options,
      async (client) => {
        const manager = await startManager({
          client,
          metrics,
          clock: context.clock,
          random: context.random,
          logger,
          namespace: options.namespace,
          webhookAddress: parseAddress(options.webhookAddress, "--webhook-address"),
          callers:
            options.webhookUrl === ""
              ? {
                  kind: "service",
                  service: parseServiceName(options.webhookService, {
                    namespace: options.namespace,
                    name: "fleetwright-manager",
                  }),
                }
              : { kind: "url", url: options.webhookUrl },
          ...(options.certDir === "" ? {} : { certificateDirectory: options.certDir }),
          ...(options.healthAddress === "off"
            ? {}
            : { healthAddress: parseAddress(options.healthAddress, "--health-address") }),
          leaderElect: options.leaderElect !== "off",
          quota: {
            refreshMs: options.quotaRefresh,
            workers: options.quotaWorkers,
            holdLifeMs: options.quotaHoldLife,
            requireGroup: options.requireBizGroup,
          },
          ...(options.agentCertDir === "" ? {} : { checkpoints: await checkpointSettings(options) }),
          signal: context.signal,
        });
        await manager.done;
      },
      { qps: options.qps, burst: options.burst, metrics },
    );
  },
});

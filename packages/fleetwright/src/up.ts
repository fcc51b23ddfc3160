import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BizGroupResourceQuotas } from "@fleetwright/api";
import {
  ApiError,
  createClient,
  Deployments,
  loadKubeconfig,
  silentLogger,
  StatefulSets,
  type Client,
  type Clock,
  type Logger,
  type Random,
} from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";
import { startNodes } from "@fleetwright/nodes";
import { exampleDirectory, exampleFleet } from "./example-fleet.ts";
import { applyObjects, eventually, installCustomResources } from "./install.ts";
import { readManifest } from "./manifest.ts";
import { startManager } from "./manager.ts";

export interface UpOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Also write the kubeconfig here. */
  readonly kubeconfig?: string;
  /** Says what is being done, a line at a time. */
  readonly progress: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A cluster that runs in this process and its children. */
export interface Up {
  readonly kubeconfigPath: string;
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts a control plane, nodes, the manager and the example, in this order, and resolves when the example's workloads run.
 * What was started is stopped again when something fails.
 */
export async function startUp(options: UpOptions): Promise<Up> {
  const { clock, random, logger, progress, signal } = options;
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).toReversed()) await one();
  };
  try {
    progress("starting a control plane");
    const controlPlane = await startControlPlane({ controllerManager: true, scheduler: true, clock, random });
    stops.push(() => controlPlane.stop());
    let { kubeconfigPath } = controlPlane;
    if (options.kubeconfig !== undefined) {
      await mkdir(dirname(options.kubeconfig), { recursive: true });
      await copyFile(kubeconfigPath, options.kubeconfig);
      kubeconfigPath = options.kubeconfig;
    }
    const connect = (): Client => {
      const config = loadKubeconfig({ kubeconfig: controlPlane.kubeconfigPath });
      const made = createClient({ kubeconfig: config, clock, logger: silentLogger });
      stops.push(() => made.close());
      return made;
    };
    const client = connect();

    await installCustomResources(client, clock, signal);
    const count = exampleFleet.reduce((sum, pool) => sum + pool.count, 0);
    progress(`starting ${count} simulated nodes`);
    const nodes = await startNodes({ client, pools: exampleFleet, clock, random, logger });
    stops.push(() => nodes.stop());

    progress("starting the manager");
    const stopManager = new AbortController();
    const manager = await startManager({
      // Its own connections: a create that waits for the webhook must not keep the webhook's writes waiting.
      client: connect(),
      clock,
      random,
      logger,
      namespace: "fleetwright-system",
      webhookAddress: { host: "127.0.0.1", port: 0 },
      callers: { kind: "url" },
      leaderElect: false,
      quota: {},
      signal: stopManager.signal,
    });
    stops.push(async () => {
      stopManager.abort();
      await manager.done;
    });
    await webhooksCalled(client, clock, signal);

    progress("applying the example: four teams, their quota tree and workloads");
    for (const file of ["quota.yaml", "workloads.yaml"]) {
      const objects = await readManifest(join(exampleDirectory(), file), async () => "");
      await applyObjects(client, objects, signal);
    }
    await eventually("the example's workloads run", clock, 60_000, signal, async () =>
      (await pendingWorkloads(client, signal)) === 0 ? true : undefined,
    );
    return { kubeconfigPath, url: controlPlane.url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The API server learns of webhooks through a watch: waits until it asks ours, by a group that only the webhook refuses. */
async function webhooksCalled(client: Client, clock: Clock, signal: AbortSignal): Promise<void> {
  const probe = {
    metadata: { name: "fleetwright-probe" },
    spec: { parentBizGroup: "fleetwright-no-such-group", hard: {} },
  };
  await eventually("the API server calls the webhooks", clock, 30_000, signal, async () => {
    try {
      await client.create(BizGroupResourceQuotas, probe, { dryRun: true, signal });
      return undefined;
    } catch (error) {
      if (error instanceof ApiError && error.message.includes("fleetwright-no-such-group")) return true;
      if (error instanceof ApiError && error.httpStatus >= 500) return undefined;
      throw error;
    }
  });
}

async function pendingWorkloads(client: Client, signal: AbortSignal): Promise<number> {
  const [deployments, statefulSets] = await Promise.all([
    client.list(Deployments, { signal }),
    client.list(StatefulSets, { signal }),
  ]);
  const waiting = (
    items: readonly {
      readonly spec?: { readonly replicas?: number };
      readonly status?: { readonly readyReplicas?: number };
    }[],
  ): number => items.filter(({ spec, status }) => (status?.readyReplicas ?? 0) < (spec?.replicas ?? 1)).length;
  return waiting(deployments.items) + waiting(statefulSets.items);
}

import { BizGroupResourceQuotas } from "@fleetwright/api";
import { ApiError, ConfigMaps, isNotFound } from "@fleetwright/kube";
import type { Client, Clock, Logger, Random } from "@fleetwright/kube";
import { exampleFleetFile } from "../fleet/example.ts";
import { readFleetFile } from "../fleet/fleet-file.ts";
import { startManager } from "../manager.ts";
import { readManifest } from "../manifest.ts";
import type { ManifestObject } from "../manifest.ts";
import { startRealGround, startTwinGround } from "./ground.ts";
import { applyObjects, eventually, installCustomResources } from "./install.ts";
import { workloadProgress } from "./waiting-pods.ts";

export interface UpOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** What the fleet runs on: this process, or the real control plane as child processes. */
  readonly cluster: "twin" | "real";
  /** Path of a fleet file. @default the example */
  readonly fleet?: string;
  /** Of the twin; 0 takes a free one. */
  readonly apiPort: number;
  /** Folder in which the twin keeps everything. @default in memory */
  readonly state?: string;
  /** Where the kubeconfig goes. @default a folder that goes with the cluster */
  readonly kubeconfig?: string;
  /** Says what is being done, a line at a time. */
  readonly progress: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A cluster with a fleet and the manager. */
export interface Up {
  readonly kubeconfigPath: string;
  readonly url: string;
  stop(): Promise<void>;
}

const namespace = "fleetwright-system";
/** Says that the fleet's manifests have been applied: a cluster that goes on from its state keeps what users made of them. */
const marker = { namespace, name: "fleetwright-up" };

/**
 * Starts a cluster with nodes, the manager and the fleet's manifests, in this order, and resolves when the workloads run (or
 * cannot: that is said). What was started is stopped again when something fails.
 *
 * @throws FleetwrightError `FW_FLEET_FILE`, `FW_MANIFEST`, `FW_TWIN_LISTEN`, `FW_TWIN_STATE`, `FW_UP_TIMEOUT`
 */
export async function startUp(options: UpOptions): Promise<Up> {
  const { clock, random, logger, progress, signal } = options;
  // Files first: what is wrong in them must not cost a start.
  const fleet = await readFleetFile(options.fleet ?? exampleFleetFile());
  const manifests: (readonly ManifestObject[])[] = [];
  for (const path of fleet.manifests) manifests.push(await readManifest(path, async () => ""));
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).toReversed()) await one();
  };
  try {
    const count = fleet.pools.reduce((sum, pool) => sum + pool.count, 0);
    progress(`starting a ${options.cluster === "twin" ? "cluster" : "control plane"} with ${count} simulated nodes`);
    const start = options.cluster === "twin" ? startTwinGround : startRealGround;
    const ground = await start({ ...options, pools: fleet.pools });
    stops.push(() => ground.stop());
    const client = ground.connect();
    await installCustomResources(client, clock, signal);

    progress("starting the manager");
    const stopManager = new AbortController();
    const manager = await startManager({
      // Its own connections: a create that waits for the webhook must not keep the webhook's writes waiting.
      client: ground.connect(),
      clock,
      random,
      logger,
      namespace,
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
    await applyOnce(client, manifests, options);
    return { kubeconfigPath: ground.kubeconfigPath, url: ground.url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function applyOnce(
  client: Client,
  manifests: readonly (readonly ManifestObject[])[],
  { clock, progress, signal }: UpOptions,
): Promise<void> {
  if (await exists(client)) {
    progress("going on from the state: the fleet's manifests are not applied again");
  } else {
    if (manifests.length > 0) progress("applying the fleet's manifests");
    for (const objects of manifests) await applyObjects(client, objects, signal);
    await client.create(ConfigMaps, { metadata: marker }, { signal });
  }
  const end = await eventually("the workloads run", clock, 60_000, signal, async () => {
    const now = await workloadProgress(client, signal);
    return now.settled ? now : undefined;
  });
  if (end.unschedulable.length === 0) return;
  progress(`${end.started} pods run, ${end.unschedulable.length} wait for room`);
  for (const line of end.unschedulable.slice(0, 5)) progress(`  ${line}`);
}

async function exists(client: Client): Promise<boolean> {
  try {
    await client.get(ConfigMaps, marker);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
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

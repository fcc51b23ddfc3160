import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createClient, FleetwrightError, loadKubeconfig, silentLogger } from "@fleetwright/kube";
import type { Client, Clock, Logger, Random } from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";
import { startNodes } from "@fleetwright/nodes";
import type { NodePool } from "@fleetwright/nodes";
import { startCluster } from "@fleetwright/twin";

export interface GroundOptions {
  readonly pools: readonly NodePool[];
  /** 0 takes a free one. */
  readonly apiPort: number;
  /** Absent: in memory. */
  readonly state?: string;
  /** Absent: in a folder that goes with the cluster. */
  readonly kubeconfig?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A cluster with its nodes, before anything of ours is on it. */
export interface Ground {
  readonly kubeconfigPath: string;
  readonly url: string;
  /** A client with connections of its own. */
  connect(): Client;
  stop(): Promise<void>;
}

/** A cluster in this process. */
export async function startTwinGround(options: GroundOptions): Promise<Ground> {
  const { pools, apiPort, state, clock, random, logger } = options;
  const cluster = await startCluster({
    pools,
    port: apiPort,
    clock,
    random,
    logger,
    ...(state === undefined ? {} : { stateDirectory: state }),
  });
  const clients: Client[] = [];
  let folder: string | undefined;
  const stop = async (): Promise<void> => {
    for (const client of clients) await client.close();
    await cluster.stop();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  };
  try {
    if (options.kubeconfig === undefined) folder = await mkdtemp(join(tmpdir(), "fleetwright-"));
    const kubeconfigPath = options.kubeconfig ?? join(folder ?? "", "kubeconfig");
    await mkdir(dirname(kubeconfigPath), { recursive: true });
    await writeFile(kubeconfigPath, cluster.kubeconfig, { mode: 0o600 });
    return {
      kubeconfigPath,
      url: cluster.url,
      connect() {
        const user = { username: "kubernetes-admin", groups: ["system:masters", "system:authenticated"] };
        const client = createClient({ transport: cluster.transport(user), clock, logger: silentLogger });
        clients.push(client);
        return client;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The real control plane, as child processes. */
export async function startRealGround(options: GroundOptions): Promise<Ground> {
  const { pools, clock, random, logger } = options;
  if (options.state !== undefined || options.apiPort !== 0) {
    throw new FleetwrightError("FW_FLAG", "--state and --api-port are the twin's: leave them out with --cluster real");
  }
  const controlPlane = await startControlPlane({ controllerManager: true, scheduler: true, clock, random });
  const clients: Client[] = [];
  const stops: (() => Promise<void>)[] = [() => controlPlane.stop()];
  const stop = async (): Promise<void> => {
    for (const client of clients) await client.close();
    for (const one of stops.splice(0).toReversed()) await one();
  };
  const connect = (): Client => {
    const kubeconfig = loadKubeconfig({ kubeconfig: controlPlane.kubeconfigPath });
    const client = createClient({ kubeconfig, clock, logger: silentLogger });
    clients.push(client);
    return client;
  };
  try {
    let { kubeconfigPath } = controlPlane;
    if (options.kubeconfig !== undefined) {
      await mkdir(dirname(options.kubeconfig), { recursive: true });
      await copyFile(kubeconfigPath, options.kubeconfig);
      kubeconfigPath = options.kubeconfig;
    }
    const nodes = await startNodes({ client: connect(), pools, clock, random, logger });
    stops.push(() => nodes.stop());
    return { kubeconfigPath, url: controlPlane.url, connect, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

import { createCache, createClient, silentLogger, systemClock, systemRandom } from "@fleetwright/kube";
import type { Cache, Client, Logger, Transport, UserInfo } from "@fleetwright/kube";
import { startNodes } from "@fleetwright/nodes";
import type { NodePool, SimulatedNodes, SimulatedNodesOptions } from "@fleetwright/nodes";
import { createControllerContext } from "../controllers/context.ts";
import type { ControllerContext, Part } from "../controllers/context.ts";
import type { Kubelets } from "../machinery/kubelets.ts";
import { createScheduler } from "../scheduler/scheduler.ts";
import { startTwin } from "../server/start-twin.ts";
import type { Twin, TwinOptions } from "../server/start-twin.ts";
import { builtinControllers } from "./builtin-controllers.ts";

export interface ClusterOptions extends TwinOptions {
  /** Simulated nodes. @default none */
  readonly pools?: readonly NodePool[];
  /** What the nodes' simulation is told beside that. */
  readonly nodes?: Pick<
    SimulatedNodesOptions,
    "jobRunForMs" | "concurrency" | "heartbeats" | "renewalsPerSecond" | "maxRenewalIntervalMs"
  >;
  /** Whether the scheduler and the nodes say what they do with each pod, as Events. @default with up to a thousand nodes */
  readonly podEvents?: boolean;
  /** What `kube-root-ca.crt` says. @default the server's own authority */
  readonly rootCertificate?: string;
  /** Puts something between the server and who calls it from inside: faults, a journal. @default nothing */
  readonly wrapTransport?: (transport: Transport, user: UserInfo | undefined) => Transport;
}

/** Controllers fail and try again all the time, as upstream's do: that is for who looks closely. */
function asDetails(logger: Logger): Logger {
  const debug: Logger["debug"] = (fields, message) => logger.debug(fields, message);
  return { debug, info: debug, warn: debug, error: debug, child: (fields) => asDetails(logger.child(fields)) };
}

/** A whole cluster in this process. */
export interface Cluster extends Twin {
  readonly nodes: SimulatedNodes;
  /** The controllers', the scheduler's and the nodes' view of it. */
  readonly cache: Cache;
  /** Calls without a connection, as a member of system:masters. */
  readonly client: Client;
}

/** Everybody in this process keeps up: old versions are for who comes from outside. */
const historyLimitBytes = 128 * 2 ** 20;

/** The cache holds what the server holds: leaving something out would be a copy. */
const asStored = <T>(object: T): T => object;

const nodeCount = (pools: readonly NodePool[]): number => pools.reduce((sum, { count }) => sum + count, 0);
const version = "v1.36.3";
const scheduler: UserInfo = { username: "system:kube-scheduler", groups: ["system:authenticated"] };
/** One identity for all kubelets: the node authorizer of thousands would ask for each what this one may anyway. */
const kubelets: UserInfo = { username: "system:kubelets", groups: ["system:masters", "system:authenticated"] };

/**
 * Starts an API server with kube-controller-manager's controllers, a default scheduler and simulated nodes. Resolves when all nodes are Ready.
 * With a `VirtualClock` and a seeded `random` the same calls lead to the same bytes.
 *
 * @throws FleetwrightError as {@link startTwin} and `startNodes`; nothing is left running
 *
 * @example
 * await using cluster = await startCluster({ pools: [{ name: "a100", count: 4, gpu: { product: "NVIDIA-A100-SXM4-80GB", count: 8 } }] });
 * await cluster.client.create(Pods, pod);
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { clock = systemClock, random = systemRandom, logger = silentLogger, pools = [] } = options;
  const late: { nodes?: SimulatedNodes } = {};
  const kubeletsOf: Kubelets = {
    logs(pod, ask, signal) {
      if (late.nodes === undefined) throw new Error("the nodes are still starting");
      return late.nodes.logs(pod, ask, signal);
    },
  };
  const server = await startTwin({
    historyLimitBytes,
    keeps: "objects",
    ...options,
    kubelets: kubeletsOf,
    clock,
    random,
    logger,
  });
  const { wrapTransport = (transport) => transport } = options;
  const transportOf = (user?: UserInfo): Transport => wrapTransport(server.transport(user), user);
  const newestOnly =
    (transport: Transport): Transport =>
    (request, signal) =>
      transport({ ...request, newestOnly: true }, signal);
  const connect = (
    user: UserInfo | undefined,
    agent: string,
    wrap = (transport: Transport): Transport => transport,
  ): Client =>
    createClient({
      transport: wrap(transportOf(user)),
      clock,
      logger,
      onWarning() {},
      // The server is in this process and always answers.
      timeoutMs: Infinity,
      userAgent: `${agent}/${version} (linux/amd64)`,
    });
  const client = connect(undefined, "fleetwright");
  const cache = createCache({
    client: connect(undefined, "fleetwright", newestOnly),
    clock,
    random,
    logger,
    transform: asStored,
  });
  const context: ControllerContext = createControllerContext({
    transport: transportOf,
    cache,
    heartbeatOf: (name) => late.nodes?.heartbeatOf(name),
    caCertificate: options.rootCertificate ?? server.caCertificate,
    clock,
    random,
    logger: asDetails(logger),
  });
  const parts: readonly Part[] = [
    ...builtinControllers.flatMap((controllers) => controllers(context)),
    createScheduler({
      client: connect(scheduler, "kube-scheduler"),
      cache,
      clock,
      random,
      logger: asDetails(logger),
      events: options.podEvents ?? nodeCount(pools) <= 1_000,
    }),
  ];

  const stopParts = new AbortController();
  const stopCache = new AbortController();
  const running: Promise<void>[] = [];
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopping ??= (async () => {
      stopParts.abort();
      await late.nodes?.stop();
      await Promise.all(running);
      stopCache.abort();
      await following;
      await server.stop();
    })());
  const following = cache.run(stopCache.signal);
  try {
    await cache.waitForSync();
    for (const part of parts) running.push(part.start(stopParts.signal));
    const nodes = await startNodes({
      ...options.nodes,
      events: options.podEvents ?? nodeCount(pools) <= 1_000,
      client: connect(kubelets, "kubelet"),
      cache,
      pools,
      clock,
      random,
      logger,
    });
    late.nodes = nodes;
    return {
      ...server,
      get activity() {
        return server.activity;
      },
      transport: transportOf,
      nodes,
      cache,
      client,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

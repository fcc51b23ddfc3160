import { createCache, Nodes, Pods, silentLogger, systemClock, systemRandom } from "@fleetwright/kube";
import type { Cache, Client, Clock, Logger, ObjectKey, Random } from "@fleetwright/kube";
import { NodeKeeper } from "./node-keeper.ts";
import type { NodePool } from "./node-object.ts";
import { podLogs } from "./pod-logs.ts";
import type { PodLogOptions } from "./pod-logs.ts";
import { PodRunner } from "./pod-runner.ts";
import { projectNode, projectPod } from "./projection.ts";

export interface SimulatedNodesOptions {
  /** Unlimited or some hundred calls a second; for thousands of nodes, with more `connections` than its default. */
  readonly client: Client;
  /** Share the caller's watches, which must be running. @default its own, with only the fields that it needs */
  readonly cache?: Cache;
  readonly pools: readonly NodePool[];
  /** How long pods of Jobs run that do not say, in milliseconds. @default 1000 */
  readonly jobRunForMs?: number;
  /**
   * Calls in flight; as many as the client has connections. Pods and registrations take at most three quarters of them,
   * so that a burst does not hold up the heartbeats. @default 16, the client's own default
   */
  readonly concurrency?: number;
  /** Bound of lease renewals; with more nodes each renews less often, down to {@link maxRenewalIntervalMs}. @default 100 */
  readonly renewalsPerSecond?: number;
  /**
   * The longest time between two renewals of a lease, in milliseconds. The node controller gives a node up after 50 s
   * (its `--node-monitor-grace-period`): raise both on a machine that cannot keep up. @default 35_000
   */
  readonly maxRenewalIntervalMs?: number;
  /** How often a node reports its unchanged status, in milliseconds. @default 300_000, the kubelet's */
  readonly statusIntervalMs?: number;
  /**
   * `derived`: a healthy node writes its lease once and then nothing; whoever watches over nodes asks {@link SimulatedNodes.heartbeatOf}.
   * @default "written"
   */
  readonly heartbeats?: "written" | "derived";
  /** Whether kubelets say what they do with pods, as Events. @default for up to a thousand nodes */
  readonly events?: boolean;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

export interface SimulatedNodes {
  readonly names: readonly string[];
  /**
   * When a node was last alive, in milliseconds: now, for a healthy one, and when it was cut off, for one that is not. `undefined` for
   * unknown nodes, and with written heartbeats.
   */
  heartbeatOf(name: string): number | undefined;
  /** A container's log from its script: {@link podAnnotations}. @throws NoLogs */
  logs(pod: ObjectKey, options: PodLogOptions, signal?: AbortSignal): AsyncGenerator<string>;
  /** Cuts a node off: no heartbeats, its pods stand still. The node controller finds it after about 50 s. */
  pause(name: string): void;
  resume(name: string): void;
  /** Ends the simulation. The objects stay: the node controller will find the nodes dead. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Runs nodes that exist only as objects: registered, Ready, with leases; pods bound to them start, end, and go when they
 * are deleted. Nodes of the same names that exist already are adopted. Resolves when all are Ready.
 *
 * @throws ApiError, TransportError when the nodes cannot be registered
 *
 * @example
 * const simulated = await startNodes({
 *   client,
 *   pools: [{ name: "a100", count: 4, gpu: { product: "NVIDIA-A100-SXM4-80GB", count: 8 } }],
 * });
 */
export async function startNodes(options: SimulatedNodesOptions): Promise<SimulatedNodes> {
  const { client, pools } = options;
  const clock = options.clock ?? systemClock;
  const random = options.random ?? systemRandom;
  const logger = options.logger ?? silentLogger;
  const concurrency = options.concurrency ?? 16;
  const stopCache = new AbortController();
  const own = options.cache === undefined;
  const cache = options.cache ?? createCache({ client, clock, random, logger });
  const nodeInformer = cache.informer(Nodes, own ? { transform: projectNode } : {});
  const podInformer = cache.informer(Pods, own ? { transform: projectPod } : {});
  const running = own ? cache.run(stopCache.signal) : Promise.resolve();

  const keeper = new NodeKeeper({
    client,
    informer: nodeInformer,
    pools,
    concurrency,
    renewalsPerSecond: options.renewalsPerSecond ?? 100,
    maxRenewalIntervalMs: options.maxRenewalIntervalMs ?? 35_000,
    statusIntervalMs: options.statusIntervalMs ?? 300_000,
    derived: options.heartbeats === "derived",
    clock,
    random,
    logger,
  });
  const runner = new PodRunner({
    client,
    informer: podInformer,
    hostIPOf: (name) => keeper.addressOf(name),
    jobRunForMs: options.jobRunForMs ?? 1000,
    concurrency: Math.ceil(concurrency * 0.75),
    clock,
    random,
    logger,
  });
  const stop = async (): Promise<void> => {
    await Promise.all([runner.stop(), keeper.stop()]);
    stopCache.abort();
    await running;
  };
  try {
    await cache.waitForSync();
    await keeper.start();
    runner.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    get names() {
      return keeper.names;
    },
    heartbeatOf: (name) => keeper.heartbeatOf(name),
    logs: (key, logOptions, signal) => podLogs(() => podInformer.get(key), logOptions, clock, signal),
    pause: (name) => keeper.setPaused(name, true),
    resume(name) {
      keeper.setPaused(name, false);
      runner.revisit(name);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

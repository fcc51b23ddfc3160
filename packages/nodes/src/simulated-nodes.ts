import {
  createCache,
  createCoreEventRecorder,
  FleetwrightError,
  Nodes,
  Pods,
  silentLogger,
  systemClock,
  systemRandom,
} from "@fleetwright/kube";
import type { Cache, Client, Clock, CoreEventRecorder, Logger, ObjectKey, Random } from "@fleetwright/kube";
import type { NodeFault } from "./node-fault.ts";
import { NodeKeeper } from "./node-keeper.ts";
import { nodeName } from "./node-object.ts";
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

/** More nodes than this do not say what they do with each pod unless they are told to. */
const maxNodesWithEvents = 1_000;

export interface SimulatedNodes {
  readonly names: readonly string[];
  /**
   * When a node was last alive, in milliseconds: now, for a healthy one, and when it was cut off, for one that is not. `undefined` for
   * unknown nodes, and with written heartbeats.
   */
  heartbeatOf(name: string): number | undefined;
  /** A container's log from its script: {@link podAnnotations}. @throws NoLogs */
  logs(pod: ObjectKey, options: PodLogOptions, signal?: AbortSignal): AsyncGenerator<string>;
  /** Lets something go wrong with a node, as its annotation `nodes.fleetwright.dev/fault` does. @throws FleetwrightError `FW_NODES_UNKNOWN` */
  fault(name: string, fault: NodeFault): void;
  /** Ends a node's faults. @throws FleetwrightError `FW_NODES_UNKNOWN` */
  heal(name: string): void;
  /** The kernel's lines since a node's boot. @throws FleetwrightError `FW_NODES_UNKNOWN` */
  kernelLog(name: string): readonly string[];
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
  refuseTwins(pools);
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

  const count = pools.reduce((sum, pool) => sum + pool.count, 0);
  const saysEvents = options.events ?? count <= maxNodesWithEvents;
  const recorders = new Map<string, CoreEventRecorder>();
  const recorderOf = (host: string): CoreEventRecorder => {
    const recorder =
      recorders.get(host) ?? createCoreEventRecorder({ client, clock, logger, source: { component: "kubelet", host } });
    recorders.set(host, recorder);
    return recorder;
  };
  const keeper = new NodeKeeper({
    client,
    informer: nodeInformer,
    pools,
    concurrency,
    renewalsPerSecond: options.renewalsPerSecond ?? 100,
    maxRenewalIntervalMs: options.maxRenewalIntervalMs ?? 35_000,
    statusIntervalMs: options.statusIntervalMs ?? 300_000,
    derived: options.heartbeats === "derived",
    onFault: (name, injected) => (injected === undefined ? heal(name) : fault(name, injected)),
    clock,
    random,
    logger,
  });
  const runner = new PodRunner({
    client,
    informer: podInformer,
    hostIPOf: (name) => keeper.addressOf(name),
    jobRunForMs: options.jobRunForMs ?? 1000,
    startDelayOf: (name) =>
      keeper.faultsOf(name).reduce((total, each) => total + (each.kind === "slowStart" ? each.ms : 0), 0),
    events: saysEvents ? (name, event) => recorderOf(name).event(event) : undefined,
    concurrency: Math.ceil(concurrency * 0.75),
    clock,
    random,
    logger,
  });
  function fault(name: string, injected: NodeFault): void {
    keeper.fault(name, injected);
    if (injected.kind === "reboot") {
      void runner.reboot(name);
      sayOfNode(name, "Warning", "Rebooted", `Node ${name} has been rebooted`);
    }
    if (injected.kind === "eviction") void runner.evict(name, injected.resource);
    if (injected.kind === "xid" || injected.kind === "ecc") {
      sayOfNode(
        name,
        "Warning",
        "GpuError",
        `GPU ${injected.gpu}: ${injected.kind === "ecc" ? "XID 48" : `XID ${injected.code}`}`,
      );
    }
  }
  function heal(name: string): void {
    const wasCutOff = keeper.faultsOf(name).some(({ kind }) => kind === "partition");
    keeper.heal(name);
    if (wasCutOff) runner.revisit(name);
  }
  function sayOfNode(name: string, type: "Normal" | "Warning", reason: string, message: string): void {
    const node = nodeInformer.get({ name });
    if (saysEvents && node !== undefined) recorderOf(name).event({ about: node, type, reason, message });
  }
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
    fault,
    heal,
    kernelLog: (name) => keeper.kernelLog(name),
    pause: (name) => keeper.setPaused(name, true),
    resume(name) {
      keeper.setPaused(name, false);
      runner.revisit(name);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** A node that joins twice would fight with itself over its pods. */
function refuseTwins(pools: readonly NodePool[]): void {
  const names = new Set<string>();
  for (const pool of pools) {
    for (let index = 0; index < pool.count; index++) {
      const name = nodeName(pool, index);
      if (names.has(name)) {
        throw new FleetwrightError(
          "FW_NODES_TWICE",
          `node ${JSON.stringify(name)} joins twice: give pool ${JSON.stringify(pool.name)} another name`,
        );
      }
      names.add(name);
    }
  }
}

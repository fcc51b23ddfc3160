import { createHash } from "node:crypto";
import { createClient, seededRandom, VirtualClock } from "@fleetwright/kube";
import type { Client, Logger, Random, Transport, UserInfo } from "@fleetwright/kube";
import type { NodePool } from "@fleetwright/nodes";
import { startCluster } from "../cluster/start-cluster.ts";
import type { Cluster, ClusterOptions } from "../cluster/start-cluster.ts";
import { loadCredentials } from "../server/credentials.ts";
import type { ServerCredentials } from "../server/credentials.ts";
import { createFaultyTransport } from "./faulty-transport.ts";
import type { FaultRates, FaultyTransport } from "./faulty-transport.ts";

export interface SimulationOptions {
  /** Decides everything that is left to chance. */
  readonly seed: number;
  readonly pools?: readonly NodePool[];
  readonly nodes?: ClusterOptions["nodes"];
  readonly callWebhook?: ClusterOptions["callWebhook"];
  readonly freezes?: ClusterOptions["freezes"];
  readonly logger?: Logger;
}

/** Someone who calls the simulated cluster, and whose calls can be made to fail. */
export interface SimulatedCaller {
  readonly client: Client;
  readonly faults: FaultyTransport;
}

/** A cluster in virtual time. The same seed and the same calls lead to the same bytes. */
export interface Simulation {
  readonly seed: number;
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly cluster: Cluster;
  /** The faultless administrator: for looking. */
  readonly client: Client;
  /** A caller with a transport of its own. */
  caller(user: UserInfo, rates?: FaultRates): SimulatedCaller;
  /** How the calls of controllers, scheduler and nodes fail from now on. */
  setRates(rates: FaultRates): void;
  /** Of every call so far, its answer's status, and the time: two runs of a seed are equal when this is. */
  digest(): string;
  stop(): Promise<void>;
}

/** Keys do not come from seeds: one set for all simulations of a process, and no trace of it in objects. */
const shared: { credentials?: Promise<ServerCredentials> } = {};
const noFaults: FaultRates = {};

/**
 * Starts a whole cluster under a clock that jumps. Time passes only in `clock.advance` and `clock.runUntil`.
 *
 * @example
 * const simulation = await startSimulation({ seed: 7, pools: [{ name: "cpu", count: 3 }] });
 * simulation.setRates({ conflict: 0.1, droppedWatch: 0.05 });
 * await simulation.clock.advance(3_600_000);
 */
export async function startSimulation(options: SimulationOptions): Promise<Simulation> {
  const late: { cluster?: Cluster } = {};
  const clock = new VirtualClock({ activity: () => late.cluster?.activity ?? 0 });
  const random = seededRandom(options.seed);
  // Chance of its own: who calls more often must not change what the cluster draws.
  const faultRandom = seededRandom(options.seed ^ 0x5eed);
  const journal = createHash("sha256");
  const faulty: FaultyTransport[] = [];

  const written =
    (transport: Transport, user: UserInfo | undefined): Transport =>
    async (request, signal) => {
      const { method, path, body = "" } = request;
      const response = await transport(request, signal);
      journal.update(`${clock.now()} ${user?.username ?? ""} ${method} ${path} ${response.status}\n`).update(body);
      return response;
    };
  const withFaults = (transport: Transport, rates: FaultRates): FaultyTransport =>
    createFaultyTransport(transport, { rates, clock, random: faultRandom });

  shared.credentials ??= loadCredentials({ clock, host: "127.0.0.1", serviceAddress: "10.96.0.1" });
  const cluster = await startCluster({
    listen: false,
    credentials: await shared.credentials,
    rootCertificate: "simulated",
    clock,
    random,
    pools: options.pools ?? [],
    nodes: options.nodes ?? {},
    freezes: options.freezes ?? false,
    ...(options.callWebhook === undefined ? {} : { callWebhook: options.callWebhook }),
    ...(options.logger === undefined ? {} : { logger: options.logger }),
    wrapTransport(transport, user) {
      const made = withFaults(written(transport, user), noFaults);
      if (user !== undefined) faulty.push(made);
      return made.transport;
    },
  });
  late.cluster = cluster;
  await clock.settle();
  return {
    seed: options.seed,
    clock,
    random,
    cluster,
    client: cluster.client,
    caller(user, rates = noFaults) {
      const faults = withFaults(cluster.transport(user), rates);
      const client = createClient({ transport: faults.transport, clock, userAgent: `${user.username ?? "caller"}/1` });
      return { client, faults };
    },
    setRates(rates) {
      for (const each of faulty) each.setRates(rates);
    },
    digest: () => journal.copy().digest("hex"),
    async stop() {
      for (const each of faulty) each.setRates(noFaults);
      let stopped = false;
      const stopping = cluster.stop().finally(() => (stopped = true));
      // Calls that wait in virtual time have to come to their end.
      for (let tries = 0; !stopped && tries < 600; tries++) await clock.advance(1_000);
      await stopping;
    },
  };
}

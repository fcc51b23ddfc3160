import {
  checkpointScheduleLabel,
  customResourceDefinition,
  customResources,
  type CheckpointPin,
} from "@fleetwright/api";
import {
  checkpoints,
  createCheckpoints,
  defaultJudges,
  schedules,
  type CheckpointObject,
} from "@fleetwright/checkpoint";
import {
  createCache,
  createManager,
  CustomResourceDefinitions,
  FleetwrightError,
  isNotFound,
  Namespaces,
  Nodes,
  Pods,
  seededRandom,
  silentLogger,
  sleep,
  type KubeObject,
  type Pod,
  type Random,
} from "@fleetwright/kube";
import { startSimulation, type FaultRates, type SimulatedCaller, type Simulation } from "@fleetwright/twin";
import { createSimulatedFleet, type SimulatedFleet } from "./simulated-fleet.ts";

export interface CheckpointStormResult {
  readonly seed: number;
  /** What went wrong, in words. None: all held. */
  readonly violations: readonly string[];
  readonly taken: number;
  readonly pruned: number;
  readonly kills: number;
  /** Questions to kubelets. */
  readonly asked: number;
  readonly digest: string;
}

export interface CheckpointStormOptions {
  readonly seed: number;
  /** @default 4 */
  readonly nodes?: number;
  /** Of the schedules. @default 20 */
  readonly intervalSeconds?: number;
  /** Virtual milliseconds of faults. @default 240_000 */
  readonly loadMs?: number;
  /** Virtual milliseconds between kills of the manager, at most; 0: none. @default 40_000 */
  readonly killEveryMs?: number;
  /** Deletes pinned checkpoints' archives behind everybody's back: shows that the judge notices. */
  readonly sabotage?: boolean;
}

const namespace = "storm";
const keepLast = 3;
const user = {
  username: "system:serviceaccount:fleetwright-system:manager",
  groups: ["system:masters", "system:authenticated"],
};
const faultRates = {
  conflict: 0.05,
  reset: 0.03,
  lostAnswer: 0.03,
  serverError: 0.03,
  tooManyRequests: 0.02,
  droppedWatch: 0.03,
  slow: 0.05,
} satisfies FaultRates;

interface Manager {
  readonly caller: SimulatedCaller;
  kill(): Promise<void>;
}

/** Schedules over a fleet, while the API fails, disks are full, the registry is down, agents are lost and the manager is killed; all from one seed. */
export async function runCheckpointStorm(options: CheckpointStormOptions): Promise<CheckpointStormResult> {
  return new CheckpointStorm(options).run();
}

class CheckpointStorm {
  readonly #options: CheckpointStormOptions;
  readonly #random: Random;
  readonly #violations: string[] = [];
  /** The newest state of each Checkpoint, those that are gone too: by UID. */
  readonly #seen = new Map<string, CheckpointObject>();
  readonly #gone = new Set<string>();
  /** UIDs of what was seen, by name of the pod and by digest of an archive. */
  readonly #byPod = new Map<string, Set<string>>();
  readonly #byDigest = new Map<string, Set<string>>();
  readonly #pods = new Map<string, Pod>();
  #managers: Manager[] = [];
  #kills = 0;
  #taken = 0;
  #pruned = 0;
  #isRunning = true;

  constructor(options: CheckpointStormOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed * 6007);
  }

  async run(): Promise<CheckpointStormResult> {
    const { seed, nodes = 4, loadMs = 240_000, intervalSeconds = 20 } = this.#options;
    const simulation = await startSimulation({
      seed,
      pools: [{ name: "node", count: nodes, cpu: "64" }],
      nodes: { heartbeats: "derived" },
    });
    const fleet = createSimulatedFleet(
      simulation.clock,
      this.#random,
      (of, pod, container) =>
        this.#pods.get(`${of}/${pod}`)?.status?.containerStatuses?.find(({ name }) => name === container)?.containerID,
      (node, digest) => this.#judgeRemoval(simulation, node, digest),
    );
    const watching = new AbortController();
    try {
      await this.#prepare(simulation, nodes);
      const looking = this.#watch(simulation, watching.signal);
      this.#startManager(simulation, fleet);
      await simulation.clock.advance(5_000);
      await this.#schedule(simulation);
      const chaos = this.#chaos(simulation, fleet);
      await simulation.clock.advance(loadMs);
      this.#isRunning = false;
      fleet.faults.agentFailures = 0;
      fleet.faults.registryDown = false;
      fleet.faults.fullDisks.clear();
      for (const { caller } of this.#managers) caller.faults.setRates({});
      // A quiet round: now nothing keeps a pod from its checkpoint.
      await simulation.clock.advance(intervalSeconds * 2_000);
      // Suspended: what is under way ends, what is due to go goes.
      await this.#driven(simulation, this.#suspend(simulation));
      // Three tries of 125 s each, with a minute of backoff between.
      await simulation.clock.advance(1_000_000);
      await this.#driven(simulation, chaos);
      await this.#judge(simulation, fleet);
      const result = {
        seed,
        violations: this.#violations,
        taken: this.#taken,
        pruned: this.#pruned,
        kills: this.#kills,
        asked: fleet.asked(),
        digest: simulation.digest(),
      };
      watching.abort();
      await this.#driven(simulation, looking);
      return result;
    } finally {
      watching.abort();
      for (const manager of this.#managers) await this.#driven(simulation, manager.kill());
      await simulation.stop();
    }
  }

  async #prepare(simulation: Simulation, nodes: number): Promise<void> {
    const { client, clock } = simulation;
    await client.create(Namespaces, { metadata: { name: namespace } });
    for (const resource of customResources)
      await client.create(CustomResourceDefinitions, customResourceDefinition(resource) as unknown as KubeObject);
    await clock.advance(5_000);
    for (let index = 0; index < nodes; index++)
      await client.create(Pods, {
        metadata: { namespace, name: `worker-${index}`, labels: { app: index % 2 === 0 ? "even" : "odd" } },
        spec: { nodeName: `node-${index}`, containers: [{ name: "main", image: "worker:1" }] },
      });
    await clock.advance(20_000);
    for (const pod of (await client.list(Pods, { namespace })).items)
      this.#pods.set(`${namespace}/${pod.metadata.name}`, pod);
  }

  async #schedule(simulation: Simulation): Promise<void> {
    const { intervalSeconds = 20 } = this.#options;
    for (const app of ["even", "odd"])
      await simulation.client.create(schedules, {
        apiVersion: "fleetwright.dev/v1alpha1",
        kind: "CheckpointSchedule",
        metadata: { namespace, name: app },
        spec: {
          selector: { matchLabels: { app } },
          intervalSeconds,
          jitterSeconds: Math.floor(intervalSeconds / 2),
          retention: { keepLast },
          ...(app === "odd" && { destination: { repository: "registry.invalid/storm" } }),
        },
      });
  }

  async #suspend({ client }: Simulation): Promise<void> {
    for (const name of ["even", "odd"])
      await client.patch(schedules, { namespace, name }, { type: "merge", patch: { spec: { suspend: true } } });
  }

  #startManager(simulation: Simulation, fleet: SimulatedFleet): void {
    const { clock, random } = simulation;
    const caller = simulation.caller(user);
    // A list of a large fleet comes in many pieces: with the same rate for each, none would ever be whole.
    const { nodes = 4 } = this.#options;
    const droppedWatch = faultRates.droppedWatch * Math.min(1, 200 / nodes);
    if (this.#isRunning) caller.faults.setRates({ ...faultRates, droppedWatch });
    const { client } = caller;
    const logger = silentLogger;
    const cache = createCache({ client, clock, random, logger });
    const judges = defaultJudges({ nodes: cache.informer(Nodes) });
    const { controllers } = createCheckpoints({
      client,
      unfencedClient: client,
      cache,
      agents: fleet.agents,
      taker: fleet.taker,
      artifacts: fleet.artifacts,
      // Simulated nodes have no engine that could be judged.
      judges: {
        ...judges,
        taking: {
          ...judges.taking,
          judge: async ({ agent }) => ({ verdicts: (await agent.node()) && [], timeoutSeconds: 120 }),
        },
      },
      clock,
      logger,
    });
    const manager = createManager({ client, clock, random, logger, cache, healthAddress: "0", metricsAddress: "0" });
    for (const controller of controllers) manager.add(controller);
    const stop = new AbortController();
    const done = manager.run(stop.signal).catch((error: unknown) => {
      if (!(error instanceof FleetwrightError) && !stop.signal.aborted) throw error;
    });
    this.#managers.push({
      caller,
      async kill() {
        // As kill -9: whatever is under way gets no answer any more.
        caller.faults.setCutOff(true);
        stop.abort();
        await done;
      },
    });
  }

  async #chaos(simulation: Simulation, fleet: SimulatedFleet): Promise<void> {
    const { clock, client } = simulation;
    const { killEveryMs = 40_000, sabotage = false } = this.#options;
    let killAt = clock.now() + this.#random.next() * killEveryMs;
    while (this.#isRunning) {
      await sleep(clock, 1_000 + this.#random.next() * 4_000);
      if (!this.#isRunning) return;
      const chance = this.#random.next();
      const { faults } = fleet;
      if (chance < 0.2) faults.registryDown = !faults.registryDown;
      else if (chance < 0.4) faults.agentFailures = faults.agentFailures > 0 ? 0 : 0.2;
      else if (chance < 0.5) {
        if (faults.fullDisks.size > 0) faults.fullDisks.clear();
        else faults.fullDisks.add(`node-${Math.floor(this.#random.next() * (this.#options.nodes ?? 4))}`);
      } else if (chance < 0.6) await this.#cutOff(clock);
      else if (chance < 0.9) await this.#togglePin(client);
      if (sabotage)
        for (const { spec, status } of this.#seen.values())
          for (const { digest } of status?.containers ?? [])
            if (digest && (spec.pins ?? []).length > 0)
              await fleet.agents
                .of(status?.nodeName ?? "")
                ?.remove(digest, "sabotage")
                .catch(() => undefined);
      if (killEveryMs > 0 && clock.now() >= killAt) {
        killAt = clock.now() + this.#random.next() * killEveryMs;
        this.#kills++;
        const [victim] = this.#managers;
        this.#managers = [];
        await victim?.kill();
        this.#startManager(simulation, fleet);
      }
    }
  }

  /** The API is out of reach for a while. */
  async #cutOff(clock: Simulation["clock"]): Promise<void> {
    const [manager] = this.#managers;
    manager?.caller.faults.setCutOff(true);
    await sleep(clock, this.#random.next() * 15_000);
    manager?.caller.faults.setCutOff(false);
  }

  async #togglePin(client: Simulation["client"]): Promise<void> {
    const alive = [...this.#seen.values()].filter(
      ({ metadata }) => metadata.deletionTimestamp === undefined && !this.#gone.has(metadata.uid ?? ""),
    );
    const chosen = alive[Math.floor(this.#random.next() * alive.length)];
    if (chosen === undefined) return;
    const pins: readonly CheckpointPin[] = (chosen.spec.pins ?? []).length > 0 ? [] : [{ owner: "audit" }];
    try {
      await client.patch(
        checkpoints,
        { namespace, name: chosen.metadata.name ?? "" },
        { type: "merge", patch: { spec: { pins } } },
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Every change of every Checkpoint, without a gap. */
  async #watch({ client, clock }: Simulation, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const event of client.watch(checkpoints, {
          namespace,
          sendInitialEvents: true,
          allowWatchBookmarks: true,
          resourceVersionMatch: "NotOlderThan",
          signal,
        })) {
          if (event.type === "BOOKMARK") continue;
          const { object } = event;
          const uid = object.metadata.uid ?? "";
          const before = this.#seen.get(uid);
          if (event.type === "DELETED") this.#gone.add(uid);
          if (
            object.metadata.deletionTimestamp !== undefined &&
            before !== undefined &&
            before.metadata.deletionTimestamp === undefined
          )
            this.#judgeDeletion(before);
          if (object.status?.phase === "Completed" && before?.status?.phase !== "Completed") this.#taken++;
          this.#see(uid, object);
        }
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      await sleep(clock, 100, signal).catch(() => undefined);
    }
  }

  #see(uid: string, checkpoint: CheckpointObject): void {
    this.#seen.set(uid, checkpoint);
    const add = (index: Map<string, Set<string>>, key: string): void =>
      void index.set(key, (index.get(key) ?? new Set()).add(uid));
    add(this.#byPod, checkpoint.spec.podName);
    for (const { digest } of checkpoint.status?.containers ?? []) if (digest) add(this.#byDigest, digest);
  }

  /** In their newest state. */
  #indexed(index: ReadonlyMap<string, ReadonlySet<string>>, key: string): readonly CheckpointObject[] {
    return [...(index.get(key) ?? [])].flatMap((uid) => this.#seen.get(uid) ?? []);
  }

  /** Our own reading of `keepLast`: whoever goes must be neither pinned nor among the newest that can be restored. */
  #judgeDeletion(checkpoint: CheckpointObject): void {
    this.#pruned++;
    const { name } = checkpoint.metadata;
    if ((checkpoint.spec.pins ?? []).length > 0) this.#violations.push(`${name} was deleted although it is pinned`);
    const isWhole = ({ status }: CheckpointObject): boolean =>
      status?.phase === "Completed" || status?.phase === "Stored";
    if (!isWhole(checkpoint)) return;
    const time = ({ status }: CheckpointObject): number => Date.parse(status?.completionTime ?? "");
    const newer = this.#indexed(this.#byPod, checkpoint.spec.podName).filter(
      (other) =>
        other.metadata.uid !== checkpoint.metadata.uid &&
        other.metadata.deletionTimestamp === undefined &&
        !this.#gone.has(other.metadata.uid ?? "") &&
        isWhole(other) &&
        time(other) >= time(checkpoint),
    );
    if (newer.length < keepLast)
      this.#violations.push(`${name} was deleted with only ${newer.length} newer ones of ${checkpoint.spec.podName}`);
  }

  /** Half a second later our own watch has told what was so at that moment. */
  #judgeRemoval({ clock }: Simulation, node: string, digest: string): void {
    for (const { metadata, spec, status } of this.#indexed(this.#byDigest, digest)) {
      if (!status?.containers?.some((each) => each.digest === digest)) continue;
      const wasPinned = (spec.pins ?? []).length > 0;
      clock.setTimer(500, () => {
        const now = this.#seen.get(metadata.uid ?? "");
        if (wasPinned && (now?.spec.pins ?? []).length > 0)
          this.#violations.push(`the archive ${digest} of ${metadata.name} left ${node} although it is pinned`);
        else if (now?.metadata.deletionTimestamp === undefined && !this.#gone.has(metadata.uid ?? ""))
          this.#violations.push(`the archive ${digest} of ${metadata.name} left ${node}, and the Checkpoint stays`);
      });
    }
  }

  async #judge({ client }: Simulation, fleet: SimulatedFleet): Promise<void> {
    const { items } = await client.list(checkpoints, { namespace });
    const claimed = new Map(
      items.flatMap(({ metadata, status }) =>
        (status?.containers ?? []).flatMap(({ digest }) => (digest ? [[digest, metadata.name]] : [])),
      ),
    );
    for (const [node, store] of fleet.stores)
      for (const digest of store.keys())
        if (!claimed.has(digest)) this.#violations.push(`nobody knows of archive ${digest} on ${node}`);
    for (const [reference, digest] of fleet.registry)
      if (!claimed.has(digest)) this.#violations.push(`nobody knows of ${reference}`);
    for (const { metadata, status } of items) {
      if (status?.phase !== "Completed" && status?.phase !== "Failed")
        this.#violations.push(
          `${metadata.name} is still ${status?.phase ?? "Pending"}: ${status?.conditions?.[0]?.message ?? ""}`,
        );
      if (metadata.deletionTimestamp !== undefined) this.#violations.push(`${metadata.name} waits to be deleted`);
      for (const { digest = "", artifact } of status?.phase === "Completed" ? (status.containers ?? []) : []) {
        if (!fleet.stores.get(status?.nodeName ?? "")?.has(digest))
          this.#violations.push(`the archive of ${metadata.name} is lost`);
        if (metadata.labels?.[checkpointScheduleLabel] === "odd" && !(artifact && fleet.registry.has(artifact)))
          this.#violations.push(`${metadata.name} is not in the registry`);
      }
    }
    for (const [pod, all] of Map.groupBy(items, ({ spec }) => spec.podName)) {
      const free = all.filter(({ spec, status }) => status?.phase === "Completed" && (spec.pins ?? []).length === 0);
      if (free.length > keepLast) this.#violations.push(`${pod} keeps ${free.length}`);
      if (!all.some(({ status }) => status?.phase === "Completed")) this.#violations.push(`${pod} has none`);
    }
  }

  /** Waits in virtual time. */
  async #driven<T>(simulation: Simulation, promise: Promise<T>): Promise<T> {
    let isDone = false;
    const watched = promise.finally(() => (isDone = true));
    watched.catch(() => {});
    for (let tries = 0; !isDone && tries < 600; tries++) await simulation.clock.advance(100);
    return watched;
  }
}

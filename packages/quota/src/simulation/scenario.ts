import type { BizGroupResourceQuota } from "@fleetwright/api";
import { isAlreadyExists, isConflict, seededRandom, VirtualClock, type KubeObject } from "@fleetwright/kube";
import { parseAmounts } from "../core/amounts.ts";
import type { ChargeRequest } from "../core/admit.ts";
import { footprint } from "../core/footprint.ts";
import { readGroup } from "../core/group-state.ts";
import { noDefaults } from "../core/pod-template.ts";
import { groupOf } from "../core/ownership.ts";
import { groupKindName } from "../core/usage-index.ts";
import { quotaErrors } from "../errors.ts";
import type { Outcome } from "../cluster/group-writer.ts";
import { Oracle, type Attempt } from "./oracle.ts";
import { Replica, type Mutation } from "./replica.ts";
import { cpusOf, simKinds, simWorkload, World } from "./world.ts";

export interface ScenarioOptions {
  readonly seed: number;
  readonly mutation?: Mutation;
  /** Virtual milliseconds of load. @default 4000 */
  readonly loadMs?: number;
}

export interface ScenarioResult {
  readonly violations: readonly string[];
  readonly admitted: number;
  readonly refused: number;
  readonly crashes: number;
}

/** The leader comes to a group every half second at worst, with slow calls and stalled caches. */
const leaderMs = 6_000;
const connectionReset = "connection reset";

/** Runs clients, an API server, replicas that lag and crash, and a reconciler, all from one seed. */
export async function runScenario(options: ScenarioOptions): Promise<ScenarioResult> {
  const scenario = new Scenario(options);
  return await scenario.run();
}

class Scenario {
  readonly #options: ScenarioOptions;
  readonly #time = new VirtualClock({ turns: 1 });
  readonly #world = new World();
  readonly #random;
  readonly #oracle: Oracle;
  readonly #calls = new Map<Replica, Set<(error: Error) => void>>();
  /** Often so short that holds end under load. */
  readonly #holdLifeMs: number;
  readonly #holdExpiryMs: number;
  #replicas: Replica[] = [];
  #serial = 0;
  #admitted = 0;
  #crashes = 0;
  #loading = true;

  constructor(options: ScenarioOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#holdLifeMs = this.#random.next() < 0.5 ? 5_000 : 1_000;
    this.#holdExpiryMs = this.#holdLifeMs + leaderMs;
    const slowest = (kind: string): number => Math.min(...this.#replicas.map((replica) => replica.version(kind)));
    this.#oracle = new Oracle(this.#world, this.#time, slowest, this.#holdExpiryMs);
    this.#putGroup("root", "", 24);
    this.#putGroup("a", "root", 7);
    this.#putGroup("b", "root", 5);
    const replicas = 1 + Math.floor(this.#random.next() * 3);
    for (let count = 0; count < replicas; count++) this.#startReplica();
  }

  async run(): Promise<ScenarioResult> {
    const clients = Array.from({ length: 6 }, () => this.#client());
    const chaos = this.#chaos();
    const leader = this.#lead();
    await this.#time.advance(this.#options.loadMs ?? 4_000);
    this.#loading = false;
    await this.#time.advance(this.#holdExpiryMs + 3_000);
    this.#checkQuiet();
    void Promise.allSettled([...clients, chaos, leader]);
    return {
      violations: this.#oracle.violations,
      admitted: this.#admitted,
      refused: this.#oracle.refusals,
      crashes: this.#crashes,
    };
  }

  /** Nothing leaked, nothing forgotten: every ledger says what exists. */
  #checkQuiet(): void {
    for (const object of this.#world.list(groupKindName)) {
      const { name, ledger } = readGroup(object as BizGroupResourceQuota);
      const used = Number(
        ((ledger.self.get("limits.cpu") ?? 0n) + (ledger.granted.get("limits.cpu") ?? 0n)) / 1_000_000_000n,
      );
      const real = this.#oracle.realUse(name);
      if (used !== real || ledger.holds.length > 0)
        this.#oracle.violations.push(
          `after quiet, "${name}" books ${used} with ${ledger.holds.length} holds, ${real} are used`,
        );
    }
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.#random.next() * items.length)];
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#time.setTimer(delayMs, resolve));
  }

  #putGroup(name: string, parent: string, cpus: number): void {
    const object: BizGroupResourceQuota = {
      metadata: { name, uid: `group-${++this.#serial}` },
      spec: { parentBizGroup: parent, hard: { "limits.cpu": cpus } },
    };
    this.#world.put(groupKindName, object as KubeObject, "");
  }

  #startReplica(): void {
    const { mutation } = this.#options;
    const [world, time, random, holdLifeMs] = [this.#world, this.#time, this.#random, this.#holdLifeMs];
    const replica = new Replica({ world, time, random, holdLifeMs, mutation });
    this.#replicas.push(replica);
    this.#oracle.replicaStartedAt = this.#time.now();
    this.#calls.set(replica, new Set());
  }

  async #chaos(): Promise<void> {
    if (this.#random.next() < 0.4) return;
    while (this.#loading) {
      await this.#sleep(this.#random.next() * 3_000);
      const victim = this.#pick(this.#replicas);
      if (!victim || !this.#loading) return;
      victim.alive = false;
      this.#crashes++;
      this.#replicas = this.#replicas.filter((replica) => replica !== victim);
      this.#startReplica();
      for (const reject of this.#calls.get(victim) ?? []) reject(new Error(connectionReset));
    }
  }

  /** Reconciles every group in turn, on whichever replica leads. */
  async #lead(): Promise<void> {
    for (;;) {
      await this.#sleep(100 + this.#random.next() * 400);
      for (const group of this.#world.list(groupKindName)) {
        const leader = this.#replicas[0];
        if (!leader) continue;
        await this.#through(leader, leader.reconcile(group.metadata.name ?? "")).catch(() => {});
      }
    }
  }

  /** An answer from a replica, or an error when it dies. */
  #through<T>(replica: Replica, answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const calls = this.#calls.get(replica) ?? new Set();
      const fail = (error: Error): void => {
        calls.delete(fail);
        reject(error);
      };
      calls.add(fail);
      answer.then(
        (value) => {
          calls.delete(fail);
          if (replica.alive) resolve(value);
        },
        (error: unknown) => {
          calls.delete(fail);
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }

  async #client(): Promise<void> {
    while (this.#loading) {
      await this.#sleep(this.#random.next() * 120);
      const choice = this.#random.next();
      try {
        if (choice < 0.38) await this.#createWorkload(choice < 0.05);
        else if (choice < 0.44) await this.#createAgain();
        else if (choice < 0.5) await this.#replaceWorkload();
        else if (choice < 0.67) await this.#changeWorkload(false);
        else if (choice < 0.74) await this.#changeWorkload(true);
        else if (choice < 0.89) this.#deleteWorkload();
        else if (choice < 0.95) await this.#changeGroup();
        else await this.#createOrDeleteGroup();
      } catch (error) {
        if (!isConflict(error) && !isAlreadyExists(error) && !isConnectionReset(error)) {
          this.#oracle.violations.push(`a client saw ${String(error)}`);
          return;
        }
      }
    }
  }

  #anyGroup(): string {
    return this.#pick(this.#world.list(groupKindName))?.metadata.name ?? "root";
  }

  /** Asks a replica, and tells the oracle. */
  async #admit(
    request: ChargeRequest,
    group: string,
    cpus: number,
    rises: boolean,
  ): Promise<{ outcome: Outcome; attempt: Attempt }> {
    const attempt: Attempt = {
      group,
      kind: request.kind,
      name: request.name.split(" ")[0] ?? "",
      uid: request.uid,
      after: cpus,
      startedAt: this.#time.now(),
      create: request.base === "",
      decidedAt: Infinity,
      endsAt: Infinity,
      dryRun: request.dryRun === true,
    };
    this.#oracle.begin(attempt);
    const expires = (): void => {
      attempt.endsAt = this.#time.now() + this.#holdExpiryMs;
    };
    try {
      await this.#sleep(this.#random.next() * 5);
      const replica = this.#pick(this.#replicas);
      if (!replica) throw new Error(connectionReset);
      if (!rises) return { outcome: { allowed: true }, attempt };
      const signal = new AbortController().signal;
      const outcome = await this.#through(
        replica,
        replica.writer(group).charge(request, this.#time.now() + 7_000, signal),
      );
      if (outcome.allowed) {
        if (!request.dryRun) this.#admitted++;
      } else {
        attempt.endsAt = this.#time.now();
        if (outcome.refusal.code === quotaErrors.exceeded) this.#oracle.refused(attempt);
      }
      // The answer is lost on its way to the API server.
      if (this.#random.next() < 0.04) throw new Error(connectionReset);
      return { outcome, attempt };
    } catch (error) {
      expires();
      throw error;
    } finally {
      attempt.decidedAt = this.#time.now();
      if (attempt.endsAt === Infinity) expires();
    }
  }

  /** After our yes: other webhooks may say no, and the storage takes its time, less than a hold lives, as the API server's request timeout is. */
  async #store(kind: string, object: KubeObject, base: string, attempt: Attempt): Promise<boolean> {
    if (this.#random.next() < 0.1) return false;
    await this.#sleep(
      this.#random.next() < 0.03 ? (this.#random.next() * this.#holdLifeMs) / 2 : this.#random.next() * 8,
    );
    const before = this.#oracle.realUse(attempt.group);
    this.#world.put(kind, object, base);
    if (this.#oracle.realUse(attempt.group) > before) this.#oracle.stored(attempt);
    // From here on it is what exists; if it goes, its deletion says when.
    attempt.endsAt = this.#time.now();
    return true;
  }

  #request(kind: string, before: KubeObject | undefined, after: KubeObject, dryRun: boolean): ChargeRequest {
    const workload = simKinds[kind];
    if (!workload) throw new Error(`no such kind: ${kind}`);
    const chargeOf = (object: KubeObject) => footprint(workload, object, noDefaults).charge;
    const name = after.metadata.name ?? "";
    const byUid = this.#options.mutation === "charge-by-uid" && !before;
    return {
      uid: after.metadata.uid ?? "",
      kind,
      namespace: "ns",
      name: byUid ? `${name} ${after.metadata.uid}` : name,
      base: before?.metadata.resourceVersion ?? "",
      before: before && groupOf(before) === groupOf(after) ? chargeOf(before) : new Map(),
      after: chargeOf(after),
      dryRun,
    };
  }

  async #createWorkload(dryRun: boolean): Promise<void> {
    const kind = this.#random.next() < 0.7 ? "deployments.apps" : "jobs.batch";
    const group = this.#anyGroup();
    const cpus = 1 + Math.floor(this.#random.next() * 4);
    // A few names collide: admitted, then AlreadyExists.
    const name = this.#random.next() < 0.1 ? "same" : `w${++this.#serial}`;
    await this.#createUntilAnswered(kind, name, group, cpus, dryRun);
  }

  /** A client that hears nothing asks again: the same name with a new UID, while the first request may still be carried out. */
  async #createUntilAnswered(kind: string, name: string, group: string, cpus: number, dryRun = false): Promise<void> {
    for (let attempts = 0; attempts < 4; attempts++) {
      const object = simWorkload(kind, name, `uid-${++this.#serial}`, group, cpus);
      try {
        const request = this.#request(kind, undefined, object, dryRun);
        const { outcome, attempt } = await this.#admit(request, group, cpus, true);
        if (!outcome.allowed || dryRun) return;
        const stored = this.#store(kind, object, "", attempt);
        if (this.#random.next() >= 0.1) {
          await stored;
          return;
        }
        stored.catch(() => {});
        await this.#sleep(this.#random.next() * 30);
      } catch (error) {
        if (!isConnectionReset(error)) throw error;
      }
    }
  }

  /** A controller that creates a name over and over, though it exists (kubernetes#61530). */
  async #createAgain(): Promise<void> {
    const target = this.#anyWorkload();
    const before = target && this.#world.get(target.kind, target.name);
    if (!before) return;
    const group = groupOf(before) ?? "";
    const changes = this.#random.next() < 0.3;
    for (let count = 3 + this.#random.next() * 6; count > 0; count--) {
      const cpus = changes ? 1 + Math.floor(this.#random.next() * 4) : cpusOf(before);
      await this.#createUntilAnswered(target.kind, target.name, group, cpus).catch((error: unknown) => {
        if (!isAlreadyExists(error)) throw error;
      });
      await this.#sleep(this.#random.next() * 60);
    }
  }

  /** `kubectl replace --force`: the name goes and comes back. */
  async #replaceWorkload(): Promise<void> {
    const target = this.#anyWorkload();
    const before = target && this.#world.get(target.kind, target.name);
    if (!before) return;
    const group = this.#random.next() < 0.7 ? (groupOf(before) ?? "") : this.#anyGroup();
    this.#world.delete(target.kind, target.name);
    await this.#sleep(this.#random.next() * 10);
    await this.#createUntilAnswered(target.kind, target.name, group, 1 + Math.floor(this.#random.next() * 4));
  }

  #anyWorkload(): { kind: string; name: string } | undefined {
    const all = Object.keys(simKinds).flatMap((kind) =>
      this.#world.list(kind).map((object) => ({ kind, name: object.metadata.name ?? "" })),
    );
    return this.#pick(all);
  }

  /** A patch: tried again on a conflict, with admission each time. */
  async #changeWorkload(move: boolean): Promise<void> {
    const target = this.#anyWorkload();
    if (!target) return;
    const group = this.#anyGroup();
    const cpus = Math.floor(this.#random.next() * 6);
    for (let attempt = 0; attempt < 4; attempt++) {
      const before = this.#world.get(target.kind, target.name);
      if (!before) return;
      const to = move ? group : (groupOf(before) ?? "");
      const wanted = move ? cpusOf(before) : cpus;
      const after: KubeObject = {
        ...simWorkload(target.kind, target.name, before.metadata.uid ?? "", to, wanted),
      };
      const request = this.#request(target.kind, before, after, false);
      const rises = wanted > (to === groupOf(before) ? cpusOf(before) : -1);
      const { outcome, attempt: asked } = await this.#admit(request, to, wanted, rises);
      if (!outcome.allowed) return;
      try {
        await this.#store(target.kind, after, before.metadata.resourceVersion ?? "", asked);
        return;
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    }
  }

  #deleteWorkload(): void {
    const target = this.#anyWorkload();
    if (target) this.#world.delete(target.kind, target.name);
  }

  async #changeGroup(): Promise<void> {
    const name = this.#anyGroup();
    const before = this.#world.group(name);
    if (!before) return;
    const parent = before.spec.parentBizGroup ?? "";
    const cpus = Math.floor(this.#random.next() * 10) + (parent === "" ? 12 : 0);
    const after: BizGroupResourceQuota = { ...before, spec: { ...before.spec, hard: { "limits.cpu": cpus } } };
    const base = before.metadata.resourceVersion ?? "";
    if (parent === "") {
      this.#world.put(groupKindName, after as KubeObject, base);
      return;
    }
    const rises = cpus > Number(before.spec.hard["limits.cpu"]);
    const { outcome, attempt } = await this.#admit(this.#grant(after, before, base), parent, cpus, rises);
    if (outcome.allowed) await this.#store(groupKindName, after as KubeObject, base, attempt);
  }

  #grant(after: BizGroupResourceQuota, before: BizGroupResourceQuota | undefined, base: string): ChargeRequest {
    return {
      uid: after.metadata.uid ?? "",
      kind: groupKindName,
      namespace: "",
      name: after.metadata.name ?? "",
      base,
      before: parseAmounts(before?.spec.hard, "hard"),
      after: parseAmounts(after.spec.hard, "hard"),
      childGroup: true,
    };
  }

  async #createOrDeleteGroup(): Promise<void> {
    if (this.#random.next() < 0.5) {
      const parent = this.#anyGroup();
      const cpus = Math.floor(this.#random.next() * 5);
      await this.#createGroup(`g${++this.#serial}`, parent, cpus);
      return;
    }
    const name = this.#anyGroup();
    // The mark changes the object, so the API server asks twice.
    for (let round = 0; round < 4; round++) {
      const before = this.#world.group(name);
      const replica = this.#pick(this.#replicas);
      if (!before || !replica || name === "root") return;
      const signal = new AbortController().signal;
      const outcome = await this.#through(replica, replica.writer(name).close(this.#time.now() + 7_000, signal, false));
      if (!outcome.allowed) return;
      await this.#sleep(this.#random.next() * 20);
      const now = this.#world.group(name);
      if (now?.metadata.resourceVersion !== before.metadata.resourceVersion) continue;
      this.#oracle.groupDeleted(name);
      this.#world.delete(groupKindName, name);
      if (this.#random.next() < 0.5)
        await this.#createGroup(name, this.#anyGroup(), Math.floor(this.#random.next() * 5));
      return;
    }
  }

  async #createGroup(name: string, parent: string, cpus: number): Promise<void> {
    for (let attempts = 0; attempts < 4; attempts++) {
      const object: BizGroupResourceQuota = {
        metadata: { name, uid: `group-${++this.#serial}` },
        spec: { parentBizGroup: parent, hard: { "limits.cpu": cpus } },
      };
      try {
        const { outcome, attempt } = await this.#admit(this.#grant(object, undefined, ""), parent, cpus, true);
        if (outcome.allowed) await this.#store(groupKindName, object as KubeObject, "", attempt);
        return;
      } catch (error) {
        if (!isConnectionReset(error)) throw error;
      }
    }
  }
}

const isConnectionReset = (error: unknown): boolean => error instanceof Error && error.message === connectionReset;

import type { BizGroupResourceQuota } from "@fleetwright/api";
import { silentLogger, type KubeObject, type Random, type VirtualClock } from "@fleetwright/kube";
import { GroupWriter, type GroupStore } from "../cluster/group-writer.ts";
import { defaultBounds } from "../core/admit.ts";
import { expire, expiredHolds, type Expired } from "../core/expiry.ts";
import { readGroup } from "../core/group-state.ts";
import type { GroupView } from "../core/group-view.ts";
import { mergedView, type Listed } from "../core/merged-view.ts";
import { groupOf } from "../core/ownership.ts";
import { noDefaults } from "../core/pod-template.ts";
import { noContext } from "../core/refusal.ts";
import { groupKindName, UsageIndex } from "../core/usage-index.ts";
import { deployments, jobs } from "../core/workload-kind.ts";
import { simKinds, type StoredEvent, type World } from "./world.ts";

/** A rule that is broken on purpose, to show that the oracle notices. */
export type Mutation =
  | "ignore-seen"
  | "refuse-from-cache"
  | "short-holds"
  | "swallow-conflicts"
  | "forget-holds"
  | "expire-unseen"
  | "settle-joined"
  | "charge-by-uid";

export interface ReplicaOptions {
  readonly world: World;
  readonly time: VirtualClock;
  readonly random: Random;
  readonly holdLifeMs: number;
  readonly mutation?: Mutation | undefined;
}

const kindNames = ["deployments.apps", "jobs.batch", groupKindName];

/** A manager replica: the real index and the real writers, caches that lag per kind, and a network that takes its time. */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #index: UsageIndex;
  readonly #versions = new Map<string, number>();
  readonly #delivered = new Map<string, number>();
  readonly #writers = new Map<string, GroupWriter>();
  readonly #lag: ReadonlyMap<string, number>;
  alive = true;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    const { world, random } = options;
    this.#index = new UsageIndex([deployments, jobs], () => noDefaults);
    this.#lag = new Map(kindNames.map((kind) => [kind, random.next() < 0.3 ? 400 : 30]));
    for (const kind of kindNames) {
      for (const object of world.list(kind)) this.#apply(kind, { version: 0, type: "PUT", object });
      this.#versions.set(kind, world.revision);
      this.#delivered.set(kind, world.log(kind).length);
      this.#follow(kind);
    }
  }

  /** How far this replica's cache of a kind is. */
  version(kind: string): number {
    return this.#versions.get(kind) ?? 0;
  }

  writer(group: string): GroupWriter {
    const known = this.#writers.get(group);
    if (known) return known;
    const { time, random, holdLifeMs } = this.#options;
    const writer = new GroupWriter(group, {
      store: this.#store(),
      clock: time,
      random,
      logger: silentLogger,
      holdLifeMs,
      bounds: { ...defaultBounds, maxHolds: 64 },
    });
    this.#writers.set(group, writer);
    return writer;
  }

  /** What the leader's reconciler does with one group. */
  async reconcile(group: string): Promise<void> {
    const { time, holdLifeMs } = this.#options;
    const signal = new AbortController().signal;
    const expired = await this.#expired(group, holdLifeMs);
    await this.writer(group).recompute({ expired, ready: undefined, touch: false }, time.now() + 5_000, signal);
  }

  async #expired(group: string, holdLifeMs: number): Promise<readonly Expired[]> {
    const { world, time, mutation } = this.#options;
    const object = await this.#call(() => world.group(group));
    if (!object) return [];
    const life = mutation === "short-holds" ? 1 : holdLifeMs;
    const all: Expired[] = [];
    for (const hold of expiredHolds(readGroup(object).ledger, time.now(), life)) {
      const live = await this.#call(() => world.get(hold.kind, hold.name));
      const expired = expire(hold, live, group, live && groupNamedBy(hold.kind, live));
      all.push(mutation === "expire-unseen" ? { ...expired, shown: "" } : expired);
    }
    return all;
  }

  #store(): GroupStore {
    const { world, mutation } = this.#options;
    return {
      read: (group) => this.#call(() => world.group(group)),
      write: (object) =>
        this.#call(() => {
          const base = object.metadata.resourceVersion ?? "";
          try {
            return world.put(groupKindName, object as KubeObject, base) as BizGroupResourceQuota;
          } catch (error) {
            if (mutation === "swallow-conflicts") return object;
            throw error;
          }
        }),
      view: (group) => this.#view(group),
      liveView: async (group, ledger) => {
        if (mutation === "refuse-from-cache") return this.#view(group);
        const listed = new Map<string, Listed>();
        // Each kind is listed at a time of its own, as on a real server.
        for (const kind of kindNames) {
          const list = await this.#call(() => ({
            objects: world.list(kind).filter((object) => groupNamedBy(kind, object) === group),
            version: String(world.revision),
          }));
          listed.set(kind, list);
        }
        const cached = { index: this.#index, versionOf: (kind: string) => String(this.#versions.get(kind) ?? "") };
        const fresh = new UsageIndex([deployments, jobs], () => noDefaults);
        return this.#mutated(mergedView(group, ledger, cached, fresh, new Map(Object.entries(simKinds)), listed));
      },
      context: () => noContext,
    };
  }

  #view(group: string): GroupView {
    const { mutation } = this.#options;
    const view = this.#index.view(group, (kind) => String(this.#versions.get(kind) ?? ""));
    if (mutation === "ignore-seen") return { ...view, version: () => "999999999999" };
    if (mutation === "forget-holds") return { ...view, sighting: () => ({ version: "999999999999" }) };
    return this.#mutated(view);
  }

  #mutated(view: GroupView): GroupView {
    if (this.#options.mutation !== "settle-joined") return view;
    return { ...view, sighting: (kind, uid) => (uid === "" ? { version: "1" } : view.sighting(kind, uid)) };
  }

  /** A call that takes time on both ways. What a dead replica asked may still be carried out; the answer never comes. */
  async #call<T>(action: () => T): Promise<T> {
    await this.#delay();
    const result = ((): { value: T } | { error: unknown } => {
      try {
        return { value: action() };
      } catch (error) {
        return { error };
      }
    })();
    await this.#delay();
    if ("error" in result) throw result.error;
    return result.value;
  }

  #delay(): Promise<void> {
    const { random, time } = this.#options;
    const delay = random.next() < 0.05 ? random.next() * 300 : random.next() * 10;
    return new Promise((resolve) => {
      time.setTimer(delay, () => {
        if (this.alive) resolve();
      });
    });
  }

  #follow(kind: string): void {
    const { random, time, world } = this.#options;
    // Nothing waits: an idle cache need not be asked as often.
    const idle = (this.#delivered.get(kind) ?? 0) === world.log(kind).length ? 3 : 1;
    // A watch that stalls for longer than a short hold lives.
    const stall = random.next() < 0.01 ? random.next() * 4_000 : 0;
    time.setTimer(stall + random.next() * (this.#lag.get(kind) ?? 30) * idle, () => {
      if (!this.alive) return;
      const log = world.log(kind);
      let next = this.#delivered.get(kind) ?? 0;
      for (
        const count = 1 + random.next() * 4;
        next < log.length && next - (this.#delivered.get(kind) ?? 0) < count;
        next++
      ) {
        const event = log[next];
        if (event) this.#apply(kind, event);
        this.#versions.set(kind, Math.max(event?.version ?? 0, this.#versions.get(kind) ?? 0));
      }
      if (next !== this.#delivered.get(kind)) {
        this.#delivered.set(kind, next);
        world.onChange();
      }
      this.#follow(kind);
    });
  }

  #apply(kind: string, event: StoredEvent): void {
    const { uid = "", resourceVersion = "" } = event.object.metadata;
    if (event.type === "DELETE") this.#index.remove(uid, resourceVersion, this.#options.time.now());
    else put(this.#index, kind, event.object);
  }
}

function put(index: UsageIndex, kind: string, object: KubeObject): void {
  const workload = simKinds[kind];
  if (workload) index.upsert(workload, object);
  else index.upsertGroup(object as BizGroupResourceQuota);
}

export function groupNamedBy(kind: string, object: KubeObject): string | undefined {
  return kind === groupKindName ? (object as BizGroupResourceQuota).spec.parentBizGroup : groupOf(object);
}

import { describe, expect, it } from "vitest";
import { groupLabel, type BizGroupResourceQuota } from "@fleetwright/api";
import {
  ApiError,
  FleetwrightError,
  seededRandom,
  silentLogger,
  VirtualClock,
  type KubeObject,
} from "@fleetwright/kube";
import { defaultBounds, type ChargeRequest, type LedgerBounds } from "../core/admit.ts";
import { readGroup } from "../core/group-state.ts";
import { noDefaults } from "../core/pod-template.ts";
import { noContext } from "../core/refusal.ts";
import { UsageIndex } from "../core/usage-index.ts";
import { deployments } from "../core/workload-kind.ts";
import { GroupWriter, type GroupStore, type Outcome } from "./group-writer.ts";

const cpu = (amount: number): ReadonlyMap<string, bigint> => new Map([["limits.cpu", BigInt(amount) * 1_000_000_000n]]);

const wants = (uid: string, amount: number, more: Partial<ChargeRequest> = {}): ChargeRequest => ({
  uid,
  kind: "deployments.apps",
  namespace: "ns",
  name: uid,
  base: "",
  before: new Map(),
  after: cpu(amount),
  ...more,
});

/** One group on a server of its own; each write can be met by something that happens before it. */
class FakeServer {
  object: BizGroupResourceQuota;
  writes = 0;
  lists = 0;
  beforeWrite: (() => void)[] = [];
  readonly index = new UsageIndex([deployments], () => noDefaults);
  readonly time = new VirtualClock();
  #version = 1;

  constructor(hard: number) {
    this.object = { metadata: { name: "g", uid: "u", resourceVersion: "1" }, spec: { hard: { "limits.cpu": hard } } };
  }

  /** Somebody else's write. */
  put(object: BizGroupResourceQuota): BizGroupResourceQuota {
    this.object = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    return this.object;
  }

  store(): GroupStore {
    const view = () => this.index.view("g", () => "100");
    return {
      read: () => Promise.resolve(this.object),
      write: (object) => {
        this.beforeWrite.shift()?.();
        if (object.metadata.resourceVersion !== this.object.metadata.resourceVersion)
          return Promise.reject(new ApiError(409, { code: 409, reason: "Conflict", message: "changed" }));
        this.writes++;
        return Promise.resolve(this.put(object));
      },
      view,
      liveView: () => {
        this.lists++;
        return Promise.resolve(view());
      },
      context: () => noContext,
    };
  }

  writer(bounds: LedgerBounds = defaultBounds, assertLeading: () => void = () => {}): GroupWriter {
    return new GroupWriter("g", {
      store: this.store(),
      clock: this.time,
      random: seededRandom(1),
      logger: silentLogger,
      bounds,
      assertLeading,
    });
  }

  async ask(writer: GroupWriter, ...requests: ChargeRequest[]): Promise<readonly Outcome[]> {
    const signal = new AbortController().signal;
    const answers = Promise.all(requests.map((request) => writer.charge(request, this.time.now() + 7_000, signal)));
    await this.time.advance(10_000);
    return await answers;
  }
}

const stored = (uid: string, name: string, replicas: number, resourceVersion: string): KubeObject =>
  ({
    metadata: { name, namespace: "ns", uid, resourceVersion, labels: { [groupLabel]: "g" } },
    spec: {
      replicas,
      template: { spec: { containers: [{ name: "main", resources: { limits: { cpu: "1" } } }] } },
    },
  }) as KubeObject;

const said = (outcomes: readonly Outcome[]): readonly (boolean | string)[] =>
  outcomes.map((each) => each.allowed || each.refusal.message);

describe("a group's writer", () => {
  it("folds what arrives together into one write, in order", async () => {
    const server = new FakeServer(5);
    const outcomes = await server.ask(server.writer(), wants("a", 2), wants("b", 4), wants("c", 3), wants("d", 1));
    expect(said(outcomes)).toEqual([
      true,
      'quota "g": limits.cpu needs 4, 3 left of 5 (2 used by itself)',
      true,
      'quota "g": limits.cpu needs 1, 0 left of 5 (5 used by itself)',
    ]);
    expect(server.writes).toBe(1);
  });

  it("carries no verdict over a conflict: what was denied is judged again, and so is what was admitted (kubernetes#141904)", async () => {
    const server = new FakeServer(5);
    // While our write is on its way, the room goes: what was admitted no longer fits, and what was denied fits no better.
    server.beforeWrite.push(() => server.put({ ...server.object, spec: { hard: { "limits.cpu": 1 } } }));
    const outcomes = await server.ask(server.writer(), wants("a", 2), wants("b", 9));
    expect(outcomes.map(({ allowed }) => allowed)).toEqual([false, false]);
    expect(readGroup(server.object).ledger.holds).toEqual([]);
  });

  it("admits after a conflict what was denied before, if there is room now", async () => {
    const server = new FakeServer(3);
    server.beforeWrite.push(() => server.put({ ...server.object, spec: { hard: { "limits.cpu": 20 } } }));
    expect(said(await server.ask(server.writer(), wants("a", 2), wants("b", 9)))).toEqual([true, true]);
  });

  it("refuses only after a live list, unless it could never fit", async () => {
    const server = new FakeServer(5);
    await server.ask(server.writer(), wants("a", 6));
    expect(server.lists).toBe(0);
    await server.ask(server.writer(), wants("b", 4), wants("c", 4));
    expect(server.lists).toBe(1);
  });

  it("charges an object once, however often it asks", async () => {
    const server = new FakeServer(5);
    const writer = server.writer();
    expect(said(await server.ask(writer, wants("a", 3), wants("a", 3)))).toEqual([true, true]);
    expect(said(await server.ask(writer, wants("a", 3)))).toEqual([true]);
    expect(server.object.status?.used).toEqual({ "limits.cpu": "3" });
  });

  it("charges a create once that is sent again under a new UID, and takes no room for its first try", async () => {
    const server = new FakeServer(5);
    const writer = server.writer();
    expect(said(await server.ask(writer, wants("first", 4, { name: "w" })))).toEqual([true]);
    expect(said(await server.ask(writer, wants("second", 4, { name: "w" }), wants("other", 1)))).toEqual([true, true]);
    expect(server.object.status?.used).toEqual({ "limits.cpu": "5" });
  });

  it("keeps few holds of a name that is created over and over (kubernetes#61530)", async () => {
    const server = new FakeServer(9);
    const writer = server.writer({ maxHolds: 3, maxBytes: 1_000 });
    for (let round = 0; round < 20; round++) {
      const creates = Array.from({ length: 20 }, (_, index) =>
        wants(`${round}-${index}`, 1 + (index % 3), { name: "w" }),
      );
      expect(new Set(said(await server.ask(writer, ...creates)))).toEqual(new Set([true]));
    }
    expect(readGroup(server.object).ledger.holds).toHaveLength(2);
    expect(server.object.status?.used).toEqual({ "limits.cpu": "3" });
    expect(said(await server.ask(writer, wants("other", 6)))).toEqual([true]);
  });

  it.each([2, 3, 9])(
    "keeps the room of the first of %i creates of a name when the last was stored and deleted",
    async (count) => {
      const server = new FakeServer(5);
      const writer = server.writer();
      const uids = Array.from({ length: count }, (_, index) => `u${index}`);
      for (const uid of uids) await server.ask(writer, wants(uid, 4, { name: "w" }));
      server.index.upsert(deployments, stored(uids.at(-1) ?? "", "w", 4, "50"));
      server.index.remove(uids.at(-1) ?? "", "51", 0);
      // The API server may still store the first one: it was only slow.
      expect(said(await server.ask(writer, wants("other", 2)))).toEqual([
        'quota "g": limits.cpu needs 2, 1 left of 5 (4 used by itself)',
      ]);
    },
  );

  it("charges what replaces an object of its name the difference, before the cache has noticed", async () => {
    const server = new FakeServer(5);
    server.index.upsert(deployments, stored("old", "w", 3, "50"));
    expect(said(await server.ask(server.writer(), wants("new", 4, { name: "w" }), wants("other", 1)))).toEqual([
      true,
      true,
    ]);
    expect(server.object.status?.used).toEqual({ "limits.cpu": "5" });
  });

  it("keeps a child group's creates with different keys apart: the parent's new key must be in all of them", async () => {
    const server = new FakeServer(5);
    const child = (uid: string, after: ReadonlyMap<string, bigint>): ChargeRequest =>
      wants(uid, 0, {
        name: "c",
        kind: "bizgroupresourcequotas.fleetwright.dev",
        namespace: "",
        childGroup: true,
        after,
      });
    const more = new Map([...cpu(1), ["requests.memory", 1n] as const]);
    await server.ask(server.writer(), child("1", cpu(1)), child("2", more), child("3", more), child("4", more));
    const keys = readGroup(server.object).ledger.holds.map(({ charge }) => charge.size);
    expect(keys).toEqual([1, 2]);
  });

  it("charges nothing for a dry run", async () => {
    const server = new FakeServer(5);
    expect(
      said(await server.ask(server.writer(), wants("a", 3, { dryRun: true }), wants("b", 9, { dryRun: true }))),
    ).toEqual([true, 'quota "g": limits.cpu needs 9, 5 left of 5 (0 used by itself)']);
    expect(server.writes).toBe(0);
  });

  it("answers 429 when the ledger is full, and changes nothing for it", async () => {
    const server = new FakeServer(100);
    const outcomes = await server.ask(
      server.writer({ maxHolds: 2, maxBytes: 1e6 }),
      wants("a", 1),
      wants("b", 1),
      wants("c", 1),
    );
    expect(outcomes[2]).toMatchObject({ allowed: false, refusal: { retryAfterSeconds: 1 } });
    expect(readGroup(server.object).ledger.holds).toHaveLength(2);
    expect(server.object.status?.used).toEqual({ "limits.cpu": "2" });
  });

  it("sheds with 429 what could not be decided in time", async () => {
    const server = new FakeServer(100);
    server.beforeWrite = Array.from({ length: 10_000 }, () => () => void server.put(server.object));
    expect(await server.ask(server.writer(), wants("a", 1))).toMatchObject([
      { allowed: false, refusal: { code: "FW_QUOTA_BUSY" } },
    ]);
  });

  it("frees a hold as soon as the cache shows the object, and counts it from there", async () => {
    const server = new FakeServer(5);
    const writer = server.writer();
    await server.ask(writer, wants("a", 3));
    server.index.upsert(deployments, stored("a", "a", 1, "50"));
    expect(said(await server.ask(writer, wants("b", 4)))).toEqual([true]);
    const { ledger } = readGroup(server.object);
    expect(ledger.holds.map(({ uid }) => uid)).toEqual(["b"]);
    expect(ledger.seen).toEqual({ "deployments.apps": "50" });
  });

  it("says in one message whatever lacks", async () => {
    const server = new FakeServer(5);
    server.object = {
      ...server.object,
      spec: { hard: { "limits.cpu": 5, "limits.cpu.A4": 2, "requests.memory": "1Gi" } },
    };
    const after = new Map([
      ...cpu(8),
      ["limits.cpu.A4", 8_000_000_000n] as const,
      ["requests.memory", 1_000_000_000n] as const,
    ]);
    expect(said(await server.ask(server.writer(), { ...wants("a", 8), after }))).toEqual([
      'quota "g": limits.cpu needs 8, 5 left of 5 (0 used by itself); limits.cpu.A4 needs 8, 2 left of 2 (0 used by itself)',
    ]);
  });

  it("writes no count once another may lead, and goes on to admit", async () => {
    const server = new FakeServer(5);
    let leads = true;
    const writer = server.writer(defaultBounds, () => {
      if (!leads) throw new FleetwrightError("FW_LEADERSHIP_LOST", "another leads");
    });
    const count = () => {
      const job = { expired: [], ready: undefined, touch: true };
      return writer.recompute(job, server.time.now() + 7_000, new AbortController().signal);
    };
    await count();
    expect(server.writes).toBe(1);
    leads = false;
    await expect(count()).rejects.toThrow("another leads");
    expect(server.writes).toBe(1);
    expect(said(await server.ask(writer, wants("a", 2)))).toEqual([true]);
    expect(server.writes).toBe(2);
  });
});

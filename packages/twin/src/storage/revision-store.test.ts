import assert from "node:assert/strict";
import { systemClock, VirtualClock } from "@fleetwright/kube";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DraftValue } from "../machinery/draft.ts";
import { createMemoryStore } from "./memory-store.ts";
import { Compacted, WriteConflict, type Store, type StoreEvent, type StoreWatch, type WatchScope } from "./store.ts";

const body = (value: DraftValue) => ({
  make: (revision: number) => ({ object: { revision, value } }),
});
const keysOf = (items: readonly { readonly key: string }[]) => items.map(({ key }) => key);

function put(store: Store, key: string, index = "", value: DraftValue = 0): number {
  const expected = store.get("pods", key)?.revision ?? 0;
  const make = (revision: number) => ({ object: { revision, value }, index });
  return store.write({ collection: "pods", key, expected, make }).revision;
}

function remove(store: Store, key: string): number {
  const expected = store.get("pods", key)?.revision ?? 0;
  return store.write({ collection: "pods", key, expected, delete: true, ...body("gone") }).revision;
}

const textOf = (events: readonly StoreEvent[]) =>
  events.map(({ type, revision, object }) => `${type} ${object.key} ${revision}`);

describe("writes", () => {
  it("count one revision over all collections, from 2 on", () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    expect(store.revision).toBe(1);
    expect(put(store, "a/one")).toBe(2);
    expect(store.write({ collection: "nodes", key: "n", expected: 0, ...body(1) }).revision).toBe(3);
    expect([store.revisionOf("pods"), store.revisionOf("nodes"), store.revisionOf("jobs")]).toEqual([2, 3, 0]);
  });

  it("are refused when somebody wrote first, and then leave nothing behind", () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    put(store, "a/one");
    for (const expected of [0, 1, 3]) {
      expect(() => store.write({ collection: "pods", key: "a/one", expected, ...body(1) })).toThrow(WriteConflict);
    }
    expect(() => store.write({ collection: "pods", key: "a/two", expected: 5, ...body(1) })).toThrow(WriteConflict);
    expect(() => store.write({ collection: "pods", key: "a/two", expected: 0, delete: true, ...body(1) })).toThrow(
      WriteConflict,
    );
    const failing = () => {
      throw new Error("no object");
    };
    expect(() => store.write({ collection: "pods", key: "a/two", expected: 0, make: failing })).toThrow("no object");
    expect(store.revision).toBe(2);
    expect(keysOf(store.list("pods").items)).toEqual(["a/one"]);
  });

  it("keep bytes in a buffer of their own", () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    put(store, "a/one");
    const bytes = store.get("pods", "a/one")?.bytes;
    expect(bytes?.buffer.byteLength).toBe(bytes?.byteLength);
  });
});

describe("lists", () => {
  it("are in the order of the keys' bytes, as etcd's", () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    const keys = ["a/b", "a-b/x", "é", "a/\u{1F600}", "a/\uFFEE", "b/a", "__proto__", "a/B"];
    for (const key of keys) put(store, key);
    expect(keysOf(store.list("pods").items)).toEqual(
      keys.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))),
    );
    expect(keysOf(store.list("pods", { namespace: "a" }).items)).toEqual(["a/B", "a/b", "a/\uFFEE", "a/\u{1F600}"]);
  });

  it("page through one revision while objects come and go", () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    for (let number = 10; number < 20; number++) put(store, `a/${number}`);
    const first = store.list("pods", { limit: 4 });
    expect([keysOf(first.items).at(-1), first.remaining, first.revision]).toEqual(["a/13", 6, 11]);
    remove(store, "a/15");
    put(store, "a/145");
    put(store, "a/16");
    const second = store.list("pods", { limit: 4, after: "a/13", atRevision: first.revision });
    expect(keysOf(second.items)).toEqual(["a/14", "a/15", "a/16", "a/17"]);
    expect(second.items[2]?.revision).toBe(8);
    expect(second.remaining).toBe(2);
  });
});

describe("the window of history", () => {
  it("forgets at each interval what was old at the one before, as kube-apiserver's compactor", async () => {
    const clock = new VirtualClock();
    const store = createMemoryStore({ clock, windowMs: 1000 });
    put(store, "a/one");
    await clock.advance(1000);
    put(store, "a/one");
    expect(store.oldestRevision).toBe(1);
    await clock.advance(1000);
    expect(store.oldestRevision).toBe(2);
    await clock.advance(5000);
    expect(store.oldestRevision).toBe(3);
    expect(() => store.watch("pods", 2)).toThrow(Compacted);
    expect(() => store.list("pods", { atRevision: 2 })).toThrow(Compacted);
    expect(store.list("pods", { atRevision: 3 }).items).toHaveLength(1);
  });

  it("gives back the memory of what it forgets", () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    for (let number = 0; number < 100; number++) {
      put(store, `a/${number % 10}`);
      if (number % 10 === 9) remove(store, "a/9");
    }
    const { bytes } = store.stats();
    store.compact(store.revision);
    expect(store.stats()).toEqual({ objects: 9, bytes, historyEvents: 0, historyBytes: 0 });
  });

  it("gets shorter when history takes too much memory", () => {
    const store = createMemoryStore({ clock: new VirtualClock(), historyLimitBytes: 10_000 });
    const watch = store.watch("pods", 1);
    for (let number = 0; number < 1000; number++) put(store, "a/one", "", "x".repeat(100));
    expect(store.stats().historyBytes).toBeLessThanOrEqual(10_000);
    expect(store.oldestRevision).toBeGreaterThan(800);
    return expect(watch.next()).rejects.toThrow(Compacted);
  });
});

describe("expiry", () => {
  it("deletes an object when its time has come, with the revision of the deletion in its last state", async () => {
    const clock = new VirtualClock();
    const store = createMemoryStore({ clock });
    const make = (revision: number) => ({
      object: { metadata: { resourceVersion: String(revision) }, involvedObject: { resourceVersion: "2" } },
    });
    store.write({ collection: "events", key: "a/e", expected: 0, make, ttlSeconds: 10 });
    store.write({ collection: "events", key: "a/e", expected: 2, make, ttlSeconds: 60 });
    const watch = store.watch("events", 3);
    await clock.advance(59_000);
    expect(store.get("events", "a/e")).toBeDefined();
    await clock.advance(2000);
    const [event] = await watch.next();
    expect(event).toMatchObject({ type: "DELETED", revision: 4 });
    expect(event?.object.bytes.toString()).toBe(
      '{"metadata":{"resourceVersion":"4"},"involvedObject":{"resourceVersion":"2"}}',
    );
    expect(clock.pending).toBe(0);
  });

  it("takes many in turns and misses none", async () => {
    const clock = new VirtualClock();
    const store = createMemoryStore({ clock });
    for (let number = 0; number < 1001; number++) {
      store.write({
        collection: "events",
        key: `a/${number}`,
        expected: 0,
        ...objectBody,
        ttlSeconds: 1 + (number % 2),
      });
    }
    await clock.advance(1500);
    expect(store.stats().objects).toBe(500);
    await clock.runUntilIdle();
    expect(store.stats().objects).toBe(0);
  });
});

const objectBody = {
  make: (revision: number) => ({ object: { metadata: { resourceVersion: String(revision) } } }),
};

describe("watches", () => {
  it("get what they missed, then what happens, once for all writes of a turn", async () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    put(store, "a/one");
    put(store, "a/two");
    const watch = store.watch("pods", 2);
    expect(watch.position).toBe(2);
    expect(textOf(await watch.next())).toEqual(["ADDED a/two 3"]);
    const waiting = watch.next();
    put(store, "a/one");
    remove(store, "a/two");
    store.write({ collection: "nodes", key: "n", expected: 0, ...body(1) });
    expect(watch.position).toBe(3);
    expect(textOf(await waiting)).toEqual(["MODIFIED a/one 4", "DELETED a/two 5"]);
    expect(watch.position).toBe(6);
  });

  it("of an index value see objects come and go", async () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    const [one, two] = [store.watch("pods", 1, { index: "node-1" }), store.watch("pods", 1, { index: "node-2" })];
    put(store, "a/pod", "");
    put(store, "a/pod", "node-1");
    put(store, "a/pod", "node-2");
    remove(store, "a/pod");
    expect(textOf(await one.next())).toEqual(["MODIFIED a/pod 3", "MODIFIED a/pod 4"]);
    expect(textOf(await two.next())).toEqual(["MODIFIED a/pod 4", "DELETED a/pod 5"]);
  });

  it("of the same scope share the array", async () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    const [one, two] = [store.watch("pods", 1).next(), store.watch("pods", 1).next()];
    put(store, "a/pod");
    expect(await one).toBe(await two);
  });

  it("of a future revision wait for it", async () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    const watch = store.watch("pods", 3);
    expect(watch.position).toBe(3);
    const waiting = watch.next();
    for (const key of ["a/2", "a/3", "a/4"]) put(store, key);
    expect(textOf(await waiting)).toEqual(["ADDED a/4 4"]);
  });

  it("end for their reader: woken, aborted, closed, fallen out of the window, with the store", async () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    const watch = store.watch("pods", 1);
    const woken = watch.next();
    watch.wake();
    expect(await woken).toEqual([]);
    watch.wake();
    expect(await watch.next()).toEqual([]);
    const controller = new AbortController();
    const aborted = watch.next(controller.signal);
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    await expect(watch.next(controller.signal)).rejects.toThrow("enough");
    const slow = store.watch("pods", 1);
    put(store, "a/one");
    put(store, "a/two");
    const quick = store.watch("pods", 1);
    await quick.next();
    store.compact(2);
    await expect(slow.next()).rejects.toThrow(Compacted);
    const waiting = quick.next();
    quick.close();
    expect(await waiting).toEqual([]);
    await expect(quick.next()).rejects.toThrow("closed");
    const last = store.watch("pods", 3).next();
    await store.close();
    await expect(last).rejects.toThrow("the store is closed");
    expect(() => put(store, "a/three")).toThrow("the store is closed");
  });

  it("return a long history in parts, and say how far they are", async () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    for (let number = 0; number < 2500; number++) put(store, "a/one");
    const watch = store.watch("pods", 1);
    const sizes: number[] = [];
    const positions: number[] = [];
    for (let round = 0; round < 3; round++) {
      sizes.push((await watch.next()).length);
      positions.push(watch.position);
    }
    expect(sizes).toEqual([1000, 1000, 500]);
    expect(positions).toEqual([1001, 2001, 2501]);
  });

  it("of one node cost nothing for others' events", async () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    const watches = Array.from({ length: 7500 }, (_, number) => store.watch("pods", 1, { index: `node-${number}` }));
    let told = 0;
    for (const watch of watches) void watch.next().then(() => told++);
    const started = systemClock.now();
    for (let number = 0; number < 20_000; number++) put(store, `a/${number % 100}`, "node-7");
    // 20,000 writes that visited 7,500 watches each would take minutes.
    expect(systemClock.now() - started).toBeLessThan(5000);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    expect(told).toBe(1);
  });
});

/** What the store must do, said as simply as possible: every write there ever was. */
interface Written {
  readonly revision: number;
  readonly key: string;
  readonly index: string;
  readonly deleted: boolean;
}

const namespaces = ["a", "b", "a-b"];
const indexes = ["", "node-1", "node-2"];
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("put"), key: fc.nat(11), index: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("remove"), key: fc.nat(11) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("list"), back: fc.nat(12), after: fc.nat(12), limit: fc.nat(5) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("watch"), back: fc.nat(12), scope: fc.nat(5), key: fc.nat(11) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("read"), key: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("compact"), back: fc.nat(8) }) },
) as fc.Arbitrary<{
  kind: string;
  key: number;
  index: number;
  back: number;
  after: number;
  limit: number;
  scope: number;
}>;

const keyOf = (number: number) => `${namespaces[number % 3]}/${"xyz\u{1F600}"[Math.floor(number / 3)] ?? "w"}`;
const byBytes = (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other));

function stateAt(writes: readonly Written[], revision: number): Map<string, Written> {
  const state = new Map<string, Written>();
  for (const write of writes) {
    if (write.revision > revision) break;
    if (write.deleted) state.delete(write.key);
    else state.set(write.key, write);
  }
  return state;
}

function eventsOf(writes: readonly Written[], after: number, scope: WatchScope): string[] {
  const events: string[] = [];
  const state = new Map<string, Written>();
  for (const write of writes) {
    const previous = state.get(write.key);
    if (write.deleted) state.delete(write.key);
    else state.set(write.key, write);
    if (write.revision <= after) continue;
    if (scope.key !== undefined && scope.key !== write.key) continue;
    if (scope.namespace !== undefined && write.key.split("/")[0] !== scope.namespace) continue;
    if (scope.index !== undefined && scope.index !== write.index && scope.index !== previous?.index) continue;
    const type = write.deleted ? "DELETED" : previous === undefined ? "ADDED" : "MODIFIED";
    events.push(`${type} ${write.key} ${write.revision}`);
  }
  return events;
}

describe("any run of writes, deletions, compactions, lists and watches", () => {
  it("is as the model says", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const store = createMemoryStore({ clock: new VirtualClock() });
        const writes: Written[] = [];
        const watches: { watch: StoreWatch; after: number; scope: WatchScope; got: string[]; fallen: boolean }[] = [];
        let oldest = 1;
        const drain = async (entry: (typeof watches)[number]): Promise<void> => {
          if (entry.fallen) return;
          try {
            for (let events: readonly StoreEvent[] | undefined; events === undefined || events.length > 0;) {
              entry.watch.wake();
              events = await entry.watch.next();
              entry.got.push(...textOf(events));
            }
            assert.equal(entry.watch.position, Math.max(entry.after, store.revision));
          } catch (error) {
            if (!(error instanceof Compacted)) throw error;
            entry.fallen = true;
            // It fell out only if it had missed something.
            assert.ok(eventsOf(writes, entry.after, entry.scope).length > entry.got.length);
          }
        };
        for (const { kind, key, index, back, after, limit, scope } of steps) {
          const name = keyOf(key ?? 0);
          const at = Math.max(1, store.revision - (back ?? 0));
          if (kind === "put") {
            const value = indexes[index] ?? "";
            writes.push({ revision: put(store, name, value), key: name, index: value, deleted: false });
          } else if (kind === "remove" && store.get("pods", name) !== undefined) {
            const value = store.get("pods", name)?.index ?? "";
            writes.push({ revision: remove(store, name), key: name, index: value, deleted: true });
          } else if (kind === "list") {
            const options = { atRevision: at, limit, ...(after < 12 ? { after: keyOf(after) } : {}) };
            if (at < oldest) {
              assert.throws(() => store.list("pods", options), Compacted);
              continue;
            }
            for (const namespace of [undefined, ...namespaces]) {
              const expected = [...stateAt(writes, at).values()]
                .filter((write) => namespace === undefined || write.key.startsWith(`${namespace}/`))
                .filter((write) => options.after === undefined || byBytes(write.key, options.after) > 0)
                .toSorted((one, other) => byBytes(one.key, other.key));
              const page = limit === 0 ? expected : expected.slice(0, limit);
              const listed = store.list("pods", { ...options, ...(namespace === undefined ? {} : { namespace }) });
              assert.deepEqual(
                listed.items.map((item) => `${item.key} ${item.revision} ${item.index}`),
                page.map((write) => `${write.key} ${write.revision} ${write.index}`),
              );
              assert.equal(listed.remaining, expected.length - page.length);
            }
          } else if (kind === "watch") {
            const scopes: WatchScope[] = [
              {},
              { namespace: "a" },
              { key: name },
              { index: "node-1" },
              { index: "" },
              { index: "node-1", namespace: "b" },
            ];
            const chosen = scopes[scope] ?? {};
            if (at < oldest) assert.throws(() => store.watch("pods", at, chosen), Compacted);
            else
              watches.push({
                watch: store.watch("pods", at, chosen),
                after: at,
                scope: chosen,
                got: [],
                fallen: false,
              });
          } else if (kind === "read") {
            const entry = watches[key % Math.max(1, watches.length)];
            if (entry !== undefined) await drain(entry);
          } else if (kind === "compact") {
            store.compact(at);
            oldest = Math.max(oldest, at);
            assert.equal(store.oldestRevision, oldest);
          }
        }
        for (const entry of watches) {
          await drain(entry);
          if (!entry.fallen) assert.deepEqual(entry.got, eventsOf(writes, entry.after, entry.scope));
        }
        store.compact(store.revision);
        expect(store.stats().historyBytes).toBe(0);
        expect(keysOf(store.list("pods").items)).toEqual([...stateAt(writes, store.revision).keys()].toSorted(byBytes));
      }),
      { numRuns: 300 },
    );
  });
});

import { VirtualClock } from "@fleetwright/kube";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMemoryStore } from "./memory-store.ts";
import { newestStates } from "./newest-watch.ts";
import type { Store, StoreEvent } from "./store.ts";

const keys = ["a/one", "a/two", "b/one"];

/** Creates, changes or deletes. */
function change(store: Store, key: string, deletes: boolean): void {
  const current = store.get("pods", key);
  store.write({
    collection: "pods",
    key,
    expected: current?.revision ?? 0,
    delete: deletes && current !== undefined,
    make: (revision) => ({ object: { revision } }),
  });
}

const textOf = ({ type, object, previous }: StoreEvent): string =>
  `${type} ${object.key} ${object.revision} after ${previous?.revision ?? "nothing"}`;

describe("a watch that leaves out what was overtaken", () => {
  it("tells of each object's newest state once, from the state that the reader knows", async () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    change(store, "a/one", false);
    const watch = newestStates(store.watch("pods", store.revision));
    for (let count = 0; count < 5; count++) for (const key of keys) change(store, key, false);
    change(store, "b/one", true);
    const events = await watch.next();
    expect(events.map(textOf)).toEqual(["MODIFIED a/one 15 after 2", "ADDED a/two 16 after nothing"]);
  });

  it("tells of both where one object was followed by another of its name", async () => {
    const store = createMemoryStore({ clock: new VirtualClock() });
    change(store, "a/one", false);
    const watch = newestStates(store.watch("pods", store.revision));
    change(store, "a/one", true);
    change(store, "a/one", false);
    expect((await watch.next()).map(textOf)).toEqual(["DELETED a/one 3 after 2", "ADDED a/one 4 after nothing"]);
  });

  it("leads to what is there, whenever its reader comes, and never past what it has not told", async () => {
    const step = fc.record({ key: fc.constantFrom(...keys), deletes: fc.boolean(), reads: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const store = createMemoryStore({ clock: new VirtualClock() });
        const watch = newestStates(store.watch("pods", store.revision));
        const seen = new Map<string, number>();
        const read = async (): Promise<void> => {
          watch.wake();
          for (const { type, object, previous } of await watch.next()) {
            expect(seen.get(object.key)).toBe(previous?.revision);
            if (type === "DELETED") seen.delete(object.key);
            else seen.set(object.key, object.revision);
          }
        };
        for (const { key, deletes, reads } of steps) {
          change(store, key, deletes);
          if (reads) await read();
        }
        await read();
        await read();
        const there = store.list("pods").items.map(({ key, revision }) => [key, revision] as const);
        expect(seen).toEqual(new Map(there));
        expect(watch.position).toBe(store.revision);
      }),
    );
  });
});

import fc from "fast-check";
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { VirtualClock } from "../core/virtual-clock.ts";
import { WorkQueue } from "./work-queue.ts";

type Operation =
  | { readonly kind: "add"; readonly key: string; readonly priority: number; readonly afterMs: number }
  | { readonly kind: "get" }
  | { readonly kind: "done"; readonly pick: number }
  | { readonly kind: "advance"; readonly ms: number };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    kind: fc.constant("add" as const),
    key: fc.constantFrom("a", "b", "c", "d", "e"),
    priority: fc.constantFrom(0, 0, 0, -100, 5),
    afterMs: fc.constantFrom(0, 0, 10, 25, 40),
  }),
  fc.constant({ kind: "get" as const }),
  fc.record({ kind: fc.constant("done" as const), pick: fc.nat(4) }),
  fc.record({ kind: fc.constant("advance" as const), ms: fc.constantFrom(5, 10, 30) }),
);

/** The queue as its documentation puts it, without heaps, tickets and timers. */
class Model {
  now = 0;
  order = 0;
  readonly entries = new Map<string, { priority: number; readyAt: number; ready: boolean; order: number }>();
  readonly inWork = new Set<string>();

  add(key: string, priority: number, afterMs: number): void {
    const readyAt = this.now + afterMs;
    const present = this.entries.get(key);
    const ready = afterMs === 0 || present?.ready === true;
    if (present !== undefined && priority <= present.priority && (present.ready || readyAt >= present.readyAt)) return;
    this.entries.set(key, {
      priority: Math.max(priority, present?.priority ?? priority),
      readyAt: Math.min(readyAt, present?.readyAt ?? readyAt),
      ready: ready || (present !== undefined && Math.min(readyAt, present.readyAt) <= this.now),
      order: ++this.order,
    });
  }

  advance(ms: number): void {
    this.now += ms;
    const due = [...this.entries.values()].filter((entry) => !entry.ready && entry.readyAt <= this.now);
    for (const entry of due.toSorted((left, right) => left.readyAt - right.readyAt || left.order - right.order)) {
      entry.ready = true;
      entry.order = ++this.order;
    }
  }

  next(): string | undefined {
    const ready = [...this.entries].filter(([key, entry]) => entry.ready && !this.inWork.has(key));
    const sorted = ready.toSorted(([, left], [, right]) => right.priority - left.priority || left.order - right.order);
    return sorted[0]?.[0];
  }

  take(key: string): void {
    this.entries.delete(key);
    this.inWork.add(key);
  }
}

const make = (clock: VirtualClock, metrics?: Registry): WorkQueue =>
  new WorkQueue({ clock, name: "test", ...(metrics === undefined ? {} : { metrics }) });

describe("WorkQueue", () => {
  it("hands out what the model says, in its order, never a key twice at a time", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
        const clock = new VirtualClock({ start: 0, turns: 1 });
        const queue = make(clock);
        const model = new Model();
        const order: [actual: string | undefined, expected: string][] = [];
        for (const step of operations) {
          if (step.kind === "add") {
            queue.add(step.key, step);
            model.add(step.key, step.priority, step.afterMs);
          } else if (step.kind === "advance") {
            await clock.advance(step.ms);
            model.advance(step.ms);
          } else if (step.kind === "done") {
            const key = [...model.inWork][step.pick];
            if (key === undefined) continue;
            model.inWork.delete(key);
            queue.done(key);
          } else {
            const expected = model.next();
            // A get that would wait is tried in a test of its own.
            if (expected === undefined) continue;
            order.push([(await queue.get())?.key, expected]);
            model.take(expected);
          }
          expect(queue.inWork).toBe(model.inWork.size);
          expect(queue.length).toBe([...model.entries.values()].filter((entry) => entry.ready).length);
        }
        expect(order.map(([actual]) => actual)).toEqual(order.map(([, expected]) => expected));
      }),
      { numRuns: 500 },
    );
  });

  it("loses no key and keeps each to one worker at a time, however adds and work interleave", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ key: fc.constantFrom("a", "b", "c"), at: fc.nat(100) }), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 4 }),
        async (adds, workers) => {
          const clock = new VirtualClock({ start: 0, turns: 2 });
          const queue = make(clock);
          const lastAdd = new Map<string, number>();
          const lastStart = new Map<string, number>();
          const busy = new Set<string>();
          for (const { key, at } of adds) {
            clock.setTimer(at, () => {
              lastAdd.set(key, clock.now());
              queue.add(key);
            });
          }
          const work = async (): Promise<void> => {
            for (let item = await queue.get(); item !== undefined; item = await queue.get()) {
              const { key } = item;
              expect(busy.has(key)).toBe(false);
              busy.add(key);
              lastStart.set(key, clock.now());
              await new Promise<void>((resolve) => void clock.setTimer(7, resolve));
              busy.delete(key);
              queue.done(key);
            }
          };
          const running = Array.from({ length: workers }, work);
          await clock.runUntilIdle();
          await queue.shutdown({ drain: true });
          await Promise.all(running);
          for (const [key, added] of lastAdd) expect(lastStart.get(key)).toBeGreaterThanOrEqual(added);
        },
      ),
      { numRuns: 100 },
    );
  });

  it("doubles a key's delay from 5 ms to 1000 s, and starts again after forget", async () => {
    const clock = new VirtualClock({ start: 0 });
    const queue = new WorkQueue({ clock, name: "test", backoff: { qps: 1000, burst: 1000 } });
    const waits: number[] = [];
    for (let failure = 0; failure < 20; failure++) {
      const before = clock.now();
      queue.addRateLimited("a");
      const item = queue.get();
      await clock.runUntilIdle();
      await item;
      waits.push(clock.now() - before);
      queue.done("a");
    }
    expect(waits.slice(0, 4)).toEqual([5, 10, 20, 40]);
    expect(waits.slice(-2)).toEqual([1_000_000, 1_000_000]);
    expect(queue.failures("a")).toBe(20);
    queue.forget("a");
    queue.addRateLimited("a");
    const again = queue.get();
    await clock.advance(5);
    expect((await again)?.key).toBe("a");
  });

  it("holds retries of all keys together to the overall rate once the burst is spent", async () => {
    const clock = new VirtualClock({ start: 0 });
    const queue = make(clock);
    for (let index = 0; index < 150; index++) queue.addRateLimited(`key-${index}`);
    await clock.advance(10);
    expect(queue.length).toBe(100);
    await clock.advance(1000);
    expect(queue.length).toBe(110);
    await clock.advance(4000);
    expect(queue.length).toBe(150);
  });

  it("gives waiting workers keys as they become ready, and undefined at shutdown", async () => {
    const clock = new VirtualClock({ start: 0 });
    const queue = make(clock);
    const first = queue.get();
    const second = queue.get();
    queue.add("later", { afterMs: 50 });
    await clock.advance(50);
    expect(await first).toEqual({ key: "later", priority: 0 });
    const stopped = queue.shutdown();
    expect(await second).toBeUndefined();
    queue.add("ignored");
    queue.done("later");
    await stopped;
    expect(queue.length).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("drains: what is ready is handed out, what was added again in work too, what is delayed is dropped", async () => {
    const clock = new VirtualClock({ start: 0 });
    const queue = make(clock);
    queue.add("in-work");
    await queue.get();
    queue.add("in-work");
    queue.add("ready");
    queue.add("delayed", { afterMs: 1000 });
    let drained = false;
    const stopped = queue.shutdown({ drain: true }).then(() => (drained = true));
    expect((await queue.get())?.key).toBe("ready");
    queue.done("ready");
    queue.done("in-work");
    expect((await queue.get())?.key).toBe("in-work");
    await clock.settle();
    expect(drained).toBe(false);
    queue.done("in-work");
    await stopped;
    expect(await queue.get()).toBeUndefined();
  });

  it("reports client-go's metrics", async () => {
    const clock = new VirtualClock({ start: 0 });
    const registry = new Registry();
    const queue = make(clock, registry);
    queue.add("a");
    queue.add("b", { priority: -100 });
    queue.addRateLimited("c");
    await clock.advance(2000);
    await queue.get();
    await clock.advance(3000);
    const text = await registry.metrics();
    const labels = 'name="test",controller="test"';
    expect(text).toContain(`workqueue_depth{${labels},priority="0"} 1`);
    expect(text).toContain(`workqueue_depth{${labels},priority="-100"} 1`);
    expect(text).toContain(`workqueue_adds_total{${labels}} 3`);
    expect(text).toContain(`workqueue_retries_total{${labels}} 1`);
    expect(text).toContain(`workqueue_queue_duration_seconds_sum{${labels}} 2`);
    expect(text).toContain(`workqueue_unfinished_work_seconds{${labels}} 3`);
    expect(text).toContain(`workqueue_longest_running_processor_seconds{${labels}} 3`);
    queue.done("a");
    expect(await registry.metrics()).toContain(`workqueue_work_duration_seconds_sum{${labels}} 3`);
  });
});

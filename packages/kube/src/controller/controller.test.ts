import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { createClient } from "../client/create-client.ts";
import { createCache } from "../cache/cache.ts";
import { FakeApiServer } from "../cache/simulation/fake-api-server.ts";
import { sleep } from "../core/clock.ts";
import { silentLogger, type Logger } from "../core/logger.ts";
import { keyString, type KubeObject } from "../core/object.ts";
import { seededRandom } from "../core/random.ts";
import type { Resource } from "../core/resource.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import { createController, type ControllerOptions } from "./controller.ts";
import { anyOf, deletionStarted, generationChanged, labelsChanged } from "./predicate.ts";
import { TerminalError, type Reconciler } from "./reconciler.ts";
import { channel, toController, toOwners, watch } from "./source.ts";

const pods: Resource = { group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true };
const sets: Resource = { group: "apps", version: "v1", kind: "ReplicaSet", plural: "replicasets", namespaced: true };

const pod = (name: string, metadata: Partial<KubeObject["metadata"]> = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "ml", name, ...metadata },
});

/** A controller with a channel as its source, and everything that was asked of its reconciler. */
function setUp(reconcile: Reconciler["reconcile"], options: Partial<ControllerOptions> = {}) {
  const clock = new VirtualClock({ start: 0 });
  const source = channel();
  const stop = new AbortController();
  const registry = new Registry();
  const controller = createController({
    name: "test",
    reconciler: { reconcile },
    sources: [source],
    clock,
    logger: silentLogger,
    metrics: registry,
    ...options,
  });
  return { clock, source, stop, registry, running: controller.start(stop.signal) };
}

describe("createController", () => {
  it("reconciles one key by one worker at a time, different keys at the same time", async () => {
    const busy = new Map<string, number>();
    let most = 0;
    let reconciles = 0;
    const { clock, source, stop, running } = setUp(
      async (request) => {
        const key = keyString(request);
        busy.set(key, (busy.get(key) ?? 0) + 1);
        expect(busy.get(key)).toBe(1);
        most = Math.max(
          most,
          [...busy.values()].reduce((sum, count) => sum + count, 0),
        );
        await sleep(clock, 10);
        busy.set(key, 0);
        reconciles += 1;
      },
      { concurrency: 3 },
    );
    for (let round = 0; round < 20; round++) {
      for (const name of ["a", "b", "c", "d"]) source.enqueue({ namespace: "ml", name });
      await clock.advance(3);
    }
    await clock.advance(100);
    expect(most).toBe(3);
    expect(reconciles).toBeGreaterThan(8);
    stop.abort();
    await running;
  });

  it("tries again with growing delays after a failure, and not after a TerminalError", async () => {
    const times: number[] = [];
    const logged: string[] = [];
    const logger: Logger = { ...silentLogger, error: (_fields, message) => logged.push(message), child: () => logger };
    const { clock, source, stop, running, registry } = setUp(
      async ({ name }) => {
        times.push(clock.now());
        if (name === "terminal") throw new TerminalError("no way");
        if (times.length < 4) throw new Error("not yet");
      },
      { logger },
    );
    source.enqueue({ name: "flaky" });
    await clock.advance(60_000);
    expect(times).toEqual([0, 5, 15, 35]);
    source.enqueue({ name: "terminal" });
    await clock.advance(60_000);
    expect(times).toHaveLength(5);
    expect(logged).toEqual(["reconcile failed; it is tried again", "reconcile failed for good"]);
    const text = await registry.metrics();
    expect(text).toContain('controller_runtime_reconcile_total{controller="test",result="error"} 4');
    expect(text).toContain('controller_runtime_reconcile_total{controller="test",result="success"} 1');
    expect(text).toContain('controller_runtime_reconcile_errors_total{controller="test"} 4');
    expect(text).toContain('controller_runtime_terminal_reconcile_errors_total{controller="test"} 1');
    expect(text).toContain('controller_runtime_max_concurrent_reconciles{controller="test"} 1');
    expect(text).toContain('controller_runtime_active_workers{controller="test"} 0');
    expect(text).toContain('controller_runtime_reconcile_time_seconds_count{controller="test"} 5');
    stop.abort();
    await running;
  });

  it("survives a reconciler that throws before its first await, and keeps serving other keys", async () => {
    const done: string[] = [];
    const { clock, source, stop, running } = setUp(({ name }) => {
      if (name === "bad") throw new TypeError("undefined is not a function");
      done.push(name);
      return Promise.resolve();
    });
    source.enqueue({ name: "bad" });
    source.enqueue({ name: "good" });
    await clock.advance(100);
    expect(done).toEqual(["good"]);
    stop.abort();
    await running;
  });

  it("comes again after requeueAfterMs without counting a failure", async () => {
    const times: number[] = [];
    const { clock, source, stop, running, registry } = setUp(async () => {
      times.push(clock.now());
      return times.length < 3 ? { requeueAfterMs: 1000 } : undefined;
    });
    source.enqueue({ name: "a" });
    await clock.advance(10_000);
    expect(times).toEqual([0, 1000, 2000]);
    expect(await registry.metrics()).toContain('result="requeue_after"} 2');
    stop.abort();
    await running;
  });

  it("aborts a reconcile that takes too long, and tries again", async () => {
    let calls = 0;
    const { clock, source, stop, running, registry } = setUp(
      async (_request, signal) => {
        calls += 1;
        if (calls === 1) await sleep(clock, 60_000, signal);
      },
      { reconcileTimeoutMs: 500 },
    );
    source.enqueue({ name: "slow" });
    await clock.advance(1000);
    expect(calls).toBe(2);
    expect(await registry.metrics()).toContain('controller_runtime_reconcile_timeouts_total{controller="test"} 1');
    stop.abort();
    await running;
  });

  it("stops only when the reconciles in flight have ended, and starts no further one", async () => {
    const log: string[] = [];
    const { clock, source, stop, running } = setUp(async ({ name }, signal) => {
      log.push(`${name} started`);
      await sleep(clock, 1000, signal).catch(() => sleep(clock, 20));
      log.push(`${name} ended`);
    });
    source.enqueue({ name: "first" });
    source.enqueue({ name: "second" });
    await clock.advance(10);
    stop.abort();
    await clock.advance(5);
    expect(log).toEqual(["first started"]);
    await clock.advance(20);
    await running;
    expect(log).toEqual(["first started", "first ended"]);
  });

  it("puts what exists at the start behind what changes now", async () => {
    const clock = new VirtualClock();
    const random = seededRandom(1);
    const server = new FakeApiServer({ clock, random });
    for (let index = 0; index < 5; index++) server.storage.put("pods", `ml/old-${index}`, pod(`old-${index}`));
    const client = createClient({ transport: server.transport, clock });
    const cache = createCache({ client, clock, random, logger: silentLogger });
    const informer = cache.informer(pods);
    const stop = new AbortController();
    const order: string[] = [];
    const controller = createController({
      name: "test",
      reconciler: {
        async reconcile({ name }) {
          order.push(name);
          await sleep(clock, 100);
        },
      },
      sources: [watch(informer)],
      clock,
      logger: silentLogger,
    });
    const caching = cache.run(stop.signal);
    await clock.runUntil(() => informer.synced());
    const running = controller.start(stop.signal);
    await clock.advance(50);
    server.storage.put("pods", "ml/new", pod("new"));
    await clock.advance(1000);
    expect(order.indexOf("new")).toBe(1);
    expect(order.toSorted()).toEqual(["new", "old-0", "old-1", "old-2", "old-3", "old-4"]);
    stop.abort();
    await clock.settle();
    await Promise.all([running, caching]);
  });
});

describe("predicates and maps", () => {
  const before = pod("a", { generation: 1, labels: { team: "a" } });

  it("let through what they are named for", () => {
    const relabeled = pod("a", { generation: 1, labels: { team: "b" } });
    const respecified = pod("a", { generation: 2, labels: { team: "a" } });
    const leaving = pod("a", { generation: 1, labels: { team: "a" }, deletionTimestamp: "2030-01-01T00:00:00Z" });
    expect(generationChanged.updated?.(before, relabeled)).toBe(false);
    expect(generationChanged.updated?.(before, respecified)).toBe(true);
    expect(labelsChanged.updated?.(before, relabeled)).toBe(true);
    expect(labelsChanged.updated?.(before, respecified)).toBe(false);
    const either = anyOf(generationChanged, deletionStarted);
    expect(either.updated?.(before, relabeled)).toBe(false);
    expect(either.updated?.(before, leaving)).toBe(true);
    expect(either.added?.(before)).toBe(true);
  });

  it("find owners by group and kind in any version, the controller apart from other owners", () => {
    const owned = pod("a", {
      ownerReferences: [
        { apiVersion: "apps/v1beta1", kind: "ReplicaSet", name: "set", uid: "1", controller: true },
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: "friend", uid: "2" },
        { apiVersion: "example.com/v1", kind: "ReplicaSet", name: "stranger", uid: "3", controller: true },
      ],
    });
    expect(toController(sets)(owned)).toEqual([{ namespace: "ml", name: "set" }]);
    expect(toOwners({ ...sets, namespaced: false })(owned)).toEqual([{ name: "set" }, { name: "friend" }]);
  });
});

import { EventEmitter } from "node:events";
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { createCache } from "../cache/cache.ts";
import { FakeApiServer, type Fault } from "../cache/simulation/fake-api-server.ts";
import { createClient } from "../client/create-client.ts";
import { createController } from "../controller/controller.ts";
import { watch } from "../controller/source.ts";
import { sleep } from "../core/clock.ts";
import { silentLogger } from "../core/logger.ts";
import { seededRandom } from "../core/random.ts";
import type { Resource } from "../core/resource.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import { fencedClient } from "./fenced-client.ts";
import { createManager, type Manager, type ManagerOptions } from "./manager.ts";
import { withRequestMetrics } from "./rest-client-metrics.ts";
import { stopSignal } from "./stop-signal.ts";

const pods: Resource = { group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true };
const lease = { namespace: "fleet", name: "manager" };

function createWorld() {
  const clock = new VirtualClock();
  const random = seededRandom(1);
  let fault: Fault | undefined;
  const server = new FakeApiServer({ clock, random, fault: () => fault });
  const client = createClient({ transport: server.transport, clock });
  const log: string[] = [];
  const setFault = (next: Fault | undefined): void => void (fault = next);
  const start = (
    name: string,
    options: Partial<ManagerOptions> = {},
    prepare: (manager: Manager) => void = () => {},
  ) => {
    const manager = createManager({
      client,
      clock,
      random,
      logger: silentLogger,
      healthAddress: "0",
      metricsAddress: "0",
      leaderElection: { lease, identity: name },
      ...options,
    });
    for (const needLeaderElection of [true, false]) {
      const what = `${name} ${needLeaderElection ? "leader work" : "replica work"}`;
      manager.add({
        name: what,
        needLeaderElection,
        async start(signal) {
          log.push(`${what} starts`);
          await sleep(clock, 1e9, signal).catch(() => {});
          log.push(`${what} stops`);
        },
      });
    }
    prepare(manager);
    const stop = new AbortController();
    const ended = manager.run(stop.signal).then(
      () => "stopped",
      (error: { code?: string; message: string }) => error.code ?? error.message,
    );
    return { manager, stop, ended };
  };
  return { clock, random, server, client, log, setFault, start };
}

describe("createManager", () => {
  it("runs replica work everywhere and leader work on one, and hands over when the leader stops", async () => {
    const { clock, log, start } = createWorld();
    const first = start("first");
    await clock.advance(1000);
    const second = start("second");
    await clock.advance(20_000);
    expect(log).toEqual(["first replica work starts", "first leader work starts", "second replica work starts"]);
    first.stop.abort();
    await clock.advance(5000);
    expect(await first.ended).toBe("stopped");
    expect(log.slice(3).toSorted()).toEqual([
      "first leader work stops",
      "first replica work stops",
      "second leader work starts",
    ]);
    expect([first.manager.isLeading(), second.manager.isLeading()]).toEqual([false, true]);
  });

  it("stops leader work at once and fails when leadership is lost; fenced writes are refused from then on", async () => {
    const { clock, log, start, setFault, client } = createWorld();
    const lostAt: number[] = [];
    const { manager, ended } = start("only", { onLeaderLost: () => lostAt.push(clock.now()) });
    await clock.advance(1000);
    const fenced = fencedClient(client, () => manager.assertLeading());
    const create = () => fenced.create(pods, { metadata: { namespace: "ml", generateName: "x-" } });
    const created = create();
    await clock.advance(100);
    expect((await created).metadata.uid).toBeDefined();
    setFault("hang");
    const brokenAt = clock.now();
    await clock.advance(12_000);
    expect(await ended).toBe("FW_LEADERSHIP_LOST");
    expect(lostAt).toHaveLength(1);
    expect((lostAt[0] ?? 0) - brokenAt).toBeLessThanOrEqual(10_000);
    expect(log).toContain("only leader work stops");
    setFault(undefined);
    await expect(create()).rejects.toMatchObject({ code: "FW_LEADERSHIP_LOST" });
  });

  it("starts controllers only when the caches have synced, and webhooks before them", async () => {
    const { clock, random, server, client, log, start } = createWorld();
    server.storage.put("pods", "ml/a", { metadata: { namespace: "ml", name: "a" } });
    const cache = createCache({ client, clock, random, logger: silentLogger });
    const informer = cache.informer(pods);
    const webhooks = {
      listen: async () => void log.push(`webhooks listen, synced: ${informer.synced()}`),
      stop: async () => void log.push("webhooks stop"),
    };
    const { stop, ended } = start("m", { cache, webhooks }, (manager) => {
      manager.add(
        createController({
          name: "c",
          reconciler: { reconcile: async ({ name }) => void log.push(`reconcile ${name}`) },
          sources: [watch(informer)],
          clock,
          logger: silentLogger,
        }),
      );
    });
    await clock.advance(5000);
    stop.abort();
    await clock.advance(1000);
    expect(await ended).toBe("stopped");
    expect(log).toEqual([
      "webhooks listen, synced: false",
      "m replica work starts",
      "m leader work starts",
      "reconcile a",
      "m replica work stops",
      "m leader work stops",
      "webhooks stop",
    ]);
  });

  it("fails with the reason when caches do not sync, and stops everything when a part fails", async () => {
    const { clock, random, client, setFault, start, log } = createWorld();
    setFault("server-error");
    const cache = createCache({ client, clock, random, logger: silentLogger });
    cache.informer(pods);
    const unsynced = start("unsynced", { cache });
    await clock.advance(121_000);
    expect(await unsynced.ended).toBe("FW_CACHE_SYNC");
    setFault(undefined);
    const broken = start("broken", {}, (manager) =>
      manager.add({ name: "bad", needLeaderElection: false, start: () => Promise.reject(new Error("no disk")) }),
    );
    await clock.advance(1000);
    expect(await broken.ended).toBe("no disk");
    expect(log).toContain("broken replica work stops");
  });

  it("names what did not stop within the deadline", async () => {
    const { clock, start } = createWorld();
    const { stop, ended } = start("m", { gracefulShutdownMs: 5000 }, (manager) =>
      manager.add({ name: "stubborn", needLeaderElection: false, start: () => new Promise(() => {}) }),
    );
    await clock.advance(1000);
    stop.abort();
    await clock.advance(4000);
    expect(await Promise.race([ended, Promise.resolve("still stopping")])).toBe("still stopping");
    await clock.advance(2000);
    expect(await ended).toBe("FW_SHUTDOWN");
  });

  it("serves health, readiness by name and metrics", async () => {
    const { clock, random, client, start } = createWorld();
    const metrics = new Registry();
    let unwell = false;
    const cache = createCache({ client, clock, random, logger: silentLogger, metrics });
    cache.informer(pods);
    const addresses = { healthAddress: "127.0.0.1:0", metricsAddress: "127.0.0.1:0" };
    const { manager, stop, ended } = start("m", { ...addresses, metrics, cache }, (made) => {
      made.addReadyCheck("disk", () => {
        if (unwell) throw new Error("the secret reason");
      });
    });
    while (manager.ports.health === undefined) await new Promise((resolve) => setImmediate(resolve));
    const get = async (path: string): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${manager.ports.health}${path}`);
      return `${response.status} ${await response.text()}`;
    };
    expect(await get("/healthz")).toBe("200 ok");
    expect(await get("/readyz")).toContain("[-]caches failed: reason withheld");
    await clock.advance(5000);
    expect(await get("/readyz?verbose")).toBe("200 [+]caches ok\n[+]disk ok\nreadyz check passed\n");
    unwell = true;
    expect(await get("/readyz")).toBe("500 [+]caches ok\n[-]disk failed: reason withheld\nreadyz check failed\n");
    expect(await get("/readyz?exclude=disk")).toBe("200 ok");
    expect(await get("/readyz/caches")).toBe("200 ok");
    expect(await get("/healthz/unknown")).toMatch(/^404/);
    const text = await get("/metrics");
    expect(text).toContain('leader_election_master_status{name="manager"} 1');
    expect(text).toContain('informer_objects{kind="pods"} 0');
    stop.abort();
    await clock.advance(1000);
    expect(await ended).toBe("stopped");
  });

  it("says which address is taken or unreadable", async () => {
    const { start, clock } = createWorld();
    const bad = start("m", { healthAddress: "8081" });
    await clock.advance(100);
    expect(await bad.ended).toBe("FW_PROBE_LISTEN");
  });
});

describe("stopSignal", () => {
  it("aborts at the first signal and exits at the second", () => {
    const exits: number[] = [];
    const fake = Object.assign(new EventEmitter(), { exit: (code: number) => exits.push(code) });
    const signal = stopSignal(silentLogger, fake as unknown as NodeJS.Process);
    fake.emit("SIGTERM", "SIGTERM");
    expect(signal.aborted).toBe(true);
    expect(exits).toEqual([]);
    fake.emit("SIGINT", "SIGINT");
    expect(exits).toEqual([1]);
  });
});

describe("withRequestMetrics", () => {
  it("counts answers by code and failures without one", async () => {
    const clock = new VirtualClock();
    const registry = new Registry();
    let fault: Fault | undefined;
    const server = new FakeApiServer({ clock, random: seededRandom(1), fault: () => fault });
    const transport = withRequestMetrics(server.transport, { registry, clock, host: "h" });
    const client = createClient({ transport, clock });
    for (const next of [undefined, "refused"] as const) {
      fault = next;
      const call = client.get(pods, { namespace: "ml", name: "none" }).catch(() => {});
      await clock.advance(100);
      await call;
    }
    const text = await registry.metrics();
    expect(text).toContain('rest_client_requests_total{code="404",method="GET",host="h"} 1');
    expect(text).toContain('rest_client_requests_total{code="<error>",method="GET",host="h"} 1');
  });
});

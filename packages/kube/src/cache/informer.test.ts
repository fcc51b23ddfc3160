import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { createClient } from "../client/create-client.ts";
import type { Transport, TransportRequest } from "../client/transport.ts";
import { systemClock } from "../core/clock.ts";
import { silentLogger, type Logger } from "../core/logger.ts";
import type { KubeObject } from "../core/object.ts";
import { seededRandom } from "../core/random.ts";
import type { Resource } from "../core/resource.ts";
import { VirtualClock } from "../core/virtual-clock.ts";
import { createCache, type CacheOptions } from "./cache.ts";
import { ByteStream } from "./simulation/byte-stream.ts";
import { FakeApiServer, type FakeApiServerOptions, type Fault } from "./simulation/fake-api-server.ts";
import { ObjectStore } from "./store.ts";

const pods: Resource = { group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true };

const pod = (name: string, namespace = "ml", labels: Record<string, string> = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace, name, labels },
});

interface Sent {
  readonly at: number;
  readonly path: string;
}

function setUp(options: Partial<CacheOptions> = {}, serverOptions: Partial<FakeApiServerOptions> = {}) {
  const clock = new VirtualClock({ start: 0 });
  const random = seededRandom(1);
  const sent: Sent[] = [];
  let faultFor: (request: TransportRequest) => Fault | undefined = () => undefined;
  const server = new FakeApiServer({
    clock,
    random,
    fault: (request) => faultFor(request),
    onRequest: ({ path }) => sent.push({ at: clock.now(), path }),
    ...serverOptions,
  });
  const put = (name: string, namespace = "ml", labels: Record<string, string> = {}): void =>
    void server.storage.put("pods", `${namespace}/${name}`, pod(name, namespace, labels));
  const client = createClient({ transport: server.transport, clock });
  const cache = createCache({ client, clock, random, logger: silentLogger, streamingLists: false, ...options });
  const stop = new AbortController();
  const setFault = (next: typeof faultFor): void => void (faultFor = next);
  return { clock, server, cache, stop, sent, put, setFault };
}

const isWatch = ({ path }: { readonly path: string }): boolean => path.includes("watch=true");

describe("an informer's watch", () => {
  it("is left alone while it is silent, until its own timeoutSeconds and half a minute have passed", async () => {
    const { clock, cache, stop, sent, setFault, put } = setUp();
    put("a");
    const informer = cache.informer(pods);
    const running = cache.run(stop.signal);
    // Not even headers: what a load balancer that lost its backend does.
    setFault((request) => (isWatch(request) ? "hang" : undefined));
    await clock.advance(240_000);
    const watches = () => sent.filter(isWatch);
    expect(watches()).toHaveLength(1);
    const seconds = Number(new URL(`http://x${watches()[0]?.path}`).searchParams.get("timeoutSeconds"));
    expect(seconds).toBeGreaterThanOrEqual(300);
    expect(seconds).toBeLessThanOrEqual(600);
    setFault(() => undefined);
    put("b");
    const deadline = (watches()[0]?.at ?? 0) + (seconds + 30) * 1000;
    await clock.advance(deadline - clock.now() - 100);
    expect(watches()).toHaveLength(1);
    expect(informer.size).toBe(1);
    await clock.advance(2000);
    expect(watches()).toHaveLength(2);
    expect(informer.size).toBe(2);
    // Resumed, not listed again.
    expect(sent.filter((request) => !isWatch(request))).toHaveLength(1);
    stop.abort();
    await running;
  });

  it("resumes from the newest bookmark after a break, without a list", async () => {
    const { clock, cache, stop, sent, server, put } = setUp();
    const informer = cache.informer(pods);
    const running = cache.run(stop.signal);
    await clock.advance(1000);
    // Other kinds move the revision on; only bookmarks tell of it.
    for (let index = 0; index < 50; index++)
      server.storage.put("nodes", `n${index}`, { metadata: { name: `n${index}` } });
    await clock.advance(130_000);
    expect(informer.resourceVersion).toBe(String(server.storage.revision));
    server.storage.compact();
    server.cutConnections();
    put("new");
    await clock.advance(2000);
    expect(informer.size).toBe(1);
    expect(sent.filter((request) => !isWatch(request))).toHaveLength(1);
    stop.abort();
    await running;
  });

  it("that always ends at once is asked for less and less often, and never given up", async () => {
    const { clock, cache, stop, sent, setFault, put } = setUp();
    const informer = cache.informer(pods);
    const running = cache.run(stop.signal);
    setFault((request) => (isWatch(request) ? "ends-at-once" : undefined));
    await clock.advance(600_000);
    const inLastFiveMinutes = sent.filter(({ at }) => at > 300_000).length;
    expect(inLastFiveMinutes).toBeGreaterThan(8);
    expect(inLastFiveMinutes).toBeLessThan(22);
    setFault(() => undefined);
    put("late");
    await clock.advance(31_000);
    expect(informer.size).toBe(1);
    stop.abort();
    await running;
  });

  it("waits as long as the server asks with Retry-After, and a little longer", async () => {
    const clock = new VirtualClock({ start: 0 });
    const times: number[] = [];
    const refusal = { kind: "Status", status: "Failure", code: 429, reason: "TooManyRequests" };
    const transport: Transport = async () => {
      times.push(clock.now());
      const body = new ByteStream();
      body.write(Buffer.from(JSON.stringify(refusal)));
      body.end();
      return { status: 429, headers: { "retry-after": "20" }, body };
    };
    const client = createClient({ transport, clock, maxRetries: 0 });
    const cache = createCache({ client, clock, random: seededRandom(2), logger: silentLogger, streamingLists: false });
    cache.informer(pods);
    const stop = new AbortController();
    const running = cache.run(stop.signal);
    await clock.advance(110_000);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(gaps.length).toBeGreaterThanOrEqual(4);
    for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(20_000);
    stop.abort();
    await running;
  });

  it("logs an error once, however often it is tried, and says when it is over", async () => {
    const logged: string[] = [];
    const logger: Logger = {
      ...silentLogger,
      warn: (_fields, message) => logged.push(message),
      info: (_fields, message) => logged.push(message),
      child: () => logger,
    };
    const { clock, cache, stop, setFault } = setUp({ logger });
    setFault(() => "server-error");
    cache.informer(pods);
    const running = cache.run(stop.signal);
    await clock.advance(120_000);
    setFault(() => undefined);
    await clock.advance(60_000);
    expect(logged).toEqual(["list of pods failed: it is tried again", "pods is being followed again"]);
    stop.abort();
    await running;
  });
});

describe("an informer's list", () => {
  it("comes in pages of 500, and a token that expires midway starts it again without an empty store", async () => {
    const { clock, cache, stop, sent, put, server, setFault } = setUp();
    for (let index = 0; index < 1200; index++) put(`p${String(index).padStart(4, "0")}`);
    const informer = cache.informer(pods);
    const running = cache.run(stop.signal);
    await clock.advance(5000);
    expect(sent.filter((request) => !isWatch(request))).toHaveLength(3);
    expect(informer.size).toBe(1200);
    let least = Infinity;
    let changes = 0;
    informer.addHandler({
      updated: () => void (changes += 1),
      deleted: () => {
        changes += 1;
        least = Math.min(least, informer.size);
      },
    });
    server.storage.delete("pods", "ml/p0003");
    put("p0004");
    await clock.advance(1000);
    changes = 0;
    let expiredPages = 0;
    setFault((request) => {
      if (!request.path.includes("continue=") || expiredPages >= 1) return undefined;
      expiredPages += 1;
      return "expired";
    });
    void server.restart(3000);
    await clock.advance(500);
    server.storage.delete("pods", "ml/p0005");
    put("p0006");
    put("new");
    await clock.advance(30_000);
    expect(expiredPages).toBe(1);
    expect(informer.size).toBe(1199);
    expect(informer.get({ namespace: "ml", name: "new" })).toBeDefined();
    expect(changes).toBe(2);
    expect(least).toBeGreaterThan(1190);
    stop.abort();
    await running;
  });

  it("is asked for as a whole when tokens expire again and again", async () => {
    const { clock, cache, stop, put, setFault } = setUp();
    for (let index = 0; index < 600; index++) put(`p${index}`);
    setFault((request) => (request.path.includes("continue=") ? "expired" : undefined));
    const informer = cache.informer(pods);
    const running = cache.run(stop.signal);
    await clock.advance(30_000);
    expect(informer.size).toBe(600);
    stop.abort();
    await running;
  });

  for (const streamingLists of ["supported", "refused", "ignored"] as const) {
    it(`is streamed where the server has it, and paged where not (${streamingLists})`, async () => {
      const { clock, cache, stop, sent, put } = setUp({ streamingLists: true }, { streamingLists });
      for (let index = 0; index < 600; index++) put(`p${index}`);
      const informer = cache.informer(pods);
      const running = cache.run(stop.signal);
      await clock.advance(120_000);
      put("later");
      await clock.advance(1000);
      expect(informer.size).toBe(601);
      const pages = sent.filter((request) => !isWatch(request)).length;
      expect(pages).toBe(streamingLists === "supported" ? 0 : 2);
      stop.abort();
      await running;
    });
  }

  it("tells a pod that was deleted and made again unseen as a deletion and an addition", async () => {
    const { clock, cache, stop, put, server } = setUp();
    put("a");
    const informer = cache.informer(pods);
    const told: string[] = [];
    informer.addHandler({
      added: ({ metadata }, initial) => told.push(`added ${metadata.uid} ${initial}`),
      updated: () => told.push("updated"),
      deleted: ({ metadata }) => told.push(`deleted ${metadata.uid}`),
    });
    const running = cache.run(stop.signal);
    await clock.advance(1000);
    void server.restart(1000);
    server.storage.delete("pods", "ml/a");
    put("a");
    await clock.advance(30_000);
    expect(told).toEqual(["added uid-1 true", "deleted uid-1", "added uid-2 false"]);
    stop.abort();
    await running;
  });
});

describe("createCache", () => {
  it("shares an informer by kind, selection and transform, and joins its indexes", async () => {
    const { cache, clock, stop, sent, put } = setUp();
    put("a", "ml", { team: "x" });
    const byTeam = (object: KubeObject): readonly string[] => [object.metadata.labels?.["team"] ?? ""];
    const first = cache.informer(pods);
    const running = cache.run(stop.signal);
    await cache.waitForSync(AbortSignal.abort("too early")).catch(() => {});
    await clock.advance(1000);
    const second = cache.informer(pods, { indexes: { team: byTeam } });
    expect(second).toBe(first);
    expect(first.byIndex("team", "x")).toHaveLength(1);
    expect(cache.informer(pods, { namespace: "ml" })).not.toBe(first);
    expect(() => cache.informer(pods, { indexes: { team: () => [] } })).toThrow('index "team" exists');
    expect(() => first.byIndex("none", "x")).toThrow("this informer has: team");
    await clock.advance(1000);
    expect(sent.filter(isWatch)).toHaveLength(2);
    await cache.waitForSync();
    stop.abort();
    await running;
  });

  it("replays what is present to a late handler, before later changes and in their order", async () => {
    const { cache, clock, stop, put, server } = setUp();
    for (const name of ["a", "b", "c"]) put(name);
    const informer = cache.informer(pods);
    const running = cache.run(stop.signal);
    await clock.advance(1000);
    const told: string[] = [];
    const remove = informer.addHandler({
      added: ({ metadata }, initial) => {
        told.push(`${metadata.name} ${initial}`);
        if (metadata.name === "b") throw new Error("a handler's own fault");
      },
      deleted: ({ metadata }) => told.push(`gone ${metadata.name}`),
    });
    put("d");
    server.storage.delete("pods", "ml/a");
    await clock.advance(1000);
    expect(told).toEqual(["a true", "b true", "c true", "d false", "gone a"]);
    remove();
    put("e");
    await clock.advance(1000);
    expect(told).toHaveLength(5);
    stop.abort();
    await running;
  });

  it("stores what the transform gives, and the object as it came when the transform fails", async () => {
    const { cache, clock, stop, put } = setUp();
    put("good");
    put("bad");
    const informer = cache.informer(pods, {
      transform: (object) => {
        if (object.metadata.name === "bad") throw new Error("cannot project");
        return { ...object, metadata: { ...object.metadata, labels: { projected: "yes" } } };
      },
    });
    const running = cache.run(stop.signal);
    await clock.advance(1000);
    expect(informer.get({ namespace: "ml", name: "good" })?.metadata.labels).toEqual({ projected: "yes" });
    expect(informer.get({ namespace: "ml", name: "bad" })?.metadata.labels).toEqual({});
    stop.abort();
    await running;
  });

  it("counts requests, events and objects by kind", async () => {
    const metrics = new Registry();
    const { cache, clock, stop, put } = setUp({ metrics });
    put("a");
    cache.informer(pods);
    const running = cache.run(stop.signal);
    await clock.advance(1000);
    put("b");
    await clock.advance(1000);
    const text = await metrics.metrics();
    expect(text).toContain('reflector_lists_total{kind="pods"} 1');
    expect(text).toContain('reflector_watches_total{kind="pods"} 1');
    expect(text).toContain('informer_objects{kind="pods"} 2');
    stop.abort();
    await running;
  });
});

describe("resources", () => {
  it("stays flat over 10,000 events", { timeout: 60_000 }, async () => {
    const { clock, cache, stop, put, server } = setUp();
    for (let index = 0; index < 100; index++) put(`p${index}`);
    const informer = cache.informer(pods, { indexes: { team: (object) => [object.metadata.labels?.["team"] ?? ""] } });
    let told = 0;
    informer.addHandler({ updated: () => void (told += 1) });
    const running = cache.run(stop.signal);
    await clock.advance(1000);
    const heapAfter = async (events: number): Promise<number> => {
      for (let index = 0; index < events; index++) {
        put(`p${index % 100}`, "ml", { team: `t${told + index}`, filler: "x".repeat(500) });
        if (index % 100 === 99) await clock.advance(10);
      }
      // The model server's own history is not what is measured.
      server.compact();
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const before = await heapAfter(2000);
    const after = await heapAfter(10_000);
    expect(told).toBeGreaterThan(11_000);
    expect(after - before).toBeLessThan(4 * 2 ** 20);
    stop.abort();
    await running;
  });

  it("never holds the event loop for long while a big list arrives and is replayed", { timeout: 60_000 }, async () => {
    const objects = Array.from({ length: 20_000 }, (_, index) => ({
      metadata: { namespace: "ml", name: `p${index}`, uid: `u${index}`, resourceVersion: "5", labels: { a: "b" } },
    }));
    const pages: KubeObject[][] = [];
    for (let start = 0; start < objects.length; start += 500) pages.push(objects.slice(start, start + 500));
    let page = 0;
    const client = {
      ...createClient({ transport: () => Promise.reject(new Error("unused")) }),
      list: async () => {
        const items = pages[page++] ?? [];
        return { metadata: { resourceVersion: "5", ...(page < pages.length ? { continue: "x" } : {}) }, items };
      },
      watch: () => ({
        [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }),
      }),
    } as unknown as CacheOptions["client"];
    const cache = createCache({
      client,
      clock: systemClock,
      random: seededRandom(1),
      logger: silentLogger,
      streamingLists: false,
    });
    const informer = cache.informer(pods);
    informer.addHandler({ added: () => void spin(2000) });
    let turns = 0;
    const counting = setInterval(() => (turns += 1), 1);
    const stop = new AbortController();
    void cache.run(stop.signal);
    await cache.waitForSync();
    clearInterval(counting);
    stop.abort();
    expect(informer.size).toBe(20_000);
    expect(turns).toBeGreaterThan(3);
  });
});

/** Without a flag on the command line. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
}

function spin(rounds: number): number {
  let sum = 0;
  for (let index = 0; index < rounds; index++) sum += index % 7;
  return sum;
}

describe("ObjectStore", () => {
  it("keeps its indexes equal to what a scan of its objects gives", () => {
    const valuesOf = (object: KubeObject): readonly string[] => (object.metadata.labels?.["v"] ?? "").split("");
    const operation = fc.record({
      key: fc.constantFrom("a", "b", "c", "d"),
      values: fc.option(fc.constantFrom("", "x", "xy", "y", "xyz"), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(operation), (operations) => {
        const store = new ObjectStore<KubeObject>(() => {});
        store.addIndex("v", valuesOf);
        for (const { key, values } of operations) {
          if (values === undefined) store.delete(key);
          else store.set(key, pod(key, key < "c" ? "one" : "two", { v: values }));
        }
        const objects = store.list();
        for (const value of ["x", "y", "z"]) {
          const expected = objects.filter((object) => valuesOf(object).includes(value));
          expect(new Set(store.byIndex("v", value))).toEqual(new Set(expected));
        }
        const inOne = objects.filter((object) => object.metadata.namespace === "one");
        expect(new Set(store.list("one"))).toEqual(new Set(inOne));
      }),
    );
  });
});

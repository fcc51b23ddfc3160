import { afterEach, describe, expect, it } from "vitest";
import { ConfigMaps, createClient, Events, seededRandom, VirtualClock } from "@fleetwright/kube";
import type { Client, ConfigMap, Transport } from "@fleetwright/kube";
import { startTwin } from "./start-twin.ts";
import type { Twin } from "./start-twin.ts";

const twins: Twin[] = [];
afterEach(async () => {
  for (const twin of twins.splice(0)) await twin.stop();
});

interface Started {
  readonly clock: VirtualClock;
  readonly transport: Transport;
  readonly client: Client;
}

async function start(options: { readonly historyWindowMs?: number; readonly seed?: number } = {}): Promise<Started> {
  const clock = new VirtualClock();
  const twin = await startTwin({ listen: false, clock, random: seededRandom(options.seed ?? 1), ...options });
  twins.push(twin);
  const transport = twin.transport();
  return { clock, transport, client: createClient({ transport, clock }) };
}

const map = (name: string, data: Readonly<Record<string, string>> = {}): ConfigMap => ({
  metadata: { name, namespace: "default" },
  data,
});
const maps = "/api/v1/namespaces/default/configmaps";

async function textOf(transport: Transport, path: string): Promise<{ status: number; body: unknown }> {
  const { status, body } = await transport({ method: "GET", path });
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return { status, body: JSON.parse(Buffer.concat(parts).toString()) };
}

/** Collects a watch's events for as long as it lasts. */
function follow(transport: Transport, path: string) {
  const controller = new AbortController();
  const events: { type: string; object: { metadata?: { name?: string; resourceVersion?: string }; code?: number } }[] =
    [];
  const ended = (async () => {
    const { body } = await transport({ method: "GET", path, kind: "watch" }, controller.signal);
    let rest = "";
    for await (const chunk of body) {
      const lines = (rest + Buffer.from(chunk).toString()).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) events.push(JSON.parse(line) as (typeof events)[number]);
    }
  })().catch((error: unknown) => {
    if (!controller.signal.aborted) throw error;
  });
  const stop = (): Promise<void> => {
    controller.abort();
    return ended;
  };
  return { events, ended, stop };
}

describe("writes that meet", () => {
  it("of one version: one of them wins", async () => {
    const { client } = await start();
    const stored = await client.create(ConfigMaps, map("a"));
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => client.update(ConfigMaps, { ...stored, data: { by: String(index) } })),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("without a version: every patch is there", async () => {
    const { client } = await start();
    await client.create(ConfigMaps, map("a"));
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        client.patch(
          ConfigMaps,
          { namespace: "default", name: "a" },
          { type: "merge", patch: { data: { [`k${index}`]: "v" } } },
        ),
      ),
    );
    const { data = {} } = await client.get(ConfigMaps, { namespace: "default", name: "a" });
    expect(Object.keys(data)).toHaveLength(50);
  });
});

describe("watches", () => {
  it("show everybody the same order, each write once", async () => {
    const { client, clock, transport } = await start();
    const { metadata } = await client.list(ConfigMaps, { namespace: "default" });
    const watches = Array.from({ length: 10 }, () =>
      follow(transport, `${maps}?watch=1&resourceVersion=${metadata.resourceVersion ?? ""}`),
    );
    await Promise.all(Array.from({ length: 30 }, (_, index) => client.create(ConfigMaps, map(`m${index}`))));
    await clock.settle();
    const orders = watches.map(({ events }) => events.map(({ object }) => Number(object.metadata?.resourceVersion)));
    expect(orders[0]).toHaveLength(30);
    expect(orders[0]).toEqual(orders[0]?.toSorted((left, right) => left - right));
    for (const order of orders) expect(order).toEqual(orders[0]);
    await Promise.all(watches.map(({ stop }) => stop()));
  });

  it("get a bookmark a minute when they ask for it", async () => {
    const { clock, client, transport } = await start();
    const watch = follow(transport, `${maps}?watch=1&allowWatchBookmarks=true&resourceVersion=1`);
    await clock.settle();
    const created = await client.create(ConfigMaps, map("a"));
    await clock.advance(121_000);
    expect(watch.events.map(({ type }) => type)).toEqual(["ADDED", "BOOKMARK", "BOOKMARK"]);
    const marked = Number(watch.events[1]?.object.metadata?.resourceVersion);
    expect(marked).toBeGreaterThanOrEqual(Number(created.metadata.resourceVersion));
    await watch.stop();
  });

  it("end when their time is over", async () => {
    const { clock, transport } = await start();
    const watch = follow(transport, `${maps}?watch=1&timeoutSeconds=30`);
    await clock.advance(31_000);
    await watch.ended;
    expect(watch.events).toEqual([]);
  });
});

describe("history", () => {
  it("that has gone is answered with 410, and a token goes on from there", async () => {
    const { client, clock, transport } = await start({ historyWindowMs: 60_000 });
    for (let index = 0; index < 5; index++) await client.create(ConfigMaps, map(`m${index}`));
    const first = await client.list(ConfigMaps, { namespace: "default", limit: 2 });
    const token = first.metadata.continue ?? "";
    for (let minute = 0; minute < 4; minute++) {
      await clock.advance(61_000);
      await client.create(ConfigMaps, map(`later${minute}`));
    }
    const expired = await textOf(transport, `${maps}?limit=2&continue=${token}`);
    expect(expired.status).toBe(410);
    const { metadata } = expired.body as { metadata: { continue: string } };
    const rest = await textOf(transport, `${maps}?continue=${metadata.continue}`);
    const names = (rest.body as { items: { metadata: { name: string } }[] }).items.map((item) => item.metadata.name);
    expect(names).toEqual(["m2", "m3", "m4"]);

    const watch = follow(transport, `${maps}?watch=1&resourceVersion=${first.metadata.resourceVersion ?? ""}`);
    await watch.ended;
    expect(watch.events).toMatchObject([{ type: "ERROR", object: { code: 410 } }]);
  });

  it("events are forgotten after an hour", async () => {
    const { client, clock } = await start();
    await client.create(Events, {
      metadata: { name: "e", namespace: "default" },
      involvedObject: { kind: "Pod", namespace: "default", name: "p" },
      reason: "Tested",
    });
    await clock.advance(3_590_000);
    expect((await client.list(Events, { namespace: "default" })).items).toHaveLength(1);
    await clock.advance(20_000);
    expect((await client.list(Events, { namespace: "default" })).items).toEqual([]);
  });
});

it("the same seed and the same calls give the same bytes", async () => {
  const run = async (seed: number): Promise<string> => {
    const { client } = await start({ seed });
    await client.create(ConfigMaps, { metadata: { generateName: "a-", namespace: "default" } });
    return JSON.stringify(await client.list(ConfigMaps, { namespace: "default" }));
  };
  const [first, again, other] = [await run(7), await run(7), await run(8)];
  expect(again).toBe(first);
  expect(other).not.toBe(first);
});

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ConfigMaps,
  createCache,
  createClient,
  silentLogger,
  systemClock,
  systemRandom,
  type Client,
  type ConfigMap,
  type Informer,
} from "@fleetwright/kube";
import { startFaultProxy, type ControlPlane, type FaultProxy, type FaultRule } from "@fleetwright/lab";
import { eventually } from "./eventually.ts";
import { startServer } from "./server.ts";

const seed = Number(process.env["FW_SEED"] ?? "1");

describe("an informer on a real API server, behind a bad network", () => {
  let controlPlane: ControlPlane;
  let proxy: FaultProxy;
  let direct: Client;
  let throughProxy: Client;
  let names = 0;

  beforeAll(async () => {
    controlPlane = await startServer();
    proxy = await startFaultProxy({ target: controlPlane, seed });
    direct = createClient({ kubeconfig: controlPlane.kubeconfigPath });
    throughProxy = createClient({ kubeconfig: proxy.kubeconfigPath });
  });

  afterAll(async () => {
    await throughProxy?.close();
    await direct?.close();
    await proxy?.stop();
    await controlPlane?.stop();
  });

  const write = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) {
      const name = `map-${++names}`;
      await direct.create(ConfigMaps, { metadata: { namespace: "default", name }, data: { value: "1" } });
      if (names % 3 === 0) {
        const key = { namespace: "default", name: `map-${names - 1}` };
        await direct.patch(ConfigMaps, key, { type: "merge", patch: { data: { value: "2" } } });
      }
      if (names % 4 === 0) await direct.delete(ConfigMaps, { namespace: "default", name: `map-${names - 3}` });
    }
  };

  const versions = (objects: readonly ConfigMap[]): string =>
    JSON.stringify(objects.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`).toSorted());

  const isEqual = async (informer: Informer<ConfigMap>): Promise<boolean> => {
    const { items } = await direct.list(ConfigMaps, { namespace: "default" });
    return versions(informer.list("default")) === versions(items);
  };

  const following = async (
    work: (informer: Informer<ConfigMap>) => Promise<void>,
    streamingLists = true,
  ): Promise<void> => {
    const cache = createCache({
      client: throughProxy,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      streamingLists,
    });
    const informer = cache.informer(ConfigMaps, { namespace: "default" });
    const stop = new AbortController();
    const running = cache.run(stop.signal);
    try {
      await work(informer);
    } finally {
      proxy.setRules([]);
      proxy.partition("none");
      stop.abort();
      await running;
    }
  };

  for (const streamingLists of [true, false]) {
    it(`follows writes, ${streamingLists ? "by a streaming list" : "by pages"}, with one watch`, async () => {
      await write(12);
      const before = proxy.requests;
      await following(async (informer) => {
        await eventually("synced", () => informer.synced());
        await write(20);
        await eventually("equal", () => isEqual(informer));
      }, streamingLists);
      expect(proxy.requests - before).toBe(streamingLists ? 1 : 2);
    });
  }

  const isWatch: NonNullable<FaultRule["match"]> = (request) => request.verb === "watch" || request.verb === "list";
  const faults: readonly [string, FaultRule[]][] = [
    [
      "watches that are cut inside a line",
      [{ match: isWatch, times: 4, fault: { kind: "cut-during", afterBytes: [0, 3000] } }],
    ],
    ["truncated JSON", [{ match: isWatch, times: 3, fault: { kind: "truncate", afterBytes: [10, 3000] } }]],
    ["a watch that ends at once", [{ match: isWatch, times: 3, fault: { kind: "truncate", afterBytes: 0 } }]],
    [
      "429 with Retry-After",
      [{ match: isWatch, times: 2, fault: { kind: "refuse", status: 429, retryAfterSeconds: 1 } }],
    ],
    ["server errors", [{ match: isWatch, times: 3, fault: { kind: "refuse", status: 503 } }]],
    [
      "410 in the stream",
      [{ match: isWatch, times: 2, fault: { kind: "error-event", status: 410, reason: "Expired" } }],
    ],
  ];
  for (const [name, rules] of faults) {
    it(`is equal to the server's state after ${name} (seed ${seed})`, async () => {
      await following(async (informer) => {
        await eventually("synced", () => informer.synced());
        const before = proxy.requests;
        proxy.setRules(rules);
        proxy.cut();
        await write(20);
        await eventually("equal", () => isEqual(informer));
        // It did not get there by asking without a pause.
        expect(proxy.requests - before).toBeLessThan(15);
      });
    });
  }

  it("is equal to the server's state after the API server was killed and started again", async () => {
    await following(async (informer) => {
      await eventually("synced", () => informer.synced());
      const before = informer.size;
      let least = before;
      const remove = informer.addHandler({ deleted: () => void (least = Math.min(least, informer.size)) });
      await controlPlane.stopApiServer("kill");
      await controlPlane.startApiServer();
      await write(5);
      await eventually("equal", () => isEqual(informer));
      remove();
      expect(least).toBeGreaterThan(before - 5);
    });
  });
});

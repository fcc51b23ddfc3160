import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ConfigMaps,
  EventsEvents,
  Leases,
  createCache,
  createClient,
  createController,
  createEventRecorder,
  createManager,
  fencedClient,
  silentLogger,
  systemClock,
  systemRandom,
  watch,
  type Client,
  type ConfigMap,
} from "@fleetwright/kube";
import { startFaultProxy, type ControlPlane, type FaultProxy } from "@fleetwright/lab";
import { eventually } from "./eventually.ts";
import { startServer } from "./server.ts";

const lease = { namespace: "default", name: "manager" };
/** Shortened, so that the test is; the ratios are client-go's. */
const timing = { leaseDurationMs: 3000, renewDeadlineMs: 2000, retryPeriodMs: 400 };

describe("managers on a real API server", () => {
  let controlPlane: ControlPlane;
  let proxy: FaultProxy;
  let direct: Client;

  beforeAll(async () => {
    controlPlane = await startServer();
    proxy = await startFaultProxy({ target: controlPlane, seed: 1 });
    direct = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  });

  afterAll(async () => {
    await direct?.close();
    await proxy?.stop();
    await controlPlane?.stop();
  });

  /** Stamps each ConfigMap labelled `stamp` with who reconciled it, and says so in an Event. */
  function startManager(identity: string, kubeconfig: string) {
    const client = createClient({ kubeconfig });
    const parts = { clock: systemClock, random: systemRandom, logger: silentLogger };
    const cache = createCache({ client, ...parts });
    const maps = cache.informer(ConfigMaps, { labelSelector: "stamp" });
    const reporter = { controller: "fleetwright.dev/stamp", instance: identity };
    const events = createEventRecorder({ client, ...parts, reporter });
    const manager = createManager({
      client,
      ...parts,
      cache,
      leaderElection: { lease, identity, ...timing },
      healthAddress: "127.0.0.1:0",
      metricsAddress: "0",
    });
    const fenced = fencedClient(client, () => manager.assertLeading());
    manager.add(events);
    manager.add(
      createController({
        name: "stamp",
        ...parts,
        sources: [watch(maps)],
        reconciler: {
          async reconcile(request, signal) {
            const map = maps.get(request);
            if (map === undefined || map.data?.["by"] !== undefined) return;
            const patch = { metadata: { resourceVersion: map.metadata.resourceVersion }, data: { by: identity } };
            await fenced.patch(ConfigMaps, request, { type: "merge", patch }, { signal });
            for (let count = 0; count < 3; count++) {
              events.event({
                regarding: map,
                type: "Normal",
                reason: "Stamped",
                action: "Stamp",
                note: `by ${identity}`,
              });
            }
          },
        },
      }),
    );
    const stop = new AbortController();
    const ended = manager.run(stop.signal).then(
      () => "stopped",
      (error: { code?: string; message: string }) => error.code ?? error.message,
    );
    return { manager, stop, ended, client };
  }

  const stamped = async (name: string): Promise<string> => {
    const metadata = { namespace: "default", name, labels: { stamp: "yes" } };
    await direct.create(ConfigMaps, { metadata });
    let map: ConfigMap | undefined;
    await eventually(`${name} stamped`, async () => {
      map = await direct.get(ConfigMaps, { namespace: "default", name });
      return map.data?.["by"] !== undefined;
    });
    return map?.data?.["by"] ?? "";
  };

  it("elect one leader, survive a partition of it without two, and hand over at a stop", async () => {
    const first = startManager("first", proxy.kubeconfigPath);
    await eventually("first leads", () => first.manager.isLeading());
    const second = startManager("second", controlPlane.kubeconfigPath);
    expect(await stamped("a")).toBe("first");

    proxy.partition("blackhole");
    let bothLed = false;
    await eventually("second leads", () => {
      bothLed ||= first.manager.isLeading() && second.manager.isLeading();
      return second.manager.isLeading();
    });
    expect(bothLed).toBe(false);
    expect(await first.ended).toBe("FW_LEADERSHIP_LOST");
    expect(await stamped("b")).toBe("second");
    proxy.partition("none");

    const third = startManager("third", controlPlane.kubeconfigPath);
    await eventually("third is up", () => third.manager.ports.health !== undefined);
    const ready = async (): Promise<number> =>
      (await fetch(`http://127.0.0.1:${third.manager.ports.health}/readyz`)).status;
    await eventually("third is ready, though it does not lead", async () => (await ready()) === 200);
    const stoppedAt = systemClock.now();
    second.stop.abort();
    expect(await second.ended).toBe("stopped");
    await eventually("third leads", () => third.manager.isLeading());
    // Handed over, not waited out.
    expect(systemClock.now() - stoppedAt).toBeLessThan(timing.leaseDurationMs);
    expect(await stamped("c")).toBe("third");
    const { spec } = await direct.get(Leases, lease);
    expect(spec).toMatchObject({ holderIdentity: "third", leaseTransitions: 2 });
    third.stop.abort();
    expect(await third.ended).toBe("stopped");
    expect((await direct.get(Leases, lease)).spec?.holderIdentity).toBe("");
    await Promise.all([first, second, third].map(({ client }) => client.close()));
  });

  it("record events that the server takes, repeated ones as a series", async () => {
    const { items } = await direct.list(EventsEvents, { namespace: "default" });
    const about = items.find((event) => event.regarding?.name === "c" && event.reason === "Stamped");
    expect(about).toMatchObject({
      note: "by third",
      regarding: { kind: "ConfigMap", apiVersion: "v1" },
      reportingController: "fleetwright.dev/stamp",
      series: { count: 3 },
    });
  });
});

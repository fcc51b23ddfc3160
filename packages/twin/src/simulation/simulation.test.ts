import { afterEach, describe, expect, it } from "vitest";
import { Deployments, Leases, Nodes, Pods, systemClock } from "@fleetwright/kube";
import { startSimulation } from "./simulation.ts";
import type { Simulation } from "./simulation.ts";

const running: Simulation[] = [];
afterEach(async () => {
  for (const simulation of running.splice(0)) await simulation.stop();
});

async function start(seed: number, heartbeats: "written" | "derived" = "written"): Promise<Simulation> {
  const simulation = await startSimulation({
    freezes: true,
    seed,
    pools: [{ name: "n", count: 3, gpu: { product: "NVIDIA-A30", count: 4 } }],
    nodes: { heartbeats },
  });
  running.push(simulation);
  await simulation.clock.advance(2_000);
  return simulation;
}

const deployment = (replicas: number, gpus = 0) => ({
  metadata: { name: "web", namespace: "default" },
  spec: {
    replicas,
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: {
        containers: [
          {
            name: "main",
            image: "registry.example/web:1",
            ...(gpus > 0 && { resources: { limits: { "nvidia.com/gpu": String(gpus) } } }),
          },
        ],
      },
    },
  },
});

const readyNodes = async ({ client }: Simulation): Promise<readonly string[]> =>
  (await client.list(Nodes)).items.flatMap(({ metadata, status }) =>
    status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") === true
      ? [metadata.name ?? ""]
      : [],
  );

describe("a cluster in virtual time", () => {
  it("repeats to the byte from its seed, faults and all", async () => {
    const digest = async (seed: number): Promise<string> => {
      const simulation = await start(seed);
      simulation.setRates({
        conflict: 0.2,
        lostAnswer: 0.1,
        serverError: 0.1,
        droppedWatch: 0.1,
        slow: 0.3,
        expired: 0.05,
      });
      await simulation.client.create(Deployments, deployment(5));
      await simulation.clock.advance(600_000);
      return simulation.digest();
    };
    expect(await digest(7)).toBe(await digest(7));
    expect(await digest(8)).not.toBe(await digest(7));
  });

  it("gets there through every kind of fault", async () => {
    const simulation = await start(3);
    const { client, clock } = simulation;
    simulation.setRates({
      tooManyRequests: 0.1,
      serverError: 0.1,
      conflict: 0.2,
      reset: 0.1,
      lostAnswer: 0.1,
      slow: 0.2,
      expired: 0.1,
      droppedWatch: 0.1,
      delayedWatch: 0.2,
    });
    await client.create(Deployments, deployment(6));
    await clock.advance(900_000);
    expect((await client.get(Deployments, { namespace: "default", name: "web" })).status).toMatchObject({
      readyReplicas: 6,
      updatedReplicas: 6,
    });
  });

  it("passes a day in seconds", async () => {
    const { clock, client } = await start(1, "derived");
    await client.create(Deployments, deployment(3));
    const [before, started] = [clock.now(), systemClock.now()];
    await clock.advance(86_400_000);
    expect(clock.now() - before).toBe(86_400_000);
    expect(systemClock.now() - started).toBeLessThan(60_000);
  });

  it.each(["written", "derived"] as const)(
    "finds a node that is cut off after 50 s, evicts its pods, and takes it back, with heartbeats %s",
    async (heartbeats) => {
      const simulation = await start(1, heartbeats);
      const { client, clock, cluster } = simulation;
      await client.create(Deployments, deployment(3, 2));
      await clock.advance(5_000);
      cluster.nodes.fault("n-1", { kind: "partition" });
      await clock.advance(45_000);
      expect(await readyNodes(simulation)).toHaveLength(3);
      await clock.advance(20_000);
      expect(await readyNodes(simulation)).toEqual(["n-0", "n-2"]);
      const taints = async () =>
        (await client.get(Nodes, { name: "n-1" })).spec?.taints
          ?.map(({ key, effect }) => `${key}:${effect}`)
          .toSorted();
      expect(await taints()).toEqual([
        "node.kubernetes.io/unreachable:NoExecute",
        "node.kubernetes.io/unreachable:NoSchedule",
      ]);
      // Pods tolerate an unreachable node for five minutes.
      await clock.advance(330_000);
      const pods = (await client.list(Pods, { namespace: "default" })).items;
      expect(
        pods.filter(({ metadata, spec }) => spec?.nodeName !== "n-1" && metadata.deletionTimestamp === undefined),
      ).toHaveLength(3);
      cluster.nodes.heal("n-1");
      await clock.advance(20_000);
      expect(await readyNodes(simulation)).toHaveLength(3);
      expect(await taints()).toBeUndefined();
    },
  );

  it("takes a broken GPU away, told by plain annotation, and gives it back", async () => {
    const { client, clock, cluster } = await start(1);
    const annotate = (fault: string | null) =>
      client.patch(
        Nodes,
        { name: "n-0" },
        { type: "merge", patch: { metadata: { annotations: { "nodes.fleetwright.dev/fault": fault } } } },
      );
    const gpus = async () => (await client.get(Nodes, { name: "n-0" })).status?.allocatable?.["nvidia.com/gpu"];
    await annotate('{"kind":"xid","code":79,"gpu":3}');
    await clock.advance(1_000);
    expect(await gpus()).toBe("3");
    expect(cluster.nodes.kernelLog("n-0")).toEqual([expect.stringMatching(/NVRM: Xid \(PCI:0000:13:00\): 79,/)]);
    await annotate(null);
    await clock.advance(1_000);
    expect(await gpus()).toBe("4");
  });

  it("restarts containers and changes the boot ID when a node reboots", async () => {
    const { client, clock, cluster } = await start(1);
    await client.create(Deployments, deployment(3));
    await clock.advance(5_000);
    const bootId = async () => (await client.get(Nodes, { name: "n-0" })).status?.nodeInfo?.bootID;
    const before = await bootId();
    cluster.nodes.fault("n-0", { kind: "reboot" });
    await clock.advance(30_000);
    expect(await bootId()).not.toBe(before);
    const pods = (await client.list(Pods, { namespace: "default" })).items;
    for (const { spec, status } of pods) {
      expect(status?.containerStatuses?.[0]).toMatchObject({
        restartCount: spec?.nodeName === "n-0" ? 1 : 0,
        ready: true,
      });
    }
  });

  it("is not fooled by a node whose clock goes back", async () => {
    const simulation = await start(1);
    const { client, clock } = simulation;
    const lease = { namespace: "kube-node-lease", name: "n-0" };
    for (let count = 0; count < 30; count++) {
      const current = await client.get(Leases, lease);
      await client
        .update(Leases, {
          ...current,
          spec: { ...current.spec, renewTime: `2020-01-01T00:00:${String(59 - count).padStart(2, "0")}.000000Z` },
        })
        .catch(() => {});
      await clock.advance(5_000);
    }
    expect(await readyNodes(simulation)).toHaveLength(3);
  });
});

import { ControllerRevisions, DaemonSets, Events, Namespaces, Nodes, Pods } from "@fleetwright/kube";
import type { DaemonSet } from "@fleetwright/kube";
import { afterEach, describe, expect, it } from "vitest";
import { startSimulation } from "../../simulation/simulation.ts";
import type { Simulation } from "../../simulation/simulation.ts";

const namespace = "ml";
const key = { namespace, name: "agent" };
const labels = { app: "agent" };

const daemonSet: DaemonSet = {
  metadata: { namespace, name: "agent" },
  spec: {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: "main", image: "registry.example/main:1" }] } },
  },
};

describe("daemonSetController", () => {
  const running: Simulation[] = [];

  async function start(set: DaemonSet): Promise<Simulation> {
    const simulation = await startSimulation({ seed: 1, pools: [{ name: "node", count: 3 }] });
    running.push(simulation);
    const { client, clock } = simulation;
    await client.create(Namespaces, { metadata: { name: namespace } });
    await clock.advance(5_000);
    await client.create(DaemonSets, set);
    await clock.advance(15_000);
    expect((await client.get(DaemonSets, key)).status).toMatchObject({ numberAvailable: 3, desiredNumberScheduled: 3 });
    return simulation;
  }

  afterEach(async () => {
    for (const simulation of running.splice(0)) await simulation.stop();
  });

  it("makes no history and says nothing of a set that is going", async () => {
    const { client, clock } = await start({
      ...daemonSet,
      metadata: { ...daemonSet.metadata, finalizers: ["test/stay"] },
    });
    await client.delete(DaemonSets, key);
    await clock.advance(2_000);
    const before = await client.get(DaemonSets, key);
    const { items } = await client.list(ControllerRevisions, { namespace });
    for (const { metadata } of items)
      await client.delete(ControllerRevisions, { namespace, name: metadata.name ?? "" });
    await client.patch(DaemonSets, key, { type: "merge", patch: { metadata: { labels: { touched: "yes" } } } });
    await clock.advance(10_000);
    expect((await client.list(ControllerRevisions, { namespace })).items).toEqual([]);
    expect((await client.get(DaemonSets, key)).status).toEqual(before.status);
  });

  it("leaves pods of a node that is gone to the pod collector", async () => {
    const { client, clock } = await start(daemonSet);
    const victim = (await client.list(Pods, { namespace })).items.find(({ spec }) => spec?.nodeName === "node-1");
    await client.delete(Nodes, { name: "node-1" });
    await clock.advance(120_000);
    const { items } = await client.list(Events, { namespace });
    expect(items.filter(({ reason }) => reason === "SuccessfulDelete").map(({ message }) => message)).toEqual([]);
    expect((await client.list(Pods, { namespace })).items.map(({ metadata }) => metadata.name)).not.toContain(
      victim?.metadata.name,
    );
    expect((await client.get(DaemonSets, key)).status).toMatchObject({ desiredNumberScheduled: 2, numberAvailable: 2 });
  });
});

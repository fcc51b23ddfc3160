import { Deployments, Events, Namespaces, ReplicaSets, ResourceQuotas } from "@fleetwright/kube";
import type { Deployment } from "@fleetwright/kube";
import { afterEach, describe, expect, it } from "vitest";
import { startSimulation } from "../../simulation/simulation.ts";
import type { Simulation } from "../../simulation/simulation.ts";

const namespace = "ml";
const key = { namespace, name: "web" };
const labels = { app: "web" };

const deployment: Deployment = {
  metadata: { namespace, name: "web" },
  spec: {
    replicas: 4,
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: "main", image: "registry.example/main:1" }] } },
  },
};

describe("deploymentController", () => {
  const running: Simulation[] = [];

  async function start(): Promise<Simulation> {
    const simulation = await startSimulation({
      seed: 1,
      pools: [{ name: "node", count: 2, cpu: "16", memory: "64Gi" }],
    });
    running.push(simulation);
    await simulation.client.create(Namespaces, { metadata: { name: namespace } });
    await simulation.clock.advance(5_000);
    return simulation;
  }

  afterEach(async () => {
    for (const simulation of running.splice(0)) await simulation.stop();
  });

  it("says in condition and event why a replica set was refused, and goes on once it is allowed", async () => {
    const { client, clock } = await start();
    const quota = { metadata: { namespace, name: "none" }, spec: { hard: { "count/replicasets.apps": "0" } } };
    await client.create(ResourceQuotas, quota);
    await clock.advance(5_000);
    await client.create(Deployments, deployment);
    await clock.advance(2_000);
    const refused = await client.get(Deployments, key);
    const condition = refused.status?.conditions?.find(({ type }) => type === "Progressing");
    expect(condition).toMatchObject({ status: "False", reason: "ReplicaSetCreateError" });
    expect(condition?.message).toMatch(/^Failed to create new replica set "web-\w+": .*exceeded quota: none/u);
    const { items } = await client.list(Events, { namespace });
    const told = items.filter(({ reason }) => reason === "ReplicaSetCreateError");
    expect(told).toMatchObject([{ type: "Warning", message: condition?.message }]);

    await client.delete(ResourceQuotas, { namespace, name: "none" });
    await clock.advance(60_000);
    const { status } = await client.get(Deployments, key);
    expect(status).toMatchObject({ availableReplicas: 4, updatedReplicas: 4 });
  });

  it("does not touch a set of the right size when only the surge changes", async () => {
    const { client, clock } = await start();
    await client.create(Deployments, deployment);
    await clock.advance(20_000);
    const before = (await client.list(ReplicaSets, { namespace })).items;
    const patch = { spec: { strategy: { rollingUpdate: { maxSurge: 3 } } } };
    await client.patch(Deployments, key, { type: "merge", patch });
    await clock.advance(10_000);
    const { items } = await client.list(ReplicaSets, { namespace });
    expect(items).toEqual(before);
    const { metadata, status } = await client.get(Deployments, key);
    expect(status?.observedGeneration).toBe(metadata.generation);
  });
});

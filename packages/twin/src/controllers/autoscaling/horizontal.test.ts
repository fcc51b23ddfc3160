import { afterEach, describe, expect, it } from "vitest";
import { Deployments, HorizontalPodAutoscalers, Pods } from "@fleetwright/kube";
import { startSimulation } from "../../simulation/simulation.ts";
import type { Simulation } from "../../simulation/simulation.ts";

const running: Simulation[] = [];
afterEach(async () => {
  for (const simulation of running.splice(0)) await simulation.stop();
});

async function scaled(cpu: string | undefined): Promise<Simulation> {
  const simulation = await startSimulation({ seed: 1, pools: [{ name: "cpu", count: 2 }] });
  running.push(simulation);
  const { client, clock } = simulation;
  await clock.advance(1_000);
  const labels = { app: "web" };
  await client.create(Deployments, {
    metadata: { name: "web", namespace: "default" },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels, ...(cpu !== undefined && { annotations: { "metrics.fleetwright.dev/cpu": cpu } }) },
        spec: {
          containers: [{ name: "main", image: "registry.example/web:1", resources: { requests: { cpu: "500m" } } }],
        },
      },
    },
  });
  await client.create(HorizontalPodAutoscalers, {
    metadata: { name: "web", namespace: "default" },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
      maxReplicas: 6,
      metrics: [
        { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } },
      ],
    },
  });
  await clock.advance(60_000);
  return simulation;
}

const key = { namespace: "default", name: "web" };

describe("the horizontal autoscaler", () => {
  it("follows usage up, within its bounds", async () => {
    const { client, clock } = await scaled("500m");
    expect((await client.get(Deployments, key)).spec?.replicas).toBe(6);
    const { status } = await client.get(HorizontalPodAutoscalers, key);
    expect(status).toMatchObject({
      desiredReplicas: 6,
      currentMetrics: [{ resource: { current: { averageUtilization: 100 } } }],
    });
    expect(status?.conditions?.find(({ type }) => type === "ScalingLimited")).toMatchObject({
      status: "True",
      reason: "TooManyReplicas",
    });
    await clock.advance(1_000);
    expect((await client.list(Pods, { namespace: "default" })).items).toHaveLength(6);
  });

  it("waits five minutes before it goes down", async () => {
    const { client, clock } = await scaled("100m");
    expect((await client.get(Deployments, key)).spec?.replicas).toBe(1);
    await client.patch(Deployments, key, {
      type: "merge",
      patch: { spec: { template: { metadata: { annotations: { "metrics.fleetwright.dev/cpu": "500m" } } } } },
    });
    await clock.advance(120_000);
    expect((await client.get(Deployments, key)).spec?.replicas).toBe(6);
    await client.patch(Deployments, key, {
      type: "merge",
      patch: { spec: { template: { metadata: { annotations: { "metrics.fleetwright.dev/cpu": "100m" } } } } },
    });
    await clock.advance(240_000);
    expect((await client.get(Deployments, key)).spec?.replicas).toBe(6);
    await clock.advance(120_000);
    expect((await client.get(Deployments, key)).spec?.replicas).toBeLessThan(6);
  });

  it("says in upstream's words that there are no metrics", async () => {
    const { client } = await scaled(undefined);
    const { status } = await client.get(HorizontalPodAutoscalers, key);
    expect(status?.conditions?.find(({ type }) => type === "ScalingActive")).toMatchObject({
      status: "False",
      reason: "FailedGetResourceMetric",
      message:
        "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)",
    });
  });
});

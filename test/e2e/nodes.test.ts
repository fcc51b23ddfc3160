import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, isNotFound, systemClock } from "@fleetwright/kube";
import type { Client, KubeObject, ObjectKey, Resource } from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";
import { podAnnotations, startNodes } from "@fleetwright/nodes";
import type { SimulatedNodes } from "@fleetwright/nodes";
import { eventually } from "./eventually.ts";
import { controllersProblem, startServer } from "./server.ts";

/** Objects of several kinds, read loosely. */
interface Loose extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

const resource = (
  group: string,
  version: string,
  kind: string,
  plural: string,
  namespaced = true,
): Resource<Loose> => ({
  group,
  version,
  kind,
  plural,
  namespaced,
});
const pods = resource("", "v1", "Pod", "pods");
const nodes = resource("", "v1", "Node", "nodes", false);
const deployments = resource("apps", "v1", "Deployment", "deployments");
const daemonSets = resource("apps", "v1", "DaemonSet", "daemonsets");
const jobs = resource("batch", "v1", "Job", "jobs");

let controlPlane: ControlPlane;
let client: Client;
let simulated: SimulatedNodes;

const template = (app: string, more: object = {}, annotations: Record<string, string> = {}): object => ({
  metadata: { labels: { app }, annotations },
  spec: { containers: [{ name: "main", image: "none", resources: { requests: { cpu: "1" } } }], ...more },
});

/** Waits until an object is as wanted. */
const until = (
  kind: Resource<Loose>,
  key: ObjectKey,
  holds: (object: Loose | undefined) => boolean,
): Promise<Loose | undefined> =>
  eventually(
    `${kind.kind} ${key.name}`,
    () =>
      client.get(kind, key).catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      }),
    holds,
  );

const phaseIs =
  (phase: string) =>
  (object: Loose | undefined): boolean =>
    object?.status?.["phase"] === phase;

const conditionOf = (
  object: Loose | undefined,
  type: string,
): { readonly type: string; readonly status: string; readonly reason?: string } | undefined =>
  (object?.status?.["conditions"] as { type: string; status: string }[] | undefined)?.find((it) => it.type === type);

beforeAll(async () => {
  controlPlane = await startServer({ controllerManager: true, scheduler: true });
  client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  simulated = await startNodes({
    client,
    pools: [
      { name: "cpu", count: 8, cpu: "16" },
      { name: "gpu", count: 2, cpu: "16", gpu: { product: "A30", count: 4 } },
    ],
  });
});
afterAll(async () => {
  await simulated?.stop();
  await client?.close();
  await controlPlane?.stop();
});

describe.skipIf(controllersProblem !== undefined)("simulated nodes under real controllers", () => {
  it("are Ready, without taints, with their GPUs", async () => {
    const { items } = await client.list(nodes);
    expect(items).toHaveLength(10);
    for (const node of items) {
      expect(node.status?.["conditions"]).toContainEqual(expect.objectContaining({ type: "Ready", status: "True" }));
      expect(node.spec?.["taints"]).toBeUndefined();
    }
    const gpu = items.find(({ metadata }) => metadata.name === "gpu-1");
    expect(gpu?.metadata.labels?.["nvidia.com/gpu.product"]).toBe("A30");
    expect(gpu?.status?.["allocatable"]).toMatchObject({ "nvidia.com/gpu": "4" });
  });

  it("run a Deployment of 20 replicas until it is Available, and give its pods addresses of their own", async () => {
    const name = "web";
    await client.create(deployments, {
      metadata: { name, namespace: "default" },
      spec: { replicas: 20, selector: { matchLabels: { app: name } }, template: template(name) },
    } as Loose);
    await until(deployments, { namespace: "default", name }, (object) => object?.status?.["availableReplicas"] === 20);
    const { items } = await client.list(pods, { namespace: "default", labelSelector: "app=web" });
    expect(new Set(items.map((pod) => pod.status?.["podIP"])).size).toBe(20);
  });

  it("confirm deletions: pods of a deleted Deployment go, and a deleted pod is replaced", async () => {
    const [first] = (await client.list(pods, { namespace: "default", labelSelector: "app=web" })).items;
    const key = { namespace: "default", name: first?.metadata.name ?? "" };
    await client.delete(pods, key);
    await until(pods, key, (object) => object === undefined);
    await until(deployments, { namespace: "default", name: "web" }, (it) => it?.status?.["availableReplicas"] === 20);
    await client.delete(deployments, { namespace: "default", name: "web" });
    for (const pod of (await client.list(pods, { namespace: "default", labelSelector: "app=web" })).items)
      await until(pods, { namespace: "default", name: pod.metadata.name ?? "" }, (object) => object === undefined);
    expect((await client.list(pods, { namespace: "default", labelSelector: "app=web" })).items).toEqual([]);
  });

  it("complete a Job, and fail one whose pods exit with an error", async () => {
    const spec = (app: string, annotations: Record<string, string>): object => ({
      completions: 3,
      parallelism: 3,
      backoffLimit: 0,
      template: template(app, { restartPolicy: "Never" }, annotations),
    });
    await client.create(jobs, { metadata: { name: "good", namespace: "default" }, spec: spec("good", {}) } as Loose);
    await client.create(jobs, {
      metadata: { name: "bad", namespace: "default" },
      spec: spec("bad", { [podAnnotations.runFor]: "0s", [podAnnotations.exitCode]: "3" }),
    } as Loose);
    const good = await until(jobs, { namespace: "default", name: "good" }, (it) => it?.status?.["succeeded"] === 3);
    expect(good?.status?.["failed"]).toBeUndefined();
    await until(jobs, { namespace: "default", name: "bad" }, (it) =>
      JSON.stringify(it?.status?.["conditions"] ?? []).includes("BackoffLimitExceeded"),
    );
    const { items } = await client.list(pods, { namespace: "default", labelSelector: "app=bad" });
    expect(JSON.stringify(items[0]?.status?.["containerStatuses"])).toContain('"exitCode":3');
  });

  it("let a deleted Job's pods go though they run for ever", async () => {
    await client.create(jobs, {
      metadata: { name: "long", namespace: "default" },
      spec: { template: template("long", { restartPolicy: "Never" }, { [podAnnotations.runFor]: "1h" }) },
    } as Loose);
    await until(jobs, { namespace: "default", name: "long" }, (it) => it?.status?.["ready"] === 1);
    const [pod] = (await client.list(pods, { namespace: "default", labelSelector: "app=long" })).items;
    await client.delete(jobs, { namespace: "default", name: "long" }, { propagationPolicy: "Background" });
    const key = { namespace: "default", name: pod?.metadata.name ?? "" };
    expect(await until(pods, key, (object) => object === undefined)).toBeUndefined();
  });

  it("run init containers in order, sidecars beside the others, and honour readiness gates", async () => {
    const key = { namespace: "default", name: "staged" };
    await client.create(pods, {
      metadata: { ...key, annotations: { [podAnnotations.initRunFor]: "1s" } },
      spec: {
        initContainers: [
          { name: "proxy", image: "none", restartPolicy: "Always" },
          { name: "prepare", image: "none" },
        ],
        containers: [{ name: "main", image: "none" }],
        readinessGates: [{ conditionType: "example.com/open" }],
      },
    } as Loose);
    const waiting = await until(pods, key, (it) => JSON.stringify(it?.status ?? {}).includes("PodInitializing"));
    expect(waiting?.status?.["phase"]).toBe("Pending");
    const running = await until(pods, key, phaseIs("Running"));
    expect(running?.status?.["conditions"]).toContainEqual(
      expect.objectContaining({ type: "Ready", status: "False", reason: "ReadinessGatesNotReady" }),
    );
    const open = { status: { conditions: [{ type: "example.com/open", status: "True" }] } };
    await client.patch(pods, key, { type: "strategic", patch: open }, { subresource: "status" });
    const ready = await until(pods, key, (it) => conditionOf(it, "Ready")?.status === "True");
    expect(conditionOf(ready, "Ready")?.reason).toBeUndefined();
  });

  it("run a pod of a DaemonSet on every node", async () => {
    await client.create(daemonSets, {
      metadata: { name: "agent", namespace: "default" },
      spec: { selector: { matchLabels: { app: "agent" } }, template: template("agent") },
    } as Loose);
    const key = { namespace: "default", name: "agent" };
    const agent = await until(daemonSets, key, (it) => it?.status?.["numberReady"] === 10);
    expect(agent?.status?.["desiredNumberScheduled"]).toBe(10);
  });

  it("keep a pod for its stop time, at most for its grace period", async () => {
    const key = { namespace: "default", name: "slow-to-stop" };
    await client.create(pods, {
      metadata: { ...key, annotations: { [podAnnotations.stopFor]: "1h" } },
      spec: { terminationGracePeriodSeconds: 2, containers: [{ name: "main", image: "none" }] },
    } as Loose);
    await until(pods, key, phaseIs("Running"));
    const began = systemClock.now();
    await client.delete(pods, key);
    await until(pods, key, (object) => object === undefined);
    const tookMs = systemClock.now() - began;
    expect(tookMs).toBeGreaterThan(900);
    expect(tookMs).toBeLessThan(20_000);
  });
});

import {
  PodDisruptionBudgets,
  Pods,
  type KubeObject,
  type Pod,
  type PodDisruptionBudget,
  type Resource,
} from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { copyJson, type Draft, type Mutable } from "../machinery/draft.ts";
import type { SubresourceCall } from "../machinery/kind.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { refusals, StatusError } from "../machinery/status-error.ts";
import { workloadSubresources } from "./pod-subresources.ts";

/** The server's own access to a few objects in the namespace `default`. */
class Server {
  readonly objects = new Map<string, Mutable<KubeObject>>();
  readonly deleted: Draft[] = [];
  put(resource: Resource, object: KubeObject): void {
    this.objects.set(`${resource.plural}/${object.metadata.name ?? ""}`, copyJson(object) as Mutable<KubeObject>);
  }
  get<T extends KubeObject>(resource: Resource<T>, name: string): T {
    return this.objects.get(`${resource.plural}/${name}`) as unknown as T;
  }
  get access(): ServerAccess {
    const find = (resource: Resource, name: string): Mutable<KubeObject> | undefined =>
      this.objects.get(`${resource.plural}/${name}`);
    return {
      clock: { now: () => Date.UTC(2026, 10, 21, 11, 31) },
      objects: {
        get: (resource: Resource, { name }: { name: string }) => find(resource, name),
        list: (resource: Resource) =>
          [...this.objects].filter(([key]) => key.startsWith(`${resource.plural}/`)).map(([, object]) => object),
      },
      modify: async (
        resource: Resource,
        { name }: { name: string },
        change: (object: Mutable<KubeObject>) => boolean | void,
        options: { dryRun?: boolean } = {},
      ) => {
        const found = find(resource, name);
        if (found === undefined) throw refusals.notFound({ group: "", resource: resource.plural }, name);
        const next = copyJson(found);
        change(next);
        if (options.dryRun !== true) this.objects.set(`${resource.plural}/${name}`, next);
        return next;
      },
      delete: async (_resource: Resource, _key: object, options: Draft) => {
        this.deleted.push(options);
        return {};
      },
    } as unknown as ServerAccess;
  }
}

const pod = (name: string, more: Partial<Pod> = {}): Pod => ({
  metadata: { name, namespace: "default", uid: "uid-1", resourceVersion: "7", labels: { app: "x" } },
  spec: { containers: [{ name: "main" }] },
  status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
  ...more,
});
const budget = (status: Partial<NonNullable<PodDisruptionBudget["status"]>>): PodDisruptionBudget => ({
  metadata: { name: "b", namespace: "default", generation: 1 },
  spec: { minAvailable: 1, selector: { matchLabels: { app: "x" } } },
  status: {
    currentHealthy: 1,
    desiredHealthy: 1,
    expectedPods: 1,
    disruptionsAllowed: 0,
    observedGeneration: 1,
    ...status,
  },
});

async function post(server: Server, subresource: string, name: string, body: Draft, dryRun = false): Promise<Draft> {
  const handler = (workloadSubresources["/Pod"] ?? []).find((one) => one.name === subresource);
  const call = { name, namespace: "default", subresource, body, server: server.access, context: { dryRun } };
  const answer = await (handler?.create ?? handler?.connect)?.(call as unknown as SubresourceCall).catch(
    (error: unknown) => {
      if (error instanceof StatusError) return error.status as unknown as Draft;
      throw error;
    },
  );
  return typeof answer === "object" ? (answer as Draft) : { text: answer };
}

const binding = (name: string, target: Draft, metadata: Draft = {}): Draft => ({
  metadata: { name, ...metadata },
  target,
});

describe("binding", () => {
  const refused: readonly [string, Partial<Pod>, Draft, number, string][] = [
    [
      "to no node",
      {},
      binding("p", { kind: "Pod", name: "" }),
      500,
      '[target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>", target.name: Required value]',
    ],
    ["of another name", {}, binding("q", { name: "n" }), 400, "name in URL does not match name in Binding object"],
    [
      "of a bound pod",
      { spec: { containers: [], nodeName: "n" } },
      binding("p", { name: "m" }),
      409,
      'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n"',
    ],
    [
      "of a gated pod",
      { spec: { containers: [], schedulingGates: [{ name: "g" }] } },
      binding("p", { name: "m" }),
      409,
      'Operation cannot be fulfilled on pods/binding "p": pod p has non-empty .spec.schedulingGates',
    ],
    [
      "of an earlier pod",
      {},
      binding("p", { name: "n" }, { uid: "nope" }),
      409,
      'Operation cannot be fulfilled on pods "p": StorageError: invalid object, Code: 4, Key: /registry/pods/default/p, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: nope, UID in object meta: uid-1',
    ],
  ];
  it.each(refused)("%s is refused", async (_title, more, body, code, message) => {
    const server = new Server();
    server.put(Pods, pod("p", more));
    expect(await post(server, "binding", "p", body)).toMatchObject({ code, message });
    expect(server.get(Pods, "p")).toEqual(pod("p", more));
  });

  it("puts the pod onto the node, with labels of the binding", async () => {
    const server = new Server();
    server.put(Pods, pod("p", { status: { phase: "Pending", nominatedNodeName: "m" } }));
    const answer = await post(
      server,
      "binding",
      "p",
      binding("p", { kind: "Node", name: "n" }, { labels: { zone: "z" } }),
    );
    expect(answer).toEqual({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 });
    expect(server.get(Pods, "p")).toMatchObject({
      metadata: { labels: { app: "x", zone: "z" } },
      spec: { nodeName: "n" },
      status: {
        phase: "Pending",
        conditions: [
          { type: "PodScheduled", status: "True", lastProbeTime: null, lastTransitionTime: "2026-11-21T11:31:00Z" },
        ],
      },
    });
    expect(server.get(Pods, "p").status?.nominatedNodeName).toBeUndefined();
  });
});

describe("eviction", () => {
  const refused: readonly [string, Partial<NonNullable<PodDisruptionBudget["status"]>>, string][] = [
    [
      "its controller has not seen it",
      { observedGeneration: 0 },
      "The disruption budget b is still being processed by the server.",
    ],
    ["too few pods are healthy", {}, "The disruption budget b needs 1 healthy pods and has 1 currently"],
    [
      "it says no for other reasons",
      { currentHealthy: 2 },
      "The disruption budget b does not allow evicting pods currently",
    ],
  ];
  it.each(refused)("is refused by the budget while %s", async (_title, status, cause) => {
    const server = new Server();
    server.put(Pods, pod("p"));
    server.put(PodDisruptionBudgets, budget(status));
    expect(await post(server, "eviction", "p", { metadata: { name: "p" } })).toMatchObject({
      code: 429,
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      details: { causes: [{ reason: "DisruptionBudget", message: cause }] },
    });
    expect(server.deleted).toEqual([]);
  });

  it("uses the budget, says why, and deletes", async () => {
    const server = new Server();
    server.put(Pods, pod("p"));
    server.put(PodDisruptionBudgets, budget({ disruptionsAllowed: 1, currentHealthy: 2 }));
    expect(await post(server, "eviction", "p", { metadata: { name: "p" } })).toMatchObject({
      status: "Success",
      code: 201,
    });
    expect(server.get(PodDisruptionBudgets, "b").status).toMatchObject({
      disruptionsAllowed: 0,
      disruptedPods: { p: "2026-11-21T11:31:00Z" },
      conditions: [{ type: "DisruptionAllowed", status: "False", reason: "InsufficientPods" }],
    });
    expect(server.get(Pods, "p").status?.conditions?.at(-1)).toMatchObject({
      type: "DisruptionTarget",
      reason: "EvictionByEvictionAPI",
    });
    expect(server.deleted).toEqual([{}]);
  });

  it("asks no budget about a pod that has not begun, but about its version", async () => {
    const server = new Server();
    server.put(Pods, pod("p", { status: { phase: "Pending" } }));
    server.put(PodDisruptionBudgets, budget({}));
    await post(server, "eviction", "p", { metadata: { name: "p" } });
    expect(server.deleted).toEqual([{ preconditions: { resourceVersion: "7" } }]);
  });

  it("refuses a pod with two budgets", async () => {
    const server = new Server();
    server.put(Pods, pod("p"));
    server.put(PodDisruptionBudgets, budget({}));
    server.put(PodDisruptionBudgets, { ...budget({}), metadata: { name: "c", namespace: "default" } });
    expect(await post(server, "eviction", "p", { metadata: { name: "p" } })).toMatchObject({
      code: 500,
      message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    });
  });
});

describe("what a kubelet would answer", () => {
  it("is a refusal that names the pod without a node", async () => {
    const server = new Server();
    server.put(Pods, pod("r"));
    expect(await post(server, "exec", "r", {})).toMatchObject({
      code: 400,
      message: "pod r does not have a host assigned",
    });
  });
});

describe("scale", () => {
  const view = workloadSubresources["apps/Deployment"]?.[0]?.view;
  const deployment = (): Draft => ({
    metadata: { name: "d", namespace: "default", uid: "u", resourceVersion: "1", creationTimestamp: "t" },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: "x" }, matchExpressions: [{ key: "k", operator: "In", values: ["b", "a"] }] },
    },
    status: {},
  });
  it("shows replicas and the selector as text", () => {
    expect(view?.read(deployment())).toEqual({
      kind: "Scale",
      apiVersion: "autoscaling/v1",
      metadata: { name: "d", namespace: "default", uid: "u", resourceVersion: "1", creationTimestamp: "t" },
      spec: { replicas: 1 },
      status: { replicas: 0, selector: "app=x,k in (a,b)" },
    });
  });
  it("refuses less than nothing", () => {
    expect(() => view?.write(deployment(), { spec: { replicas: -1 } }, {} as never)).toThrow(
      'Scale.autoscaling "d" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    );
  });
});

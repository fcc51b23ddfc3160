import {
  LimitRanges,
  Namespaces,
  PriorityClasses,
  ResourceQuotas,
  RuntimeClasses,
  ServiceAccounts,
  StorageClasses,
  type Pod,
  type ResourceQuota,
  type UserInfo,
} from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { createFakeServer, type FakeServer } from "../auth/fake-server.ts";
import type { AdmissionAttributes } from "../machinery/admission.ts";
import { copyJson, untyped, type Draft } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { defaultPlugins } from "./default-plugins.ts";
import { quotaUsage } from "./quota-usage.ts";

function setUp(): FakeServer {
  const server = createFakeServer();
  server.put(Namespaces, { metadata: { name: "ml" }, status: { phase: "Active" } });
  server.put(ServiceAccounts, { metadata: { name: "default", namespace: "ml" } });
  return server;
}

const bare: Draft = { metadata: { name: "p", namespace: "ml" }, spec: { containers: [{ name: "c", image: "i" }] } };

interface Write {
  readonly resource?: string;
  readonly group?: string;
  readonly operation?: AdmissionAttributes["operation"];
  readonly namespace?: string;
  readonly name?: string;
  readonly old?: Draft;
  readonly user?: UserInfo;
}

function attributesOf(object: Draft, write: Write = {}): AdmissionAttributes {
  const { resource = "pods", group = "", operation = "CREATE", namespace = "ml", name = "p" } = write;
  const user = write.user ?? { username: "alice" };
  return {
    operation,
    kind: { group, version: "v1", kind: resource === "namespaces" ? "Namespace" : "Pod" },
    resource: { group, version: "v1", resource },
    subresource: "",
    namespace,
    name,
    object: operation === "DELETE" ? undefined : copyJson(object),
    oldObject: write.old,
    options: {},
    user,
    dryRun: false,
    served: {} as AdmissionAttributes["served"],
    context: { user } as AdmissionAttributes["context"],
  };
}

async function write(server: FakeServer, object: Draft, more: Write = {}, stored = true): Promise<Draft> {
  const plugins = defaultPlugins({
    server: server as unknown as ServerAccess,
    authorize: () => ({ allowed: true, reason: "" }),
  }).filter(({ handles }) => handles(more.operation ?? "CREATE"));
  const attributes = attributesOf(object, more);
  for (const plugin of plugins) await plugin.admit?.(attributes);
  for (const plugin of plugins) await plugin.validate?.(attributes);
  for (const plugin of plugins) await plugin.settle?.(attributes, stored);
  return attributes.object ?? {};
}

const refused = (message: string, code = 403) =>
  expect.objectContaining({ status: expect.objectContaining({ code, message }) as unknown });

describe("defaultPlugins", () => {
  it("give a plain pod what the server gives it", async () => {
    const pod = (await write(setUp(), bare)) as unknown as Pod;
    const volume = pod.spec?.volumes?.[0]?.name;
    expect(volume).toMatch(/^kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    expect(pod.spec).toEqual({
      containers: [
        {
          name: "c",
          image: "i",
          volumeMounts: [{ name: volume, readOnly: true, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" }],
        },
      ],
      serviceAccountName: "default",
      serviceAccount: "default",
      priority: 0,
      preemptionPolicy: "PreemptLowerPriority",
      tolerations: ["not-ready", "unreachable"].map((name) => ({
        key: `node.kubernetes.io/${name}`,
        operator: "Exists",
        effect: "NoExecute",
        tolerationSeconds: 300,
      })),
      volumes: [
        {
          name: volume,
          projected: {
            defaultMode: 420,
            sources: [
              { serviceAccountToken: { path: "token", expirationSeconds: 3607 } },
              { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
              {
                downwardAPI: {
                  items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
                },
              },
            ],
          },
        },
      ],
    });
  });

  it("refuse objects in a namespace that is not there, or on its way out", async () => {
    const server = setUp();
    await expect(write(server, bare, { namespace: "no" })).rejects.toEqual(refused('namespaces "no" not found', 404));
    server.put(Namespaces, { metadata: { name: "ml" }, status: { phase: "Terminating" } });
    await expect(write(server, bare)).rejects.toEqual(
      refused('pods "p" is forbidden: unable to create new content in namespace ml because it is being terminated'),
    );
    await expect(
      write(server, {}, { operation: "DELETE", resource: "namespaces", namespace: "", name: "kube-system" }),
    ).rejects.toEqual(refused('namespaces "kube-system" is forbidden: this namespace may not be deleted'));
  });

  it("refuse a pod whose account, priority class or runtime class is not there", async () => {
    const pod = (spec: object): Draft => ({ ...bare, spec: untyped({ ...(bare["spec"] as object), ...spec }) });
    await expect(write(setUp(), pod({ serviceAccountName: "x" }))).rejects.toEqual(
      refused('pods "p" is forbidden: error looking up service account ml/x: serviceaccount "x" not found'),
    );
    await expect(write(setUp(), pod({ priorityClassName: "x" }))).rejects.toEqual(
      refused('pods "p" is forbidden: no PriorityClass with name x was found'),
    );
    await expect(write(setUp(), pod({ runtimeClassName: "x" }))).rejects.toEqual(
      refused('pods "p" is forbidden: pod rejected: RuntimeClass "x" not found'),
    );
  });

  it("take priority, overhead and placement from classes", async () => {
    const server = setUp();
    server.put(PriorityClasses, { metadata: { name: "high" }, value: 10, globalDefault: true });
    server.put(RuntimeClasses, {
      metadata: { name: "kata" },
      handler: "kata",
      overhead: { podFixed: { cpu: "1" } },
      scheduling: { nodeSelector: { kata: "yes" } },
    });
    const spec = { ...(bare["spec"] as object), runtimeClassName: "kata" };
    const pod = (await write(server, { ...bare, spec: untyped(spec) })) as unknown as Pod;
    expect(pod.spec).toMatchObject({
      priority: 10,
      priorityClassName: "high",
      overhead: { cpu: "1" },
      nodeSelector: { kata: "yes" },
    });
  });

  it("fill and bound resources by limit ranges", async () => {
    const server = setUp();
    server.put(LimitRanges, {
      metadata: { name: "l", namespace: "ml" },
      spec: {
        limits: [{ type: "Container", default: { cpu: "1" }, defaultRequest: { cpu: "500m" }, max: { cpu: "2" } }],
      },
    });
    const pod = (await write(server, bare)) as unknown as Pod;
    expect(pod.spec?.containers[0]?.resources).toEqual({ limits: { cpu: "1" }, requests: { cpu: "500m" } });
    expect(pod.metadata.annotations?.["kubernetes.io/limit-ranger"]).toBe(
      "LimitRanger plugin set: cpu request for container c; cpu limit for container c",
    );
    const big = { ...bare, spec: untyped({ containers: [{ name: "c", resources: { limits: { cpu: "3" } } }] }) };
    await expect(write(server, big)).rejects.toEqual(
      refused('pods "p" is forbidden: maximum cpu usage per Container is 2, but limit is 3'),
    );
  });

  it("give claims the default class, and protect them", async () => {
    const server = setUp();
    server.put(StorageClasses, {
      metadata: { name: "fast", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
      provisioner: "x",
    });
    const claim = await write(server, { metadata: { name: "c" }, spec: {} }, { resource: "persistentvolumeclaims" });
    expect(claim).toMatchObject({
      metadata: { finalizers: ["kubernetes.io/pvc-protection"] },
      spec: { storageClassName: "fast" },
    });
  });

  it("keep kubelets to their own nodes and pods", async () => {
    const user: UserInfo = { username: "system:node:n1", groups: ["system:nodes"] };
    await expect(write(setUp(), bare, { user })).rejects.toEqual(
      refused(
        'pods "p" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
      ),
    );
    const node: Write = { resource: "nodes", namespace: "", name: "n1", user };
    await expect(
      write(setUp(), { metadata: { name: "n1", labels: { "node-restriction.kubernetes.io/x": "y" } } }, node),
    ).rejects.toEqual(
      refused(
        'nodes "n1" is forbidden: node "n1" is not allowed to set the following labels: node-restriction.kubernetes.io/x',
      ),
    );
    expect(await write(setUp(), { metadata: { name: "n1" } }, node)).toMatchObject({
      spec: { taints: [{ key: "node.kubernetes.io/not-ready", effect: "NoSchedule" }] },
    });
  });
});

describe("ResourceQuota", () => {
  const key = { namespace: "ml", name: "q" };
  function withQuota(hard: Record<string, string>, spec: ResourceQuota["spec"] = {}): FakeServer {
    const server = setUp();
    const used = Object.fromEntries(Object.keys(hard).map((name) => [name, "0"]));
    server.put(ResourceQuotas, {
      metadata: { name: "q", namespace: "ml" },
      spec: { hard, ...spec },
      status: { hard, used },
    });
    return server;
  }
  const usedOf = (server: FakeServer): unknown => server.objects.get(ResourceQuotas, key)?.status?.used;

  it("counts up to the limit and says what is exceeded", async () => {
    const server = withQuota({ pods: "2", "count/pods": "5" });
    await write(server, bare);
    await write(server, bare);
    expect(usedOf(server)).toEqual({ pods: "2", "count/pods": "2" });
    await expect(write(server, bare)).rejects.toEqual(
      refused('pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2'),
    );
  });

  it("never lets two writes at once take the last place", async () => {
    const server = withQuota({ pods: "1" });
    const results = await Promise.allSettled([write(server, bare), write(server, bare), write(server, bare)]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected", "rejected"]);
    expect(usedOf(server)).toEqual({ pods: "1" });
  });

  it("gives back what a write that failed had taken", async () => {
    const server = withQuota({ pods: "1" });
    await write(server, bare, {}, false);
    expect(usedOf(server)).toEqual({ pods: "0" });
  });

  it("wants containers to say what it counts", async () => {
    const server = withQuota({ "limits.cpu": "1", "requests.memory": "1Gi" });
    await expect(write(server, bare)).rejects.toEqual(
      refused('pods "p" is forbidden: failed quota: q: must specify limits.cpu for: c; requests.memory for: c'),
    );
  });

  it("counts GPUs, and only pods of its scopes", async () => {
    const gpu = (more: object): Draft => ({
      ...bare,
      spec: untyped({
        ...more,
        containers: [
          { name: "c", resources: { requests: { "nvidia.com/gpu": "8" }, limits: { "nvidia.com/gpu": "8" } } },
        ],
      }),
    });
    const server = withQuota({ "requests.nvidia.com/gpu": "8" }, { scopes: ["Terminating"] });
    await write(server, gpu({}));
    expect(usedOf(server)).toEqual({ "requests.nvidia.com/gpu": "0" });
    await write(server, gpu({ activeDeadlineSeconds: 10 }));
    await expect(write(server, gpu({ activeDeadlineSeconds: 10 }))).rejects.toEqual(
      refused(
        'pods "p" is forbidden: exceeded quota: q, requested: requests.nvidia.com/gpu=8, used: requests.nvidia.com/gpu=8, limited: requests.nvidia.com/gpu=8',
      ),
    );
  });

  it("is calculated from what is there", () => {
    const quota: ResourceQuota = {
      metadata: { name: "q", namespace: "ml" },
      spec: {
        hard: { pods: "9", "requests.cpu": "9", "count/deployments.apps": "9", services: "9", "count/pods": "9" },
      },
    };
    const pod = (phase: string): Pod => ({
      metadata: { name: phase },
      spec: { containers: [{ name: "c", resources: { requests: { cpu: "250m" } } }] },
      status: { phase },
    });
    const objects: Readonly<Record<string, readonly Pod[]>> = {
      pods: [pod("Running"), pod("Pending"), pod("Succeeded")],
      "deployments.apps": [pod("x")],
    };
    expect(quotaUsage(quota, (resource) => objects[resource] ?? [], 0)).toEqual({
      pods: "2",
      "requests.cpu": "500m",
      "count/deployments.apps": "1",
      services: "0",
      "count/pods": "3",
    });
  });
});

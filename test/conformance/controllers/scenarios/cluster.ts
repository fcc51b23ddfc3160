import {
  ConfigMaps,
  Endpoints,
  PodDisruptionBudgets,
  Pods,
  ReplicaSets,
  ResourceQuotas,
  ServiceAccounts,
  Services,
} from "@fleetwright/kube";
import type { KubeObject, PodDisruptionBudget, ReplicaSet, ResourceQuota, Service } from "@fleetwright/kube";
import { app, life, scenario, template } from "../scenario.ts";
import type { Named, Scenario, Steps } from "../scenario.ts";

const set = (replicas: number, options: Parameters<typeof template>[1] = {}, name = "web"): Named<ReplicaSet> => ({
  metadata: { name },
  spec: { replicas, selector: { matchLabels: app(name) }, template: template(name, options) },
});
const sets =
  (replicas: number, options: Parameters<typeof template>[1] = {}) =>
  (steps: Steps): Promise<void> =>
    steps.create(ReplicaSets, set(replicas, options));
const service =
  (spec: Service["spec"] = {}) =>
  (steps: Steps): Promise<void> =>
    steps.create(Services, {
      metadata: { name: "web" },
      spec: { selector: app("web"), ports: [{ port: 80 }], clusterIP: "None", ...spec },
    });
const budget =
  (spec: PodDisruptionBudget["spec"]) =>
  (steps: Steps): Promise<void> =>
    steps.create(PodDisruptionBudgets, {
      metadata: { name: "pdb" },
      spec: { selector: { matchLabels: app("web") }, ...spec },
    });
const quota =
  (hard: Readonly<Record<string, string>>, more: object = {}) =>
  (steps: Steps): Promise<void> =>
    steps.create(ResourceQuotas, { metadata: { name: "quota" }, spec: { hard, ...more } } as Named<ResourceQuota>);
const map = (name: string, metadata: object = {}): Named<KubeObject & { data?: object }> => ({
  metadata: { name, ...metadata },
  data: { a: "b" },
});
const evictFirst = async (steps: Steps): Promise<void> => {
  const [first = ""] = await steps.names(Pods);
  await steps.evict(first);
};
const owned =
  (name: string, by: string, more: object = {}) =>
  async (steps: Steps): Promise<void> => {
    const owner = await steps.client.get(ConfigMaps, { namespace: steps.namespace, name: by });
    await steps.create(
      ConfigMaps,
      map(name, {
        ownerReferences: [{ apiVersion: "v1", kind: "ConfigMap", name: by, uid: owner.metadata.uid, ...more }],
      }) as never,
    );
  };

export const serviceScenarios: readonly Scenario[] = [
  scenario("svc-then-pods", service(), sets(2)),
  scenario("svc-pods-then", sets(2), service()),
  scenario("svc-without-pods", service()),
  scenario("svc-not-ready", service(), sets(1, { annotations: life.neverReady })),
  scenario(
    "svc-publishes-not-ready",
    service({ publishNotReadyAddresses: true }),
    sets(1, { annotations: life.neverReady }),
  ),
  scenario(
    "svc-named-port",
    service({ ports: [{ port: 80, targetPort: "http" }] }),
    sets(1, {
      spec: {
        containers: [
          { name: "main", image: "registry.example/main:1", ports: [{ name: "http", containerPort: 8080 }] },
        ],
      },
    }),
  ),
  scenario(
    "svc-two-ports",
    service({
      ports: [
        { name: "a", port: 80 },
        { name: "b", port: 81, protocol: "UDP" },
      ],
    }),
    sets(1),
  ),
  scenario("svc-pod-goes", service(), sets(2), async (steps) =>
    steps.patch(ReplicaSets, "web", { spec: { replicas: 1 } }),
  ),
  scenario("svc-delete", service(), sets(1), (steps) => steps.remove(Services, "web")),
  scenario("svc-selector-changes", service(), sets(1), (steps) =>
    steps.patch(Services, "web", { spec: { selector: { app: "other" } } }),
  ),
  scenario("svc-labels", service(), (steps) => steps.patch(Services, "web", { metadata: { labels: { team: "a" } } })),
  scenario("svc-endpoints-deleted", service(), sets(1), (steps) =>
    steps.patch(Endpoints, "web", { metadata: { labels: { x: "y" } } }),
  ),
];

export const budgetScenarios: readonly Scenario[] = [
  scenario("pdb-min-available", sets(3), budget({ minAvailable: 2 })),
  scenario("pdb-max-unavailable", sets(3), budget({ maxUnavailable: 1 })),
  scenario("pdb-percent", sets(4), budget({ minAvailable: "50%" })),
  scenario("pdb-before-pods", budget({ minAvailable: 1 }), sets(2)),
  scenario("pdb-without-pods", budget({ minAvailable: 1 })),
  scenario("pdb-evict", sets(3), budget({ minAvailable: 2 }), evictFirst),
  scenario("pdb-refuses", sets(2), budget({ minAvailable: 2 }), evictFirst),
  scenario("pdb-scaled", sets(2), budget({ maxUnavailable: 1 }), (steps) =>
    steps.patch(ReplicaSets, "web", { spec: { replicas: 4 } }),
  ),
  scenario("pdb-unready", sets(2, { annotations: life.neverReady }), budget({ maxUnavailable: 1 })),
  scenario(
    "pdb-bare-pod",
    (steps) =>
      steps.create(Pods, {
        metadata: { name: "bare", labels: app("web") },
        spec: { containers: [{ name: "main", image: "registry.example/main:1" }] },
      }),
    budget({ maxUnavailable: 1 }),
  ),
];

export const quotaScenarios: readonly Scenario[] = [
  scenario("quota-pods", quota({ pods: "5" }), sets(2)),
  scenario("quota-after", sets(2), quota({ pods: "5" })),
  scenario("quota-refuses", quota({ pods: "2" }), sets(3)),
  scenario("quota-frees", quota({ pods: "3" }), sets(3), (steps) =>
    steps.patch(ReplicaSets, "web", { spec: { replicas: 1 } }),
  ),
  scenario(
    "quota-gpus",
    quota({ "requests.nvidia.com/gpu": "4" }),
    sets(1, {
      spec: {
        containers: [
          { name: "main", image: "registry.example/main:1", resources: { limits: { "nvidia.com/gpu": 2 } } },
        ],
      },
    }),
  ),
  scenario(
    "quota-objects",
    quota({ "count/configmaps": "5", services: "2", "count/replicasets.apps": "3" }),
    sets(1),
    (steps) => steps.create(ConfigMaps, map("one") as never),
  ),
  scenario("quota-changes", quota({ pods: "2" }), (steps) =>
    steps.patch(ResourceQuotas, "quota", { spec: { hard: { pods: "4", secrets: "3" } } }),
  ),
  scenario("quota-scope", quota({ pods: "5" }, { scopes: ["BestEffort"] }), sets(2)),
];

export const ownershipScenarios: readonly Scenario[] = [
  scenario("namespace-new", (steps) => steps.pass(100)),
  scenario("account-deleted", (steps) => steps.remove(ServiceAccounts, "default")),
  scenario("root-certificate-deleted", (steps) => steps.remove(ConfigMaps, "kube-root-ca.crt")),
  scenario("root-certificate-changed", (steps) =>
    steps.patch(ConfigMaps, "kube-root-ca.crt", { data: { "ca.crt": "mine" } }),
  ),
  scenario(
    "owner-goes",
    (steps) => steps.create(ConfigMaps, map("owner") as never),
    owned("child", "owner"),
    (steps) => steps.remove(ConfigMaps, "owner"),
  ),
  scenario(
    "owner-goes-foreground",
    (steps) => steps.create(ConfigMaps, map("owner") as never),
    owned("child", "owner", { blockOwnerDeletion: true }),
    (steps) => steps.remove(ConfigMaps, "owner", "Foreground"),
  ),
  scenario(
    "owner-goes-orphan",
    (steps) => steps.create(ConfigMaps, map("owner") as never),
    owned("child", "owner"),
    (steps) => steps.remove(ConfigMaps, "owner", "Orphan"),
  ),
  scenario("owner-absent", (steps) =>
    steps.create(
      ConfigMaps,
      map("child", {
        ownerReferences: [
          { apiVersion: "v1", kind: "ConfigMap", name: "nobody", uid: "5f4dcc3b-5aa7-45f1-8c5a-000000000000" },
        ],
      }) as never,
    ),
  ),
  scenario(
    "grandchild-goes",
    (steps) => steps.create(ConfigMaps, map("owner") as never),
    owned("child", "owner"),
    owned("grandchild", "child"),
    (steps) => steps.remove(ConfigMaps, "owner"),
  ),
  scenario(
    "grandchild-foreground",
    (steps) => steps.create(ConfigMaps, map("owner") as never),
    owned("child", "owner", { blockOwnerDeletion: true }),
    owned("grandchild", "child", { blockOwnerDeletion: true }),
    (steps) => steps.remove(ConfigMaps, "owner", "Foreground"),
  ),
];

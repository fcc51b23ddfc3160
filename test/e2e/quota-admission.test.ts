import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BizGroupResourceQuotas, customResourceDefinition, groupLabel } from "@fleetwright/api";
import {
  ApiError,
  createCache,
  createClient,
  createManager,
  createWebhookServer,
  CustomResourceDefinitions,
  isNotFound,
  silentLogger,
  systemClock,
  systemRandom,
  ValidatingWebhookConfigurations,
} from "@fleetwright/kube";
import type { Client, KubeObject, Resource, WebhookServer } from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";
import { createQuota, webhookConfiguration } from "@fleetwright/quota";
import { eventually } from "./eventually.ts";
import { startServer } from "./server.ts";

interface Loose extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly used?: Readonly<Record<string, string>>;
    readonly selfUsed?: Readonly<Record<string, string>>;
  };
}

const resource = (group: string, kind: string, plural: string, namespaced = true, version = "v1"): Resource<Loose> => ({
  group,
  version,
  kind,
  plural,
  namespaced,
});
const groups = resource("fleetwright.dev", "BizGroupResourceQuota", "bizgroupresourcequotas", false, "v1alpha1");
const deployments = resource("apps", "Deployment", "deployments");
const replicaSets = resource("apps", "ReplicaSet", "replicasets");
const jobs = resource("batch", "Job", "jobs");
const cronJobs = resource("batch", "CronJob", "cronjobs");
const pods = resource("", "Pod", "pods");
const namespaces = resource("", "Namespace", "namespaces", false);
const serviceAccounts = resource("", "ServiceAccount", "serviceaccounts");
const limitRanges = resource("", "LimitRange", "limitranges");

let controlPlane: ControlPlane;
let client: Client;
let ours: Client;
let server: WebhookServer;
const stop = new AbortController();
let running: Promise<void>;

/** Short, so that leaks show within the test. */
const holdLifeMs = 3_000;

/** The server's refusal, as kubectl would print it. */
async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
  return "allowed";
}

const group = (name: string, parentBizGroup: string, hard: Record<string, string | number>): Loose => ({
  metadata: { name },
  spec: { parentBizGroup, hard },
});

const template = (cpu: string | undefined, labels: Record<string, string> = {}): object => ({
  metadata: { labels: { app: "x", ...labels } },
  spec: {
    restartPolicy: undefined,
    containers: [{ name: "main", image: "none", resources: cpu === undefined ? {} : { limits: { cpu } } }],
  },
});

function deployment(
  name: string,
  of: string | undefined,
  replicas: number,
  cpu: string | undefined,
  labels: Record<string, string> = {},
): Loose {
  return {
    metadata: { name, namespace: "default", labels: { ...(of && { [groupLabel]: of }), ...labels } },
    spec: { replicas, selector: { matchLabels: { app: "x" } }, template: template(cpu) },
  };
}

function job(name: string, of: string, spec: object): Loose {
  const { metadata, spec: pod } = template("1") as { metadata: object; spec: object };
  return {
    metadata: { name, namespace: "default", labels: { [groupLabel]: of } },
    spec: { template: { metadata, spec: { ...pod, restartPolicy: "Never" } }, ...spec },
  };
}

const used = async (name: string): Promise<Readonly<Record<string, string>>> =>
  (await client.get(groups, { name })).status?.used ?? {};
const usesCpu = (name: string, cpu: string): Promise<unknown> =>
  eventually(
    `use of ${name}`,
    () => used(name),
    (use) => use["limits.cpu"] === cpu,
  );

beforeAll(async () => {
  controlPlane = await startServer();
  client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  await client.create(CustomResourceDefinitions, customResourceDefinition(BizGroupResourceQuotas) as never);
  await eventually(
    "the CRD",
    () =>
      client.list(groups).then(
        () => true,
        () => false,
      ),
    Boolean,
  );
  // Of its own: users' calls that wait for the webhook must not take the connections that it needs to answer them.
  ours = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  const parts = { client: ours, clock: systemClock, random: systemRandom, logger: silentLogger };
  const cache = createCache(parts);
  const quota = createQuota({ ...parts, cache, holdLifeMs });
  server = createWebhookServer({ clock: systemClock, logger: silentLogger, host: "127.0.0.1", port: 0 });
  for (const [path, { name, handler }] of Object.entries(quota.handlers)) server.handle(path, name, handler);
  server.setCertificate(
    await controlPlane.authority.issue({ commonName: "webhook", hosts: ["127.0.0.1"], usage: "server" }),
  );
  const manager = createManager({
    ...parts,
    cache,
    webhooks: server,
    healthAddress: "0",
    metricsAddress: "0",
  });
  manager.add(quota.controller);
  running = manager.run(stop.signal);
  await eventually("the manager", () => Promise.resolve(server.listening && quota.ready()));
  const configuration = webhookConfiguration({
    target: { kind: "url", url: `https://127.0.0.1:${server.port}` },
    caBundle: Buffer.from(controlPlane.caCertificate).toString("base64"),
  });
  await client.create(ValidatingWebhookConfigurations, configuration);
  // The server takes a moment to hear of it.
  await eventually(
    "the webhook",
    () => refusal(client.create(deployments, deployment("probe", "nowhere", 1, "1"), { dryRun: true })),
    (message) => message.includes("there is no bizrq"),
  );
});

afterAll(async () => {
  stop.abort();
  await running?.catch(() => {});
  await client?.close();
  await ours?.close();
  await controlPlane?.stop();
});

describe("models (D3)", () => {
  it("after a 4-core A4 Deployment there is no more A4, and 6 others are left", async () => {
    await client.create(groups, group("d3", "", { "limits.cpu": 10, "limits.cpu.A4": 4 }));
    const a4 = { "biz.group.resource.quota/cpu-type": "A4" };
    await client.create(deployments, deployment("d3-a4", "d3", 4, "1", a4));
    const message = await refusal(client.create(deployments, deployment("d3-more", "d3", 1, "1", a4)));
    expect(message).toContain('quota "d3": limits.cpu.A4 needs 1, 0 left of 4 (4 used by itself)');
    expect(await refusal(client.create(deployments, deployment("d3-seven", "d3", 7, "1")))).toContain(
      'quota "d3": limits.cpu needs 7, 6 left of 10 (4 used by itself)',
    );
    await client.create(deployments, deployment("d3-six", "d3", 6, "1"));
    expect(await used("d3")).toMatchObject({ "limits.cpu": "10", "limits.cpu.A4": "4" });
  });

  it("a model's limit may stand above the general one", async () => {
    await client.create(groups, group("d3b", "", { "limits.cpu": 10, "limits.cpu.A4": 100 }));
    const a4 = { "biz.group.resource.quota/cpu-type": "A4" };
    expect(await refusal(client.create(deployments, deployment("d3b-a4", "d3b", 11, "1", a4)))).toContain(
      'quota "d3b": limits.cpu needs 11, 10 left of 10 (0 used by itself)',
    );
  });
});

describe("a whole workload", () => {
  beforeAll(async () => {
    await client.create(groups, group("acme", "", { "limits.cpu": 20 }));
    await client.create(groups, group("vision", "acme", { "limits.cpu": 8 }));
  });

  it("is refused with what is missing, and admitted once room was freed", async () => {
    await client.create(deployments, deployment("w1", "vision", 5, "1"));
    expect(await refusal(client.create(deployments, deployment("w2", "vision", 4, "1")))).toContain(
      'quota "vision": limits.cpu needs 4, 3 left of 8 (5 used by itself)',
    );
    expect(await refusal(client.get(deployments, { namespace: "default", name: "w2" }))).toContain("not found");
    await client.delete(deployments, { namespace: "default", name: "w1" });
    await client.create(deployments, deployment("w2", "vision", 4, "1"));
    await usesCpu("vision", "4");
  });

  it("is judged by a dry run, which charges nothing", async () => {
    const before = await used("vision");
    expect(await refusal(client.create(deployments, deployment("w3", "vision", 5, "1"), { dryRun: true }))).toContain(
      "needs 5, 4 left",
    );
    await client.create(deployments, deployment("w3", "vision", 3, "1"), { dryRun: true });
    expect(await used("vision")).toEqual(before);
  });

  it("is charged when it is scaled, through the subresource too", async () => {
    const key = { namespace: "default", name: "w2" };
    const scale = await client.getScale(deployments, key);
    expect(await refusal(client.updateScale(deployments, key, { ...scale, spec: { replicas: 9 } }))).toContain(
      "limits.cpu needs 5, 4 left of 8",
    );
    await client.updateScale(deployments, key, { ...scale, spec: { replicas: 6 } });
    await usesCpu("vision", "6");
    await client.patch(deployments, key, { type: "merge", patch: { spec: { replicas: 1 } } });
    await usesCpu("vision", "1");
  });

  it("moves to another group by its label: the new one is charged, the old one released", async () => {
    await client.create(groups, group("speech", "acme", { "limits.cpu": 2 }));
    const key = { namespace: "default", name: "w2" };
    const to = (name: string) =>
      client.patch(deployments, key, { type: "merge", patch: { metadata: { labels: { [groupLabel]: name } } } });
    await to("speech");
    await usesCpu("speech", "1");
    await usesCpu("vision", "0");
    await client.patch(deployments, key, { type: "merge", patch: { spec: { replicas: 2 } } });
    await client.create(deployments, deployment("w4", "vision", 7, "1"));
    expect(await refusal(to("vision"))).toContain("limits.cpu needs 2, 1 left of 8 (7 used by itself)");
    await client.delete(deployments, { namespace: "default", name: "w4" });
    await to("vision");
    await usesCpu("speech", "0");
    await usesCpu("vision", "2");
  });

  it("that leaves out a limited resource is refused, unless a LimitRange fills it in", async () => {
    expect(await refusal(client.create(deployments, deployment("w5", "vision", 1, undefined)))).toContain(
      "must specify limits.cpu for: main",
    );
    await client.create(namespaces, { metadata: { name: "ranged" } });
    await client.create(limitRanges, {
      metadata: { name: "defaults", namespace: "ranged" },
      spec: { limits: [{ type: "Container", default: { cpu: "500m" }, defaultRequest: { cpu: "250m" } }] },
    });
    const ranged = deployment("w5", "vision", 2, undefined);
    await eventually(
      "the LimitRange",
      () => refusal(client.create(deployments, { ...ranged, metadata: { ...ranged.metadata, namespace: "ranged" } })),
      (message) => message === "allowed",
    );
    await usesCpu("vision", "3");
    await client.delete(deployments, { namespace: "ranged", name: "w5" });
    await usesCpu("vision", "2");
  });

  it("with a template of another group is refused", async () => {
    const foreign = deployment("w6", "vision", 1, "1");
    const message = await refusal(
      client.create(deployments, {
        ...foreign,
        spec: { ...foreign.spec, template: template("1", { [groupLabel]: "speech" }) },
      }),
    );
    expect(message).toContain(`spec.template.metadata.labels["${groupLabel}"] is "speech"`);
  });

  it("costs nothing while it is suspended, and is charged when it goes on", async () => {
    await client.create(jobs, job("batch", "vision", { suspend: true, parallelism: 9, completions: 9 }));
    await usesCpu("vision", "2");
    const key = { namespace: "default", name: "batch" };
    expect(await refusal(client.patch(jobs, key, { type: "merge", patch: { spec: { suspend: false } } }))).toContain(
      "needs 9, 6 left",
    );
    await client.patch(jobs, key, { type: "merge", patch: { spec: { parallelism: 4 } } });
    await client.patch(jobs, key, { type: "merge", patch: { spec: { suspend: false } } });
    await usesCpu("vision", "6");
    await client.delete(jobs, key, { propagationPolicy: "Background" });
    await usesCpu("vision", "2");
  });

  it("of a CronJob that allows many must put each Job into its own group", async () => {
    const { template: pod } = job("x", "vision", {}).spec as { template: object };
    const cron = (jobLabels: object): Loose => ({
      metadata: { name: "nightly", namespace: "default", labels: { [groupLabel]: "vision" } },
      spec: { schedule: "0 3 * * *", jobTemplate: { metadata: { labels: jobLabels }, spec: { template: pod } } },
    });
    expect(await refusal(client.create(cronJobs, cron({}), { dryRun: true }))).toContain(
      "each Job is charged by itself",
    );
    expect(await refusal(client.create(cronJobs, cron({ [groupLabel]: "vision" }), { dryRun: true }))).toBe("allowed");
  });

  it("owned by nobody is charged, whatever its ownerReferences say; a real child is free", async () => {
    const owner = await client.create(deployments, {
      ...deployment("owner", "vision", 2, "1"),
      spec: { ...deployment("owner", "vision", 2, "1").spec, template: template("1", { [groupLabel]: "vision" }) },
    });
    await usesCpu("vision", "4");
    const child = (name: string, uid: string | undefined, app: string, replicas: number): Loose => ({
      metadata: {
        name,
        namespace: "default",
        labels: { app, [groupLabel]: "vision" },
        ownerReferences: [
          { apiVersion: "apps/v1", kind: "Deployment", name: "owner", uid: uid ?? "", controller: true },
        ],
      },
      spec: {
        replicas,
        selector: { matchLabels: { app } },
        template: { ...template("1", { app, [groupLabel]: "vision" }) },
      },
    });
    expect(
      await refusal(client.create(replicaSets, child("forged", "00000000-0000-0000-0000-000000000000", "x", 5))),
    ).toContain("needs 5, 4 left");
    expect(await refusal(client.create(replicaSets, child("stranger", owner.metadata.uid, "y", 5)))).toContain(
      "needs 5, 4 left",
    );
    await client.create(replicaSets, child("real", owner.metadata.uid, "x", 5));
    await client.delete(replicaSets, { namespace: "default", name: "real" }, { propagationPolicy: "Background" });
    await client.delete(deployments, { namespace: "default", name: "owner" }, { propagationPolicy: "Background" });
    await usesCpu("vision", "2");
  });

  it("as a bare Pod is charged, resized in place too, until it has finished", async () => {
    await client.create(serviceAccounts, { metadata: { name: "default", namespace: "default" } });
    const key = { namespace: "default", name: "bare" };
    const container = (cpu: string): object => ({
      name: "main",
      image: "none",
      resources: { requests: { cpu }, limits: { cpu } },
    });
    const pod: Loose = {
      metadata: { ...key, labels: { [groupLabel]: "vision" } },
      spec: { containers: [container("7")] },
    };
    expect(await refusal(client.create(pods, pod))).toContain("limits.cpu needs 7, 6 left of 8 (2 used by itself)");
    await client.create(pods, { ...pod, spec: { containers: [container("2")] } });
    await usesCpu("vision", "4");
    const resize = (cpu: string) =>
      client.patch(
        pods,
        key,
        { type: "strategic", patch: { spec: { containers: [container(cpu)] } } },
        { subresource: "resize" },
      );
    expect(await refusal(resize("7"))).toContain("limits.cpu needs 5, 4 left of 8 (4 used by itself)");
    await resize("3");
    await usesCpu("vision", "5");
    await client.patch(
      pods,
      key,
      { type: "merge", patch: { status: { phase: "Succeeded" } } },
      { subresource: "status" },
    );
    await usesCpu("vision", "2");
    await client.delete(pods, key, { gracePeriodSeconds: 0 });
  });

  it("that was admitted and then not stored gives its room back", async () => {
    // The name is taken: our yes comes first, then AlreadyExists. What has one name counts once, with the most that it may come to use.
    for (let round = 0; round < 10; round++)
      expect(await refusal(client.create(deployments, deployment("w2", "vision", 5, "1")))).toContain("already exists");
    await usesCpu("vision", "5");
    await usesCpu("vision", "2");
  });

  it("of a user without the right to use the group is refused", async () => {
    const user = await controlPlane.issueUser("eve", ["deployers"]);
    const rules = [{ apiGroups: ["apps"], resources: ["deployments"], verbs: ["*"] }];
    const role = resource("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false);
    const binding = resource("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings", false);
    const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "deployer" };
    const subjects = [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "deployers" }];
    await client.create(role, { metadata: { name: "deployer" }, rules } as KubeObject as Loose);
    await client.create(binding, { metadata: { name: "deployer" }, roleRef, subjects } as KubeObject as Loose);
    const eve = createClient({ kubeconfig: user.kubeconfigPath });
    const ask = () => refusal(eve.create(deployments, deployment("eves", "vision", 1, "1"), { dryRun: true }));
    const message = await eventually("eve's rights", ask, (text) => !text.includes("cannot create resource"));
    expect(message).toContain('user "eve" may not use quota "vision"');
    const may = {
      ...rules[0],
      apiGroups: ["fleetwright.dev"],
      resources: ["bizgroupresourcequotas"],
      resourceNames: ["vision"],
      verbs: ["use"],
    };
    await client.update(role, { metadata: { name: "deployer" }, rules: [...rules, may] } as KubeObject as Loose);
    await eventually("eve's new right", ask, (text) => text === "allowed");
    await eve.close();
  });
});

describe("many at once", () => {
  it("admits exactly as many as fit, and as many again once they are gone", async () => {
    await client.create(groups, group("crowd", "", { "limits.cpu": 60 }));
    for (const round of ["first", "second"]) {
      const names = Array.from({ length: 150 }, (_, index) => `${round}-${index}`);
      const answers = await Promise.all(
        names.map((name) => refusal(client.create(deployments, deployment(name, "crowd", 1, "1")))),
      );
      const admitted = names.filter((_name, index) => answers[index] === "allowed");
      expect(new Set(answers)).toEqual(
        new Set(["allowed", expect.stringContaining('quota "crowd": limits.cpu needs 1, 0 left of 60')]),
      );
      expect(admitted).toHaveLength(60);
      await Promise.all(admitted.map((name) => client.delete(deployments, { namespace: "default", name })));
    }
    await usesCpu("crowd", "0");
  });
});

describe("a namespace that demands the label", () => {
  it("refuses workloads without it, and nothing else", async () => {
    await client.create(namespaces, {
      metadata: { name: "strict", labels: { "fleetwright.dev/require-biz-group": "true" } },
    });
    const strict = (object: Loose): Loose => ({ ...object, metadata: { ...object.metadata, namespace: "strict" } });
    const message = await refusal(client.create(deployments, strict(deployment("plain", undefined, 1, "1"))));
    expect(message).toContain(`must name its business group in the label ${groupLabel}`);
    await client.create(deployments, deployment("plain", undefined, 1, "1"), { dryRun: true });
    const owner = await client.create(deployments, strict(deployment("labelled", "vision", 1, "1")));
    const child: Loose = {
      metadata: {
        name: "labelled-1",
        namespace: "strict",
        labels: { app: "x" },
        ownerReferences: [
          {
            apiVersion: "apps/v1",
            kind: "Deployment",
            name: "labelled",
            uid: owner.metadata.uid ?? "",
            controller: true,
          },
        ],
      },
      spec: { replicas: 1, selector: { matchLabels: { app: "x" } }, template: template("1") },
    };
    await client.create(replicaSets, child);
    await client.create(serviceAccounts, { metadata: { name: "default", namespace: "strict" } });
    const pod: Loose = {
      metadata: { name: "bare", namespace: "strict" },
      spec: { containers: [{ name: "main", image: "none" }] },
    };
    expect(await refusal(client.create(pods, pod))).toContain("must name its business group");
  });
});

describe("the tree", () => {
  beforeAll(async () => {
    await client.create(groups, group("root", "", { "limits.cpu": 10, "requests.memory": "10Gi" }));
    await client.create(groups, group("left", "root", { "limits.cpu": 6, "requests.memory": "4Gi" }));
  });

  const bad: readonly (readonly [string, Loose, string])[] = [
    ["an unknown parent", group("b1", "ghost", { "limits.cpu": 1 }), 'there is no bizrq "ghost"'],
    ["itself as parent", group("b2", "b2", { "limits.cpu": 1 }), "a group can't be its own parent"],
    ["missing keys", group("b3", "root", { "limits.cpu": 1 }), "lacks requests.memory"],
    ["a negative quantity", group("b4", "", { "limits.cpu": "-1" }), "must not be negative"],
    ["something that is no quantity", group("b5", "", { "limits.cpu": "one" }), "must be a quantity"],
    ["a budget", group("b6", "", { "cash/limits.cpu": 1 }), "not enforced yet"],
    [
      "a key that nothing is charged under",
      group("b7", "", { "limit.cpu": 1 }),
      'nothing is ever charged as "limit.cpu"',
    ],
    ["a name that fits no label", group("b".repeat(64), "", { "limits.cpu": 1 }), "at most 63 characters"],
    [
      "more than the parent has left",
      group("b8", "root", { "limits.cpu": 5, "requests.memory": "1Gi" }),
      'does not fit into its parent: quota "root": limits.cpu needs 5, 4 left of 10 (0 used by itself, 6 granted to "left")',
    ],
  ];
  it.each(bad)("refuses a group with %s, and changes nothing", async (_what, object, expected) => {
    expect(await refusal(client.create(groups, object))).toContain(expected);
    await expect(client.get(groups, { name: object.metadata.name ?? "" })).rejects.toSatisfy(isNotFound);
    expect((await used("root"))["limits.cpu"]).toBe("6");
  });

  it("refuses another parent", async () => {
    expect(
      await refusal(
        client.patch(groups, { name: "left" }, { type: "merge", patch: { spec: { parentBizGroup: "acme" } } }),
      ),
    ).toContain("the parent of a group can't be changed");
  });

  it("refuses a key that a child lacks, naming it", async () => {
    const patch = { spec: { hard: { pods: 5 } } };
    expect(await refusal(client.patch(groups, { name: "root" }, { type: "merge", patch }))).toContain(
      'spec.hard["pods"] can\'t be added: "left" below it lacks it',
    );
  });

  it("grants a raise out of the remainder, and gives a reduction back", async () => {
    const setCpu = (cpu: number) =>
      client.patch(groups, { name: "left" }, { type: "merge", patch: { spec: { hard: { "limits.cpu": cpu } } } });
    expect(await refusal(setCpu(11))).toContain("limits.cpu needs 5, 4 left of 10");
    await setCpu(10);
    await usesCpu("root", "10");
    await setCpu(3);
    await usesCpu("root", "3");
    await client.create(groups, group("right", "root", { "limits.cpu": 7, "requests.memory": "1Gi" }));
    await usesCpu("root", "10");
  });

  it("admits nothing new below a hard that was lowered under what is used", async () => {
    await client.create(groups, group("shrinking", "", { "limits.cpu": 4 }));
    await client.create(deployments, deployment("s1", "shrinking", 3, "1"));
    await client.patch(
      groups,
      { name: "shrinking" },
      { type: "merge", patch: { spec: { hard: { "limits.cpu": 2 } } } },
    );
    expect(await refusal(client.create(deployments, deployment("s2", "shrinking", 1, "1")))).toContain(
      "limits.cpu needs 1, 0 left of 2 (3 used by itself)",
    );
    const over = (object: Loose): boolean =>
      ((object.status as { conditions?: { type: string; status: string }[] } | undefined)?.conditions ?? []).some(
        ({ type, status }) => type === "OverUse" && status === "True",
      );
    await eventually("over-use", () => client.get(groups, { name: "shrinking" }), over);
    await client.patch(
      deployments,
      { namespace: "default", name: "s1" },
      { type: "merge", patch: { spec: { replicas: 2 } } },
    );
    await eventually(
      "no over-use",
      () => client.get(groups, { name: "shrinking" }),
      (object) => !over(object),
    );
  });

  it("lets only unused leaves go, and takes the grant back", async () => {
    expect(await refusal(client.delete(groups, { name: "root" }))).toContain("only leaves can go");
    expect(await refusal(client.delete(groups, { name: "shrinking" }))).toContain("its workloads use");
    await client.delete(groups, { name: "right" });
    await expect(client.get(groups, { name: "right" })).rejects.toSatisfy(isNotFound);
    await usesCpu("root", "3");
    await client.delete(deployments, { namespace: "default", name: "s1" });
    await client.delete(groups, { name: "shrinking" });
  });
});

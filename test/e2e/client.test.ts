/** Every verb and subresource of the client, once, against a real API server. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  ApiError,
  type Client,
  type ConfigMap,
  ConfigMaps,
  connect,
  createClient,
  createRestMapper,
  type Deployment,
  Deployments,
  discover,
  explainConnectionError,
  isAlreadyExists,
  isConflict,
  isExpired,
  isForbidden,
  isInvalid,
  isNotFound,
  isTooManyRequests,
  type KubeList,
  loadKubeconfig,
  Namespaces,
  Nodes,
  type Pod,
  PodDisruptionBudgets,
  Pods,
  ServiceAccounts,
  systemClock,
  TransportError,
  type WatchEvent,
} from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServer } from "./server.ts";

const namespace = "client";

let controlPlane: ControlPlane;
let client: Client;

beforeAll(async () => {
  controlPlane = await startServer({ compactionIntervalSeconds: 5 });
  client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  await client.create(Namespaces, { metadata: { name: namespace } });
  await client.create(ServiceAccounts, { metadata: { name: "default", namespace } });
});

afterAll(async () => {
  await client?.close();
  await controlPlane?.stop();
});

const configMap = (
  name: string,
  data: Record<string, string> = {},
  labels: Record<string, string> = {},
): ConfigMap => ({
  metadata: { name, namespace, labels },
  data,
});

const pod = (name: string, labels: Record<string, string> = {}): Pod => ({
  metadata: { name, namespace, labels },
  spec: { containers: [{ name: "main", image: "localhost/none" }] },
});

const deployment = (name: string): Deployment => ({
  metadata: { name, namespace },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: "main", image: "localhost/none" }] },
    },
  },
});

/** What a promise rejected with; fails when it did not. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("the call succeeded");
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function next<T>(iterator: AsyncIterator<T>): Promise<T> {
  const result = await iterator.next();
  if (result.done) throw new Error("the stream ended");
  return result.value;
}

describe("objects", () => {
  it("creates, reads, updates and deletes", async () => {
    const created = await client.create(ConfigMaps, configMap("crud", { a: "1" }), { fieldManager: "test" });
    expect(created).toMatchObject({ kind: "ConfigMap", apiVersion: "v1", data: { a: "1" } });
    expect(created.metadata.managedFields?.[0]?.manager).toBe("test");
    const updated = await client.update(ConfigMaps, { ...created, data: { a: "2" } });
    expect(await client.get(ConfigMaps, { namespace, name: "crud" })).toEqual(updated);
    await client.delete(ConfigMaps, { namespace, name: "crud" });
    expect(isNotFound(await rejection(client.get(ConfigMaps, { namespace, name: "crud" })))).toBe(true);
  });

  it("carries the server's Status in every refusal", async () => {
    await client.create(ConfigMaps, configMap("twice"));
    const exists = await rejection(client.create(ConfigMaps, configMap("twice")));
    expect(isAlreadyExists(exists)).toBe(true);
    expect((exists as ApiError).status.details).toMatchObject({ name: "twice", kind: "configmaps" });
    const invalid = await rejection(client.create(ConfigMaps, configMap("Not_A_Name")));
    expect(isInvalid(invalid)).toBe(true);
    expect((invalid as ApiError).status.details?.causes?.[0]?.field).toBe("metadata.name");
    const unauthorized = await rejection(
      client.create(ConfigMaps, configMap("strict", { a: "b" }), {
        fieldValidation: "Strict",
        impersonate: { user: "nobody" },
      }),
    );
    expect(isForbidden(unauthorized)).toBe(true);
  });

  it("refuses an update of an older version", async () => {
    const first = await client.create(ConfigMaps, configMap("versions"));
    await client.update(ConfigMaps, { ...first, data: { a: "1" } });
    expect(isConflict(await rejection(client.update(ConfigMaps, { ...first, data: { a: "2" } })))).toBe(true);
  });

  it("stores nothing in a dry run", async () => {
    const dry = await client.create(ConfigMaps, configMap("dry"), { dryRun: true });
    expect(dry.metadata.uid).toBeTruthy();
    expect(isNotFound(await rejection(client.get(ConfigMaps, { namespace, name: "dry" })))).toBe(true);
  });

  it("deletes only under the given preconditions", async () => {
    const { metadata } = await client.create(ConfigMaps, configMap("guarded"));
    const key = { namespace, name: "guarded" };
    expect(isConflict(await rejection(client.delete(ConfigMaps, key, { preconditions: { uid: "another" } })))).toBe(
      true,
    );
    expect(
      isConflict(await rejection(client.delete(ConfigMaps, key, { preconditions: { resourceVersion: "1" } }))),
    ).toBe(true);
    await client.delete(ConfigMaps, key, { dryRun: true, preconditions: { uid: metadata.uid ?? "" } });
    await client.delete(ConfigMaps, key, { preconditions: { uid: metadata.uid ?? "" } });
  });

  it("leaves a foreground deletion to the garbage collector", async () => {
    await client.create(Deployments, deployment("foreground"));
    const going = await client.delete(
      Deployments,
      { namespace, name: "foreground" },
      { propagationPolicy: "Foreground" },
    );
    expect(going).toMatchObject({ metadata: { finalizers: ["foregroundDeletion"] } });
  });

  it("deletes a collection by label", async () => {
    await Promise.all(
      ["one", "two"].map((name) => client.create(ConfigMaps, configMap(`gone-${name}`, {}, { gone: "yes" }))),
    );
    await client.deleteCollection(ConfigMaps, { namespace, labelSelector: "gone=yes" });
    expect((await client.list(ConfigMaps, { namespace, labelSelector: "gone=yes" })).items).toEqual([]);
    expect((await client.list(ConfigMaps, { namespace, fieldSelector: "metadata.name=twice" })).items).toHaveLength(1);
  });

  it("passes the server's warnings on", async () => {
    const warnings: string[] = [];
    const warned = createClient({ kubeconfig: controlPlane.kubeconfigPath, onWarning: (text) => warnings.push(text) });
    const object = { ...configMap("warned"), unheardOf: 1 } as ConfigMap;
    await warned.create(ConfigMaps, object, { fieldValidation: "Warn" });
    await warned.close();
    expect(warnings).toEqual(['unknown field "unheardOf"']);
  });
});

describe("patches", () => {
  it("JSON, merge and strategic merge", async () => {
    await client.create(Deployments, deployment("patched"));
    const key = { namespace, name: "patched" };
    const json = await client.patch(Deployments, key, {
      type: "json",
      operations: [{ op: "replace", path: "/spec/replicas", value: 2 }],
    });
    expect(json.spec?.replicas).toBe(2);
    const merge = await client.patch(Deployments, key, { type: "merge", patch: { spec: { replicas: 3 } } });
    expect(merge.spec?.replicas).toBe(3);
    const strategic = await client.patch(Deployments, key, {
      type: "strategic",
      patch: { spec: { template: { spec: { containers: [{ name: "second", image: "localhost/none" }] } } } },
    });
    expect(strategic.spec?.template.spec?.containers.map(({ name }) => name)).toEqual(["second", "main"]);
  });

  it("a failed test in a JSON patch changes nothing", async () => {
    const error = await rejection(
      client.patch(
        Deployments,
        { namespace, name: "patched" },
        {
          type: "json",
          operations: [
            { op: "test", path: "/spec/replicas", value: 99 },
            { op: "remove", path: "/spec/replicas" },
          ],
        },
      ),
    );
    expect(isInvalid(error)).toBe(true);
  });

  it("applies, names the owner in a conflict, and takes over by force", async () => {
    const apply = (manager: string, value: string, force?: boolean): Promise<ConfigMap> =>
      client.apply(ConfigMaps, configMap("applied", { key: value }), {
        fieldManager: manager,
        ...(force === undefined ? {} : { force }),
      });
    await apply("first", "1");
    const conflict = await rejection(apply("second", "2"));
    expect(isConflict(conflict)).toBe(true);
    expect((conflict as ApiError).status.details?.causes?.[0]).toMatchObject({
      reason: "FieldManagerConflict",
      field: ".data.key",
    });
    expect((conflict as ApiError).message).toContain('"first"');
    expect((await apply("second", "2", true)).data).toEqual({ key: "2" });
  });
});

describe("subresources", () => {
  it("status: of a PUT on the object it is ignored, on /status all else is", async () => {
    const created = await client.create(Deployments, deployment("status"));
    const changed: Deployment = {
      ...created,
      spec: { ...deployment("status").spec, replicas: 7 } as Deployment["spec"] & object,
    };
    const status = await client.updateStatus(Deployments, { ...changed, status: { replicas: 1 } });
    expect(status.spec?.replicas).toBe(1);
    expect(status.status?.replicas).toBe(1);
    const patched = await client.patch(
      Deployments,
      { namespace, name: "status" },
      { type: "merge", patch: { status: { replicas: 2 } } },
      { subresource: "status" },
    );
    expect(patched.status?.replicas).toBe(2);
  });

  it("scale", async () => {
    await client.create(Deployments, deployment("scaled"));
    const key = { namespace, name: "scaled" };
    const scale = await client.getScale(Deployments, key);
    expect(scale.spec?.replicas).toBe(1);
    await client.updateScale(Deployments, key, { ...scale, spec: { replicas: 5 } });
    expect((await client.get(Deployments, key)).spec?.replicas).toBe(5);
  });

  it("binding, eviction and logs", async () => {
    await client.create(Nodes, { metadata: { name: "node-1" } });
    const { metadata } = await client.create(Pods, pod("bound"));
    const key = { namespace, name: "bound" };
    expect(isConflict(await rejection(client.bind(key, "node-1", { uid: "another" })))).toBe(true);
    await client.bind(key, "node-1", { uid: metadata.uid ?? "" });
    expect((await client.get(Pods, key)).spec?.nodeName).toBe("node-1");
    const logs = await rejection(collect(client.logs(key)));
    expect(logs).toBeInstanceOf(ApiError);
    expect((logs as ApiError).message).toContain("no preferred addresses found");
    await client.evict(key, { gracePeriodSeconds: 0 });
  });

  it("an eviction that a budget forbids is a 429", async () => {
    await client.create(PodDisruptionBudgets, {
      metadata: { name: "never", namespace },
      spec: { maxUnavailable: 0, selector: { matchLabels: { app: "kept" } } },
    });
    await client.create(Pods, pod("kept", { app: "kept" }));
    await client.bind({ namespace, name: "kept" }, "node-1");
    await client.patch(
      Pods,
      { namespace, name: "kept" },
      { type: "merge", patch: { status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] } } },
      { subresource: "status" },
    );
    const refused = await rejection(client.evict({ namespace, name: "kept" }, { timeoutMs: 2_000 }));
    expect(isTooManyRequests(refused)).toBe(true);
  });

  it("token: one that the server takes, and knows", async () => {
    const { token, expirationTimestamp } = await client.createToken(
      { namespace, name: "default" },
      { expirationSeconds: 600 },
    );
    expect(Date.parse(expirationTimestamp)).toBeGreaterThan(systemClock.now());
    const config = loadKubeconfig({ kubeconfig: controlPlane.kubeconfigPath });
    const { clientCertificate: _certificate, ...anonymous } = config;
    const account = createClient({ kubeconfig: { ...anonymous, identity: { kind: "token", token } } });
    const review = await account.raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {
      body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
    });
    await account.close();
    expect(review).toMatchObject({ status: { userInfo: { username: `system:serviceaccount:${namespace}:default` } } });
  });
});

describe("lists and watches", () => {
  it("follows pages to the end, at one version", async () => {
    await Promise.all(
      Array.from({ length: 7 }, (_, index) =>
        client.create(ConfigMaps, configMap(`page-${index}`, {}, { page: "yes" })),
      ),
    );
    const pages: KubeList<ConfigMap>[] = await collect(
      client.pages(ConfigMaps, { namespace, labelSelector: "page=yes", limit: 3 }),
    );
    expect(pages.map((page) => page.items.length)).toEqual([3, 3, 1]);
    expect(new Set(pages.map((page) => page.metadata.resourceVersion)).size).toBe(1);
  });

  it("a continue token from before a compaction is a 410", async () => {
    const { metadata } = await client.list(ConfigMaps, { namespace, limit: 1 });
    // The server compacts what is older than an interval, each interval; a write moves the version on.
    const deadline = systemClock.now() + 60_000;
    let error: unknown;
    for (let index = 0; error === undefined && systemClock.now() < deadline; index++) {
      await client.apply(ConfigMaps, configMap("ticking", { index: String(index) }), { fieldManager: "test" });
      error = await client.list(ConfigMaps, { namespace, limit: 1, continue: metadata.continue ?? "" }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
    }
    expect(isExpired(error)).toBe(true);
  });

  it("watches from a version on, and ends when the server does", async () => {
    const { metadata } = await client.list(ConfigMaps, { namespace });
    const events = client.watch(ConfigMaps, {
      namespace,
      resourceVersion: metadata.resourceVersion ?? "",
      timeoutSeconds: 1,
    });
    const iterator = events[Symbol.asyncIterator]();
    const first = next(iterator);
    await client.create(ConfigMaps, configMap("watched", { text: "größer 🚀" }));
    await client.patch(
      ConfigMaps,
      { namespace, name: "watched" },
      { type: "merge", patch: { data: { text: "kleiner" } } },
    );
    await client.delete(ConfigMaps, { namespace, name: "watched" });
    const seen: WatchEvent<ConfigMap>[] = [await first, await next(iterator), await next(iterator)];
    expect(seen.map(({ type }) => type)).toEqual(["ADDED", "MODIFIED", "DELETED"]);
    expect(seen[0]?.object).toMatchObject({ data: { text: "größer 🚀" } });
    for (let rest = await iterator.next(); !rest.done; rest = await iterator.next())
      expect(rest.value.type).toBe("BOOKMARK");
  });

  it("a streaming list ends in a bookmark that says so", async () => {
    const events = client.watch(ConfigMaps, {
      namespace,
      sendInitialEvents: true,
      resourceVersionMatch: "NotOlderThan",
    });
    let last: WatchEvent<ConfigMap> | undefined;
    for await (const event of events) {
      last = event;
      if (event.type === "BOOKMARK") break;
    }
    expect(last?.object.metadata.annotations).toMatchObject({ "k8s.io/initial-events-end": "true" });
  });

  it("an aborted watch ends with the signal's reason", async () => {
    const controller = new AbortController();
    const iterator = client.watch(ConfigMaps, { namespace, signal: controller.signal })[Symbol.asyncIterator]();
    await next(iterator);
    const rest = rejection(
      (async () => {
        for (let event = await iterator.next(); !event.done; event = await iterator.next());
      })(),
    );
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await rest).toBe(reason);
  });
});

describe("who we are", () => {
  it("impersonates with groups and extra, seen by the server as given", async () => {
    const review = await client.raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {
      body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
      impersonate: {
        user: "jürgen",
        groups: ["team-a", "system:masters"],
        extra: { "example.com/scope%": ["read", "write"] },
      },
    });
    expect(review).toMatchObject({
      status: {
        userInfo: {
          username: "jürgen",
          groups: ["team-a", "system:masters", "system:authenticated"],
          extra: { "example.com/scope%": ["read", "write"] },
        },
      },
    });
  });

  it("a token that the server does not know is explained in one line", async () => {
    const { clientCertificate: _certificate, ...config } = loadKubeconfig({ kubeconfig: controlPlane.kubeconfigPath });
    const unknown = { ...config, identity: { kind: "token", token: "wrong" } } as const;
    const stranger = createClient({ kubeconfig: unknown });
    const error = explainConnectionError(await rejection(stranger.raw("GET", "/api")), unknown, systemClock);
    await stranger.close();
    expect(error.message).toMatch(/does not know us.*check the token or certificate/);
  });

  it("a server certificate of an unknown authority is explained in one line", async () => {
    const { ca: _ca, ...config } = loadKubeconfig({ kubeconfig: controlPlane.kubeconfigPath });
    const distrusting = createClient({ transport: connect(config) });
    const error = explainConnectionError(await rejection(distrusting.raw("GET", "/api")), config, systemClock);
    await distrusting.close();
    expect(error.message).toContain("unknown authority; set certificate-authority");
  });
});

describe("discovery", () => {
  it("finds kinds by any of their names", async () => {
    const mapper = createRestMapper(client);
    for (const word of [
      "deploy",
      "deployment",
      "Deployments",
      "deployments.apps",
      "deployments.v1.apps",
      "Deployment.v1.apps",
    ]) {
      expect(await mapper.resourceFor(word)).toMatchObject({
        group: "apps",
        version: "v1",
        kind: "Deployment",
        namespaced: true,
      });
    }
    expect(await mapper.resourceFor("events")).toMatchObject({ group: "" });
    expect(await mapper.resourceFor("events.events.k8s.io")).toMatchObject({ group: "events.k8s.io" });
    expect(await mapper.kindFor({ apiVersion: "v1", kind: "Pod" })).toMatchObject({ plural: "pods" });
    await expect(mapper.resourceFor("nothing")).rejects.toThrow('the server has no resource "nothing"');
  });

  it("aggregated and plain discovery say the same", async () => {
    const plain: Pick<Client, "raw"> = {
      raw: (method, path, options = {}) => client.raw(method, path, { ...options, accept: "application/json" }),
    };
    expect(await discover(plain)).toEqual(await discover(client));
  });
});

it("the example of docs/kube-client.md runs", async () => {
  const [, example = ""] = /```js\n(.*?)```/s.exec(readFileSync("docs/kube-client.md", "utf8")) ?? [];
  // Inside the repository, so that its import resolves as a user's does.
  const folder = join(import.meta.dirname, "../../node_modules/.fleetwright");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "kube-client-example.mjs");
  writeFileSync(file, example);
  const env = { ...process.env, KUBECONFIG: controlPlane.kubeconfigPath };
  const { stdout } = await promisify(execFile)(process.execPath, [file], { env });
  expect(stdout).toContain('conflict with "example"');
  expect(stdout).toContain("there is settings");
  expect(stdout).toContain("now { colour: 'green', size: '8' }");
  expect(stdout).toContain("true NotFound");
});

describe("a server that restarts", () => {
  it("is found again on new connections, and a watch from a version that it forgot is a 410", async () => {
    await controlPlane.stopApiServer("kill");
    expect(await rejection(client.raw("GET", "/readyz"))).toBeInstanceOf(TransportError);
    await controlPlane.startApiServer();
    await client.get(Namespaces, { name: namespace });
    const error = await rejection(collect(client.watch(ConfigMaps, { namespace, resourceVersion: "1" })));
    expect(isExpired(error)).toBe(true);
  });
});

import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, deployment, pod, stored, types } from "./requests.ts";

const maps = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/configmaps`;
const pods = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/pods`;
const deployments = ({ namespace }: Session): string => `/apis/apps/v1/namespaces/${namespace}/deployments`;
const create = async (session: Session, metadata: object = {}): Promise<ReturnType<typeof stored>> =>
  stored(await session.given("POST", maps(session), configMap("a", { k: "1" }, metadata)));

export const writeScenarios = area("writes", {
  "generateName makes a name, and a name of its own wins": async (session) => {
    await session.send("POST", maps(session), { body: { metadata: { generateName: "made-" } } });
    await session.send("POST", maps(session), { body: { metadata: { generateName: "made-", name: "given" } } });
    // The name that was made is in the rest of the message.
    const pick = (body: unknown): unknown =>
      (body as { readonly details: { readonly causes: readonly unknown[] } }).details.causes[0];
    await session.send("POST", maps(session), { body: { metadata: { generateName: "A/" } }, pick });
  },
  "a new object may not have a revision": (session) =>
    session.send("POST", maps(session), { body: configMap("a", {}, { resourceVersion: "1" }) }).then(() => undefined),
  "what the server sets, clients do not": (session) =>
    session
      .send("POST", maps(session), {
        body: configMap(
          "a",
          {},
          {
            uid: "x",
            generation: 7,
            creationTimestamp: "2020-01-01T00:00:00Z",
            deletionTimestamp: "2020-01-01T00:00:00Z",
            deletionGracePeriodSeconds: 5,
            selfLink: "/x",
          },
        ),
      })
      .then(() => undefined),
  "a PUT without a revision replaces what is there": async (session) => {
    await create(session);
    await session.send("PUT", `${maps(session)}/a`, { body: configMap("a", { k: "2" }) });
  },
  "a PUT with a stale revision conflicts": async (session) => {
    const { metadata } = await create(session);
    await session.given("PATCH", `${maps(session)}/a`, { data: { k: "2" } }, types.merge);
    await session.send("PUT", `${maps(session)}/a`, {
      body: configMap("a", {}, { resourceVersion: metadata.resourceVersion }),
    });
    await session.send("PUT", `${maps(session)}/a`, { body: configMap("a", {}, { resourceVersion: "not-a-number" }) });
    await session.send("PUT", `${maps(session)}/a`, {
      body: configMap("a", {}, { uid: "99999999-0000-0000-0000-000000000000" }),
    });
  },
  "a PUT creates some kinds but not all": async (session) => {
    await session.send("PUT", `${maps(session)}/new`, { body: configMap("new") });
    await session.send("PUT", `${pods(session)}/new`, { body: pod("new") });
    await session.send("PUT", `${deployments(session)}/new`, { body: deployment("new") });
  },
  "a patch with a stale revision conflicts": async (session) => {
    const { metadata } = await create(session);
    await session.given("PATCH", `${maps(session)}/a`, { data: { k: "2" } }, types.merge);
    const body = { metadata: { resourceVersion: metadata.resourceVersion }, data: { k: "3" } };
    await session.send("PATCH", `${maps(session)}/a`, { headers: types.merge, body });
    await session.send("PATCH", `${maps(session)}/a`, {
      headers: types.merge,
      body: { metadata: { uid: "99999999-0000-0000-0000-000000000000" } },
    });
  },
  "a JSON patch tests before it changes": async (session) => {
    await create(session);
    const send = (body: unknown): Promise<unknown> =>
      session.send("PATCH", `${maps(session)}/a`, { headers: types.json, body });
    await send([
      { op: "test", path: "/data/k", value: "2" },
      { op: "replace", path: "/data/k", value: "3" },
    ]);
    await send([
      { op: "test", path: "/data/k", value: "1" },
      { op: "replace", path: "/data/k", value: "3" },
    ]);
    await send([{ op: "move", from: "/data/k", path: "/data/l" }]);
    await send([
      { op: "copy", from: "/data/l", path: "/data/m" },
      { op: "remove", path: "/data/l" },
    ]);
    await send([{ op: "remove", path: "/data/none" }]);
    await send([{ op: "replace", path: "/none/at/all", value: 1 }]);
    await send([{ op: "juggle", path: "/data/k" }]);
    await send([{ op: "add", path: "/metadata/labels", value: { a: "1" } }]);
    await send({ op: "add", path: "/data/k", value: "1" });
    await send([]);
    await send([{ op: "add", path: "/data/n", value: 5 }]);
    await send([{ op: "replace", path: "", value: {} }]);
  },
  "a JSON patch has a limit of operations": async (session) => {
    await create(session);
    const body = Array.from({ length: 10_001 }, () => ({ op: "test", path: "/data/k", value: "1" }));
    await session.send("PATCH", `${maps(session)}/a`, { headers: types.json, body });
  },
  "a merge patch removes with null": async (session) => {
    await create(session, { labels: { a: "1", b: "2" } });
    const body = { metadata: { labels: { a: null } }, data: null };
    await session.send("PATCH", `${maps(session)}/a`, { headers: types.merge, body });
  },
  "a strategic merge patch merges containers by name": async (session) => {
    await session.given("POST", deployments(session), deployment("d"));
    const send = (spec: object): Promise<unknown> =>
      session.send("PATCH", `${deployments(session)}/d`, {
        headers: types.strategic,
        body: { spec: { template: { spec } } },
      });
    await send({ containers: [{ name: "side", image: "s:1" }] });
    await send({ containers: [{ name: "main", env: [{ name: "A", value: "1" }] }] });
    await send({
      containers: [
        {
          name: "main",
          env: [
            { name: "B", value: "2" },
            { name: "A", $patch: "delete" },
          ],
        },
      ],
    });
    await send({ $setElementOrder: 1 });
    await send({
      "$setElementOrder/containers": [{ name: "side" }, { name: "main" }],
      containers: [{ name: "side", image: "s:2" }],
    });
    await send({ containers: [{ name: "side", $patch: "delete" }] });
    await send({ containers: [{ image: "without-a-name" }] });
    await send({ $patch: "replace", containers: [{ name: "only", image: "o:1" }] });
  },
  "a strategic merge patch keeps and removes items of primitive lists": async (session) => {
    await create(session, { finalizers: ["example.com/a", "example.com/b"] });
    const send = (metadata: object): Promise<unknown> =>
      session.send("PATCH", `${maps(session)}/a`, { headers: types.strategic, body: { metadata } });
    await send({ finalizers: ["example.com/c"] });
    await send({ "$deleteFromPrimitiveList/finalizers": ["example.com/a"] });
    await send({ $retainKeys: ["name"] });
  },
  "patches that are none": async (session) => {
    await create(session);
    for (const [type, raw] of [
      ["merge", "["],
      ["merge", "[]"],
      ["merge", '"text"'],
      ["json", "{"],
      ["strategic", "[]"],
      ["strategic", "{"],
      ["apply", ": :"],
      ["merge", ""],
      ["strategic", "null"],
      ["merge", "null"],
    ] as const)
      await session.send("PATCH", `${maps(session)}/a`, { headers: types[type], raw });
    await session.send("PATCH", `${maps(session)}/a`, { headers: { "content-type": "application/json" }, raw: "{}" });
    await session.send("PATCH", `${maps(session)}/a`, { headers: { "content-type": "text/plain" }, raw: "{}" });
    await session.send("PATCH", `${maps(session)}/a`, { headers: types.merge, body: { data: { k: 5 } } });
    await session.send("PATCH", `${maps(session)}/a`, { headers: types.merge, body: { kind: "Secret" } });
    await session.send("PATCH", `${maps(session)}/a`, { headers: types.merge, body: { apiVersion: "v2" } });
  },
  "generation counts changes of the spec alone": async (session) => {
    await session.send("POST", deployments(session), { body: deployment("d") });
    const send = (path: string, body: unknown): Promise<unknown> =>
      session.send("PATCH", `${deployments(session)}/d${path}`, { headers: types.merge, body, pick: generation });
    await send("", { metadata: { labels: { a: "1" } } });
    await send("", { spec: { replicas: 2 } });
    await send("/status", { status: { replicas: 2 } });
    await send("", { metadata: { generation: 99 } });
  },
  "an immutable config map stays what it is": async (session) => {
    await session.given("POST", maps(session), { metadata: { name: "a" }, immutable: true, data: { k: "1" } });
    await session.send("PATCH", `${maps(session)}/a`, { headers: types.merge, body: { data: { k: "2" } } });
    await session.send("PATCH", `${maps(session)}/a`, { headers: types.merge, body: { immutable: false } });
    await session.send("PATCH", `${maps(session)}/a`, {
      headers: types.merge,
      body: { metadata: { labels: { a: "1" } } },
    });
  },
  "metadata is validated": async (session) => {
    for (const metadata of [
      { labels: { "bad key": "x" } },
      { labels: { a: "bad value!" } },
      { labels: { a: "x".repeat(64) } },
      { annotations: { "Bad Key": "x" } },
      { finalizers: ["nodomain"] },
      { ownerReferences: [{}] },
      {
        ownerReferences: [
          { apiVersion: "v1", kind: "Pod", name: "p", uid: "u", controller: true },
          { apiVersion: "v1", kind: "Pod", name: "q", uid: "w", controller: true },
        ],
      },
      { ownerReferences: [{ apiVersion: "v1", kind: "Event", name: "p", uid: "u" }] },
      { annotations: { a: "x".repeat(262_145) } },
      { managedFields: [{ operation: "Guess" }] },
      { name: "a".repeat(254) },
      { name: "a..b" },
      { name: "-a" },
      { name: "." },
      { name: "a/b" },
      { name: "a%b" },
      { labels: { a: 1 } },
      { labels: [] },
    ])
      await session.send("POST", maps(session), { body: { metadata: { name: "a", ...metadata } } });
  },
  "a scale is read and written": async (session) => {
    await session.given("POST", deployments(session), deployment("d"));
    await session.send("GET", `${deployments(session)}/d/scale`);
    await session.send("PATCH", `${deployments(session)}/d/scale`, {
      headers: types.merge,
      body: { spec: { replicas: 3 } },
    });
    await session.send("PUT", `${deployments(session)}/d/scale`, {
      body: { metadata: { name: "d" }, spec: { replicas: 4 } },
    });
    await session.send("PUT", `${deployments(session)}/d/scale`, {
      body: { metadata: { name: "d" }, spec: { replicas: -1 } },
    });
    await session.send("PUT", `${deployments(session)}/d/scale`, {
      body: { metadata: { name: "d", resourceVersion: "1" }, spec: { replicas: 1 } },
    });
    await session.send("GET", `${deployments(session)}/none/scale`);
    await session.send("POST", `${deployments(session)}/d/scale`, { body: {} });
    await session.send("PATCH", `${deployments(session)}/d/scale?fieldManager=s`, {
      headers: types.apply,
      body: { apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "d" }, spec: { replicas: 5 } },
    });
  },
  "a secret's stringData wins and is not kept": (session) =>
    session
      .send("POST", `/api/v1/namespaces/${session.namespace}/secrets`, {
        body: { metadata: { name: "s" }, data: { a: "MQ==" }, stringData: { a: "2", b: "3" } },
      })
      .then(() => undefined),
  "a secret's type decides what it must hold": async (session) => {
    for (const type of [
      "kubernetes.io/tls",
      "kubernetes.io/dockerconfigjson",
      "kubernetes.io/basic-auth",
      "kubernetes.io/ssh-auth",
      "kubernetes.io/service-account-token",
      "kubernetes.io/dockercfg",
    ])
      await session.send("POST", `/api/v1/namespaces/${session.namespace}/secrets`, {
        body: { metadata: { name: "s" }, type },
      });
    await session.send("POST", `/api/v1/namespaces/${session.namespace}/secrets`, {
      body: { metadata: { name: "s" }, data: { a: "not base64!" } },
    });
  },
  "dryRun knows one value": async (session) => {
    await session.send("POST", `${maps(session)}?dryRun=Some`, { body: configMap("a") });
    await session.send("POST", `${maps(session)}?dryRun=All&dryRun=All`, { body: configMap("a") });
    await session.send("POST", `${maps(session)}?dryRun=`, { body: configMap("b") });
  },
  "a field manager's name is checked": async (session) => {
    await session.send("POST", `${maps(session)}?fieldManager=${"x".repeat(129)}`, { body: configMap("a") });
    await session.send("POST", `${maps(session)}?fieldManager=a%01b`, { body: configMap("a") });
  },
  "the namespace of the body must be that of the path": async (session) => {
    await session.send("POST", maps(session), { body: configMap("a", {}, { namespace: session.namespace }) });
    await session.send("POST", maps(session), { body: configMap("b", {}, { namespace: "other" }) });
    await session.send("POST", `/api/v1/namespaces/${session.unique}-none/configmaps`, { body: configMap("b") });
  },
});

function generation(body: unknown): unknown {
  const { metadata } = body as { readonly metadata?: { readonly generation?: number } };
  return metadata?.generation;
}

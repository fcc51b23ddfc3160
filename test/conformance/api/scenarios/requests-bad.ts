import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, types } from "./requests.ts";

const maps = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/configmaps`;
const json = { "content-type": "application/json" };

/** Bodies sent to create a config map: none of them is one. */
const bodies: Readonly<Record<string, string>> = {
  nothing: "",
  "no JSON": "hello",
  "half a JSON": '{"kind":"ConfigMap"',
  "a list": "[]",
  "a text": '"x"',
  "a number": "5",
  null: "null",
  "no kind": "{}",
  "a kind without version": '{"kind":"ConfigMap"}',
  "another kind": '{"kind":"Pod","apiVersion":"v1"}',
  "a kind that is none": '{"kind":"Nothing","apiVersion":"v1"}',
  "a group that is none": '{"kind":"ConfigMap","apiVersion":"none.example/v1"}',
  "a version of three parts": '{"kind":"ConfigMap","apiVersion":"a/b/c"}',
  "a list as metadata": '{"kind":"ConfigMap","apiVersion":"v1","metadata":[]}',
  "a number as data": '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"a":1}}',
  "a number as name": '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":5}}',
  "a List": '{"kind":"List","apiVersion":"v1","items":[]}',
  "a ConfigMapList": '{"kind":"ConfigMapList","apiVersion":"v1","items":[]}',
  "two documents": '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}{"x":1}',
  "a key twice": '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","name":"b"}}',
  "other cases of keys": '{"Kind":"ConfigMap","APIVERSION":"v1","metadata":{"name":"a"},"Data":{"a":"1"}}',
  "a date that is none":
    '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","creationTimestamp":"yesterday"}}',
  "bytes that are no base64": '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"binaryData":{"a":"%"}}',
  "an object as kind": '{"kind":{},"apiVersion":"v1"}',
  "prototype keys":
    '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","annotations":{"__proto__":"x","constructor":"y"}},"data":{"__proto__":"1","toString":"2"}}',
  "a lone surrogate": '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"a":"\\ud800"}}',
  "numbers beyond int64":
    '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","generation":99999999999999999999}}',
  "a comment": '{"kind":"ConfigMap",/* no */"apiVersion":"v1"}',
};

/** Content types sent with a good body. */
const contentTypes: readonly string[] = [
  "text/plain",
  "application/xml",
  "application/json; charset=utf-8",
  "application/JSON",
  "APPLICATION/json;a=b",
  "application/yaml",
  "text/json",
  "application/vnd.kubernetes.protobuf",
  "application/merge-patch+json",
  "nonsense",
  "",
  "application/json,text/plain",
];
const accepts: readonly string[] = [
  "*/*",
  "application/*",
  "text/html",
  "application/xml",
  "text/html,application/json;q=0.5",
  "application/json;q=0",
  "nonsense",
  "",
  "application/yaml",
  "application/json;as=Table;v=v9;g=meta.k8s.io",
  "application/json;as=Table;v=v1;g=other.io",
  "application/json;as=Nothing;v=v1;g=meta.k8s.io,application/json",
  "application/json;stream=watch",
  "application/json; charset=utf-8",
  "application/json;pretty=1",
];
const methods: readonly string[] = ["OPTIONS", "TRACE", "PROPFIND", "HEAD"];
const paths: readonly string[] = [
  "/nothing",
  "/api/v2",
  "/api/v1/nothings",
  "/apis/none.example",
  "/apis/none.example/v1",
  "/apis/apps/v9/deployments",
  "/apis/apps",
  "/apis/apps/",
  "/api/v1/",
  "/api/v1/namespaces/default/",
  "/api/v1/namespaces/default/pods/",
  "/api/v1//pods",
  "/api/v1/namespaces//pods",
  "/api/v1/namespaces/default/nodes",
  "/api/v1/nodes/x/y/z",
  "/api/v1/namespaces/default/configmaps/a%2fb",
  "/api/v1/namespaces/default/configmaps/%00",
  "/api/v1/namespaces/default/configmaps/..",
  "/API/v1/pods",
  "/api/v1/namespaces/Bad_Name/pods",
  "/",
  "/healthz/nothing",
  "/version/",
  "/api/v1/namespaces/default/configmaps/UPPER",
  "/api/v1/pods/x",
  "/apis/apps/v1/namespaces/default",
  "/api/v1/namespaces/default/status",
  "/api/v1/watch/nothing",
  "/openapi/v9",
  "/metrics/none",
];

export const badRequestScenarios = [
  ...area(
    "bad-bodies",
    Object.fromEntries(
      Object.entries(bodies).map(([name, raw]) => [
        `${name} instead of a config map`,
        async (session) => {
          await session.send("POST", maps(session), { headers: json, raw });
          await session.send("POST", `${maps(session)}?fieldValidation=Strict`, { headers: json, raw });
        },
      ]),
    ),
  ),
  ...area("bad-types", {
    ...Object.fromEntries(
      contentTypes.map((type) => [
        `a body as ${JSON.stringify(type)}`,
        async (session: Session): Promise<void> => {
          await session.send("POST", maps(session), {
            headers: { "content-type": type },
            raw: JSON.stringify(configMap("a")),
          });
        },
      ]),
    ),
    ...Object.fromEntries(
      accepts.map((accept) => [
        `an answer as ${JSON.stringify(accept)}`,
        async (session: Session): Promise<void> => {
          await session.given("POST", maps(session), configMap("a"));
          await session.send("GET", `${maps(session)}/a`, { headers: { accept } });
          await session.send("GET", `${maps(session)}/none`, { headers: { accept } });
        },
      ]),
    ),
    "a YAML body is read, and answered as asked": async (session) => {
      const raw = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: 'on'\n  y: \"1\"\n";
      await session.send("POST", maps(session), { headers: types.yaml, raw });
      await session.send("POST", maps(session), { headers: types.yaml, raw: `${raw}---\nkind: Other\n` });
      await session.send("POST", maps(session), { headers: types.yaml, raw: "a: [" });
      await session.send("POST", `${maps(session)}?fieldValidation=Strict`, {
        headers: types.yaml,
        raw: raw.replace("name: a", "name: b\n  name: c"),
      });
      await session.send("POST", maps(session), {
        headers: types.yaml,
        raw: raw.replace("name: a", "name: d").replace("'on'", "on"),
      });
      await session.send("POST", maps(session), {
        headers: types.yaml,
        raw: "a: &a [1]\nb: *a\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: e}\n",
      });
    },
    "a list is not its own kind of media": async (session) => {
      await session.send("GET", maps(session), {
        headers: { accept: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io" },
      });
      await session.send("GET", `${maps(session)}/none`, {
        headers: { accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io" },
      });
      await session.send("POST", maps(session), {
        headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io", "content-type": "application/json" },
        body: configMap("t"),
      });
    },
    "pretty answers are for people": async (session) => {
      await session.given("POST", maps(session), configMap("a"));
      await session.send("GET", `${maps(session)}/a?pretty=true`);
    },
  }),
  ...area("bad-paths", {
    ...Object.fromEntries(
      paths.map((path) => [
        `GET ${path}`,
        async (session: Session): Promise<void> => {
          await session.send("GET", path, { pick: brief });
        },
      ]),
    ),
    ...Object.fromEntries(
      methods.map((method) => [
        `the method ${method}`,
        async (session: Session): Promise<void> => {
          await session.send(method, maps(session));
          await session.send(method, `${maps(session)}/none`);
        },
      ]),
    ),
    "parameters that cannot be read": async (session) => {
      for (const parameters of [
        "limit=x",

        "timeoutSeconds=-1",
        "allowWatchBookmarks=x",
        "pretty=maybe",
        "unknown=1",
        "limit=1&limit=2",
        "%zz=1",
        "labelSelector=%zz",
        "fieldSelector=%00",
      ])
        await session.send("GET", `${maps(session)}?${parameters}`, { pick: brief });
    },
  }),
  ...area("bad-sizes", {
    "a body of more than 3 MiB is too large": async (session) => {
      const raw = JSON.stringify(configMap("a", { a: "x".repeat(3 * 1024 * 1024) }));
      await session.send("POST", maps(session), { headers: json, raw });
      await session.send("PATCH", `${maps(session)}/a`, { headers: types.merge, raw });
    },
    "a config map of more than 1 MiB is too long": (session) =>
      session
        .send("POST", maps(session), {
          headers: json,
          raw: JSON.stringify(configMap("a", { a: "x".repeat(1_100_000) })),
        })
        .then(() => undefined),
    "a body may only be so deep": async (session) => {
      for (const depth of [200, 9000, 11_000]) {
        const raw = `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"d${depth}"},"x":${"[".repeat(depth)}${"]".repeat(depth)}}`;
        await session.send("POST", maps(session), { headers: json, raw });
      }
    },
    "a YAML body may not grow by its aliases": (session) => {
      const lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"];
      for (let level = 1; level < 9; level++)
        lines.push(`a${level}: &a${level} [${`*a${level - 1},`.repeat(9).slice(0, -1)}]`);
      return session
        .send("POST", maps(session), {
          headers: types.yaml,
          raw: `${lines.join("\n")}\nkind: ConfigMap\napiVersion: v1\n`,
        })
        .then(() => undefined);
    },
    "a very long path is not found": (session) =>
      session
        .send("GET", `${maps(session)}/${"a".repeat(3000)}`, {
          pick: (body) => (body as { readonly reason: string }).reason,
        })
        .then(() => undefined),
  }),
];

/** Lists are shown by kind alone. */
function brief(body: unknown): unknown {
  const {
    items,
    paths: known,
    kind,
  } = (body ?? {}) as { readonly items?: unknown; readonly paths?: unknown; readonly kind?: string };
  if (known !== undefined) return "paths";
  return items === undefined ? body : { kind };
}

import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, deployment, types } from "./requests.ts";

const map = ({ namespace }: Session, name = "a"): string => `/api/v1/namespaces/${namespace}/configmaps/${name}`;
const workload = ({ namespace }: Session, name = "d"): string =>
  `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
const service = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/services/s`;

const apply = (session: Session, path: string, manager: string, body: unknown, force = false): Promise<unknown> =>
  session.send("PATCH", `${path}?fieldManager=${manager}${force ? "&force=true" : ""}`, { headers: types.apply, body });
const data = (values: Readonly<Record<string, string>>): object => configMap("a", values);
const ports = (...list: readonly object[]): object => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "s" },
  spec: { ports: list, clusterIP: "None", selector: { app: "x" } },
});
const containers = (...list: readonly object[]): object =>
  deployment("d", { template: { metadata: { labels: { app: "d" } }, spec: { containers: list } } });
const image = (name: string, version = 1): object => ({ name, image: `example.com/${name}:${version}` });

export const applyScenarios = area(
  "apply",
  {
    "applying creates, repeats without effect and removes what is left out": async (session) => {
      await apply(session, map(session), "one", data({ a: "1", b: "2" }));
      await apply(session, map(session), "one", data({ a: "1", b: "2" }));
      await apply(session, map(session), "one", data({ a: "1" }));
    },
    "two appliers share what they agree on and conflict over the rest": async (session) => {
      await apply(session, map(session), "one", data({ a: "1", b: "2" }));
      await apply(session, map(session), "two", data({ a: "1", c: "3" }));
      await apply(session, map(session), "two", data({ a: "9" }));
      await apply(session, map(session), "two", data({ a: "9" }), true);
      await apply(session, map(session), "one", data({ b: "2" }));
    },
    "what two apply stays until the second lets go": async (session) => {
      await apply(session, map(session), "one", data({ a: "1" }));
      await apply(session, map(session), "two", data({ a: "1" }));
      await apply(session, map(session), "one", data({}));
      await apply(session, map(session), "two", data({}));
    },
    "an update takes over fields, and apply conflicts with it": async (session) => {
      await apply(session, map(session), "one", data({ a: "1", b: "2" }));
      await session.send("PATCH", `${map(session)}?fieldManager=editor`, {
        headers: types.merge,
        body: { data: { a: "5" } },
      });
      await apply(session, map(session), "one", data({ a: "1", b: "2" }));
      await apply(session, map(session), "one", data({ a: "1", b: "2" }), true);
    },
    "several conflicts are told of together": async (session) => {
      await apply(session, map(session), "one", data({ a: "1", b: "2" }));
      await apply(session, map(session), "two", data({ c: "1" }));
      await apply(session, map(session), "three", data({ a: "7", b: "8", c: "9" }));
    },
    "an update leaves a manager its own": async (session) => {
      await session.send("POST", `${map(session).slice(0, -2)}?fieldManager=maker`, { body: data({ a: "1" }) });
      await session.send("PUT", `${map(session)}?fieldManager=other`, { body: data({ a: "1", b: "2" }) });
      await session.send("PUT", `${map(session)}?fieldManager=other`, { body: data({ b: "3" }) });
    },
    "the manager's name comes from the user agent": async (session) => {
      await session.send("POST", map(session).slice(0, -2), {
        headers: { "user-agent": "tester/v1 (linux)" },
        body: data({ a: "1" }),
      });
      await session.send("PATCH", map(session), {
        headers: { ...types.merge, "user-agent": "" },
        body: { data: { b: "1" } },
      });
    },
    "apply needs a manager, and force only apply": async (session) => {
      await session.send("PATCH", map(session), { headers: types.apply, body: data({}) });
      await session.send("PATCH", `${map(session)}?fieldManager=x&force=true`, { headers: types.merge, body: {} });
      await session.send("PATCH", `${map(session)}?fieldManager=`, { headers: types.apply, body: data({}) });
    },
    "what is applied must say what it is": async (session) => {
      const send = (body: unknown): Promise<unknown> => apply(session, map(session), "one", body);
      await send({ data: {} });
      await send({ apiVersion: "v1", kind: "ConfigMap" });
      await send({ apiVersion: "v1", kind: "Secret", metadata: { name: "a" } });
      await send({ apiVersion: "v2", kind: "ConfigMap", metadata: { name: "a" } });
      await send({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "b" } });
      await send({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", managedFields: [] } });
      await send({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { a: 1 } });
      await send({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, unknown: 1 });
      await send({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", resourceVersion: "1" } });
      await send({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", uid: "u" } });
    },
    "apply reads YAML": (session) =>
      session
        .send("PATCH", `${map(session)}?fieldManager=one`, {
          headers: types.apply,
          raw: '# comment\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  text: |\n    two\n    lines\n  b: "yes"\n',
        })
        .then(() => undefined),
    "items of a list belong to who applied them, by key": async (session) => {
      await apply(session, workload(session), "one", containers(image("main")));
      await apply(session, workload(session), "two", {
        ...containers(image("side")),
        spec: { template: { spec: { containers: [image("side")] } } },
      });
      await apply(session, workload(session), "one", containers(image("main", 2)));
      await apply(session, workload(session), "two", {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name: "d" },
      });
    },
    "ports are keyed by port and protocol": async (session) => {
      await apply(
        session,
        service(session),
        "one",
        ports({ name: "a", port: 80 }, { name: "b", port: 80, protocol: "UDP" }),
      );
      await apply(session, service(session), "two", ports({ name: "c", port: 90 }));
      await apply(session, service(session), "one", ports({ name: "a", port: 80 }));
      await apply(session, service(session), "one", ports({ name: "a", port: 80 }, { name: "b", port: 80 }));
      await apply(session, service(session), "one", ports({ name: "x" }));
    },
    "an applied scale takes the replicas from who applied them": async (session) => {
      await apply(session, workload(session), "one", deployment("d", { replicas: 1 }));
      const scale = { apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "d" }, spec: { replicas: 3 } };
      await apply(session, `${workload(session)}/scale`, "scaler", scale);
      await apply(session, `${workload(session)}/scale`, "scaler", scale, true);
      await session.send("GET", workload(session));
      await apply(session, workload(session), "one", deployment("d", { replicas: 1 }));
      await apply(session, workload(session), "one", deployment("d"));
    },
    "a status is owned by subresource": async (session) => {
      await apply(session, workload(session), "one", deployment("d"));
      const status = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "d" }, status: { replicas: 2 } };
      await apply(session, `${workload(session)}/status`, "controller", status);
      await session.send("PATCH", `${workload(session)}/status?fieldManager=patcher`, {
        headers: types.merge,
        body: { status: { readyReplicas: 1 } },
      });
      await apply(session, workload(session), "one", { ...deployment("d"), status: { replicas: 9 } });
    },
    "managed fields can be cleared and are then made anew": async (session) => {
      await apply(session, map(session), "one", data({ a: "1" }));
      await session.send("PATCH", map(session), { headers: types.merge, body: { metadata: { managedFields: [{}] } } });
      await session.send("PATCH", `${map(session)}?fieldManager=two`, {
        headers: types.merge,
        body: { data: { b: "2" } },
      });
      await apply(session, map(session), "one", data({ a: "1" }));
    },
    "managed fields are checked": async (session) => {
      await apply(session, map(session), "one", data({ a: "1" }));
      const entry = {
        manager: "m",
        operation: "Update",
        apiVersion: "v1",
        time: "2020-01-01T00:00:00Z",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:data": { "f:a": {} } },
      };
      for (const change of [
        {},
        { fieldsV1: { nonsense: {} } },
        { operation: "Guess" },
        { fieldsType: "FieldsV2" },
        { apiVersion: "v9" },
        { subresource: "status" },
        { manager: "x".repeat(129) },
      ])
        await session.send("PATCH", `${map(session)}?fieldManager=z`, {
          headers: types.merge,
          body: { metadata: { managedFields: [{ ...entry, ...change }] } },
        });
    },
    "client-side apply turns into apply": async (session) => {
      const last = JSON.stringify(data({ a: "1" }));
      const body = configMap(
        "a",
        { a: "1" },
        { annotations: { "kubectl.kubernetes.io/last-applied-configuration": last } },
      );
      await session.given("POST", `${map(session).slice(0, -2)}?fieldManager=kubectl-client-side-apply`, body);
      await apply(session, map(session), "kubectl", data({ a: "2" }), true);
    },
    "a deletion and a field set to null are applied": async (session) => {
      await apply(session, workload(session), "one", deployment("d", { paused: true, replicas: 2 }));
      await apply(session, workload(session), "one", deployment("d", { paused: null }));
    },
    "sets of finalizers and owners merge": async (session) => {
      const owner = (name: string): object => ({ apiVersion: "v1", kind: "Node", name, uid: `u-${name}` });
      await apply(
        session,
        map(session),
        "one",
        configMap("a", {}, { finalizers: ["e.com/a"], ownerReferences: [owner("a")] }),
      );
      await apply(
        session,
        map(session),
        "two",
        configMap("a", {}, { finalizers: ["e.com/b"], ownerReferences: [owner("b")] }),
      );
      await apply(session, map(session), "one", configMap("a", {}, { finalizers: ["e.com/a", "e.com/a"] }));
    },
    "apply does not create what is not there under a uid, and not in a dry run": async (session) => {
      await session.send("PATCH", `${map(session)}?fieldManager=one&dryRun=All`, {
        headers: types.apply,
        body: data({ a: "1" }),
      });
      await session.send("GET", map(session));
    },
    "apply with duplicates, unknown fields and validation": async (session) => {
      const raw = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: '1', a: '2'}\nother: 1\n";
      for (const level of ["Strict", "Warn", "Ignore", "Loud"])
        await session.send("PATCH", `${map(session)}?fieldManager=one&fieldValidation=${level}`, {
          headers: types.apply,
          raw,
        });
    },
  },
  { managedFields: true },
);

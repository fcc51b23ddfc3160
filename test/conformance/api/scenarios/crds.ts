import { area } from "../scenario.ts";
import {
  define,
  definition,
  definitionPath,
  definitions,
  groupOf,
  int,
  objectWith,
  text,
  thing,
  things,
  versionOf,
  withRules,
} from "./crd-objects.ts";
import { tableHeaders, types } from "./requests.ts";

export const crdScenarios = [
  ...area("crds", {
    "a definition is defaulted, then established": async (session) => {
      await session.send("POST", definitions, { body: definition(session) });
      await session.settled(definitionPath(session));
      await session.send("GET", definitionPath(session));
    },
    "the name must be plural and group": async (session) => {
      const body = { ...definition(session), metadata: { name: "wrong.example.com" } };
      await session.send("POST", definitions, { body });
    },
    "group, scope and names of a definition do not change": async (session) => {
      await define(session);
      for (const change of [
        { group: "other.example" },
        { scope: "Cluster" },
        { names: { plural: "others" } },
        { names: { kind: "Other" } },
        { names: { shortNames: ["th"] } },
      ])
        await session.send("PATCH", `${definitionPath(session)}?dryRun=All`, {
          headers: types.merge,
          body: { spec: change },
        });
    },
    "transition rules see what was there": async (session) => {
      await define(session, {
        schema: withRules(
          { a: int, b: int },
          { rule: "self.a >= oldSelf.a", message: "a never shrinks" },
          { rule: "!oldSelf.hasValue() || oldSelf.value().b == self.b", optionalOldSelf: true },
        ),
      });
      await session.send("POST", things(session), { body: thing(session, "t", { a: 1, b: 1 }) });
      for (const change of [{ a: 2 }, { a: 1 }, { b: 2 }])
        await session.send("PATCH", `${things(session)}/t`, { headers: types.merge, body: { spec: change } });
    },
    "a change is refused only for what it changes": async (session) => {
      await define(session, { schema: objectWith({ a: int, b: int }) });
      await session.given("POST", things(session), thing(session, "t", { a: 1, b: 5 }));
      const versions = [
        { ...versionOf("v1"), schema: { openAPIV3Schema: objectWith({ a: { ...int, minimum: 3 }, b: int }) } },
      ];
      await session.given("PATCH", definitionPath(session), { spec: { versions } }, types.merge);
      await session.settled(definitionPath(session));
      await session.pause(300);
      await session.send("PATCH", `${things(session)}/t`, { headers: types.merge, body: { spec: { b: 6 } } });
      await session.send("PATCH", `${things(session)}/t`, { headers: types.merge, body: { spec: { a: 2 } } });
    },
    "columns of a definition are printed": async (session) => {
      const columns = [
        { name: "A", type: "integer", jsonPath: ".spec.a" },
        { name: "When", type: "date", jsonPath: ".spec.when" },
        { name: "L", type: "string", jsonPath: ".spec.l[*]", priority: 1, description: "all of them" },
        { name: "S", type: "string", jsonPath: ".metadata.labels.x", format: "byte" },
        { name: "B", type: "boolean", jsonPath: ".spec.b" },
        { name: "N", type: "number", jsonPath: ".spec.n" },
      ];
      await define(session, {
        schema: objectWith({
          a: int,
          when: text,
          l: { type: "array", items: text },
          b: { type: "boolean" },
          n: { type: "number" },
        }),
        version: { additionalPrinterColumns: columns },
      });
      await session.given(
        "POST",
        things(session),
        thing(session, "t", { a: 3, when: "2020-01-01T00:00:00Z", l: ["p", "q"], b: true, n: 1.5 }),
      );
      await session.given("POST", things(session), thing(session, "u", {}));
      await session.send("GET", things(session), { headers: tableHeaders });
      await session.kubectl(["get", `things.${groupOf(session)}`, "-o", "wide"]);
    },
    "a status subresource parts spec from status": async (session) => {
      const schema = {
        type: "object",
        properties: {
          spec: { type: "object", properties: { a: int } },
          status: { type: "object", properties: { s: int } },
        },
      };
      await define(session, { schema, version: { subresources: { status: {} } } });
      await session.send("POST", things(session), { body: thing(session, "t", { a: 1 }, { status: { s: 1 } }) });
      const send = (path: string, body: unknown): Promise<unknown> =>
        session.send("PATCH", `${things(session)}/t${path}`, { headers: types.merge, body });
      await send("/status", { spec: { a: 2 }, status: { s: 2 } });
      await send("", { spec: { a: 3 }, status: { s: 3 } });
      await send("", { metadata: { labels: { a: "1" } } });
      await send("/status", { metadata: { labels: { a: "2" }, annotations: { b: "1" } } });
    },
    "without a status subresource there is none": async (session) => {
      await define(session, { schema: objectWith({ a: int }) });
      await session.given("POST", things(session), thing(session, "t", { a: 1 }));
      await session.send("GET", `${things(session)}/t/status`);
      await session.send("PATCH", `${things(session)}/t`, { headers: types.merge, body: { spec: { a: 2 } } });
      await session.send("GET", `${things(session)}/t/scale`);
    },
    "a scale subresource reads and writes its paths": async (session) => {
      const schema = {
        type: "object",
        properties: {
          spec: { type: "object", properties: { n: int } },
          status: { type: "object", properties: { n: int, sel: text } },
        },
      };
      const scale = { specReplicasPath: ".spec.n", statusReplicasPath: ".status.n", labelSelectorPath: ".status.sel" };
      await define(session, { schema, version: { subresources: { status: {}, scale } } });
      await session.given("POST", things(session), thing(session, "t", { n: 2 }));
      await session.given("POST", things(session), thing(session, "empty", {}));
      await session.given("PATCH", `${things(session)}/t/status`, { status: { n: 1, sel: "a=b" } }, types.merge);
      await session.send("GET", `${things(session)}/t/scale`);
      await session.send("PATCH", `${things(session)}/t/scale`, {
        headers: types.merge,
        body: { spec: { replicas: 5 } },
      });
      await session.send("PATCH", `${things(session)}/t/scale`, {
        headers: types.merge,
        body: { spec: { replicas: -5 } },
      });
      await session.send("GET", `${things(session)}/empty/scale`);
      await session.send("GET", `${things(session)}/t`);
    },
    "versions share what is stored": async (session) => {
      await define(session, {
        versions: [
          versionOf("v1", { a: int }),
          versionOf("v2", { a: int, b: int }, { storage: false, deprecated: true, deprecationWarning: "v2 goes" }),
          versionOf("v3", {}, { storage: false, served: false }),
        ],
      });
      await session.send("POST", things(session, "v2"), { body: thing(session, "t", { a: 1, b: 2 }, {}, "v2") });
      await session.send("GET", `${things(session)}/t`);
      await session.send("GET", `${things(session, "v3")}/t`);
      await session.send("POST", things(session, "v2"), { body: thing(session, "u", { a: 1 }, {}, "v1") });
      await session.send("GET", `/apis/${groupOf(session)}`);
      await session.send("GET", `/apis/${groupOf(session)}/v2`);
    },
    "selectable fields select": async (session) => {
      await define(session, {
        schema: objectWith({ color: text, n: int }),
        version: { selectableFields: [{ jsonPath: ".spec.color" }, { jsonPath: ".spec.n" }] },
      });
      await session.given("POST", things(session), thing(session, "t", { color: "red", n: 1 }));
      await session.given("POST", things(session), thing(session, "u", { color: "blue" }));
      for (const selector of ["spec.color=red", "spec.color!=red", "spec.n=1", "spec.other=1", "metadata.name=u"])
        await session.send("GET", `${things(session)}?fieldSelector=${encodeURIComponent(selector)}`);
    },
    "a custom object is watched, patched and deleted as others are": async (session) => {
      await define(session, { schema: objectWith({ a: int }) });
      await session.watch(`${things(session)}?watch=true`, {
        events: 3,
        during: async () => {
          await session.send("POST", things(session), { body: thing(session, "t", { a: 1 }) });
          await session.send("PATCH", `${things(session)}/t`, {
            headers: types.json,
            body: [{ op: "replace", path: "/spec/a", value: 2 }],
          });
          await session.send("PATCH", `${things(session)}/t`, { headers: types.strategic, body: { spec: { a: 3 } } });
          await session.send("DELETE", `${things(session)}/t`);
        },
      });
    },
    "unknown fields of a custom object are refused, warned of or passed": async (session) => {
      await define(session, { schema: objectWith({ a: int }) });
      for (const level of ["Strict", "Warn", "Ignore"])
        await session.send("POST", `${things(session)}?fieldValidation=${level}&dryRun=All`, {
          body: thing(session, "t", { a: 1, b: 2 }, { extra: 1, metadata: { name: "t", what: 1 } }),
        });
      const raw = `{"apiVersion":"${groupOf(session)}/v1","kind":"Thing","metadata":{"name":"t"},"spec":{"a":1,"a":2}}`;
      for (const level of ["Strict", "Warn"])
        await session.send("POST", `${things(session)}?fieldValidation=${level}&dryRun=All`, {
          headers: { "content-type": "application/json" },
          raw,
        });
    },
    "a custom object of another kind or version is refused": async (session) => {
      await define(session);
      await session.send("POST", things(session), { body: { ...thing(session, "t", {}), kind: "Other" } });
      await session.send("POST", things(session), { body: { ...thing(session, "t", {}), apiVersion: "v1" } });
      await session.send("POST", things(session), { body: { metadata: { name: "t" } } });
      await session.send("POST", things(session), { body: thing(session, "Bad_Name", {}) });
      await session.send("GET", `${things(session)}/none`);
    },
    "a cluster-scoped definition has no namespaces": async (session) => {
      await session.given("POST", definitions, definition(session, { spec: { scope: "Cluster" } }));
      const path = `/apis/${groupOf(session)}/v1/things`;
      await session.served(path, 200);
      await session.send("POST", path, { body: thing(session, "t", {}) });
      await session.send("GET", `${path}/t`);
      await session.send("GET", things(session));
    },
    "a deleted definition takes its objects along": async (session) => {
      await define(session);
      await session.given("POST", things(session), thing(session, "t", {}));
      await session.given("DELETE", definitionPath(session));
      await session.served(definitionPath(session), 404);
      await session.served(things(session), 404);
      await session.send("GET", `${things(session)}/t`);
      await session.send("GET", `/apis/${groupOf(session)}/v1`);
    },
    "names that are taken are not accepted": async (session) => {
      await define(session);
      const other = {
        ...definition(session, { spec: { names: { plural: "stuff", kind: "Thing", singular: "thing" } } }),
        metadata: { name: `stuff.${groupOf(session)}` },
      };
      await session.given("POST", definitions, other);
      await session.settled(`${definitions}/stuff.${groupOf(session)}`);
      await session.send("GET", `${definitions}/stuff.${groupOf(session)}`);
    },
    "custom objects are applied, their lists by key": async (session) => {
      const list = {
        type: "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        items: { type: "object", required: ["k"], properties: { k: text, v: int } },
      };
      await define(session, {
        schema: objectWith({
          m: list,
          atomic: { type: "array", "x-kubernetes-list-type": "atomic", items: int },
          s: { type: "array", "x-kubernetes-list-type": "set", items: text },
        }),
      });
      const apply = (manager: string, value: unknown): Promise<unknown> =>
        session.send("PATCH", `${things(session)}/t?fieldManager=${manager}`, {
          headers: types.apply,
          body: thing(session, "t", value),
        });
      await apply("one", { m: [{ k: "a", v: 1 }], atomic: [1, 2], s: ["x"] });
      await apply("two", { m: [{ k: "b", v: 2 }], s: ["y"] });
      await apply("two", { m: [{ k: "a", v: 9 }] });
      await apply("two", { atomic: [3] });
      await apply("one", { s: ["x"] });
    },
  }),
];

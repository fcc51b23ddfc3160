import { area } from "../scenario.ts";
import type { Scenario } from "../scenario.ts";
import { define, definition, definitionPath, definitions, groupOf, thing, things, versionOf } from "./crd-objects.ts";
import type { ThingOptions } from "./crd-objects.ts";
import { tableHeaders, types } from "./requests.ts";

const spec = (properties: object, more: object = {}): object => ({
  type: "object",
  properties: { spec: { type: "object", properties, ...more } },
});
const withRules = (properties: object, ...rules: readonly object[]): object =>
  spec(properties, { "x-kubernetes-validations": rules });
const int = { type: "integer" };
const text = { type: "string" };

/** One schema and what is tried with it: each value is sent as `spec` of a thing of its own. */
const structural: Readonly<Record<string, readonly [schema: object, ...specs: readonly unknown[]]>> = {
  "types are checked": [
    spec({ a: int, b: text, c: { type: "boolean" }, d: { type: "array", items: int }, e: { type: "number" } }),
    { a: 1, b: "x", c: true, d: [1], e: 1.5 },
    { a: "1" },
    { b: 1 },
    { c: "true" },
    { d: {} },
    { d: ["x"] },
    { e: "1" },
    { a: 1.5 },
    "text",
    [],
    null,
  ],
  "unknown fields are pruned": [spec({ a: int }), { a: 1, b: 2 }, { c: { d: 1 } }],
  "unknown fields are kept where the schema says so": [
    spec({ a: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }),
    { a: { any: [1] }, b: 1 },
  ],
  "required fields must be there": [
    spec({ a: int, o: { type: "object", required: ["x"], properties: { x: int } } }, { required: ["a"] }),
    {},
    { a: 1, o: {} },
    { a: 1 },
  ],
  "defaults are filled in": [
    spec({
      a: { ...int, default: 5 },
      o: { type: "object", default: {}, properties: { x: { ...text, default: "d" } } },
      l: { type: "array", items: { type: "object", properties: { y: { ...int, default: 1 } } } },
    }),
    {},
    { a: null },
    { l: [{}, { y: 2 }] },
  ],
  "nullable fields keep null, others lose it": [
    spec({ a: { ...int, nullable: true }, b: int, c: { ...int, nullable: true, default: 3 } }),
    { a: null, b: null, c: null },
  ],
  "numbers have bounds": [
    spec({
      a: { ...int, minimum: 1, maximum: 3 },
      b: { type: "number", exclusiveMinimum: true, minimum: 0 },
      c: { ...int, multipleOf: 5 },
    }),
    { a: 0 },
    { a: 4 },
    { b: 0 },
    { c: 7 },
    { a: 2, b: 0.1, c: 10 },
  ],
  "strings have lengths, patterns, formats and values": [
    spec({
      a: { ...text, minLength: 2, maxLength: 3 },
      b: { ...text, pattern: "^x+$" },
      c: { ...text, enum: ["p", "q"] },
      d: { ...text, format: "date-time" },
      e: { ...text, format: "ipv4" },
      f: { ...text, format: "uuid" },
      g: { ...text, format: "byte" },
    }),
    { a: "1" },
    { a: "1234" },
    { b: "y" },
    { c: "r" },
    { d: "yesterday" },
    { e: "1.2.3" },
    { f: "x" },
    { g: "*" },
    { a: "12", b: "xx", c: "p", d: "2020-01-01T00:00:00Z", e: "1.2.3.4" },
  ],
  "lists have sizes and unique items": [
    spec({
      a: { type: "array", items: int, minItems: 1, maxItems: 2 },
      s: { type: "array", items: text, "x-kubernetes-list-type": "set" },
      m: {
        type: "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        items: { type: "object", required: ["k"], properties: { k: text, v: int } },
      },
    }),
    { a: [] },
    { a: [1, 2, 3] },
    { s: ["x", "x"] },
    { m: [{ k: "a" }, { k: "a" }] },
    { m: [{ v: 1 }] },
  ],
  "maps have sizes and values of a type": [
    spec({ a: { type: "object", additionalProperties: int, maxProperties: 2, minProperties: 1 } }),
    { a: {} },
    { a: { x: 1, y: 2, z: 3 } },
    { a: { x: "1" } },
    { a: { x: 1 } },
  ],
  "combinations of schemas": [
    spec(
      { b: int, c: int },
      { oneOf: [{ required: ["b"] }, { required: ["c"] }], not: { required: ["b"], properties: { b: { enum: [9] } } } },
    ),
    { b: 1 },
    { b: 1, c: 1 },
    {},
    { b: 9 },
  ],
  "integers or strings": [
    spec({ a: { "x-kubernetes-int-or-string": true } }),
    { a: 1 },
    { a: "50%" },
    { a: 1.5 },
    { a: true },
  ],
  "embedded resources": [
    spec({
      t: { type: "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true },
    }),
    { t: { apiVersion: "v1", kind: "Pod", metadata: { name: "x", unknown: 1 }, spec: {} } },
    { t: { kind: "Pod" } },
    { t: { apiVersion: "v1", kind: "Pod", metadata: { labels: { "bad key": "x" } } } },
  ],
  "rules compare fields": [
    withRules(
      { min: int, max: int },
      { rule: "self.min <= self.max", message: "min must not exceed max" },
      {
        rule: "!has(self.max) || self.max < 100",
        messageExpression: "self.max > 150 ? 'far too much' : 'too much'",
        fieldPath: ".max",
        reason: "FieldValueForbidden",
      },
    ),
    { min: 1, max: 2 },
    { min: 3, max: 2 },
    { min: 3, max: 200 },
    { min: 1 },
  ],
  "rules see lists and maps": [
    withRules(
      {
        l: { type: "array", maxItems: 9, items: { type: "object", properties: { n: { ...text, maxLength: 9 } } } },
        m: { type: "object", maxProperties: 5, additionalProperties: int },
      },
      { rule: "!has(self.l) || self.l.all(x, x.n.startsWith('a'))" },
      { rule: "!has(self.m) || self.m.all(k, self.m[k] > 0)" },
    ),
    { l: [{ n: "ab" }] },
    { l: [{ n: "b" }] },
    { m: { x: 0 } },
    { m: { x: 1 } },
    { l: [{}] },
  ],
  "rules use Kubernetes' own functions": [
    withRules(
      {
        q: { ...text, maxLength: 20 },
        u: { ...text, maxLength: 99 },
        r: { ...text, maxLength: 20 },
        i: { ...text, maxLength: 40 },
      },
      { rule: "!has(self.q) || quantity(self.q).isLessThan(quantity('2Gi'))" },
      { rule: "!has(self.u) || url(self.u).getHost() == 'example.com'" },
      { rule: "!has(self.r) || self.r.find('[0-9]+') == '42'" },
      { rule: "!has(self.i) || ip(self.i).family() == 4" },
    ),
    { q: "1Gi" },
    { q: "3Gi" },
    { q: "x" },
    { u: "https://example.com/a" },
    { u: "https://other.com" },
    { r: "a42" },
    { i: "::1" },
    { i: "10.0.0.1" },
  ],
};

function tried(schema: object, specs: readonly unknown[]): Scenario["run"] {
  return async (session) => {
    await define(session, { schema });
    for (const [index, value] of specs.entries())
      await session.send("POST", things(session), { body: thing(session, `t${index}`, value) });
  };
}

/** Definitions that are refused. */
const broken: Readonly<Record<string, ThingOptions>> = {
  "without a schema": { version: { schema: undefined } },
  "without a type": { schema: { properties: {} } },
  "with two versions stored": { versions: [versionOf("v1"), versionOf("v2")] },
  "with no version stored": { version: { storage: false } },
  "with a version of a bad name": { versions: [versionOf("Version_1")] },
  "with names that do not fit": { spec: { names: { plural: "others", kind: "Thing" } } },
  "with a lower case kind": { spec: { names: { plural: "things", kind: "_thing" } } },
  "with a scope that is none": { spec: { scope: "Galaxy" } },
  "with a bad pattern": { schema: spec({ a: { ...text, pattern: "(" } }) },
  "with a default that does not fit": { schema: spec({ a: { ...int, default: "x" } }) },
  "with a default outside of a structure": { schema: spec({ a: { anyOf: [{ type: "integer", default: 1 }] } }) },
  "with a rule that cannot be read": { schema: withRules({ a: int }, { rule: "self.a >" }) },
  "with a rule about a field that is not there": { schema: withRules({ a: int }, { rule: "self.b > 1" }) },
  "with a rule that is no condition": { schema: withRules({ a: int }, { rule: "self.a" }) },
  "with a rule that costs too much": {
    schema: withRules(
      { l: { type: "array", items: { type: "array", items: text } } },
      { rule: "self.l.all(x, x.all(y, x.all(z, y.contains(z))))" },
    ),
  },
  "with additionalProperties beside properties": {
    schema: spec({ a: { type: "object", properties: {}, additionalProperties: int } }),
  },
  "with a list-type that is none": {
    schema: spec({ a: { type: "array", items: int, "x-kubernetes-list-type": "bag" } }),
  },
  "with a map list without keys": {
    schema: spec({ a: { type: "array", items: { type: "object" }, "x-kubernetes-list-type": "map" } }),
  },
  "with a printer column of no type": {
    version: { additionalPrinterColumns: [{ name: "A", type: "thing", jsonPath: ".spec.a" }] },
  },
  "with a printer column of a bad path": {
    version: { additionalPrinterColumns: [{ name: "A", type: "string", jsonPath: "spec[" }] },
  },
  "with a scale of a bad path": {
    version: { subresources: { scale: { specReplicasPath: "replicas", statusReplicasPath: ".status.replicas" } } },
  },
  "with a selectable field that is not there": { version: { selectableFields: [{ jsonPath: ".spec.none" }] } },
  "with a webhook conversion without a webhook": { spec: { conversion: { strategy: "Webhook" } } },
  "that preserves unknown fields as before": { spec: { preserveUnknownFields: true } },
  "with $ref": { schema: { type: "object", $ref: "#/x" } },
  "with forbidden metadata": {
    schema: {
      type: "object",
      properties: { metadata: { type: "object", properties: { labels: { type: "object" } } } },
    },
  },
};

export const crdScenarios = [
  ...area(
    "crd-schemas",
    Object.fromEntries(Object.entries(structural).map(([name, [schema, ...specs]]) => [name, tried(schema, specs)])),
  ),
  ...area(
    "crd-broken",
    Object.fromEntries(
      Object.entries(broken).map(([name, options]) => [
        `a definition ${name}`,
        async (session) => {
          await session.send("POST", definitions, { body: definition(session, options) });
        },
      ]),
    ),
  ),
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
      await define(session, { schema: spec({ a: int, b: int }) });
      await session.given("POST", things(session), thing(session, "t", { a: 1, b: 5 }));
      const versions = [
        { ...versionOf("v1"), schema: { openAPIV3Schema: spec({ a: { ...int, minimum: 3 }, b: int }) } },
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
        schema: spec({
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
      await define(session, { schema: spec({ a: int }) });
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
        schema: spec({ color: text, n: int }),
        version: { selectableFields: [{ jsonPath: ".spec.color" }, { jsonPath: ".spec.n" }] },
      });
      await session.given("POST", things(session), thing(session, "t", { color: "red", n: 1 }));
      await session.given("POST", things(session), thing(session, "u", { color: "blue" }));
      for (const selector of ["spec.color=red", "spec.color!=red", "spec.n=1", "spec.other=1", "metadata.name=u"])
        await session.send("GET", `${things(session)}?fieldSelector=${encodeURIComponent(selector)}`);
    },
    "a custom object is watched, patched and deleted as others are": async (session) => {
      await define(session, { schema: spec({ a: int }) });
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
      await define(session, { schema: spec({ a: int }) });
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
        schema: spec({
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

import { area } from "../scenario.ts";
import type { Scenario } from "../scenario.ts";
import {
  define,
  definition,
  definitions,
  int,
  objectWith,
  text,
  thing,
  things,
  versionOf,
  withRules,
} from "./crd-objects.ts";
import type { ThingOptions } from "./crd-objects.ts";

/** One schema and what is tried with it: each value is sent as `spec` of a thing of its own. */
const structural: Readonly<Record<string, readonly [schema: object, ...specs: readonly unknown[]]>> = {
  "types are checked": [
    objectWith({ a: int, b: text, c: { type: "boolean" }, d: { type: "array", items: int }, e: { type: "number" } }),
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
  "unknown fields are pruned": [objectWith({ a: int }), { a: 1, b: 2 }, { c: { d: 1 } }],
  "unknown fields are kept where the schema says so": [
    objectWith({ a: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }),
    { a: { any: [1] }, b: 1 },
  ],
  "required fields must be there": [
    objectWith({ a: int, o: { type: "object", required: ["x"], properties: { x: int } } }, { required: ["a"] }),
    {},
    { a: 1, o: {} },
    { a: 1 },
  ],
  "defaults are filled in": [
    objectWith({
      a: { ...int, default: 5 },
      o: { type: "object", default: {}, properties: { x: { ...text, default: "d" } } },
      l: { type: "array", items: { type: "object", properties: { y: { ...int, default: 1 } } } },
    }),
    {},
    { a: null },
    { l: [{}, { y: 2 }] },
  ],
  "nullable fields keep null, others lose it": [
    objectWith({ a: { ...int, nullable: true }, b: int, c: { ...int, nullable: true, default: 3 } }),
    { a: null, b: null, c: null },
  ],
  "numbers have bounds": [
    objectWith({
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
    objectWith({
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
    objectWith({
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
    objectWith({ a: { type: "object", additionalProperties: int, maxProperties: 2, minProperties: 1 } }),
    { a: {} },
    { a: { x: 1, y: 2, z: 3 } },
    { a: { x: "1" } },
    { a: { x: 1 } },
  ],
  "combinations of schemas": [
    objectWith(
      { b: int, c: int },
      { oneOf: [{ required: ["b"] }, { required: ["c"] }], not: { required: ["b"], properties: { b: { enum: [9] } } } },
    ),
    { b: 1 },
    { b: 1, c: 1 },
    {},
    { b: 9 },
  ],
  "integers or strings": [
    objectWith({ a: { "x-kubernetes-int-or-string": true } }),
    { a: 1 },
    { a: "50%" },
    { a: 1.5 },
    { a: true },
  ],
  "embedded resources": [
    objectWith({
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
  "with a bad pattern": { schema: objectWith({ a: { ...text, pattern: "(" } }) },
  "with a default that does not fit": { schema: objectWith({ a: { ...int, default: "x" } }) },
  "with a default outside of a structure": { schema: objectWith({ a: { anyOf: [{ type: "integer", default: 1 }] } }) },
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
    schema: objectWith({ a: { type: "object", properties: {}, additionalProperties: int } }),
  },
  "with a list-type that is none": {
    schema: objectWith({ a: { type: "array", items: int, "x-kubernetes-list-type": "bag" } }),
  },
  "with a map list without keys": {
    schema: objectWith({ a: { type: "array", items: { type: "object" }, "x-kubernetes-list-type": "map" } }),
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

export const crdSchemaScenarios = [
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
];

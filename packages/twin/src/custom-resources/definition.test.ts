import type { CustomResourceDefinition, JSONSchemaProps } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { copyJson, typed, untyped, type Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { RequestContext } from "../machinery/request.ts";
import type { FieldError } from "../machinery/status-error.ts";
import { customResourceDefinitionStrategy } from "./definition-strategy.ts";
import { compileDefinition, reconcileDefinition, type DefinitionHooks } from "./definition.ts";
import { pruneUnknownFields } from "./prune.ts";
import { structuralSchema } from "./structural-schema.ts";

const text: JSONSchemaProps = { type: "string" };
const properties: Record<string, JSONSchemaProps> = {
  n: { type: "integer", minimum: 1, maximum: 5, format: "int32" },
  x: { type: "number", minimum: 0, exclusiveMinimum: true },
  t: { type: "string", maxLength: 3, minLength: 2, pattern: "^a" },
  e: { type: "string", enum: ["a", "b"] },
  f: { type: "string", format: "date-time" },
  odd: { type: "string", format: "no-such-format" },
  l: { type: "array", maxItems: 2, minItems: 1, items: text },
  set: { type: "array", "x-kubernetes-list-type": "set", items: text },
  m: {
    type: "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["k"],
    items: { type: "object", properties: { k: text, v: { type: "integer" } }, required: ["k"] },
  },
  map: { type: "object", maxProperties: 2, additionalProperties: { type: "integer" } },
  ios: { "x-kubernetes-int-or-string": true },
  nul: { type: "string", nullable: true },
  def: { type: "string", default: "dflt" },
  obj: { type: "object", properties: { inner: { type: "string", default: "in" } } },
  any: {
    type: "object",
    "x-kubernetes-preserve-unknown-fields": true,
    properties: { known: { type: "object", properties: { a: text } } },
  },
  emb: { type: "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true },
  one: { type: "object", properties: { a: text, b: text }, oneOf: [{ required: ["a"] }, { required: ["b"] }] },
  no: { type: "string", not: { enum: ["bad"] } },
};
const schema: JSONSchemaProps = {
  type: "object",
  required: ["spec"],
  properties: {
    spec: { type: "object", properties },
    status: { type: "object", properties: { n: { type: "integer" }, phase: text } },
  },
};

function definition(
  change: Partial<CustomResourceDefinition["spec"]> = {},
  name = "gadgets.example.com",
): CustomResourceDefinition {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { plural: "gadgets", singular: "gadget", kind: "Gadget", listKind: "GadgetList", shortNames: ["gd"] },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schema },
          subresources: {
            status: {},
            scale: { specReplicasPath: ".spec.n", statusReplicasPath: ".status.n", labelSelectorPath: ".status.phase" },
          },
          selectableFields: [{ jsonPath: ".spec.e" }],
        },
      ],
      ...change,
    },
    status: { storedVersions: ["v1"] },
  };
}

const context = { warn: () => undefined } as unknown as RequestContext;

function onlyKind(of = definition(), hooks: DefinitionHooks = {}): ServedKind {
  const [kind] = compileDefinition(of, hooks);
  if (kind === undefined) throw new Error("nothing is served");
  return kind;
}

const gadget = (spec: Draft, more: Draft = {}): Draft => ({
  apiVersion: "example.com/v1",
  kind: "Gadget",
  metadata: { name: "g", namespace: "default" },
  spec,
  ...more,
});

const lines = (errors: readonly FieldError[]): string[] =>
  errors.map(({ type, field, message }) => `${type} ${field}: ${message}`);

function errorsOf(object: Draft, old?: Draft): string[] {
  const { strategy } = onlyKind();
  const defaulted = copyJson(object);
  strategy.defaults?.(typed(defaulted));
  const errors =
    old === undefined
      ? strategy.validate?.(typed(defaulted), context)
      : strategy.validateUpdate?.(typed(defaulted), typed(copyJson(old)), context);
  return lines(errors ?? []);
}

describe("a custom resource", () => {
  it("is accepted when it fits its schema", () => {
    expect(errorsOf(gadget({}))).toEqual([]);
    expect(
      errorsOf(
        gadget({ n: 2, x: 0.5, t: "abc", e: "a", f: "2024-01-01T00:00:00Z", odd: "?", l: ["a"], ios: "5%", nul: null }),
      ),
    ).toEqual([]);
  });

  it.each([
    [
      { x: "y" },
      'FieldValueTypeInvalid spec.x: Invalid value: "string": spec.x in body must be of type number: "string"',
    ],
    [{ n: 0 }, "FieldValueInvalid spec.n: Invalid value: 0: spec.n in body should be greater than or equal to 1"],
    [{ n: 9 }, "FieldValueInvalid spec.n: Invalid value: 9: spec.n in body should be less than or equal to 5"],
    [{ x: 0 }, "FieldValueInvalid spec.x: Invalid value: 0: spec.x in body should be greater than 0"],
    [{ t: "b" }, 'FieldValueInvalid spec.t: Invalid value: "b": spec.t in body should be at least 2 chars long'],
    [{ t: "abcd" }, "FieldValueTooLong spec.t: Too long: may not be more than 3 bytes"],
    [{ t: "bb" }, `FieldValueInvalid spec.t: Invalid value: "bb": spec.t in body should match '^a'`],
    [{ e: "c" }, 'FieldValueNotSupported spec.e: Unsupported value: "c": supported values: "a", "b"'],
    [
      { f: "now" },
      'FieldValueTypeInvalid spec.f: Invalid value: "now": spec.f in body must be of type date-time: "now"',
    ],
    [{ l: [] }, "FieldValueInvalid spec.l: Invalid value: 0: spec.l in body should have at least 1 items"],
    [{ l: ["a", "b", "c"] }, "FieldValueTooMany spec.l: Too many: 3: must have at most 2 items"],
    [{ set: ["a", "a", "a"] }, 'FieldValueDuplicate spec.set[1]: Duplicate value: "a"'],
    [{ m: [{ k: "a" }, { k: "a" }] }, 'FieldValueDuplicate spec.m[1]: Duplicate value: {"k":"a"}'],
    [{ m: [{ v: 1 }] }, "FieldValueRequired spec.m[0].k: Required value"],
    [{ map: { a: 1, b: 2, c: 3 } }, "FieldValueTooMany spec.map: Too many: 3: must have at most 2 items"],
    [
      { ios: true },
      'FieldValueTypeInvalid spec.ios: Invalid value: "boolean": spec.ios in body must be of type integer,string: "boolean"',
    ],
    [{ no: "bad" }, 'FieldValueInvalid <nil>: Invalid value: "": "spec.no" must not validate the schema (not)'],
    [
      { one: { a: "1", b: "2" } },
      'FieldValueInvalid <nil>: Invalid value: "": "spec.one" must validate one and only one schema (oneOf). Found 2 valid alternatives',
    ],
  ])("is refused as kube-apiserver 1.36.3 refuses it: %j", (spec, error) => {
    expect(errorsOf(gadget(spec))).toEqual([error]);
  });

  it("needs a kind and valid metadata where it embeds one", () => {
    expect(errorsOf(gadget({ emb: { x: 1 } }))).toEqual([
      "FieldValueRequired spec.emb.apiVersion: Required value",
      "FieldValueRequired spec.emb.kind: Required value",
    ]);
  });

  it("gets defaults, loses nulls and what the schema does not know", () => {
    const object = gadget({ t: null, nul: null, def: null, obj: {}, zzz: 1, any: { q: 1, known: { a: "x", z: 1 } } });
    expect(pruneUnknownFields(copyJson(object), structuralSchema(schema))).toEqual(["spec.any.known.z", "spec.zzz"]);
    onlyKind().strategy.defaults?.(typed(object));
    expect(object["spec"]).toEqual({
      nul: null,
      def: "dflt",
      obj: { inner: "in" },
      any: { q: 1, known: { a: "x" } },
    });
    expect(object["metadata"]).toEqual({ name: "g", namespace: "default" });
  });

  it("may keep what was wrong before, where it has not changed", () => {
    const old = gadget({ n: 9, m: [{ k: "a", v: "s" }, { k: "b" }], set: ["a", "a"], t: "abcdef" });
    expect(
      errorsOf(
        gadget({
          ...(old["spec"] as Draft),
          e: "b",
          m: [
            { k: "b", v: 1 },
            { k: "a", v: "s" },
          ],
        }),
        old,
      ),
    ).toEqual([]);
    expect(errorsOf(gadget({ n: 8 }), old)).toEqual([
      "FieldValueInvalid spec.n: Invalid value: 8: spec.n in body should be less than or equal to 5",
    ]);
  });

  it("shows its replicas as a Scale and takes them from one", () => {
    const scale = onlyKind().subresources.get("scale")?.view;
    const object = gadget({ n: 2 }, { status: { n: 1, phase: "a=b" } });
    expect(scale?.read(object)).toEqual({
      kind: "Scale",
      apiVersion: "autoscaling/v1",
      metadata: { name: "g", namespace: "default" },
      spec: { replicas: 2 },
      status: { replicas: 1, selector: "a=b" },
    });
    scale?.write(object, { spec: { replicas: 4 } }, context);
    expect(object["spec"]).toEqual({ n: 4 });
    expect(() => scale?.write(gadget({}), scale.read(gadget({})), context)).toThrow(
      'the spec replicas field ".spec.n" cannot be empty',
    );
    expect(errorsOf(gadget({ n: -1 }))).toContain(
      "FieldValueInvalid .spec.n: Invalid value: -1: should be a non-negative integer",
    );
  });

  it("can be selected by the fields that its definition names", () => {
    const { strategy } = onlyKind();
    expect(strategy.selectableFields).toEqual(["spec.e"]);
    expect(strategy.fieldValue?.(typed(gadget({ e: "a" })), "spec.e")).toBe("a");
    expect(strategy.fieldValue?.(typed(gadget({})), "spec.e")).toBe("");
  });
});

describe("a definition", () => {
  const errorsIn = (of: CustomResourceDefinition): string[] =>
    lines(customResourceDefinitionStrategy.validate?.(of, context) ?? []);
  const withSchema = (props: JSONSchemaProps): CustomResourceDefinition => {
    return definition({ versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: props } }] });
  };
  const field = (props: JSONSchemaProps) => withSchema({ type: "object", properties: { f: props } });

  it("is accepted and defaulted", () => {
    expect(errorsIn(definition())).toEqual([]);
    const bare = untyped(definition({ names: { plural: "gadgets", kind: "Gadget" } }));
    customResourceDefinitionStrategy.defaults?.(typed(bare));
    expect(bare["spec"]).toMatchObject({
      names: { plural: "gadgets", kind: "Gadget", singular: "gadget", listKind: "GadgetList" },
      conversion: { strategy: "None" },
    });
  });

  const at = "spec.validation.openAPIV3Schema";
  it.each<readonly [JSONSchemaProps, string]>([
    [{}, `FieldValueRequired ${at}.properties[f].type: Required value: must not be empty for specified object fields`],
    [{ type: "array" }, `FieldValueRequired ${at}.properties[f].items: Required value: must be specified`],
    [
      { type: "string", default: 5 },
      `FieldValueTypeInvalid ${at}.properties[f].default: Invalid value: "integer":  in body must be of type string: "integer"`,
    ],
    [
      { type: "object", default: { q: 1 }, properties: { a: text } },
      `FieldValueInvalid ${at}.properties[f].default: Invalid value: {"q":1}: must not have unknown fields`,
    ],
    [
      { type: "string", pattern: "(" },
      `FieldValueInvalid ${at}.properties[f].pattern: Invalid value: "(": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): \`(\``,
    ],
    [
      { type: "object", properties: { a: text }, anyOf: [{ properties: { b: { type: "string" } } }] },
      `FieldValueForbidden ${at}.properties[f].anyOf[0].properties[b].type: Forbidden: must be empty to be structural`,
    ],
    [
      { type: "array", items: text, uniqueItems: true },
      `FieldValueForbidden ${at}.properties[f].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic`,
    ],
  ])("must have a structural schema: %j", (props, error) => {
    expect(errorsIn(field(props))).toContain(error);
  });

  it("keeps its group, its plural and, once established, its kind and scope", () => {
    const old = {
      ...definition(),
      status: { storedVersions: ["v1"], conditions: [{ type: "Established", status: "True" }] },
    };
    const changed = { ...definition({ scope: "Cluster" }), status: old.status };
    expect(lines(customResourceDefinitionStrategy.validateUpdate?.(changed, old, context) ?? [])).toEqual([
      'FieldValueInvalid spec.scope: Invalid value: "Cluster": field is immutable',
    ]);
  });

  it("is established when its names are free, and says whose are taken", () => {
    const first = definition();
    const status = reconcileDefinition(first, [], 0);
    expect(status?.conditions?.map(({ type, status: value, reason }) => `${type} ${value} ${reason}`)).toEqual([
      "NamesAccepted True NoConflicts",
      "Established True InitialNamesAccepted",
    ]);
    expect(status?.acceptedNames).toEqual(first.spec.names);
    if (status === undefined) throw new Error("no status");
    expect(reconcileDefinition({ ...first, status }, [], 99_000)).toBeUndefined();
    const rival = definition(
      { names: { plural: "gads", kind: "Gadget", singular: "gad", listKind: "GadList", shortNames: ["gd"] } },
      "gads.example.com",
    );
    const refused = reconcileDefinition(rival, [{ ...first, status }], 0);
    expect(refused?.conditions?.map(({ type, status: value, message }) => `${type} ${value} ${message}`)).toEqual([
      'NamesAccepted False "Gadget" is already in use',
      "Established False not all names are accepted",
    ]);
    expect(refused?.acceptedNames).toMatchObject({ plural: "gads", singular: "gad", kind: "" });
  });
});

describe("conversion", () => {
  const [version] = definition().spec.versions;
  if (version === undefined) throw new Error("no version");
  const two = (conversion: CustomResourceDefinition["spec"]["conversion"]): CustomResourceDefinition =>
    definition({
      versions: [version, { ...version, name: "v2", storage: false }],
      ...(conversion === undefined ? {} : { conversion }),
    });
  const webhook = {
    strategy: "Webhook",
    webhook: { clientConfig: { url: "https://x" }, conversionReviewVersions: ["v1"] },
  };
  const v2 = (hooks: DefinitionHooks, conversion?: CustomResourceDefinition["spec"]["conversion"]) => {
    const kind = compileDefinition(two(conversion), hooks)[1];
    if (kind?.conversion === undefined) throw new Error("no conversion");
    return kind.conversion;
  };

  it("renames the version when there is nothing else to do", async () => {
    const object = gadget({ one: { a: "x" }, obj: { inner: "out" } });
    const [shown] = await v2({}).fromStorage([object]);
    expect(shown).toMatchObject({ ...object, apiVersion: "example.com/v2" });
  });

  it("reads what was stored by the schemas of now, once a definition has changed", async () => {
    const v1Schema = (spec: Record<string, JSONSchemaProps>): CustomResourceDefinition => {
      const made = definition({
        versions: [
          {
            ...version,
            schema: { openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties: spec } } } },
          },
        ],
      });
      return { ...made, metadata: { ...made.metadata, generation: 2 } };
    };
    const [kind] = compileDefinition(v1Schema({ n: { type: "integer" }, added: { type: "string", default: "x" } }), {});
    const stored = gadget({ n: 1, gone: true });
    expect(await kind?.conversion?.fromStorage([stored])).toEqual([{ ...stored, spec: { n: 1, added: "x" } }]);
    expect(stored["spec"]).toEqual({ n: 1, gone: true });
    expect(compileDefinition(definition({ versions: [version] }), {})[0]?.conversion).toBeUndefined();
  });

  it("asks the webhook and keeps metadata but labels and annotations", async () => {
    const calls: Draft[] = [];
    const callWebhook: DefinitionHooks["callWebhook"] = (_, review) => {
      calls.push(review);
      return Promise.resolve({
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "ConversionReview",
        response: {
          uid: "u",
          result: { status: "Success" },
          convertedObjects: [
            {
              ...gadget({ one: { b: "converted" }, unknown: 1 }),
              apiVersion: "example.com/v2",
              metadata: { name: "g", namespace: "default", labels: { a: "b" }, finalizers: ["no"] },
            },
          ],
        },
      });
    };
    const conversion = v2({ callWebhook, newUid: () => "u" }, webhook);
    expect(await conversion.fromStorage([gadget({ n: 1 })])).toEqual([
      {
        apiVersion: "example.com/v2",
        kind: "Gadget",
        metadata: { name: "g", namespace: "default", labels: { a: "b" } },
        spec: { one: { b: "converted" } },
      },
    ]);
    expect(calls[0]?.["request"]).toMatchObject({ uid: "u", desiredAPIVersion: "example.com/v2" });
    const already = [{ ...gadget({}), apiVersion: "example.com/v2" }];
    expect(await conversion.fromStorage(already)).toMatchObject(already);
    expect(calls).toHaveLength(1);
  });

  it.each([
    [{}, "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got , Kind="],
    [
      { apiVersion: "apiextensions.k8s.io/v1", kind: "ConversionReview", response: { uid: "other" } },
      'expected response.uid="u", got "other"',
    ],
    [
      {
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "ConversionReview",
        response: { uid: "u", result: { status: "Failure", message: "no way" } },
      },
      "no way",
    ],
  ])("refuses what is no answer: %j", async (answer, problem) => {
    const conversion = v2({ callWebhook: () => Promise.resolve(answer), newUid: () => "u" }, webhook);
    await expect(Promise.resolve(conversion.fromStorage([gadget({})]))).rejects.toThrow(
      `conversion webhook for example.com/v1, Kind=Gadget failed: ${problem}`,
    );
  });
});

import { describe, expect, it } from "vitest";
import type { Schema, ValidationRule } from "../machinery/schema.ts";
import { compileSchemaRules } from "./rules.ts";

const rule = (text: string, more: Partial<ValidationRule> = {}): Schema => ({
  "x-kubernetes-validations": [{ rule: text, ...more }],
});
const withSpec = (spec: Schema): Schema => ({ type: "object", properties: { spec } });
const texts = (schema: Schema, object: unknown, old?: unknown): readonly string[] => {
  const compiled = compileSchemaRules(schema);
  expect(compiled.errors).toEqual([]);
  return compiled.validate(object, old, "").map(({ field, message }) => `${field}: ${message}`);
};

const replicas: Schema = {
  type: "object",
  properties: { min: { type: "integer" }, max: { type: "integer" }, name: { type: "string", maxLength: 10 } },
};

describe("rules of a schema", () => {
  it("says which rule an object breaks, and where", () => {
    const schema = withSpec({ ...replicas, ...rule("self.min <= self.max") });
    expect(texts(schema, { spec: { min: 1, max: 2 } })).toEqual([]);
    expect(texts(schema, { spec: { min: 3, max: 2 } })).toEqual([
      "spec: Invalid value: failed rule: self.min <= self.max",
    ]);
    expect(texts(schema, { spec: { min: 3 } })).toEqual([
      'spec: Invalid value: "object": no such key: max evaluating rule: self.min <= self.max',
    ]);
  });

  it("takes the message, the message's expression, the reason and the field path from the rule", () => {
    const scalar: Schema = {
      type: "integer",
      ...rule("self > 2", { message: "too small", reason: "FieldValueForbidden" }),
    };
    expect(texts(withSpec(scalar), { spec: 1 })).toEqual(["spec: Forbidden: too small"]);
    const invalid: Schema = { type: "integer", ...rule("self > 2") };
    expect(texts(withSpec(invalid), { spec: 1 })).toEqual(["spec: Invalid value: 1: failed rule: self > 2"]);
    const expression = rule("self.min > 2", {
      messageExpression: "'name is ' + self.name",
      fieldPath: ".min",
      message: "unused",
    });
    expect(texts(withSpec({ ...replicas, ...expression }), { spec: { min: 1, name: "n" } })).toEqual([
      "spec.min: Invalid value: name is n",
    ]);
    const failing = rule("self.min > 2", { messageExpression: "'name is ' + self.name", message: "fallback" });
    expect(texts(withSpec({ ...replicas, ...failing }), { spec: { min: 1 } })).toEqual([
      "spec: Invalid value: fallback",
    ]);
  });

  it("names the root of an object as upstream does, and shows only names of its metadata", () => {
    const schema: Schema = { type: "object", ...rule("self.metadata.name.startsWith('a')") };
    expect(texts(schema, { metadata: { name: "b" } })).toEqual([
      "<nil>: Invalid value: failed rule: self.metadata.name.startsWith('a')",
    ]);
    const labels: Schema = { type: "object", ...rule("has(self.metadata.labels)") };
    expect(compileSchemaRules(labels).errors[0]?.message).toContain("undefined field 'labels'");
  });

  it("compares with the old object only where there is one", () => {
    const schema = withSpec({ type: "string", maxLength: 10, ...rule("self == oldSelf", { message: "immutable" }) });
    expect(texts(schema, { spec: "a" })).toEqual([]);
    expect(texts(schema, { spec: "a" }, { spec: "a" })).toEqual([]);
    expect(texts(schema, { spec: "b" }, { spec: "a" })).toEqual(['spec: Invalid value: "b": immutable']);
    expect(texts(schema, { spec: "b" }, {})).toEqual([]);
  });

  it("offers the old value as an optional when a rule asks for that", () => {
    const optional = rule("oldSelf.hasValue() ? self >= oldSelf.value() : self == 0", {
      optionalOldSelf: true,
      message: "from zero, and up",
    });
    const schema = withSpec({ type: "integer", ...optional });
    expect(texts(schema, { spec: 1 })).toEqual(["spec: Invalid value: 1: from zero, and up"]);
    expect(texts(schema, { spec: 2 }, { spec: 1 })).toEqual([]);
    expect(texts(schema, { spec: 1 }, { spec: 2 })).toEqual(["spec: Invalid value: 1: from zero, and up"]);
  });

  it("finds old items of keyed lists by their keys", () => {
    const item: Schema = {
      type: "object",
      required: ["name"],
      properties: { name: { type: "string", maxLength: 5 }, size: { type: "integer" } },
      ...rule("self.size >= oldSelf.size", { message: "must not shrink" }),
    };
    const schema = withSpec({
      type: "array",
      maxItems: 5,
      items: item,
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
    });
    const old = {
      spec: [
        { name: "a", size: 1 },
        { name: "b", size: 5 },
      ],
    };
    expect(
      texts(
        schema,
        {
          spec: [
            { name: "b", size: 4 },
            { name: "c", size: 0 },
            { name: "a", size: 2 },
          ],
        },
        old,
      ),
    ).toEqual(["spec[0]: Invalid value: must not shrink"]);
  });

  it("lets through what was wrong before and has not changed, with a warning", () => {
    const schema = withSpec({
      type: "object",
      properties: {
        part: { type: "object", properties: { size: { type: "integer", ...rule("self > 5") } } },
        other: { type: "string" },
      },
    });
    const compiled = compileSchemaRules(schema);
    const warnings: string[] = [];
    const old = { spec: { part: { size: 1 }, other: "a" } };
    expect(
      compiled.validate({ spec: { part: { size: 1 }, other: "b" } }, old, "", (text) => warnings.push(text)),
    ).toEqual([]);
    expect(warnings).toEqual(["spec.part.size: Invalid value: 1: failed rule: self > 5"]);
    expect(compiled.validate({ spec: { part: { size: 2 } } }, old, "")).toHaveLength(1);
  });

  it("reads names that expressions cannot write, formats, and values of two kinds", () => {
    const schema = withSpec({
      type: "object",
      properties: {
        "x-prop.a/b": { type: "integer" },
        namespace: { type: "string", maxLength: 9 },
        when: { type: "string", format: "date-time" },
        port: { "x-kubernetes-int-or-string": true },
        labels: { type: "object", maxProperties: 3, additionalProperties: { type: "string", maxLength: 5 } },
      },
      ...rule(
        "self.x__dash__prop__dot__a__slash__b == 1 && self.__namespace__ == 'n' && self.when > timestamp('2020-01-01T00:00:00Z')" +
          " && type(self.port) == string && self.labels.all(k, k == 'a' && self.labels[k] == 'b')",
      ),
    });
    const spec = { "x-prop.a/b": 1, namespace: "n", when: "2024-01-01T00:00:00Z", port: "http", labels: { a: "b" } };
    expect(texts(schema, { spec })).toEqual([]);
    expect(texts(schema, { spec: { ...spec, port: 80 } })).toHaveLength(1);
  });

  it("checks rules of items, values and branches of allOf", () => {
    const schema = withSpec({
      type: "object",
      maxProperties: 2,
      additionalProperties: { type: "array", maxItems: 2, items: { type: "integer", ...rule("self > 0") } },
    });
    expect(texts(schema, { spec: { a: [1, -1] } })).toEqual(["spec[a][1]: Invalid value: -1: failed rule: self > 0"]);
    const branch = withSpec({ type: "integer", allOf: [rule("self > 0")] });
    expect(texts(branch, { spec: -1 })).toEqual(["spec: Invalid value: -1: failed rule: self > 0"]);
  });

  it("stops when an object's rules have cost too much", () => {
    const list: Schema = { type: "array", maxItems: 100, items: { type: "integer" } };
    const expensive = Array.from({ length: 200 }, (_, at) => ({
      rule: `self.all(a, self.all(b, ${at} >= 0 && a + b >= 0))`,
    }));
    const compiled = compileSchemaRules(withSpec({ ...list, "x-kubernetes-validations": expensive }));
    const spec = Array.from({ length: 100 }, (_, at) => at);
    const errors = compiled.validate({ spec }, undefined, "");
    expect(errors.map(({ message }) => message)).toEqual([
      'Invalid value: "array": validation failed due to running out of cost budget, no further validation rules will be run',
    ]);
  });
});

describe("what is wrong with rules", () => {
  const errors = (schema: Schema) =>
    compileSchemaRules(schema).errors.map(({ field, message }) => `${field}: ${message}`);

  it("says what does not compile", () => {
    expect(errors(withSpec({ ...replicas, ...rule("self.nope == 1") }))).toEqual([
      '.properties[spec].x-kubernetes-validations[0].rule: Invalid value: {"Rule":"self.nope == 1","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: ' +
        "compilation failed: ERROR: <input>:1:5: undefined field 'nope'\n | self.nope == 1\n | ....^",
    ]);
    expect(errors(withSpec({ ...replicas, ...rule("self.min") }))[0]).toContain(
      "cel expression must evaluate to a bool",
    );
    expect(errors(withSpec({ ...replicas, ...rule("true", { messageExpression: "1" }) }))[0]).toContain(
      "messageExpression must evaluate to a string",
    );
  });

  it("estimates the cost of rules on values without bounds", () => {
    const unbounded: Schema = { type: "array", items: { type: "string" } };
    expect(errors(withSpec({ ...unbounded, ...rule("self.all(x, self.exists(y, x == y))") }))).toEqual([
      ".properties[spec].x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)",
      ".properties[spec].x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema",
      ": Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)",
    ]);
    const bounded: Schema = { type: "array", maxItems: 10, items: { type: "string", maxLength: 10 } };
    expect(errors(withSpec({ ...bounded, ...rule("self.all(x, self.exists(y, x == y))") }))).toEqual([]);
  });

  // What kube-apiserver 1.36.3 estimates.
  it.each([
    ["self.m.all(k, k.contains(k))", undefined],
    ["self.m.all(k, self.m[k] == k)", undefined],
    ["self.m.all(k, self.m[k].contains(self.m[k]))", "more than 100x"],
    ["self.t.split(',').all(x, x.contains('abc'))", "1.321205x"],
    ["self.t.lowerAscii().split(',').all(x, x.trim() != '')", "1.352663x"],
  ])("estimates %s", (text, factor) => {
    const string: Schema = { type: "string" };
    const properties = { m: { type: "object", additionalProperties: string }, t: string } satisfies Record<
      string,
      Schema
    >;
    const [first] = errors(withSpec({ type: "object", properties, ...rule(text) }));
    expect(/by factor of (.*?) \(/.exec(first ?? "")?.[1]).toBe(factor);
  });

  it("refuses old values where there can be none", () => {
    const items = withSpec({ type: "array", maxItems: 3, items: { type: "integer", ...rule("self == oldSelf") } });
    expect(errors(items)[0]).toContain(
      "oldSelf cannot be used on the uncorrelatable portion of the schema within .properties[spec]",
    );
    expect(errors(withSpec({ ...replicas, ...rule("self.min == 1", { optionalOldSelf: true }) }))[0]).toContain(
      "may not be set if oldSelf is not used in rule",
    );
  });

  it("checks how rules are written", () => {
    expect(errors(withSpec({ ...replicas, ...rule(" ") }))).toEqual([
      ".properties[spec].x-kubernetes-validations[0].rule: Required value: rule is not specified",
    ]);
    expect(errors(withSpec({ ...replicas, ...rule("true", { fieldPath: ".nope", reason: "Other" }) }))).toEqual([
      '.properties[spec].x-kubernetes-validations[0].reason: Unsupported value: "Other": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"',
      '.properties[spec].x-kubernetes-validations[0].fieldPath: Invalid value: ".nope": must be a valid path',
    ]);
  });
});

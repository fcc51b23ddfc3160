import { describe, expect, it } from "vitest";
import { customResourceDefinition } from "./custom-resource.ts";
import { customResources } from "./resources.ts";

/** Every schema below a schema. */
function* nested(schema: unknown): Generator<Record<string, unknown>> {
  if (typeof schema !== "object" || schema === null) return;
  if (Array.isArray(schema)) {
    for (const item of schema) yield* nested(item);
    return;
  }
  yield schema as Record<string, unknown>;
  for (const value of Object.values(schema)) yield* nested(value);
}

describe.each(customResources)("the CRD of $kind", (resource) => {
  const definition = customResourceDefinition(resource);

  it("describes every field that it names itself", () => {
    const undescribed = Object.entries(resource.schema.properties).flatMap(([name, property]) =>
      Object.entries((property as { properties?: Record<string, { description?: string }> }).properties ?? {})
        .filter(([, field]) => !field.description)
        .map(([field]) => `${name}.${field}`),
    );
    expect(undescribed).toEqual([]);
  });

  it("holds only plain JSON", () => {
    expect(JSON.parse(JSON.stringify(definition))).toEqual(definition);
    for (const schema of nested(definition)) expect(Object.keys(schema).some((key) => key.startsWith("~"))).toBe(false);
  });

  it("has a message for every rule", () => {
    const rules = [...nested(definition)].flatMap(
      (schema) => (schema["x-kubernetes-validations"] as object[] | undefined) ?? [],
    );
    expect(rules.length).toBeGreaterThan(0);
    for (const rule of rules) expect(rule).toHaveProperty("message");
  });
});

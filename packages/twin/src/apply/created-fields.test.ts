import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Draft } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { builtinSchemas } from "../schema/builtin-schemas.ts";
import { compareValues } from "./compare.ts";
import { createdFields } from "./created-fields.ts";
import { fieldSetOf, formatFields, unionOf, withoutTrees } from "./field-set.ts";
import { ShapeError } from "./list-element.ts";
import { emptyObject, neverOwned, ownable } from "./ownership.ts";
import { shapeOf } from "./shape.ts";

const schemaOf = (id: string): Schema => {
  const schema = builtinSchemas().get(`io.k8s.api.${id}`);
  if (schema === undefined) throw new Error(`no schema ${id}`);
  return schema;
};

const reset = fieldSetOf([["status"], ["metadata", "deletionTimestamp"]]);

/** By comparison with the empty object, which is what creations are defined by. */
function compared(schema: Schema, object: Draft): unknown {
  try {
    const { added, modified } = compareValues(shapeOf(schema), emptyObject(schema), object);
    return formatFields(ownable(withoutTrees(unionOf(modified, added), reset)));
  } catch (error) {
    if (error instanceof ShapeError) return error.message;
    throw error;
  }
}

function created(schema: Schema, object: Draft): unknown {
  try {
    return createdFields(shapeOf(schema), emptyObject(schema), object, { trees: reset, members: neverOwned });
  } catch (error) {
    if (error instanceof ShapeError) return error.message;
    throw error;
  }
}

const names = ["a", "b", "é", "\u{1F600}", "\uFFFD", "app.kubernetes.io/name", "__proto__"];
const map = fc.dictionary(fc.constantFrom(...names), fc.constantFrom("", "x"), { maxKeys: 4 });
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const name = fc.constantFrom("a", "b", "c d", 'a"', "\u{1F600}", "\uFFFD");
const container = fc.record(
  {
    name,
    image: fc.constant("x"),
    args: fc.array(fc.constant("x"), { maxLength: 2 }),
    env: fc.array(fc.record({ name, value: fc.constant("x") }, { requiredKeys: [] }), { maxLength: 3 }),
    ports: fc.array(
      fc.record({ containerPort: fc.nat(20), protocol: fc.constantFrom("TCP", "UDP") }, { requiredKeys: [] }),
      {
        maxLength: 3,
      },
    ),
    resources: fc.record({ limits: map }, { requiredKeys: [] }),
    securityContext: fc.oneof(fc.constant(null), fc.constant({}), fc.constant({ privileged: false })),
  },
  { requiredKeys: [] },
);
const metadata = fc.record(
  {
    name,
    generation: fc.constant(1),
    labels: optional(map),
    annotations: map,
    finalizers: fc.array(fc.constantFrom("x", "y", null), { maxLength: 3 }),
    ownerReferences: fc.array(fc.record({ uid: fc.constantFrom("1", "2"), kind: fc.constant("x") }), { maxLength: 2 }),
    deletionTimestamp: fc.constant(null),
  },
  { requiredKeys: [] },
);
const pod = fc.record(
  {
    apiVersion: fc.constant("v1"),
    kind: fc.constant("Pod"),
    metadata,
    spec: fc.record(
      {
        containers: fc.oneof(fc.constant(null), fc.array(container, { maxLength: 3 })),
        nodeSelector: map,
        volumes: fc.array(fc.record({ name, emptyDir: fc.constant({}) }, { requiredKeys: [] }), { maxLength: 2 }),
        hostNetwork: fc.boolean(),
        unknown: fc.constant("x"),
      },
      { requiredKeys: [] },
    ),
    status: fc.record(
      { phase: fc.constant("x"), conditions: fc.array(fc.constantFrom(null, { type: "x" }), { maxLength: 2 }) },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);
const deployment = fc.record(
  {
    metadata,
    spec: fc.record(
      {
        selector: fc.constantFrom({}, { matchLabels: { a: "b" } }),
        template: pod,
        strategy: fc.constantFrom({}, { type: "x" }),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);
const anything = fc.dictionary(
  fc.constantFrom("metadata", "spec", "status", ...names),
  fc.jsonValue(),
) as fc.Arbitrary<unknown>;

describe("the fields of a creation", () => {
  it.each([
    ["a pod", schemaOf("core.v1.Pod"), pod, 0.95],
    ["a deployment", schemaOf("apps.v1.Deployment"), deployment, 0.9],
    ["a service of any content", schemaOf("core.v1.Service"), anything, 0],
    [
      "a custom resource of any content",
      { type: "object", "x-kubernetes-preserve-unknown-fields": true },
      anything,
      0.5,
    ],
  ] as [string, Schema, fc.Arbitrary<unknown>, number][])(
    "are those by which %s differs from the empty one",
    (_, schema, arbitrary, walked) => {
      let all = 0;
      let direct = 0;
      fc.assert(
        fc.property(arbitrary, (value) => {
          const object = JSON.parse(JSON.stringify(value)) as Draft;
          const found = created(schema, object);
          all++;
          if (found === undefined) return;
          direct++;
          // As text: the order is upstream's too.
          expect(JSON.stringify(found)).toBe(JSON.stringify(compared(schema, object)));
        }),
        { numRuns: 400 },
      );
      // The rest is left to the comparison; it must not be everything.
      expect(direct / all).toBeGreaterThanOrEqual(walked);
    },
  );
});

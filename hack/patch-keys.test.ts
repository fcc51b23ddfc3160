import { expect, it } from "vitest";
import type { Schema } from "./kube-types.ts";
import { patchKeysText } from "./patch-keys.ts";

const reference = (id: string): Schema => ({ allOf: [{ $ref: `#/components/schemas/${id}` }] });
const schemas = new Map<string, Schema>([
  [
    "io.k8s.api.x.v1.Thing",
    {
      properties: { metadata: { type: "object" }, spec: reference("io.k8s.api.x.v1.Spec") },
      "x-kubernetes-group-version-kind": [{ group: "x", version: "v1", kind: "Thing" }],
    },
  ],
  [
    "io.k8s.api.x.v1.Spec",
    {
      properties: {
        parts: {
          type: "array",
          items: reference("io.k8s.api.x.v1.Part"),
          "x-kubernetes-patch-strategy": "merge,retainKeys",
          "x-kubernetes-patch-merge-key": "name",
        },
        atomic: { type: "array", items: reference("io.k8s.api.x.v1.Part") },
        plain: { type: "string" },
        again: reference("io.k8s.api.x.v1.Spec"),
      },
    },
  ],
  ["io.k8s.api.x.v1.Part", { properties: { tags: { type: "array", "x-kubernetes-patch-strategy": "merge" } } }],
  [
    "io.k8s.api.x.v1.Dull",
    {
      properties: { metadata: { type: "object" } },
      "x-kubernetes-group-version-kind": [{ group: "x", version: "v1", kind: "Dull" }],
    },
  ],
]);

it("writes down what is special, the way to it, and nothing else", () => {
  const lines = patchKeysText(schemas).split("\n");
  expect(lines.filter((line) => line.startsWith("  "))).toEqual([
    '  "x/v1/Thing": "x.v1.Thing",',
    '  "x.v1.Part": { tags: { strategy: "merge" } },',
    '  "x.v1.Spec": { parts: { strategy: "merge", mergeKey: "name", retainKeys: true, type: "x.v1.Part" } },',
    '  "x.v1.Thing": { spec: { type: "x.v1.Spec" } },',
  ]);
});

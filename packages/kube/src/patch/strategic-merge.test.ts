import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { patchSchemaOf, type PatchSchema } from "./patch-schema.ts";
import { createStrategicMergePatch, createThreeWayStrategicMergePatch } from "./strategic-diff.ts";
import { applyStrategicMergePatch } from "./strategic-merge.ts";

function schemaOf(group: string, kind: string): PatchSchema {
  const schema = patchSchemaOf({ group, version: "v1", kind });
  if (!schema) throw new Error(`no schema of ${kind}`);
  return schema;
}
const podSchema = schemaOf("", "Pod");

const pod = {
  metadata: { name: "p", finalizers: ["a", "b"] },
  spec: {
    containers: [
      {
        name: "web",
        image: "web:1",
        env: [
          { name: "A", value: "1" },
          { name: "B", value: "2" },
        ],
      },
      { name: "side", image: "side:1" },
    ],
    volumes: [{ name: "v", emptyDir: {} }],
    tolerations: [{ key: "gpu" }],
  },
};
const apply = (patch: unknown): typeof pod => applyStrategicMergePatch(podSchema, pod, patch);

describe("applyStrategicMergePatch", () => {
  it("merges the elements of a list by their key, and puts new ones behind", () => {
    const patched = apply({
      spec: {
        containers: [
          { name: "new", image: "n:1" },
          { name: "web", image: "web:2" },
        ],
      },
    });
    expect(patched.spec.containers.map(({ name, image }) => [name, image])).toEqual([
      ["new", "n:1"],
      ["web", "web:2"],
      ["side", "side:1"],
    ]);
    expect(pod.spec.containers[0]?.image).toBe("web:1");
  });

  it("replaces lists that have no key", () => {
    expect(apply({ spec: { tolerations: [{ operator: "Exists" }] } }).spec.tolerations).toEqual([
      { operator: "Exists" },
    ]);
  });

  it.each([
    ["$patch: delete of an element", { containers: [{ name: "side", $patch: "delete" }] }, ["web"]],
    ["$patch: replace of a list", { containers: [{ name: "only" }, { $patch: "replace" }] }, ["only"]],
    ["$setElementOrder", { "$setElementOrder/containers": [{ name: "side" }, { name: "web" }] }, ["side", "web"]],
  ])("carries out %s", (_, spec, names) => {
    expect(apply({ spec }).spec.containers.map(({ name }) => name)).toEqual(names);
  });

  it("carries out $retainKeys, $deleteFromPrimitiveList and $patch: delete of an object", () => {
    const patched = apply({
      metadata: { "$deleteFromPrimitiveList/finalizers": ["a"], finalizers: ["c"] },
      spec: { volumes: [{ name: "v", $retainKeys: ["name", "configMap"], configMap: { name: "c" } }] },
    });
    expect(patched.metadata.finalizers).toEqual(["c", "b"]);
    expect(patched.spec.volumes).toEqual([{ name: "v", configMap: { name: "c" } }]);
    expect(apply({ spec: { $patch: "delete" } }).spec).toEqual({});
  });

  it.each([
    [{ spec: { containers: [{ image: "nameless" }] } }, "does not contain declared merge key: name"],
    [{ spec: { containers: ["web"] } }, "list element types are not identical"],
    [{ spec: { containers: [{ name: "web", $patch: "what" }] } }, "unknown patch type"],
    [{ spec: { containers: [{ name: "web", $patch: "merge" }] } }, "merging lists cannot yet be specified"],
    [
      { spec: { "$setElementOrder/containers": [{ name: "side" }], containers: [{ name: "web" }] } },
      "The order in patch",
    ],
    [{ spec: { "$setElementOrder/tolerations": [{ key: "gpu" }] } }, "without merge key"],
    [{ spec: { volumes: [{ name: "v", $retainKeys: ["name"], configMap: {} }] } }, "retainKeys"],
    [{ metadata: { finalizers: [["x"]] } }, "lists of lists"],
    ["text", "is an object"],
  ])("refuses %j", (patch, reason) => {
    expect(() => apply(patch)).toThrow(
      expect.objectContaining({ code: "FW_PATCH", message: expect.stringContaining(reason) }),
    );
  });

  it("knows the built-in kinds alone", () => {
    expect(patchSchemaOf({ group: "apps", version: "v1", kind: "Deployment" })).toBeDefined();
    expect(
      patchSchemaOf({ group: "fleetwright.dev", version: "v1alpha1", kind: "BizGroupResourceQuota" }),
    ).toBeUndefined();
    expect(patchSchemaOf({ group: "", version: "v1", kind: "constructor" })).toBeUndefined();
  });
});

const named = <T>(value: fc.Arbitrary<T>) =>
  fc.uniqueArray(fc.record({ name: fc.constantFrom("a", "b", "c", "d"), value }), { selector: ({ name }) => name });
const anyPod = fc.record(
  {
    metadata: fc.record({
      finalizers: fc.uniqueArray(fc.constantFrom("x", "y", "z"), { minLength: 1 }),
      labels: fc.dictionary(fc.constantFrom("l", "m"), fc.constantFrom("1", "2")),
    }),
    spec: fc.record(
      {
        containers: fc.uniqueArray(
          fc.record(
            {
              name: fc.constantFrom("p", "q", "r"),
              image: fc.constantFrom("1", "2"),
              env: named(fc.constantFrom("1", "2")),
            },
            { requiredKeys: ["name", "image"] },
          ),
          { minLength: 1, selector: ({ name }) => name },
        ),
        volumes: fc.uniqueArray(
          fc.oneof(
            fc.record({ name: fc.constantFrom("v", "w"), emptyDir: fc.record({ medium: fc.constantFrom("a", "b") }) }),
            fc.record({ name: fc.constantFrom("v", "w"), hostPath: fc.record({ path: fc.constantFrom("a", "b") }) }),
          ),
          { minLength: 1, selector: ({ name }) => name },
        ),
        tolerations: fc.array(fc.record({ key: fc.constantFrom("t", "u") }), { maxLength: 3 }),
      },
      { requiredKeys: ["containers"] },
    ),
  },
  { requiredKeys: ["spec"] },
);

describe("createStrategicMergePatch", () => {
  it("makes patches that lead from any object to any other", () => {
    fc.assert(
      fc.property(anyPod, anyPod, (original, modified) => {
        const patch = createStrategicMergePatch(podSchema, original, modified);
        expect(applyStrategicMergePatch<object>(podSchema, original, patch)).toEqual(modified);
        expect(createStrategicMergePatch(podSchema, modified, modified)).toEqual({});
      }),
      { numRuns: 500 },
    );
  });

  it("says what kubectl says", () => {
    const [web] = pod.spec.containers;
    const modified = { ...pod, spec: { ...pod.spec, containers: [{ ...web, env: [{ name: "B", value: "9" }] }] } };
    expect(createStrategicMergePatch(podSchema, pod, modified)).toEqual({
      spec: {
        "$setElementOrder/containers": [{ name: "web" }],
        containers: [
          {
            name: "web",
            "$setElementOrder/env": [{ name: "B" }],
            env: [
              { name: "B", value: "9" },
              { name: "A", $patch: "delete" },
            ],
          },
          { name: "side", $patch: "delete" },
        ],
      },
    });
  });
});

describe("createThreeWayStrategicMergePatch", () => {
  it("leaves the containers that others added, and deletes those that we no longer name", () => {
    const original = {
      spec: {
        containers: [
          { name: "web", image: "1" },
          { name: "old", image: "1" },
        ],
      },
    };
    const modified = { spec: { containers: [{ name: "web", image: "2" }] } };
    const current = { spec: { containers: [...original.spec.containers, { name: "injected", image: "1" }] } };
    const patch = createThreeWayStrategicMergePatch(podSchema, original, modified, current);
    expect(applyStrategicMergePatch<object>(podSchema, current, patch)).toEqual({
      spec: {
        containers: [
          { name: "web", image: "2" },
          { name: "injected", image: "1" },
        ],
      },
    });
  });

  it("is the two-way patch when nobody else touched the object", () => {
    fc.assert(
      fc.property(anyPod, anyPod, (original, modified) => {
        const patch = createThreeWayStrategicMergePatch(podSchema, original, modified, original);
        expect(applyStrategicMergePatch<object>(podSchema, original, patch)).toEqual(modified);
      }),
      { numRuns: 300 },
    );
  });
});

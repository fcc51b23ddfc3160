import type { ObjectMeta } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { keepMetadata, validateMetadata, validateMetadataUpdate } from "./metadata.ts";
import { labelName } from "./name-checks.ts";

const stored: ObjectMeta = {
  name: "a",
  namespace: "default",
  uid: "u",
  resourceVersion: "5",
  generation: 2,
  creationTimestamp: "2026-01-01T00:00:00Z",
  finalizers: ["example.com/old"],
};
const texts = (errors: readonly { readonly field: string; readonly message: string }[]): string[] =>
  errors.map(({ field, message }) => `${field}: ${message}`);

describe("metadata in updates", () => {
  it.each<[string, Partial<ObjectMeta>, string[]]>([
    ["nothing changed", {}, []],
    [
      "no resourceVersion",
      { resourceVersion: "" },
      ['metadata.resourceVersion: Invalid value: "": must be specified for an update'],
    ],
    ["an older generation", { generation: 1 }, ["metadata.generation: Invalid value: 1: must not be decremented"]],
    ["another name", { name: "b" }, ['metadata.name: Invalid value: "b": field is immutable']],
    [
      "another time of creation",
      { creationTimestamp: null },
      ["metadata.creationTimestamp: Invalid value: null: field is immutable"],
    ],
    [
      "deleted by hand",
      { deletionTimestamp: "2026-01-02T00:00:00Z", deletionGracePeriodSeconds: 0 },
      [
        'metadata.deletionTimestamp: Invalid value: "2026-01-02T00:00:00Z": field is immutable',
        "metadata.deletionGracePeriodSeconds: Invalid value: 0: field is immutable",
      ],
    ],
    [
      "a field manager that cannot be printed",
      { managedFields: [{ manager: "a\u0000", operation: "Update" }] },
      ['metadata.managedFields[0].manager: Invalid value: "a\\x00": invalid character U+0000 (at position 1)'],
    ],
  ])("%s", (_, change, problems) => {
    expect(texts(validateMetadataUpdate({ metadata: { ...stored, ...change } }, { metadata: stored }))).toEqual(
      problems,
    );
  });

  it("takes finalizers away from what is being deleted, and adds none", () => {
    const deleted = { ...stored, deletionTimestamp: "2026-01-02T00:00:00Z" };
    const update = (finalizers: string[]): string[] =>
      texts(validateMetadataUpdate({ metadata: { ...deleted, finalizers } }, { metadata: deleted }));
    expect(update([])).toEqual([]);
    expect(update(["example.com/old", "b.c/d", "a.b/c"])).toEqual([
      'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a.b/c", "b.c/d"}',
    ]);
  });
});

describe("metadata at creation", () => {
  it("has no namespace where the kind has none", () => {
    const metadata = { name: "a", namespace: "default" };
    expect(texts(validateMetadata({ metadata }, { namespaced: false, nameProblems: labelName }))).toEqual([
      "metadata.namespace: Forbidden: not allowed on this type",
    ]);
  });

  it("lets a custom resource have a finalizer without a domain", () => {
    const object = { metadata: { name: "a", namespace: "default", finalizers: ["mine"] } };
    expect(validateMetadata(object, { namespaced: true, custom: true })).toEqual([]);
    expect(texts(validateMetadata(object, { namespaced: true }))).toEqual([
      'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified',
    ]);
  });
});

it("an update of a status keeps the metadata that its kind protects", () => {
  const metadata = { name: "a", labels: { changed: "yes" }, annotations: { kept: "no" } };
  keepMetadata(metadata, { name: "a", labels: { old: "yes" } });
  expect(metadata).toEqual({ name: "a", labels: { old: "yes" } });
});

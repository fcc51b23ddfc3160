import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { copyJson, isDraft, type Draft } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { StatusError } from "../machinery/status-error.ts";
import { applyPatch, updateManagedFields } from "./managed-fields.ts";

const text: Schema = { type: "string" };
const texts: Schema = { type: "object", additionalProperties: text };
const metadata: Schema = {
  type: "object",
  properties: {
    name: text,
    labels: texts,
    annotations: texts,
    finalizers: { type: "array", items: text, "x-kubernetes-list-type": "set" },
    managedFields: { type: "array", items: { type: "object" } },
  },
  default: {},
};
/** A built-in kind in small: its empty object has the structs. */
const workload: Schema = {
  id: "io.k8s.api.test.v1.Workload",
  type: "object",
  properties: {
    apiVersion: text,
    kind: text,
    metadata,
    spec: {
      type: "object",
      default: {},
      required: ["containers"],
      properties: {
        replicas: { type: "integer" },
        selector: { type: "object", properties: { matchLabels: texts }, "x-kubernetes-map-type": "atomic" },
        containers: {
          type: "array",
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["name"],
          items: {
            type: "object",
            properties: {
              name: text,
              image: text,
              args: { type: "array", items: text },
              ports: {
                type: "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["port", "protocol"],
                items: {
                  type: "object",
                  properties: { port: { type: "integer" }, protocol: { ...text, default: "TCP" } },
                },
              },
            },
          },
        },
      },
    },
    status: { type: "object", default: {}, properties: { ready: { type: "integer" } } },
  },
};
const apiVersion = "test.example/v1";
const object = (spec: Draft, more: Draft = {}): Draft => ({
  apiVersion,
  kind: "Workload",
  metadata: { name: "w", ...more },
  spec,
});
const base = { schema: workload, apiVersion, subresource: "", nowMs: 0 };

function metadataOf(from: Draft): Draft {
  if (!isDraft(from["metadata"])) throw new Error("no metadata");
  return from["metadata"];
}

/** Managers as `name operation/subresource` with their fields. */
function owners(from: Draft): Record<string, unknown> {
  const entries = metadataOf(from)["managedFields"] ?? [];
  if (!Array.isArray(entries)) throw new Error("no list");
  return Object.fromEntries(
    entries.map((entry) => {
      if (!isDraft(entry)) throw new Error("no entry");
      const { manager, operation, subresource, fieldsV1 } = entry;
      const parts = [manager, operation, subresource].filter((part) => typeof part === "string");
      return [parts.join(" "), fieldsV1];
    }),
  );
}

function written(live: Draft | undefined, next: Draft, manager: string, subresource = ""): Draft {
  const stored = copyJson(next);
  if (live !== undefined) metadataOf(stored)["managedFields"] ??= copyJson(metadataOf(live)["managedFields"]);
  updateManagedFields({ ...base, live, object: stored, manager, subresource, operation: "Update" });
  return stored;
}

const applied = (live: Draft | undefined, patch: Draft, manager: string, force = false, more = {}): Draft =>
  applyPatch({ ...base, live, patch, manager, force, ...more });

function refusal(run: () => unknown): StatusError {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError) return error;
    throw error;
  }
  throw new Error("not refused");
}

describe("updateManagedFields", () => {
  it("gives the creator what it set, without the structs that every object has", () => {
    const created = written(
      undefined,
      object({ replicas: 1, containers: [{ name: "c", image: "i", args: ["x"], ports: [{ port: 80 }] }] }),
      "creator",
    );
    expect(owners(created)).toEqual({
      "creator Update": {
        "f:spec": {
          "f:containers": {
            'k:{"name":"c"}': {
              ".": {},
              "f:args": {},
              "f:image": {},
              "f:name": {},
              "f:ports": { ".": {}, 'k:{"port":80,"protocol":"TCP"}': { ".": {}, "f:port": {} } },
            },
          },
          "f:replicas": {},
        },
      },
    });
    expect(metadataOf(created)["managedFields"]).toMatchObject([
      { apiVersion, fieldsType: "FieldsV1", time: "1970-01-01T00:00:00Z" },
    ]);
  });

  it("moves fields to who changes them and leaves the time of the others", () => {
    const created = written(undefined, object({ replicas: 1 }), "creator");
    const scaled = copyJson(created);
    scaled["spec"] = { replicas: 2 };
    updateManagedFields({
      ...base,
      nowMs: 5000,
      live: created,
      object: scaled,
      manager: "scaler",
      operation: "Update",
    });
    expect(owners(scaled)).toEqual({ "scaler Update": { "f:spec": { "f:replicas": {} } } });
    const same = copyJson(scaled);
    updateManagedFields({ ...base, nowMs: 9000, live: scaled, object: same, manager: "scaler", operation: "Update" });
    expect(same).toEqual(scaled);
  });

  it("keeps status and object apart", () => {
    const created = written(undefined, { ...object({ replicas: 1 }), status: { ready: 1 } }, "creator");
    expect(owners(created)).toEqual({ "creator Update": { "f:spec": { "f:replicas": {} } } });
    const reported = written(
      created,
      { ...copyJson(created), status: { ready: 2 }, spec: { replicas: 9 } },
      "agent",
      "status",
    );
    expect(owners(reported)).toMatchObject({ "agent Update status": { "f:status": { "f:ready": {} } } });
  });

  it("is reset by managedFields [{}], and starts again with the first apply", () => {
    const created = written(undefined, object({ replicas: 1 }), "creator");
    const reset = written(created, object({ replicas: 1 }, { managedFields: [{}] }), "someone");
    expect(metadataOf(reset)["managedFields"]).toBeUndefined();
    const changed = written(reset, object({ replicas: 2 }), "someone");
    expect(metadataOf(changed)["managedFields"]).toBeUndefined();
    const error = refusal(() => applied(changed, object({ replicas: 3 }), "a"));
    expect(error.message).toBe(
      `Apply failed with 1 conflict: conflict with "before-first-apply" using ${apiVersion}: .spec.replicas`,
    );
  });

  it("takes managedFields that a client sends, but none that it cannot read", () => {
    const created = written(undefined, object({ replicas: 1 }), "creator");
    const entry = {
      manager: "x",
      operation: "Update",
      apiVersion,
      fieldsType: "FieldsV1",
      fieldsV1: { "f:spec": { "f:replicas": {} } },
    };
    const renamed = written(created, object({ replicas: 1 }, { managedFields: [entry] }), "someone");
    expect(owners(renamed)).toEqual({ "x Update": { "f:spec": { "f:replicas": {} } } });
    const garbled = written(
      created,
      object({ replicas: 1 }, { managedFields: [{ ...entry, fieldsType: "?" }] }),
      "someone",
    );
    expect(owners(garbled)).toEqual(owners(created));
  });

  it("keeps ten updaters and folds the oldest", () => {
    let live = written(undefined, object({ replicas: 1 }), "creator");
    for (let index = 0; index < 14; index++) {
      const next = copyJson(live);
      metadataOf(next)["labels"] = { ...(metadataOf(live)["labels"] as Draft | undefined), [`l${index}`]: "x" };
      updateManagedFields({
        ...base,
        nowMs: (index + 1) * 1000,
        live,
        object: next,
        manager: `u${index}`,
        operation: "Update",
      });
      live = next;
    }
    const names = Object.keys(owners(live));
    expect(names).toHaveLength(10);
    expect(names[0]).toBe("ancient-changes Update");
    expect(names.at(-1)).toBe("u13 Update");
  });
});

describe("applyPatch", () => {
  const config = object(
    { replicas: 3, containers: [{ name: "c", image: "i", ports: [{ port: 80 }] }] },
    { labels: { a: "b" } },
  );

  it("creates with what was applied as the applier's", () => {
    const created = applied(undefined, config, "a");
    expect(created["spec"]).toEqual(config["spec"]);
    expect(owners(created)).toEqual({
      "a Apply": {
        "f:metadata": { "f:labels": { "f:a": {} } },
        "f:spec": {
          "f:containers": {
            'k:{"name":"c"}': {
              ".": {},
              "f:image": {},
              "f:name": {},
              "f:ports": { 'k:{"port":80,"protocol":"TCP"}': { ".": {}, "f:port": {} } },
            },
          },
          "f:replicas": {},
        },
      },
    });
  });

  it("says who owns what it would change, and takes it by force", () => {
    const live = written(written(undefined, object({ replicas: 1 }), "one"), object({ replicas: 2 }), "two");
    const error = refusal(() => applied(live, object({ replicas: 3 }), "a"));
    expect(error.status).toEqual({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: `Apply failed with 1 conflict: conflict with "two" using ${apiVersion}: .spec.replicas`,
      reason: "Conflict",
      details: {
        causes: [
          {
            reason: "FieldManagerConflict",
            message: `conflict with "two" using ${apiVersion}`,
            field: ".spec.replicas",
          },
        ],
      },
      code: 409,
    });
    expect(Object.keys(owners(applied(live, object({ replicas: 3 }), "a", true)))).toEqual(["a Apply"]);
  });

  it("shares what is equal and removes what nobody applies any more", () => {
    const first = applied(
      undefined,
      object({ replicas: 3, selector: { matchLabels: { a: "b" } } }, { labels: { x: "1", y: "2" } }),
      "a",
    );
    const shared = applied(first, object({}, { labels: { y: "2" } }), "b");
    const less = applied(shared, object({ replicas: 3 }), "a");
    expect(less["spec"]).toEqual({ replicas: 3 });
    expect(metadataOf(less)["labels"]).toEqual({ y: "2" });
    expect(Object.keys(owners(less))).toEqual(["a Apply", "b Apply"]);
  });

  it("keeps items and order of others in lists with keys", () => {
    const first = applied(undefined, object({ containers: [{ name: "a" }, { name: "b" }] }), "one");
    const second = applied(first, object({ containers: [{ name: "c" }, { name: "b", image: "x" }] }), "two");
    expect(second["spec"]).toEqual({ containers: [{ name: "a" }, { name: "c" }, { name: "b", image: "x" }] });
    expect(applied(second, object({ containers: [{ name: "b" }] }), "one")["spec"]).toEqual({
      containers: [{ name: "c" }, { name: "b", image: "x" }],
    });
  });

  it("refuses what does not fit the schema in upstream's words", () => {
    const message = (patch: Draft) => refusal(() => applied(undefined, patch, "a")).message;
    const start = "failed to create typed patch object (/w; test.example/v1, Kind=Workload): ";
    expect(message(object({ foo: 1 }))).toBe(`${start}.spec.foo: field not declared in schema`);
    expect(message(object({ replicas: "1" }))).toBe(
      `${start}.spec.replicas: expected numeric (int or float), got string`,
    );
    expect(message(object({ containers: [{ name: "c" }, { name: "c" }] }))).toBe(
      `${start}.spec.containers: duplicate entries for key [name="c"]`,
    );
    expect(message({ ...config, metadata: { managedFields: [] } })).toBe("metadata.managedFields must be nil");
  });

  it("goes over from client-side apply without conflicts where the annotation says so", () => {
    const key = "kubectl.kubernetes.io/last-applied-configuration";
    const sent = object({ replicas: 1 });
    const live = written(
      undefined,
      object({ replicas: 1 }, { annotations: { [key]: JSON.stringify(sent) } }),
      "kubectl-client-side-apply",
    );
    const now = applied(live, object({ replicas: 2 }), "kubectl");
    expect(now["spec"]).toEqual({ replicas: 2 });
    expect(metadataOf(now)["annotations"]).toEqual({
      [key]: '{"apiVersion":"test.example/v1","kind":"Workload","metadata":{"name":"w"},"spec":{"replicas":2}}\n',
    });
    expect(refusal(() => applied(live, object({ replicas: 2 }), "other")).code).toBe(409);
  });

  it("changes nothing when it is repeated", () => {
    const value = fc.record(
      {
        replicas: fc.integer({ min: 0, max: 3 }),
        containers: fc.uniqueArray(
          fc.record({ name: fc.constantFrom("a", "b", "c"), image: fc.constantFrom("x", "y") }),
          { selector: ({ name }) => name },
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(value, value, value, (one, two, three) => {
        const start = written(undefined, object(one as Draft), "creator");
        const other = applied(start, object(two as Draft), "b", true);
        const once = applied(other, object(three as Draft), "a", true);
        expect(applied(once, object(three as Draft), "a", false, { nowMs: 77_000 })).toEqual(once);
      }),
    );
  });

  it("follows managers of other versions, and forgets those of versions that are gone", () => {
    const live = written(undefined, object({ replicas: 1 }), "creator");
    const entries = metadataOf(live)["managedFields"];
    if (!Array.isArray(entries) || !isDraft(entries[0])) throw new Error("no entries");
    const old = {
      ...copyJson(live),
      metadata: { name: "w", managedFields: [{ ...entries[0], apiVersion: "test.example/v0" }] },
    };
    const convert = (from: Draft, version: string) =>
      version === "test.example/v0" ? { object: { ...from, apiVersion: version }, schema: workload } : undefined;
    expect(refusal(() => applied(old, object({ replicas: 2 }), "a", false, { convert })).message).toContain(
      "using test.example/v0",
    );
    const gone = applied(old, object({ replicas: 2 }), "a", false, { convert: () => undefined });
    expect(Object.keys(owners(gone))).toEqual(["a Apply"]);
  });
});

import { describe, expect, it } from "vitest";
import type { Draft } from "../machinery/draft.ts";
import { parentManagers, scaleManagers } from "./scale-managers.ts";

const paths = { "apps/v1": ["spec", "replicas"], "old/v1": null };

const entry = (manager: string, fields: Draft, more: Draft = {}): Draft => ({
  manager,
  operation: "Update",
  apiVersion: "apps/v1",
  time: "2026-01-01T00:00:00Z",
  fieldsType: "FieldsV1",
  fieldsV1: fields,
  ...more,
});
const replicas = { "f:spec": { "f:replicas": {} } };
const scale = (manager: string, operation: string): Draft =>
  entry(manager, replicas, { operation, apiVersion: "autoscaling/v1", subresource: "scale" });

describe("owners of a scale", () => {
  it("are those of the object's replicas", () => {
    const entries = [
      entry("creator", { "f:spec": { "f:replicas": {}, "f:paused": {} } }),
      entry("other", { "f:spec": { "f:paused": {} } }),
      entry("nowhere", replicas, { apiVersion: "old/v1" }),
    ];
    expect(scaleManagers(entries, paths)).toEqual([entry("creator", replicas, { apiVersion: "autoscaling/v1" })]);
  });

  it("take the replicas from who had them, and keep them in the object's version", () => {
    const entries = [
      entry("creator", { "f:spec": { "f:replicas": {}, "f:paused": {} } }),
      entry("only", replicas),
      entry("gone", replicas, { apiVersion: "apps/v9" }),
    ];
    expect(parentManagers(entries, [scale("scaler", "Apply")], "apps/v1", paths)).toEqual([
      { ...entry("scaler", replicas, { operation: "Apply", subresource: "scale" }), time: undefined },
      entry("creator", { "f:spec": { "f:paused": {} } }),
    ]);
  });

  it("that applied before keep their time", () => {
    const own = entry("scaler", replicas, { operation: "Apply", subresource: "scale" });
    expect(parentManagers([own], [scale("scaler", "Apply")], "apps/v1", paths)).toEqual([own]);
  });
});

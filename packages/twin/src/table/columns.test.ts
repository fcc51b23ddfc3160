import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Draft } from "../machinery/draft.ts";
import { describe, expect, it } from "vitest";
import { columnsOf } from "./columns.ts";
import { renderTable } from "./render-table.ts";

/** What kube-apiserver 1.36.3 answered for objects, as tables and as they are. */
const recorded = JSON.parse(readFileSync(join(import.meta.dirname, "testdata/tables.json"), "utf8")) as {
  readonly group: string;
  readonly kind: string;
  readonly nowMs: number;
  readonly columns: readonly (readonly [string, string, string, number])[];
  readonly rows: readonly {
    readonly cells: readonly unknown[];
    readonly conditions?: unknown;
    readonly object: Draft;
  }[];
}[];

describe("columns and cells are the real server's", () => {
  it.each(recorded.map((table) => [`${table.group}/${table.kind}`, table] as const))("of %s", (_, table) => {
    const { group, kind, nowMs } = table;
    const columns = columnsOf(group, kind);
    expect(columns.map(({ name, type, format, priority }) => [name, type, format, priority])).toEqual(table.columns);
    const objects = table.rows.map(({ object }) => object);
    const rendered = renderTable({ kind: { group, kind, columns }, objects, includeObject: "None", nowMs });
    expect(rendered["rows"]).toEqual(
      table.rows.map(({ cells, conditions }) => ({
        cells,
        ...(conditions === undefined ? {} : { conditions }),
        object: null,
      })),
    );
  });
});

describe("a table", () => {
  const kind = { group: "", kind: "ConfigMap", columns: columnsOf("", "ConfigMap") };
  const object = { kind: "ConfigMap", apiVersion: "v1", metadata: { name: "a" }, data: { b: "c" } };
  const rowsOf = (includeObject: "None" | "Metadata" | "Object") =>
    renderTable({ kind, objects: [object], includeObject, nowMs: 0 })["rows"];

  it("has of each object what was asked for", () => {
    const cells = ["a", 1, "<unknown>"];
    expect(rowsOf("None")).toEqual([{ cells, object: null }]);
    const metadata = { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: { name: "a" } };
    expect(rowsOf("Metadata")).toEqual([{ cells, object: metadata }]);
    expect(rowsOf("Object")).toEqual([{ cells, object }]);
  });

  it("leaves out the columns when they are known already, and says the list's revision", () => {
    const listMetadata = { resourceVersion: "7" };
    const table = renderTable({ kind, objects: [], includeObject: "None", nowMs: 0, noHeaders: true, listMetadata });
    expect(table).toEqual({
      kind: "Table",
      apiVersion: "meta.k8s.io/v1",
      metadata: listMetadata,
      columnDefinitions: null,
      rows: [],
    });
  });

  it("of a kind without columns has name and time of creation", () => {
    const creationTimestamp = "2026-01-02T03:04:05Z";
    const roles = {
      group: "rbac.authorization.k8s.io",
      kind: "Role",
      columns: columnsOf("rbac.authorization.k8s.io", "Role"),
    };
    const objects = [{ metadata: { name: "r", creationTimestamp } }];
    expect(renderTable({ kind: roles, objects, includeObject: "None", nowMs: 0 })["rows"]).toEqual([
      { cells: ["r", creationTimestamp], object: null },
    ]);
  });
});

import type { Json } from "@fleetwright/kube";
import type { TableColumn } from "../machinery/kind.ts";
import { since } from "./cells.ts";
import { nameColumn } from "./column.ts";
import { type JsonPath, parseJsonPath } from "./json-path.ts";

/** `CustomResourceColumnDefinition`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: string;
  readonly format?: string;
  readonly description?: string;
  readonly priority?: number;
  readonly jsonPath: string;
}

const types = ["string", "integer", "number", "boolean", "date"] as const;

/**
 * The columns that a CustomResourceDefinition's version names, after the name; without any, the age:
 * k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor.
 */
export function columnsOfPrinterColumns(columns: readonly PrinterColumn[] | undefined): readonly TableColumn[] {
  const defined = columns === undefined || columns.length === 0 ? [age] : columns;
  return [nameColumn, ...defined.map(columnOf)];
}

const age: PrinterColumn = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };

function columnOf({ name, type, format = "", description = "", priority = 0, jsonPath }: PrinterColumn): TableColumn {
  const path = parseJsonPath(jsonPath);
  return {
    name,
    type: types.find((known) => known === type) ?? "string",
    format,
    description: description || `Custom resource definition column (in JSONPath format): ${jsonPath}`,
    priority,
    cell: (object, nowMs) => cellOf(path, object as Json, type, nowMs),
  };
}

/** The first value that the path finds, if it is of the column's type. */
function cellOf(
  path: JsonPath | undefined,
  object: Json,
  type: string,
  nowMs: number,
): string | number | boolean | null {
  const value = path?.(object)[0];
  if (value === undefined) return null;
  switch (type) {
    case "string":
      return textOf(value);
    case "integer":
      return typeof value === "number" ? Math.trunc(value) : null;
    case "number":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "date":
      return typeof value !== "string" ? null : Number.isNaN(Date.parse(value)) ? "<invalid>" : since(value, nowMs);
    default:
      return null;
  }
}

/** As Go's JSONPath prints a value. */
function textOf(value: Json): string {
  if (typeof value === "string") return value;
  return value === null ? "" : JSON.stringify(value);
}

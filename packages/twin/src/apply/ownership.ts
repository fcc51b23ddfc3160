import { isDraft, type Draft } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { compareValues, type Comparison } from "./compare.ts";
import {
  differenceOf,
  fieldSetOf,
  intersectionOf,
  isEmptySet,
  unionOf,
  withoutTrees,
  type FieldSet,
} from "./field-set.ts";
import { dropEmpty, withFields, type Managers } from "./managers.ts";
import { shapeOf } from "./shape.ts";
import { reconcileFields } from "./typed-value.ts";

/** The object in another version of its kind; undefined when that version is not served any more. */
export type ConvertToVersion = (
  object: Draft,
  apiVersion: string,
) => { readonly object: Draft; readonly schema: Schema } | undefined;

/** How the objects of one request are seen. */
export interface Versions {
  readonly schema: Schema;
  readonly apiVersion: string;
  readonly convert: ConvertToVersion | undefined;
  /** Fields that the endpoint does not take. */
  readonly reset: FieldSet;
}

/** A value as a version has it; undefined when there is no such version. */
export function inVersion(
  versions: Versions,
  object: Draft,
  apiVersion: string,
): { readonly object: Draft; readonly schema: Schema } | undefined {
  if (apiVersion === versions.apiVersion || versions.convert === undefined) return { object, schema: versions.schema };
  return versions.convert(object, apiVersion);
}

const withoutReset = (comparison: Comparison, reset: FieldSet): Comparison => ({
  added: withoutTrees(comparison.added, reset),
  modified: withoutTrees(comparison.modified, reset),
  removed: withoutTrees(comparison.removed, reset),
});

/** Fields that managers own and that a write would change. */
export interface Clash {
  readonly id: string;
  readonly fields: FieldSet;
}

/**
 * Takes what has changed away from everybody but the writer (structured-merge-diff/v6/merge/update.go). Without `force`
 * nothing is taken from anybody as long as there are clashes, which are returned.
 */
export function takeChanges(
  versions: Versions,
  before: Draft,
  after: Draft,
  managers: Managers,
  writer: string,
  force: boolean,
): { readonly comparison: Comparison; readonly clashes: readonly Clash[] } {
  const comparison = withoutReset(compareValues(shapeOf(versions.schema), before, after), versions.reset);
  const comparisons = new Map<string, Comparison | undefined>([[versions.apiVersion, comparison]]);
  const comparisonIn = (apiVersion: string): Comparison | undefined => {
    if (comparisons.has(apiVersion)) return comparisons.get(apiVersion);
    const old = inVersion(versions, before, apiVersion);
    const now = inVersion(versions, after, apiVersion);
    const made =
      old === undefined || now === undefined
        ? undefined
        : withoutReset(compareValues(shapeOf(now.schema), old.object, now.object), versions.reset);
    comparisons.set(apiVersion, made);
    return made;
  };
  const clashes: Clash[] = [];
  const removed = new Map<string, FieldSet>();
  for (const [id, manager] of managers) {
    if (id === writer) continue;
    const change = comparisonIn(manager.apiVersion);
    if (change === undefined) {
      managers.delete(id);
      continue;
    }
    const clash = unionOf(
      intersectionOf(manager.fields, change.modified),
      intersectionOf(manager.fields, change.added),
    );
    if (!isEmptySet(clash)) clashes.push({ id, fields: clash });
    if (!isEmptySet(change.removed)) removed.set(id, change.removed);
  }
  if (!force && clashes.length > 0) return { comparison, clashes };
  for (const { id, fields } of clashes) take(managers, id, fields);
  for (const [id, fields] of removed) take(managers, id, fields);
  dropEmpty(managers);
  return { comparison, clashes: [] };
}

function take(managers: Managers, id: string, fields: FieldSet): void {
  const manager = managers.get(id);
  if (manager === undefined || isEmptySet(intersectionOf(manager.fields, fields))) return;
  managers.set(id, withFields(manager, differenceOf(manager.fields, fields)));
}

/** Follows changes of a custom resource's schema between atomic and granular. Built-in kinds' never change. */
export function reconcileManagers(versions: Versions, live: Draft, managers: Managers): void {
  if (versions.schema.id !== undefined) return;
  for (const [id, manager] of managers) {
    const seen = inVersion(versions, live, manager.apiVersion);
    if (seen === undefined) continue;
    const fields = reconcileFields(shapeOf(seen.schema), manager.fields);
    if (fields !== manager.fields) managers.set(id, withFields(manager, fields));
  }
}

/** What nobody owns: who an object is, and what the server itself keeps (`stripmeta.go`). */
export const neverOwned = fieldSetOf([
  ["apiVersion"],
  ["kind"],
  ["metadata"],
  ...[
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
  ].map((name) => ["metadata", name]),
]);

export const ownable = (fields: FieldSet): FieldSet => differenceOf(fields, neverOwned);

const empties = new WeakMap<Schema, Draft>();

/**
 * What comparison at creation starts from. Go's zero value of a built-in kind has its structs, so they are not added
 * (`f:spec` has no `.`) while those of a custom resource are.
 */
export function emptyObject(schema: Schema): Draft {
  const known = empties.get(schema);
  if (known !== undefined) return known;
  const empty = schema.id === undefined ? {} : zeroValue(schema, 0);
  empties.set(schema, empty);
  return empty;
}

function zeroValue(schema: Schema, depth: number): Draft {
  const zero: Draft = {};
  // Structs cannot contain themselves in Go; the bound is for a schema that says so.
  if (depth > 20) return zero;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (property.type === "object" && isDraft(property.default)) zero[name] = zeroValue(property, depth + 1);
    else if (property.type === "array" && schema.required?.includes(name) === true) zero[name] = null;
  }
  return zero;
}

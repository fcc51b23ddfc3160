import { jsonEqual, type Json } from "@fleetwright/kube";
import { copyJson, isDraft, type Draft, type DraftValue } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";

const partOf = (schema: Schema | undefined, name: string): Schema | undefined =>
  schema?.properties !== undefined && Object.hasOwn(schema.properties, name)
    ? schema.properties[name]
    : typeof schema?.additionalProperties === "object"
      ? schema.additionalProperties
      : undefined;

const isAtomicList = (schema: Schema | undefined): boolean =>
  schema?.type === "array" && !["map", "set"].includes(schema["x-kubernetes-list-type"] ?? "atomic");

/**
 * Lists and objects of a patch that can only be replaced as a whole: a mutation must not set them, since it would take
 * away what it does not know of.
 */
export function atomicParts(schema: Schema | undefined, patch: DraftValue, path = ""): readonly string[] {
  if (Array.isArray(patch)) {
    const own = isAtomicList(schema) ? [path] : [];
    return [...own, ...patch.flatMap((item, at) => atomicParts(schema?.items, item, `${path}[${at}]`))];
  }
  if (!isDraft(patch)) return [];
  const own = schema?.["x-kubernetes-map-type"] === "atomic" ? [path] : [];
  return [
    ...own,
    ...Object.entries(patch).flatMap(([key, value]) => atomicParts(partOf(schema, key), value, `${path}.${key}`)),
  ];
}

/** Puts an apply configuration over an object, keyed lists item by item (structured-merge-diff's `Merge`). */
export function mergeConfiguration(schema: Schema | undefined, object: DraftValue, patch: DraftValue): DraftValue {
  if (Array.isArray(patch)) {
    if (!Array.isArray(object) || isAtomicList(schema)) return copyJson(patch);
    return mergeLists(schema, object, patch);
  }
  if (!isDraft(patch) || !isDraft(object) || schema?.["x-kubernetes-map-type"] === "atomic") return copyJson(patch);
  const merged = copyJson(object);
  for (const [key, value] of Object.entries(patch)) {
    const before = Object.hasOwn(merged, key) ? merged[key] : undefined;
    const after = before === undefined ? copyJson(value) : mergeConfiguration(partOf(schema, key), before, value);
    Object.defineProperty(merged, key, { value: after, enumerable: true, configurable: true, writable: true });
  }
  return merged;
}

function mergeLists(
  schema: Schema | undefined,
  list: readonly DraftValue[],
  patch: readonly DraftValue[],
): DraftValue[] {
  const keys = schema?.["x-kubernetes-list-map-keys"] ?? [];
  const keyOf = (item: DraftValue): string => {
    if (schema?.["x-kubernetes-list-type"] === "set" || !isDraft(item)) return JSON.stringify(item);
    return JSON.stringify(
      keys.map((key) => (Object.hasOwn(item, key) ? item[key] : (partOf(schema?.items, key)?.default ?? null))),
    );
  };
  // The patch says the order; items that only the list has stay before what they were before.
  const theirs = new Map(list.map((item) => [keyOf(item), item]));
  const wanted = new Set(patch.map(keyOf));
  const done = new Set<string>();
  const merged: DraftValue[] = [];
  const take = (item: DraftValue): void => {
    const key = keyOf(item);
    if (done.has(key)) return;
    done.add(key);
    const before = theirs.get(key);
    merged.push(before === undefined ? copyJson(item) : mergeConfiguration(schema?.items, before, item));
  };
  let next = 0;
  for (const item of list) {
    const key = keyOf(item);
    if (!wanted.has(key)) {
      merged.push(copyJson(item));
      continue;
    }
    while (!done.has(key) && next < patch.length) {
      take(patch[next] ?? null);
      next += 1;
    }
  }
  for (const item of patch.slice(next)) take(item);
  return merged;
}

/** Whether two objects are the same JSON. */
export const sameObject = (left: Draft, right: Draft): boolean =>
  jsonEqual(left as unknown as Json, right as unknown as Json);

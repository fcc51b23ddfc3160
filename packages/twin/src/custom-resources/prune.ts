import { isDraft, type Draft } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { additionalOf, propertyOf } from "./structural-schema.ts";

const isMetaField = (key: string): boolean => key === "apiVersion" || key === "kind" || key === "metadata";

/**
 * Takes away what the schema does not say, and answers the paths of what it took, sorted
 * (apiextensions-apiserver/pkg/apiserver/schema/pruning). `apiVersion`, `kind` and `metadata` of the root and of embedded
 * resources stay as they are.
 */
export function pruneUnknownFields(object: Draft, schema: Schema): string[] {
  const unknown: string[] = [];
  prune(object, { ...schema, "x-kubernetes-embedded-resource": true }, "", unknown);
  return unknown.toSorted();
}

const keyPath = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);

function prune(value: unknown, schema: Schema | undefined, path: string, unknown: string[]): void {
  const preserves = schema?.["x-kubernetes-preserve-unknown-fields"] === true;
  if (Array.isArray(value)) {
    for (const [index, item] of (value as unknown[]).entries()) {
      const below = schema?.items;
      // Items of a list whose fields are preserved are preserved too, unless their schema says something.
      if (preserves) prunePreserving(item, below, `${path}[${index}]`, unknown);
      else prune(item, below, `${path}[${index}]`, unknown);
    }
    return;
  }
  if (!isDraft(value)) return;
  if (preserves) {
    prunePreserving(value, schema, path, unknown);
    return;
  }
  for (const key of Object.keys(value)) {
    if (schema?.["x-kubernetes-embedded-resource"] === true && isMetaField(key)) continue;
    const property = propertyOf(schema, key);
    const values = schema?.additionalProperties;
    if (property !== undefined) prune(value[key], property, keyPath(path, key), unknown);
    else if (values !== undefined) {
      // `additionalProperties: true` keeps the keys, and nothing below them.
      prune(value[key], additionalOf(schema), keyPath(path, key), unknown);
    } else {
      unknown.push(keyPath(path, key));
      delete value[key];
    }
  }
}

function prunePreserving(value: unknown, schema: Schema | undefined, path: string, unknown: string[]): void {
  if (schema === undefined) return;
  if (Array.isArray(value)) {
    for (const [index, item] of (value as unknown[]).entries()) {
      prunePreserving(item, schema.items, `${path}[${index}]`, unknown);
    }
  } else if (isDraft(value)) {
    for (const key of Object.keys(value)) {
      if (schema["x-kubernetes-embedded-resource"] === true && isMetaField(key)) continue;
      const property = propertyOf(schema, key) ?? additionalOf(schema);
      if (property !== undefined) prune(value[key], property, keyPath(path, key), unknown);
    }
  }
}

import { isDraft, type Draft } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { additionalOf, propertyOf } from "./structural-schema.ts";

/** Items of sets and of lists with keys must differ (apiextensions-apiserver/pkg/apiserver/schema/listtype). */
export function listUniquenessErrors(value: unknown, schema: Schema | undefined, path = ""): FieldError[] {
  if (schema === undefined) return [];
  const errors: FieldError[] = [];
  if (Array.isArray(value)) {
    const items = value as unknown[];
    const listType = schema["x-kubernetes-list-type"];
    if (listType === "set") {
      for (const index of duplicates(items)) errors.push(fieldErrors.duplicate(`${path}[${index}]`, items[index]));
    } else if (listType === "map") errors.push(...keyErrors(items, schema["x-kubernetes-list-map-keys"] ?? [], path));
    for (const [index, item] of items.entries()) {
      errors.push(...listUniquenessErrors(item, schema.items, `${path}[${index}]`));
    }
  } else if (isDraft(value)) {
    const values = additionalOf(schema);
    for (const key of Object.keys(value)) {
      if (values !== undefined) errors.push(...listUniquenessErrors(value[key], values, `${path}[${key}]`));
      const property = propertyOf(schema, key);
      if (property !== undefined) {
        errors.push(...listUniquenessErrors(value[key], property, path === "" ? key : `${path}.${key}`));
      }
    }
  }
  return errors;
}

/** JSON with its keys in order, so that equal values have equal texts. */
function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join()}]`;
  if (isDraft(value)) {
    return `{${Object.keys(value)
      .toSorted()
      .map((key) => `${JSON.stringify(key)}:${canonicalText(value[key])}`)
      .join()}}`;
  }
  return JSON.stringify(value) ?? "null";
}

/** Indices where a value is seen for the second time. */
function duplicates(values: readonly unknown[]): number[] {
  const seen = new Map<string, number>();
  return [...values.keys()].filter((index) => {
    const text = canonicalText(values[index]);
    const times = (seen.get(text) ?? 0) + 1;
    seen.set(text, times);
    return times === 2;
  });
}

function keyErrors(items: readonly unknown[], keys: readonly string[], path: string): FieldError[] {
  for (const [index, item] of items.entries()) {
    if (item !== null && !isDraft(item)) {
      return [fieldErrors.invalid(`${path}[${index}]`, item, "must be an object for an array of list-type map")];
    }
  }
  const keyed = items.map((item): Draft => {
    const found: Draft = {};
    if (isDraft(item)) for (const key of keys) if (Object.hasOwn(item, key)) found[key] = item[key];
    return found;
  });
  return duplicates(keyed).map((index) => fieldErrors.duplicate(`${path}[${index}]`, keyed[index]));
}

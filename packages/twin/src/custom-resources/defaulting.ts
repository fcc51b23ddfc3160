import { setKey } from "../apply/set-key.ts";
import { copyJson, isDraft, type DraftValue } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { additionalOf, propertyOf } from "./structural-schema.ts";

const isForbiddenNull = (value: unknown, schema: Schema): boolean => value === null && schema.nullable !== true;

/** Takes away nulls where the schema allows none and has no default for them (defaulting/prunenulls.go). */
export function pruneForbiddenNulls(value: unknown, schema: Schema | undefined): void {
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) pruneForbiddenNulls(item, schema?.items);
  } else if (isDraft(value)) {
    for (const key of Object.keys(value)) {
      const child = propertyOf(schema, key) ?? additionalOf(schema);
      if (child !== undefined && isForbiddenNull(value[key], child) && child.default === undefined) delete value[key];
      else pruneForbiddenNulls(value[key], child);
    }
  }
}

/** Sets the schema's defaults where values are missing, or null where none may be (defaulting/algorithm.go). */
export function applyDefaults(value: unknown, schema: Schema | undefined): void {
  if (schema === undefined) return;
  const defaultOf = (from: Schema): DraftValue => copyJson(from.default) as DraftValue;
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items === undefined) return;
    const list = value as DraftValue[];
    for (const [index, item] of list.entries()) {
      if (isForbiddenNull(item, items)) list[index] = items.default === undefined ? null : defaultOf(items);
      applyDefaults(list[index], items);
    }
    return;
  }
  if (!isDraft(value)) return;
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    if (property.default === undefined || property.default === null) continue;
    if (!Object.hasOwn(value, key) || isForbiddenNull(value[key], property)) setKey(value, key, defaultOf(property));
  }
  const values = additionalOf(schema);
  for (const key of Object.keys(value)) {
    const property = propertyOf(schema, key);
    if (property !== undefined) applyDefaults(value[key], property);
    else if (values !== undefined) {
      if (isForbiddenNull(value[key], values))
        setKey(value, key, values.default === undefined ? null : defaultOf(values));
      applyDefaults(value[key], values);
    }
  }
}

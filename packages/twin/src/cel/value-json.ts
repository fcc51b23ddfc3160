import type { DraftValue } from "../machinery/draft.ts";
import { durationText, timestampText } from "./time-values.ts";
import { unescapedName } from "./property-names.ts";
import {
  DurationValue,
  EvaluationFailure,
  isList,
  Mapping,
  OptionalValue,
  StructValue,
  TimestampValue,
  typeNameOf,
  UnsignedValue,
  type Value,
} from "./values.ts";

/** What an expression made, as JSON. Throws EvaluationFailure where it has no such form. */
export function jsonOf(value: Value): DraftValue {
  if (value === null || typeof value === "boolean" || typeof value === "string" || typeof value === "number")
    return value;
  if (typeof value === "bigint") return Number(value);
  if (isList(value)) return value.map(jsonOf);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof UnsignedValue) return Number(value.value);
  if (value instanceof TimestampValue) return timestampText(value);
  if (value instanceof DurationValue) return durationText(value);
  if (value instanceof OptionalValue) return value.value === undefined ? null : jsonOf(value.value);
  if (value instanceof Mapping) {
    const isStruct = value instanceof StructValue;
    // `fromEntries` defines keys, so that `__proto__` is one like any other.
    return Object.fromEntries(
      value.keys().map((key) => {
        if (typeof key !== "string") throw new EvaluationFailure("JSON keys must be strings");
        return [isStruct ? unescapedName(key) : key, jsonOf(value.get(key) ?? null)];
      }),
    );
  }
  throw new EvaluationFailure(`type conversion error from '${typeNameOf(value)}' to JSON`);
}

/** The types of nested objects must be named after the fields that hold them: `Object.spec.template`. Throws EvaluationFailure. */
export function checkTypeNames(value: Value, expected: string): void {
  if (isList(value)) {
    for (const item of value) checkTypeNames(item, expected);
    return;
  }
  if (!(value instanceof StructValue)) {
    if (value instanceof Mapping) for (const key of value.keys()) checkTypeNames(value.get(key) ?? null, expected);
    return;
  }
  if (value.objectType !== expected) {
    throw new EvaluationFailure(
      `unexpected type name ${JSON.stringify(value.objectType)}, expected ${JSON.stringify(expected)}, which matches field name path from root Object type`,
    );
  }
  for (const [name, field] of value.fields) checkTypeNames(field, `${expected}.${name}`);
}

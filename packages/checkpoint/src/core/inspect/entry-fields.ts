import { isObject } from "../criu/message-json.ts";
import type { JsonObject, JsonValue } from "../criu/message-json.ts";

/** A field as a number: exact up to 2^53, hex or decimal text as well; `undefined` when it is absent or none. */
export function numberField(entry: JsonObject | undefined, field: string): number | undefined {
  const value = entry?.[field];
  if (typeof value === "number") return value;
  return typeof value === "string" && /^(-?\d+|0x[0-9a-f]+)$/.test(value) ? Number(value) : undefined;
}

export function bigintField(entry: JsonObject | undefined, field: string): bigint | undefined {
  const value = entry?.[field];
  if (typeof value === "number") return BigInt(value);
  return typeof value === "string" && /^(-?\d+|0x[0-9a-f]+)$/.test(value) ? BigInt(value) : undefined;
}

export function textField(entry: JsonObject | undefined, field: string): string | undefined {
  const value = entry?.[field];
  return typeof value === "string" ? value : undefined;
}

export function objectField(entry: JsonObject | undefined, field: string): JsonObject | undefined {
  const value = entry?.[field];
  return isObject(value) ? value : undefined;
}

export function listField(entry: JsonObject | undefined, field: string): readonly JsonValue[] {
  const value = entry?.[field];
  return Array.isArray(value) ? (value as readonly JsonValue[]) : [];
}

export const objectsField = (entry: JsonObject | undefined, field: string): readonly JsonObject[] =>
  listField(entry, field).filter(isObject);

export const numbersField = (entry: JsonObject | undefined, field: string): readonly number[] =>
  listField(entry, field).filter((value) => typeof value === "number");

import type { JsonObject, JsonValue } from "../criu/message-json.ts";

/** Typed looks at decoded entries: what is missing or of another type is absent, never an error. */

export const numberOf = (entry: JsonObject | undefined, field: string): number | undefined => {
  const value = entry?.[field];
  if (typeof value === "number") return value;
  return typeof value === "string" && /^(0x[0-9a-f]+|-?\d+)$/i.test(value) ? Number(value) : undefined;
};

export const bigintOf = (entry: JsonObject | undefined, field: string): bigint | undefined => {
  const value = entry?.[field];
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  return typeof value === "string" && /^(0x[0-9a-f]+|-?\d+)$/i.test(value) ? BigInt(value) : undefined;
};

/** Text, or a number's text: enums are names where CRIU has one, numbers else. */
export const textOf = (entry: JsonObject | undefined, field: string): string | undefined => {
  const value = entry?.[field];
  if (typeof value === "number") return String(value);
  return typeof value === "string" ? value : undefined;
};

export const objectOf = (entry: JsonObject | undefined, field: string): JsonObject | undefined => {
  const value = entry?.[field];
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
};

export const listOf = (entry: JsonObject | undefined, field: string): readonly JsonValue[] => {
  const value = entry?.[field];
  return Array.isArray(value) ? (value as readonly JsonValue[]) : [];
};

export const objectsOf = (entry: JsonObject | undefined, field: string): readonly JsonObject[] =>
  listOf(entry, field).filter(
    (item): item is JsonObject => typeof item === "object" && item !== null && !Array.isArray(item),
  );

export const numbersOf = (entry: JsonObject | undefined, field: string): readonly number[] =>
  listOf(entry, field).filter((item) => typeof item === "number");

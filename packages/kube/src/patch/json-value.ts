/** Anything that JSON can say, as patches read and make it. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isJsonList = (value: unknown): value is readonly Json[] => Array.isArray(value);

/** An object's own value; `undefined` when there is none, whatever its prototype has. */
export const valueAt = (object: JsonObject, key: string): Json | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;

/** A copy that may be changed by {@link setValue} and `delete`. */
export const copyOf = (object: JsonObject): Record<string, Json> => ({ ...object });

/** Sets an own value: an assignment to `__proto__`, a valid key of a ConfigMap, would do something else. */
export function setValue(object: Record<string, Json>, key: string, value: Json): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else object[key] = value;
}

/** Whether two values are the same JSON, whatever the order of keys. */
export function jsonEqual(left: Json | undefined, right: Json | undefined): boolean {
  if (left === right) return true;
  if (isJsonList(left)) {
    return (
      isJsonList(right) && left.length === right.length && left.every((item, index) => jsonEqual(item, right[index]))
    );
  }
  if (!isJsonObject(left) || !isJsonObject(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && jsonEqual(left[key], right[key]))
  );
}

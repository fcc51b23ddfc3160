import { isDraft } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";

/** A value and what it was before the update (apiserver/pkg/cel/common/equality.go). */
export class Correlation {
  readonly #value: unknown;
  readonly #old: unknown;
  #equal: boolean | undefined;

  constructor(value: unknown, old: unknown) {
    this.#value = value;
    this.#old = old;
  }

  /** Nothing below has changed. Looked at once. */
  get isUnchanged(): boolean {
    return (this.#equal ??= deepEqual(this.#value, this.#old));
  }

  /** Of a map's or object's part. */
  key(name: string): Correlation | undefined {
    const value = isDraft(this.#value) && Object.hasOwn(this.#value, name) ? this.#value[name] : undefined;
    if (value === undefined || !isDraft(this.#old) || !Object.hasOwn(this.#old, name)) return undefined;
    return this.#old[name] === undefined ? undefined : new Correlation(value, this.#old[name]);
  }

  /** Of an item whose old form is known. */
  static ofItem(value: unknown, old: unknown): Correlation | undefined {
    return old === undefined ? undefined : new Correlation(value, old);
  }
}

function deepEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (Array.isArray(left)) {
    return Array.isArray(right) && left.length === right.length && left.every((item, at) => deepEqual(item, right[at]));
  }
  if (!isDraft(left) || !isDraft(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && deepEqual(left[key], right[key]))
  );
}

/** Finds the old item of a list of type `map`; of other lists there is none. */
export function oldItems(schema: Schema, old: unknown): (item: unknown) => unknown {
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  if (schema["x-kubernetes-list-type"] !== "map" || keys.length === 0 || !Array.isArray(old)) return () => undefined;
  const known = new Map<string, unknown>();
  for (const item of old as readonly unknown[]) {
    const text = compositeKey(item, keys);
    if (text !== undefined && !known.has(text)) known.set(text, item);
  }
  return (item) => {
    const text = compositeKey(item, keys);
    return text === undefined ? undefined : known.get(text);
  };
}

function compositeKey(item: unknown, keys: readonly string[]): string | undefined {
  if (!isDraft(item)) return undefined;
  const parts: (boolean | number | string)[] = [];
  for (const key of keys) {
    const value = Object.hasOwn(item, key) ? item[key] : undefined;
    if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") return undefined;
    parts.push(value);
  }
  return JSON.stringify(parts);
}

import type { KubeObject } from "@fleetwright/kube";

/** JSON that may still be changed: an object on its way through a request. What is stored is never changed again. */
export interface Draft {
  [key: string]: DraftValue;
}
export type DraftValue = null | boolean | number | string | DraftValue[] | Draft | undefined;

/** A type of the API whose fields may be set. */
export type Mutable<T> = T extends (infer Item)[]
  ? Mutable<Item>[]
  : T extends readonly (infer Item)[]
    ? Mutable<Item>[]
    : T extends object
      ? { -readonly [Key in keyof T]: Mutable<T[Key]> }
      : T;

export const isDraft = (value: unknown): value is Draft =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The same object with a kind's type: the one place where JSON gets a static type; its schema has been checked. */
export const typed = <T extends KubeObject>(draft: Draft): Mutable<T> => draft as unknown as Mutable<T>;

/** A typed object as the pipeline carries it. */
export const untyped = (object: object): Draft => object as unknown as Draft;

/** Freezes JSON to its depths; what is frozen already is so to its depths. */
export function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const child of Object.values(value)) frozen(child);
  return Object.freeze(value);
}

/** A deep copy of JSON. */
export function copyJson<T>(value: T): T {
  if (Array.isArray(value)) return value.map((item: unknown) => copyJson(item)) as T;
  if (typeof value !== "object" || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const child = copyJson((value as Record<string, unknown>)[key]);
    // An assignment to `__proto__`, a valid key of a ConfigMap, would set the prototype.
    if (key === "__proto__") {
      Object.defineProperty(copy, key, { value: child, enumerable: true, configurable: true, writable: true });
    } else copy[key] = child;
  }
  return copy as T;
}

import type { Draft, DraftValue } from "../machinery/draft.ts";

/** Sets a key that clients chose: an assignment to `__proto__` would set the prototype. */
export function setKey(object: Draft, key: string, value: DraftValue): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else object[key] = value;
}

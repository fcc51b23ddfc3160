import type { Draft, DraftValue } from "../machinery/draft.ts";

/** Sets a key whatever it is: an assignment to `__proto__`, a valid key of a ConfigMap, would set the prototype. */
export function setValue(object: Draft, key: string, value: DraftValue): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else object[key] = value;
}

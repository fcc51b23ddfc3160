import { isDraft } from "../machinery/draft.ts";
import { keyElement, valueElement } from "./field-set.ts";
import type { ListShape } from "./shape.ts";

/** A value does not fit its shape; the message is upstream's. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";
}

/** How an item of a set or a map list is named in field sets. @throws ShapeError when it cannot be */
export function listElement(list: ListShape, item: unknown): string {
  if (list.keys.length === 0) {
    if (Array.isArray(item)) throw new ShapeError("not supported: associative list with lists as elements");
    if (item === null || item === undefined) {
      throw new ShapeError("associative list without keys has an element that's an explicit null");
    }
    if (typeof item === "object") {
      throw new ShapeError("associative list without keys has an element that's a map type");
    }
    return valueElement(item);
  }
  if (item === null || item === undefined) {
    throw new ShapeError("associative list with keys may not have a null element");
  }
  if (!isDraft(item)) throw new ShapeError("associative list with keys may not have non-map elements");
  const { keys, keyDefaults } = list;
  const element = keyElement(keys, (key) =>
    Object.hasOwn(item, key) && item[key] !== undefined ? item[key] : keyDefaults.get(key),
  );
  if (element === "k:{}") {
    throw new ShapeError(
      `associative list with keys has an element that omits all key fields [${keys
        .map((key) => JSON.stringify(key))
        .join(" ")}] (and doesn't have default values for any key fields)`,
    );
  }
  return element;
}

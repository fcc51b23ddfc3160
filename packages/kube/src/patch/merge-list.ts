import { goText, goTypeText } from "./go-text.ts";
import { isJsonList, isJsonObject, valueAt, type Json, type JsonObject } from "./json-value.ts";
import { patchError } from "./patch-error.ts";

/** Directives of a strategic merge patch. */
export const patchDirective = "$patch";
export const retainKeysDirective = "$retainKeys";
export const deleteFromListDirective = "$deleteFromPrimitiveList";
export const elementOrderDirective = "$setElementOrder";

/** The field that `$directive/field` is about. */
export function fieldOfDirective(key: string, directive: string): string {
  const slash = key.indexOf("/");
  if (key.slice(0, slash) !== directive) {
    const list = directive === deleteFromListDirective ? "primitive" : "setElementOrder";
    throw patchError(`invalid patch format of ${list} list`);
  }
  return key.slice(slash + 1);
}

/** What the elements of merged lists are; they must be of one kind, and no lists. */
export type ElementKind = "object" | "scalar";

export function elementKindOf(...lists: readonly (readonly Json[])[]): ElementKind {
  const elements = lists.flat();
  const [first] = elements;
  if (first === undefined) throw patchError("no elements in any of the given slices");
  if (elements.some(isJsonList)) throw patchError("lists of lists are not supported");
  const type = isJsonObject(first) ? "object" : typeof first;
  if (elements.some((element) => element === null || typeof element !== type)) {
    throw patchError(`list element types are not identical: ${goText(lists)}`);
  }
  return type === "object" ? "object" : "scalar";
}

export function objectElement(element: Json): JsonObject {
  if (isJsonObject(element)) return element;
  throw patchError(`expected a map[string]interface {}, but received a ${goTypeText(element)}`);
}

/** The value that identifies an element. */
export function keyOfElement(element: Json, mergeKey: string): Json {
  const key = valueAt(objectElement(element), mergeKey);
  if (key !== undefined) return key;
  throw patchError(`map: ${goText(element)} does not contain declared merge key: ${mergeKey}`);
}

/** Where the element with this key is; elements without a key are passed over. */
export function indexOfKey(list: readonly Json[], mergeKey: string, key: Json): number {
  return list.findIndex((element) => valueAt(objectElement(element), mergeKey) === key);
}

export const isDeletion = (element: Json): boolean => valueAt(objectElement(element), patchDirective) === "delete";

/** Which elements stand for the same thing: equal scalars, objects with equal keys. */
export interface Identity {
  readonly kind: ElementKind;
  readonly mergeKey: string;
}

const identify = (element: Json, { kind, mergeKey }: Identity): Json | undefined =>
  kind === "object" ? (isJsonObject(element) ? valueAt(element, mergeKey) : undefined) : element;

function indexIn(list: readonly Json[], element: Json, identity: Identity): number {
  const id = identify(element, identity);
  return list.findIndex((other) => identify(other, identity) === id);
}

/**
 * Sorts a list by where its elements are in `order`; deletions go last. Elements that `order` lacks sink as far as
 * Go's insertion sort lets them, whose comparison is no order then.
 */
export function sortedLike(list: readonly Json[], order: readonly Json[], identity: Identity): Json[] {
  let deletions: Json[] = [];
  let rest = [...list];
  if (identity.kind === "object") {
    for (const element of [...list, ...order]) keyOfElement(element, identity.mergeKey);
    deletions = rest.filter(isDeletion);
    rest = rest.filter((element) => !isDeletion(element));
  }
  const positions = rest.map((element) => ({ element, index: indexIn(order, element, identity) }));
  for (let end = 1; end < positions.length; end++) {
    for (let at = end; at > 0; at--) {
      const [left, right] = [positions[at - 1], positions[at]];
      if (!left || !right) break;
      if (left.index >= 0 && right.index >= 0 && right.index >= left.index) break;
      positions[at - 1] = right;
      positions[at] = left;
    }
  }
  return [...positions.map(({ element }) => element), ...deletions];
}

/**
 * One list of what the patch names and what only the server has: each in its own order, interleaved by where they
 * were in the server's list.
 */
export function interleaved(
  patched: readonly Json[],
  serverOnly: readonly Json[],
  patchOrder: readonly Json[],
  serverOrder: readonly Json[],
  identity: Identity,
): Json[] {
  const right = sortedLike(patched, patchOrder, identity);
  const left = sortedLike(serverOnly, serverOrder, identity);
  const result: Json[] = [];
  let next = 0;
  for (const element of right) {
    const place = indexIn(serverOrder, element, identity);
    for (let other = left[next]; other !== undefined; other = left[next]) {
      const otherPlace = indexIn(serverOrder, other, identity);
      if (place < 0 || otherPlace < 0 || otherPlace >= place) break;
      result.push(other);
      next += 1;
    }
    result.push(element);
  }
  return [...result, ...left.slice(next)];
}

/** Splits a list into what another list names and what it does not. */
export function partitioned(
  list: readonly Json[],
  by: readonly Json[],
  mergeKey: string,
): { readonly named: Json[]; readonly others: Json[] } {
  // Here the API server's own code panics, and the connection breaks.
  if (mergeKey === "" && [...list, ...by].some((element) => typeof element === "object" && element !== null)) {
    throw patchError("cannot order a list of objects without merge key");
  }
  const isNamed =
    mergeKey === ""
      ? (element: Json): boolean => by.includes(element)
      : (element: Json): boolean => indexOfKey(by, mergeKey, keyOfElement(element, mergeKey)) >= 0;
  const named: Json[] = [];
  const others: Json[] = [];
  for (const element of list) (isNamed(element) ? named : others).push(element);
  return { named, others };
}

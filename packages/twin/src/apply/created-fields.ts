import { isDraft, type Draft } from "../machinery/draft.ts";
import { sortElements, type FieldSet } from "./field-set.ts";
import { listElement } from "./list-element.ts";
import { leafOf, planOf } from "./map-plan.ts";
import { formOf, type ListShape, type MapShape, type Shape } from "./shape.ts";

/** What a creation takes away from its fields: trees that the endpoint does not take, and members that nobody owns. */
interface Without {
  readonly trees: FieldSet | undefined;
  readonly members: FieldSet | undefined;
}

const nothingWithout: Without = { trees: undefined, members: undefined };

const below = (without: Without, element: string): Without => {
  const trees = without.trees?.children.get(element);
  const members = without.members?.children.get(element);
  return trees === undefined && members === undefined ? nothingWithout : { trees, members };
};

/** The empty object has something that a creation's fast way does not compare. */
class Unforeseen extends Error {}

/**
 * FieldsV1 of what a creation owns, in one walk: what `formatFields` says of the comparison with the kind's empty object, without
 * `trees` and without the members of `members`. Most writes of a cluster that fills are creations, and comparing sets costs them
 * a third of their time.
 *
 * @returns `undefined` when the comparison must be made
 * @throws ShapeError when items of lists cannot be told apart
 */
export function createdFields(
  shape: Shape,
  empty: Readonly<Draft>,
  object: Readonly<Draft>,
  without: { readonly trees: FieldSet; readonly members: FieldSet },
): Draft | undefined {
  if (shape.map === undefined || shape.map.atomic || Object.keys(object).length === 0) return undefined;
  const fields: Draft = {};
  try {
    addFields(shape.map, empty, object, without, fields);
  } catch (error) {
    if (error instanceof Unforeseen) return undefined;
    throw error;
  }
  return fields;
}

function addFields(
  map: MapShape,
  empty: Readonly<Draft> | undefined,
  value: Draft,
  without: Without,
  out: Draft,
): void {
  for (const { key, element, shape } of planOf(map, Object.keys(value)).steps) {
    const child = value[key];
    if (child === undefined) continue;
    const zero = empty !== undefined && Object.hasOwn(empty, key) ? empty[key] : undefined;
    addElement(shape, zero, child, without, element, out);
  }
}

function addElement(shape: Shape, zero: unknown, value: unknown, without: Without, element: string, out: Draft): void {
  // Walked all the same: a list whose items cannot be told apart is refused wherever it is.
  const dropped = without.trees?.members.has(element) === true;
  const isOwned = without.members?.members.has(element) !== true;
  if (typeof value !== "object" || value === null) {
    if (zero !== undefined) {
      if (zero === value) return;
      throw new Unforeseen();
    }
    if (!dropped && isOwned) out[element] = {};
    return;
  }
  if (zero === undefined && without === nothingWithout && shape.map !== undefined && isDraft(value)) {
    const leaf = leafOf(shape.map, value);
    if (leaf !== undefined) {
      out[element] = leaf.formatted;
      return;
    }
  }
  const fields: Draft = {};
  const isMember = (zero === undefined || isSet(shape, zero, value)) && isOwned;
  if (isMember) fields["."] = {};
  const form = formOf(shape, value);
  const rest = below(without, element);
  if (form === "map" && shape.map !== undefined) {
    if (!shape.map.atomic && isDraft(value))
      addFields(shape.map, isDraft(zero) ? zero : undefined, value, rest, fields);
  } else if (form === "list" && shape.list !== undefined) {
    if (!shape.list.atomic && Array.isArray(value)) addItems(shape.list, value, rest, fields);
  }
  if (dropped) return;
  const hasFields = Object.keys(fields).length > (isMember ? 1 : 0);
  if (hasFields) out[element] = fields;
  else if (isMember) out[element] = {};
}

/** Whether a value that Go's empty object has too is a field of its own, other than by what lies below it. */
function isSet(shape: Shape, zero: unknown, value: object): boolean {
  if (Array.isArray(value)) {
    if (zero !== null || shape.list === undefined || formOf(shape, null) !== "list") throw new Unforeseen();
    return shape.list.atomic || value.length === 0;
  }
  if (!isDraft(zero) || shape.map === undefined) throw new Unforeseen();
  if (!shape.map.atomic) return false;
  if (Object.keys(zero).length > 0) throw new Unforeseen();
  return Object.keys(value).length > 0;
}

function addItems(list: ListShape, items: readonly unknown[], without: Without, out: Draft): void {
  const byElement = new Map<string, unknown>();
  const repeated = new Set<string>();
  for (const item of items) {
    const element = listElement(list, item);
    if (byElement.has(element)) repeated.add(element);
    else byElement.set(element, item);
  }
  const elements = [...byElement.keys()];
  if (elements.length > 1) sortElements(elements);
  for (const element of elements) {
    // Items of the same name are one field.
    if (repeated.has(element)) addElement(scalar, undefined, true, without, element, out);
    else addElement(list.item, undefined, byElement.get(element), without, element, out);
  }
}

const scalar: Shape = { scalar: "untyped", list: undefined, map: undefined };

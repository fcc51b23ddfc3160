import { jsonEqual, type Json } from "@fleetwright/kube";
import { isDraft, type Draft } from "../machinery/draft.ts";
import { descend, fieldElement, newFieldSet, type FieldSet } from "./field-set.ts";
import { listElement } from "./list-element.ts";
import { leafOf } from "./map-plan.ts";
import { formOf, type ListShape, type MapShape, type Shape } from "./shape.ts";

/** Which fields one value has and another has not, and which differ. */
export interface Comparison {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

type Part = keyof Comparison;

/** Where the comparison is. Sets come into being with their first member, so unchanged parts cost none. */
interface Place extends Partial<Record<Part, FieldSet>> {
  readonly parent: Place | undefined;
  readonly element: string;
}

function setAt(place: Place, part: Part): FieldSet {
  const known = place[part];
  if (known !== undefined) return known;
  const set = place.parent === undefined ? newFieldSet() : descend(setAt(place.parent, part), place.element);
  place[part] = set;
  return set;
}

/**
 * Compares two values of a shape (structured-merge-diff/v6/typed/compare.go).
 * @throws ShapeError when items of lists cannot be told apart
 */
export function compareValues(shape: Shape, left: unknown, right: unknown): Comparison {
  const root: Place = { parent: undefined, element: "" };
  compareForm(shape, formOf(shape, right), left, right, root, "");
  return {
    added: root.added ?? newFieldSet(),
    modified: root.modified ?? newFieldSet(),
    removed: root.removed ?? newFieldSet(),
  };
}

/** Adds the element and every field below it. */
function everything(shape: Shape, value: unknown, place: Place, element: string, part: Part): void {
  setAt(place, part).members.add(element);
  const form = formOf(shape, value);
  if (form === "map" && shape.map !== undefined) {
    if (shape.map.atomic || !isDraft(value)) return;
    const leaf = leafOf(shape.map, value);
    if (leaf !== undefined) {
      setAt(place, part).children.set(element, leaf.set);
      return;
    }
    const here: Place = { parent: place, element };
    for (const key of Object.keys(value)) {
      const child = value[key];
      const childShape = shape.map.field(key) ?? shape.map.values;
      if (child !== undefined && childShape !== undefined) everything(childShape, child, here, fieldElement(key), part);
    }
  } else if (form === "list" && shape.list !== undefined) {
    const { list } = shape;
    if (list.atomic || !Array.isArray(value) || value.length === 0) return;
    const here: Place = { parent: place, element };
    for (const [name, items] of itemsByElement(list, value)) {
      if (items.length === 1) everything(list.item, items[0], here, name, part);
      else setAt(here, part).members.add(name);
    }
  }
}

function itemsByElement(list: ListShape, items: readonly unknown[] | undefined): Map<string, unknown[]> {
  const byElement = new Map<string, unknown[]>();
  for (const item of items ?? []) {
    const element = listElement(list, item);
    const same = byElement.get(element);
    if (same === undefined) byElement.set(element, [item]);
    else same.push(item);
  }
  return byElement;
}

function compareAt(shape: Shape, left: unknown, right: unknown, place: Place, element: string): void {
  if (left === right) return;
  if (left === undefined) everything(shape, right, place, element, "added");
  else if (right === undefined) everything(shape, left, place, element, "removed");
  else {
    const leftForm = formOf(shape, left);
    const rightForm = formOf(shape, right);
    if (leftForm !== rightForm) compareForm(shape, leftForm, left, right, place, element);
    compareForm(shape, rightForm, left, right, place, element);
  }
}

function compareLeaf(left: unknown, right: unknown, place: Place, element: string): void {
  if (left === right) return;
  if (!jsonEqual((left ?? null) as Json, (right ?? null) as Json)) setAt(place, "modified").members.add(element);
}

function compareForm(
  shape: Shape,
  form: "map" | "list" | "scalar" | "none",
  left: unknown,
  right: unknown,
  place: Place,
  element: string,
): void {
  if (form === "map" && shape.map !== undefined) compareMaps(shape.map, left, right, place, element);
  else if (form === "list" && shape.list !== undefined) compareLists(shape.list, left, right, place, element);
  else compareLeaf(left, right, place, element);
}

const isEmptyMap = (value: Draft | undefined): boolean => {
  if (value !== undefined) for (const key in value) if (value[key] !== undefined) return false;
  return true;
};

function compareMaps(map: MapShape, left: unknown, right: unknown, place: Place, element: string): void {
  const before = isDraft(left) ? left : undefined;
  const after = isDraft(right) ? right : undefined;
  if (map.atomic || (isEmptyMap(before) && isEmptyMap(after))) return compareLeaf(left, right, place, element);
  const here: Place = element === "" ? place : { parent: place, element };
  if (before !== undefined) {
    for (const key of Object.keys(before)) {
      const child = before[key];
      const other = after !== undefined && Object.hasOwn(after, key) ? after[key] : undefined;
      if (child === undefined || child === other) continue;
      const shape = map.field(key) ?? map.values;
      if (shape !== undefined) compareAt(shape, child, other, here, fieldElement(key));
    }
  }
  if (after !== undefined) {
    for (const key of Object.keys(after)) {
      const child = after[key];
      if (child === undefined) continue;
      if (before !== undefined && Object.hasOwn(before, key) && before[key] !== undefined) continue;
      const shape = map.field(key) ?? map.values;
      if (shape !== undefined) everything(shape, child, here, fieldElement(key), "added");
    }
  }
}

function compareLists(list: ListShape, left: unknown, right: unknown, place: Place, element: string): void {
  const before = Array.isArray(left) ? (left as unknown[]) : undefined;
  const after = Array.isArray(right) ? (right as unknown[]) : undefined;
  if (list.atomic || ((before?.length ?? 0) === 0 && (after?.length ?? 0) === 0)) {
    return compareLeaf(left, right, place, element);
  }
  const here: Place = { parent: place, element };
  const beforeItems = itemsByElement(list, before);
  const afterItems = itemsByElement(list, after);
  for (const name of new Set([...beforeItems.keys(), ...afterItems.keys()])) {
    const lefts = beforeItems.get(name) ?? [];
    const rights = afterItems.get(name) ?? [];
    if (lefts.length <= 1 && rights.length <= 1) compareAt(list.item, lefts[0], rights[0], here, name);
    // Items of the same name are one field, as if they were an atomic list.
    else if (lefts.length >= 2 && rights.length >= 2) compareLeaf(lefts, rights, here, name);
    else if (lefts.length >= 2) {
      if (rights.length > 0) compareAt(list.item, undefined, rights[0], here, name);
      setAt(here, "removed").members.add(name);
    } else {
      if (lefts.length > 0) compareAt(list.item, lefts[0], undefined, here, name);
      setAt(here, "added").members.add(name);
    }
  }
}

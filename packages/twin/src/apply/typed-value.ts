import { isDraft, type Draft, type DraftValue } from "../machinery/draft.ts";
import { setKey } from "./set-key.ts";
import {
  childSet,
  descend,
  elementText,
  isEmptySet,
  newFieldSet,
  withoutTrees,
  unionOf,
  type FieldSet,
} from "./field-set.ts";
import { listElement, ShapeError } from "./list-element.ts";
import { formOf, type ListShape, type MapShape, type Shape } from "./shape.ts";

/** What is wrong with a value that is to be applied, one text for each problem (typed/validate.go). */
export function shapeProblems(shape: Shape, value: unknown, duplicates: "allowed" | "refused"): string[] {
  const problems: string[] = [];
  const walk = (at: Shape, current: unknown, path: string): void => {
    const report = (text: string): void => void problems.push(path === "" ? text : `${path}: ${text}`);
    if (current === null || current === undefined) return;
    const form = formOf(at, current);
    if (form === "map" && at.map !== undefined) {
      if (!isDraft(current)) return report(`expected map, got ${goPrint(current)}`);
      for (const key of Object.keys(current)) {
        const child = at.map.field(key) ?? at.map.values;
        if (child === undefined) {
          problems.push(`${path}.${key}: field not declared in schema`);
          // Upstream looks no further in this map.
          return;
        }
        walk(child, current[key], `${path}.${key}`);
      }
    } else if (form === "list" && at.list !== undefined) {
      if (!Array.isArray(current)) return report(`expected list, got ${goPrint(current)}`);
      const seen = new Set<string>();
      for (const [index, item] of (current as unknown[]).entries()) {
        let element = `i:${index}`;
        if (!at.list.atomic) {
          try {
            element = listElement(at.list, item);
          } catch (error) {
            if (!(error instanceof ShapeError)) throw error;
            return report(`element ${index}: ${error.message}`);
          }
          if (seen.has(element) && duplicates === "refused") {
            report(`duplicate entries for key ${elementText(element)}`);
          }
          seen.add(element);
        }
        walk(at.list.item, item, `${path}${elementText(element)}`);
      }
    } else if (at.scalar !== undefined) {
      const problem = scalarProblem(at.scalar, current);
      if (problem !== undefined) report(problem);
    }
  };
  walk(shape, value, "");
  return problems;
}

/** Go's `%v` of JSON. */
function goPrint(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(goPrint).join(",")}]`;
  if (isDraft(value)) {
    return Object.entries(value)
      .map(([key, item]) => `${key}=${goPrint(item)}`)
      .join("");
  }
  return String(value);
}

function scalarProblem(scalar: NonNullable<Shape["scalar"]>, value: unknown): string | undefined {
  switch (scalar) {
    case "numeric":
      if (typeof value === "number") return undefined;
      return `expected numeric (int or float), got ${goType(value)}`;
    case "string":
      return typeof value === "string"
        ? undefined
        : `expected string, got &value.valueUnstructured{Value:${goPrint(value)}}`;
    case "boolean":
      return typeof value === "boolean" ? undefined : `expected boolean, got ${goPrint(value)}`;
    case "untyped":
      return typeof value === "object" ? `expected any scalar, got ${goPrint(value)}` : undefined;
  }
}

const goType = (value: unknown): string =>
  typeof value === "string"
    ? "string"
    : typeof value === "boolean"
      ? "bool"
      : Array.isArray(value)
        ? "[]interface {}"
        : "map[string]interface {}";

/** The fields that a value has: what an applier of it owns (typed/tofieldset.go). */
export function fieldsOf(shape: Shape, value: unknown): FieldSet {
  const set = newFieldSet();
  addMapOrList(shape, value, set);
  return set;
}

/** Answers whether the value itself is a field, for its container to note. */
function addMapOrList(shape: Shape, value: unknown, below: FieldSet): boolean {
  const form = formOf(shape, value);
  if (form === "map" && shape.map !== undefined) {
    if (shape.map.atomic) return true;
    if (!isDraft(value)) return false;
    for (const key of Object.keys(value)) {
      const child = value[key];
      if (child === undefined) continue;
      const declared = shape.map.field(key);
      const childShape = declared ?? shape.map.values;
      if (childShape === undefined) continue;
      const element = `f:${key}`;
      const self = addChild(childShape, child, below, element);
      const bare = child === null || (isDraft(child) && Object.keys(child).length === 0);
      if (self || bare || declared === undefined) below.members.add(element);
    }
    return false;
  }
  if (form === "list" && shape.list !== undefined) {
    const { list } = shape;
    if (list.atomic) return true;
    if (!Array.isArray(value)) return false;
    const elements = (value as unknown[]).map((item) => listElement(list, item));
    const counts = new Map<string, number>();
    for (const element of elements) counts.set(element, (counts.get(element) ?? 0) + 1);
    for (const [index, element] of elements.entries()) {
      below.members.add(element);
      if (counts.get(element) === 1) addChild(list.item, value[index], below, element);
    }
    return false;
  }
  return true;
}

function addChild(shape: Shape, value: unknown, parent: FieldSet, element: string): boolean {
  if (typeof value !== "object" || value === null) return addMapOrList(shape, value, newFieldSet());
  const child = newFieldSet();
  const self = addMapOrList(shape, value, child);
  if (!isEmptySet(child)) {
    const existing = parent.children.get(element);
    parent.children.set(element, existing === undefined ? child : unionOf(existing, child));
  }
  return self;
}

/** The object with a configuration laid over it: maps and associative lists are merged, everything else is taken from the right (typed/merge.go). */
export function mergeValues(shape: Shape, left: DraftValue, right: DraftValue): DraftValue {
  const form = right === undefined ? formOf(shape, left) : formOf(shape, right);
  if (form === "map" && shape.map !== undefined) return mergeMaps(shape.map, left, right);
  if (form === "list" && shape.list !== undefined) return mergeLists(shape.list, left, right);
  return right === undefined ? left : right;
}

function mergeMaps(map: MapShape, left: DraftValue, right: DraftValue): DraftValue {
  const before = isDraft(left) ? left : undefined;
  const after = isDraft(right) ? right : undefined;
  const none = (value: Draft | undefined): boolean => value === undefined || Object.keys(value).length === 0;
  if (map.atomic || (none(before) && none(after))) return right === undefined ? left : right;
  const merged: Draft = {};
  const take = (key: string, first: DraftValue, second: DraftValue): void => {
    const shape = map.field(key) ?? map.values;
    const value = shape === undefined ? (second ?? first) : mergeValues(shape, first, second);
    if (value !== undefined) setKey(merged, key, value);
  };
  for (const key of Object.keys(before ?? {})) take(key, before?.[key], valueOf(after, key));
  for (const key of Object.keys(after ?? {})) {
    if (before === undefined || !Object.hasOwn(before, key)) take(key, undefined, after?.[key]);
  }
  return Object.keys(merged).length === 0 ? undefined : merged;
}

const valueOf = (map: Draft | undefined, key: string): DraftValue =>
  map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;

function mergeLists(list: ListShape, left: DraftValue, right: DraftValue): DraftValue {
  const before = Array.isArray(left) ? left : [];
  const after = Array.isArray(right) ? right : [];
  if (list.atomic || (before.length === 0 && after.length === 0)) return right === undefined ? left : right;
  const beforeElements = before.map((item) => listElement(list, item));
  const afterElements = after.map((item) => listElement(list, item));
  const beforeByElement = new Map<string, DraftValue>();
  for (const [index, element] of beforeElements.entries()) {
    // Several items of one name are not merged with the one that replaces them.
    beforeByElement.set(element, beforeByElement.has(element) ? undefined : before[index]);
  }
  const afterByElement = new Map(afterElements.map((element, index) => [element, after[index]] as const));
  const shared = afterElements.filter((element) => beforeByElement.has(element));
  let nextShared = 0;
  const merged: DraftValue[] = [];
  const taken = new Set<string>();
  const take = (first: DraftValue, second: DraftValue): void => {
    const value = first === undefined && second === undefined ? undefined : mergeValues(list.item, first, second);
    if (value !== undefined) merged.push(value);
  };
  let l = 0;
  let r = 0;
  while (l < before.length || r < after.length) {
    const leftElement = beforeElements[l];
    const rightElement = afterElements[r];
    if (leftElement !== undefined && rightElement !== undefined) {
      if (leftElement === rightElement) {
        taken.add(leftElement);
        take(beforeByElement.get(leftElement), afterByElement.get(leftElement));
        l++;
        r++;
        nextShared++;
        continue;
      }
      const wanted = shared[nextShared];
      if (afterByElement.has(leftElement) && wanted !== undefined && wanted !== leftElement) {
        // Both have it, but it is not its turn: the right side's order wins.
        l++;
        continue;
      }
    }
    if (leftElement !== undefined) {
      if (!afterByElement.has(leftElement)) {
        take(before[l], undefined);
        l++;
        continue;
      }
      if (taken.has(leftElement)) l++;
    }
    if (rightElement !== undefined) {
      taken.add(rightElement);
      take(beforeByElement.get(rightElement), afterByElement.get(rightElement));
      r++;
      if (shared[nextShared] === rightElement) nextShared++;
    }
  }
  return merged.length === 0 ? undefined : merged;
}

/** The value without the fields of a set (typed/remove.go). Containers that become empty are null. */
export function withoutFields(shape: Shape, value: DraftValue, fields: FieldSet): DraftValue {
  const form = formOf(shape, value);
  if (form === "map" && shape.map !== undefined) {
    if (!isDraft(value) || Object.keys(value).length === 0 || shape.map.atomic) return null;
    const rest: Draft = {};
    for (const key of Object.keys(value)) {
      const element = `f:${key}`;
      if (fields.members.has(element)) continue;
      const below = childSet(fields, element);
      const childShape = shape.map.field(key) ?? shape.map.values;
      const child = value[key];
      setKey(
        rest,
        key,
        childShape === undefined || isEmptySet(below) ? child : withoutFields(childShape, child, below),
      );
    }
    return Object.keys(rest).length === 0 ? null : rest;
  }
  if (form === "list" && shape.list !== undefined) {
    if (!Array.isArray(value) || value.length === 0 || shape.list.atomic) return null;
    const rest: DraftValue[] = [];
    for (const item of value) {
      const element = listElement(shape.list, item);
      if (fields.members.has(element)) continue;
      const below = childSet(fields, element);
      rest.push(isEmptySet(below) ? item : withoutFields(shape.list.item, item, below));
    }
    return rest.length === 0 ? null : rest;
  }
  return value;
}

/** The set with every declared field that has fields below it as a member itself, so that differences take containers along. */
export function withNamedContainers(shape: Shape | undefined, set: FieldSet): FieldSet {
  const members = new Set(set.members);
  const children = new Map<string, FieldSet>();
  for (const [element, child] of set.children) {
    let below: Shape | undefined;
    if (element.startsWith("f:")) {
      const declared = shape?.map?.field(element.slice(2));
      if (declared !== undefined) members.add(element);
      below = declared ?? shape?.map?.values;
    } else if (element.startsWith("k:")) below = shape?.list?.item;
    children.set(element, withNamedContainers(below, child));
  }
  return { members, children };
}

/**
 * What owned fields are after the schema has made their containers atomic: the container (typed/reconcile_schema.go).
 * Answers the same set when nothing changes.
 */
export function reconcileFields(shape: Shape, set: FieldSet): FieldSet {
  const toReplace = newFieldSet();
  const walk = (at: Shape, below: FieldSet | undefined, isLeaf: boolean, parent: FieldSet, element: string): void => {
    if (at.map !== undefined) {
      if (at.map.untyped || below === undefined) return;
      if (!isLeaf && at.map.atomic && element !== "" && !isEmptySet(below)) {
        parent.members.add(element);
        return;
      }
      visit(below, parent, element, (name) =>
        name.startsWith("f:") ? (at.map?.field(name.slice(2)) ?? at.map?.values) : at.map?.values,
      );
    } else if (at.scalar === undefined && at.list !== undefined) {
      if (!isLeaf && at.list.atomic && element !== "") {
        parent.members.add(element);
        return;
      }
      if (below !== undefined) visit(below, parent, element, () => at.list?.item);
    }
  };
  const visit = (
    below: FieldSet,
    parent: FieldSet,
    element: string,
    shapeFor: (name: string) => Shape | undefined,
  ): void => {
    const here = element === "" ? parent : descend(parent, element);
    for (const name of new Set([...below.children.keys(), ...below.members])) {
      const child = shapeFor(name);
      const grandchildren = below.children.get(name);
      if (child !== undefined)
        walk(child, grandchildren, below.members.has(name) && grandchildren === undefined, here, name);
    }
  };
  walk(shape, set, false, toReplace, "");
  return isEmptySet(toReplace) ? set : unionOf(withoutTrees(set, toReplace), toReplace);
}

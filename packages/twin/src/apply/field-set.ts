import { createMemo } from "../machinery/memo.ts";
import { isDraft, type Draft, type DraftValue } from "../machinery/draft.ts";

/**
 * A set of field paths: which elements of an object are in it, and the sets of what lies below its elements. An element is
 * written as FieldsV1 writes it: `f:name`, `k:{"name":"a"}`, `v:"a"`, `i:0`. An element with children need not be a member.
 * Sets are not changed once they are shared. (sigs.k8s.io/structured-merge-diff/v6/fieldpath/set.go)
 */
export interface FieldSet {
  readonly members: Set<string>;
  readonly children: Map<string, FieldSet>;
}

export const newFieldSet = (): FieldSet => ({ members: new Set(), children: new Map() });

/** `f:name`: the same few texts for the same fields, which objects of FieldsV1 find their properties by. */
export const fieldElement = (name: string): string => fieldElements(name, elementOfField);

const fieldElements = createMemo<string>(10_000);
const elementOfField = (name: string): string => `f:${name}`;

const noFields: FieldSet = newFieldSet();

export function isEmptySet(set: FieldSet): boolean {
  if (set.members.size > 0) return false;
  for (const child of set.children.values()) if (!isEmptySet(child)) return false;
  return true;
}

/** The set below an element, made if it is missing. */
export function descend(set: FieldSet, element: string): FieldSet {
  const child = set.children.get(element);
  if (child !== undefined) return child;
  const created = newFieldSet();
  set.children.set(element, created);
  return created;
}

export const childSet = (set: FieldSet, element: string): FieldSet => set.children.get(element) ?? noFields;

/** A set of paths of field names. */
export function fieldSetOf(paths: readonly (readonly string[])[]): FieldSet {
  const set = newFieldSet();
  for (const path of paths) {
    let at = set;
    for (const [index, name] of path.entries()) {
      if (index === path.length - 1) at.members.add(`f:${name}`);
      else at = descend(at, `f:${name}`);
    }
  }
  return set;
}

export function unionOf(left: FieldSet, right: FieldSet): FieldSet {
  const children = new Map(left.children);
  for (const [element, child] of right.children) {
    const own = children.get(element);
    children.set(element, own === undefined ? child : unionOf(own, child));
  }
  return { members: left.members.union(right.members), children };
}

export function intersectionOf(left: FieldSet, right: FieldSet): FieldSet {
  const children = new Map<string, FieldSet>();
  for (const [element, child] of left.children) {
    const other = right.children.get(element);
    if (other === undefined) continue;
    const both = intersectionOf(child, other);
    if (!isEmptySet(both)) children.set(element, both);
  }
  return { members: left.members.intersection(right.members), children };
}

/** What is in `left` and not in `right`, path by path: members below a member of `right` stay. */
export function differenceOf(left: FieldSet, right: FieldSet): FieldSet {
  const children = new Map<string, FieldSet>();
  for (const [element, child] of left.children) {
    const other = right.children.get(element);
    const rest = other === undefined ? child : differenceOf(child, other);
    if (!isEmptySet(rest)) children.set(element, rest);
  }
  return { members: left.members.difference(right.members), children };
}

/** `differenceOf` that takes away everything below the members of `right` too. */
export function withoutTrees(left: FieldSet, right: FieldSet): FieldSet {
  if (right.members.size === 0 && right.children.size === 0) return left;
  const children = new Map<string, FieldSet>();
  for (const [element, child] of left.children) {
    if (right.members.has(element)) continue;
    const other = right.children.get(element);
    const rest = other === undefined ? child : withoutTrees(child, other);
    if (!isEmptySet(rest)) children.set(element, rest);
  }
  return { members: left.members.difference(right.members), children };
}

/** Go's `encoding/json` with its escapes, as element texts hold values; keys of objects in order. */
export function goJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goJson).join(",")}]`;
  if (isDraft(value)) {
    const keys = Object.keys(value).toSorted(compareText);
    return `{${keys.map((key) => `${goString(key)}:${goJson(value[key])}`).join(",")}}`;
  }
  if (typeof value === "string") return goString(value);
  return JSON.stringify(value) ?? "null";
}

const goString = (text: string): string => {
  if (/^[\w ./:-]*$/.test(text)) return `"${text}"`;
  const quoted = JSON.stringify(text);
  // oxlint-disable-next-line no-control-regex -- Go writes these two as \u escapes.
  if (!/[<>&\u2028\u2029]|\\[bf]/.test(quoted)) return quoted;
  return quoted
    .replace(/[<>&\u2028\u2029]/g, (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`)
    .replace(/\\(\\|[bf])/g, (whole, escape: string) =>
      escape === "b" ? "\\u0008" : escape === "f" ? "\\u000c" : whole,
    );
};

/** The element of a list item that is named by its keys; absent keys are left out. Keys must be sorted. */
export function keyElement(keys: readonly string[], valueOfKey: (key: string) => unknown): string {
  let text = "";
  for (const key of keys) {
    const value = valueOfKey(key);
    if (value === undefined) continue;
    text += `${text === "" ? "" : ","}${goString(key)}:${goJson(value)}`;
  }
  return `k:{${text}}`;
}

export const valueElement = (value: unknown): string => `v:${goJson(value)}`;

/** Byte order of UTF-8, which is what Go compares strings by, is code point order. */
export function compareText(left: string, right: string): number {
  if (left === right) return 0;
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a === b) continue;
    const aSurrogate = a >= 0xd800 && a <= 0xdfff;
    const bSurrogate = b >= 0xd800 && b <= 0xdfff;
    if (aSurrogate !== bSurrogate) return aSurrogate ? 1 : -1;
    return a - b;
  }
  return left.length - right.length;
}

const typeRank = (value: unknown): number => {
  if (typeof value === "number") return 0;
  if (typeof value === "string") return 1;
  if (typeof value === "boolean") return 2;
  return Array.isArray(value) ? 3 : value === null ? 5 : 4;
};

function compareValues(left: unknown, right: unknown): number {
  if (typeof left === "number" && typeof right === "number") return left - right;
  if (typeof left === "string" && typeof right === "string") return compareText(left, right);
  if (typeof left === "boolean" && typeof right === "boolean") return Number(left) - Number(right);
  return typeRank(left) - typeRank(right) || compareText(goJson(left), goJson(right));
}

/** Of elements that name list items: `k:{"type":"Ready"}` is in every pod. */
const values = createMemo<unknown>();
const parseValue = (element: string): unknown => JSON.parse(element.slice(2));

const elementRanks = "fkvi";

/** Upstream's order of elements: fields, keys, values, indices. */
export function compareElements(left: string, right: string): number {
  const kind = left.charAt(0);
  if (kind !== right.charAt(0)) return elementRanks.indexOf(kind) - elementRanks.indexOf(right.charAt(0));
  if (kind === "f") return compareText(left, right);
  const a = values(left, parseValue);
  const b = values(right, parseValue);
  if (kind !== "k" || !isDraft(a) || !isDraft(b)) return compareValues(a, b);
  const aKeys = Object.keys(a);
  const bKeys = Object.keys(b);
  for (let index = 0; index < Math.min(aKeys.length, bKeys.length); index++) {
    const aKey = aKeys[index] ?? "";
    const bKey = bKeys[index] ?? "";
    const order = compareText(aKey, bKey) || compareValues(a[aKey], b[bKey]);
    if (order !== 0) return order;
  }
  return aKeys.length - bKeys.length;
}

const surrogate = /[\ud800-\udfff]/;

const byUnit = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);

/** Sorts in upstream's order. Elements of one object are all fields, or all keys, or all values. */
export function sortElements(elements: string[]): void {
  let fields = 0;
  for (const element of elements) if (element.startsWith("f:") && !surrogate.test(element)) fields++;
  if (fields === elements.length) elements.sort(byUnit);
  else if (elements.length > 1) elements.sort(compareElements);
}

const leaves = new WeakMap<FieldSet, Draft>();

/** A set of elements below which nothing lies, with its FieldsV1 as the value of a member. Both belong to all: nobody changes them. */
export function shareLeaf(elements: readonly string[]): { readonly set: FieldSet; readonly formatted: Draft } {
  const set: FieldSet = { members: new Set(elements), children: new Map() };
  const below = [".", ...elements].map((element) => [element, Object.freeze({})] as const);
  const formatted: Draft = Object.freeze(Object.fromEntries(below));
  leaves.set(set, formatted);
  return { set, formatted };
}

/** FieldsV1 of a set: `{"f:spec":{"f:replicas":{}}}`, in upstream's order. */
export function formatFields(set: FieldSet): Draft {
  const elements = [...set.members];
  for (const element of set.children.keys()) if (!set.members.has(element)) elements.push(element);
  if (elements.length > 1) sortElements(elements);
  const fields: Draft = {};
  for (const element of elements) {
    const child = set.children.get(element);
    if (child === undefined || isEmptySet(child)) {
      if (set.members.has(element)) fields[element] = {};
      continue;
    }
    const isMember = set.members.has(element);
    const leaf = isMember ? leaves.get(child) : undefined;
    if (leaf !== undefined) {
      fields[element] = leaf;
      continue;
    }
    const below = formatFields(child);
    fields[element] = isMember ? { ".": {}, ...below } : below;
  }
  return fields;
}

/** Of FieldsV1 that cannot change any more. */
const parsed = new WeakMap<Draft, FieldSet>();

/** {@link parseFields}, once for what is frozen. The set is shared. */
export function readFields(fields: DraftValue): FieldSet {
  if (!isDraft(fields) || !Object.isFrozen(fields)) return parseFields(fields);
  let set = parsed.get(fields);
  if (set === undefined) parsed.set(fields, (set = parseFields(fields)));
  return set;
}

/** A client may send managedFields as deep as JSON may be; no object has fields that deep. */
const deepest = 2000;

/**
 * The set that a FieldsV1 says. Elements of kinds that are not known are dropped.
 * @throws Error naming the element that cannot be read
 */
export function parseFields(fields: DraftValue, depth = 0): FieldSet {
  const set = newFieldSet();
  if (!isDraft(fields)) return set;
  if (depth > deepest) throw new Error("fields are nested too deeply");
  for (const key of Object.keys(fields)) {
    if (key === ".") continue;
    const element = canonicalElement(key);
    if (element === undefined) continue;
    const below = fields[key];
    if (!isDraft(below)) {
      set.members.add(element);
      continue;
    }
    const keys = Object.keys(below);
    if (keys.length === 0 || Object.hasOwn(below, ".")) set.members.add(element);
    if (keys.length > 0) {
      const child = parseFields(below, depth + 1);
      if (!isEmptySet(child)) set.children.set(element, child);
      else set.members.add(element);
    }
  }
  return set;
}

function canonicalElement(key: string): string | undefined {
  if (key.length < 2) throw new Error("key must be 2 characters long:");
  if (key[1] !== ":") throw new Error(`missing colon: ${key}`);
  const text = key.slice(2);
  switch (key[0]) {
    case "f":
      return key;
    case "v":
      return valueElement(JSON.parse(text) as unknown);
    case "k": {
      const value: unknown = JSON.parse(text);
      if (!isDraft(value)) throw new Error(`no object of keys: ${key}`);
      return `k:${goJson(value)}`;
    }
    case "i":
      if (!/^[+-]?\d+$/.test(text)) throw new Error(`no index: ${key}`);
      return `i:${Number(text)}`;
    default:
      return undefined;
  }
}

/** `value.ToString` of Go. */
const plainText = (value: unknown): string =>
  Array.isArray(value)
    ? `[${value.map(plainText).join(",")}]`
    : isDraft(value)
      ? Object.entries(value)
          .map(([key, item]) => `${key}=${plainText(item)}`)
          .join("")
      : (JSON.stringify(value) ?? "null");

/** `.spec`, `[name="a"]`, `[="a"]`, `[0]`: an element as messages write it. */
export function elementText(element: string): string {
  const text = element.slice(2);
  if (element.startsWith("f:")) return `.${text}`;
  if (element.startsWith("i:")) return `[${text}]`;
  const value: unknown = JSON.parse(text);
  if (element.startsWith("v:")) return `[=${plainText(value)}]`;
  const keys = isDraft(value) ? Object.entries(value) : [];
  return `[${keys.map(([key, item]) => `${key}=${plainText(item)}`).join(",")}]`;
}

/** Every path of the set as messages write it (`.spec.ports[port=80].name`), members before what lies below. */
export function pathTexts(set: FieldSet): string[] {
  const texts: string[] = [];
  const walk = (at: FieldSet, prefix: string): void => {
    for (const element of [...at.members].toSorted(compareElements)) texts.push(prefix + elementText(element));
    for (const element of [...at.children.keys()].toSorted(compareElements)) {
      walk(childSet(at, element), prefix + elementText(element));
    }
  };
  walk(set, "");
  return texts;
}

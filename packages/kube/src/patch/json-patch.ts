import { createPatch } from "rfc6902";
import type { JsonPatchOperation } from "../client/client.ts";
import {
  copyOf,
  isJsonList,
  isJsonObject,
  jsonEqual,
  setValue,
  valueAt,
  type Json,
  type JsonObject,
} from "./json-value.ts";
import { patchError } from "./patch-error.ts";

/** The API server refuses longer ones (`maxJSONPatchOperations`). */
const maxOperations = 10_000;

/**
 * Applies a JSON Patch as the API server does; the document stays as it is.
 *
 * That is RFC 6902 with the habits of the server's library (evanphx/json-patch v4): `replace` adds a key that is
 * missing, `copy` of a missing key copies `null`, `test` takes a missing key for `null`, and negative indices count
 * from the end. One habit is not kept: there, `test` compares strings as they are encoded, so that a value with `<`,
 * `>` or `&` is never equal.
 *
 * @throws {FleetwrightError} `FW_PATCH` when an operation does not apply; nothing is applied then
 *
 * @example
 * applyJsonPatch({ a: [1] }, [{ op: "add", path: "/a/-", value: 2 }]) // { a: [1, 2] }
 */
export function applyJsonPatch<T extends object>(document: T, operations: readonly JsonPatchOperation[]): T {
  if (operations.length > maxOperations) {
    throw patchError(`the allowed maximum operations in a JSON patch is ${maxOperations}, got ${operations.length}`);
  }
  let result = document as unknown as Json;
  for (const operation of operations) result = applyOperation(result, operation);
  return result as unknown as T;
}

/** A JSON Patch that turns `original` into `modified`. */
export function createJsonPatch(original: unknown, modified: unknown): JsonPatchOperation[] {
  return createPatch(original, modified) as JsonPatchOperation[];
}

function applyOperation(document: Json, operation: JsonPatchOperation): Json {
  switch (operation.op) {
    case "add":
      return changeAt(document, operation, operation.path, (parent, key) => added(parent, key, valueOf(operation)));
    case "remove":
      return changeAt(document, operation, operation.path, removed);
    case "replace":
      if (operation.path === "") return replacedRoot(valueOf(operation));
      return changeAt(document, operation, operation.path, (parent, key) => replaced(parent, key, valueOf(operation)));
    case "move": {
      const value = read(document, operation, operation.from) ?? null;
      const without = changeAt(document, operation, operation.from, removed);
      return changeAt(without, operation, operation.path, (parent, key) => added(parent, key, value));
    }
    case "copy": {
      const value = read(document, operation, operation.from) ?? null;
      return changeAt(document, operation, operation.path, (parent, key) => added(parent, key, value));
    }
    case "test": {
      const actual = operation.path === "" ? document : read(document, operation, operation.path);
      if (!jsonEqual(actual ?? null, valueOf(operation))) {
        throw patchError(`testing value ${operation.path} failed: test failed`);
      }
      return document;
    }
    default:
      throw patchError(`Unexpected kind: ${String((operation as { readonly op?: unknown }).op)}`);
  }
}

const valueOf = (operation: { readonly value?: unknown }): Json => (operation.value ?? null) as Json;

function replacedRoot(value: Json): Json {
  if (isJsonObject(value) || isJsonList(value)) return value;
  throw patchError("replace operation value must be object or array");
}

/** The keys on the way; what stands before the first slash is ignored, as the server does. */
function keysOf(
  operation: JsonPatchOperation,
  path: unknown,
): { readonly way: readonly string[]; readonly last: string } {
  const parts = typeof path === "string" ? path.split("/").slice(1) : [];
  const last = parts.pop();
  if (last === undefined) throw missingPath(operation, path);
  const decode = (part: string): string => part.replaceAll("~1", "/").replaceAll("~0", "~");
  return { way: parts.map(decode), last: decode(last) };
}

const missingPath = (operation: JsonPatchOperation, path: unknown): Error =>
  patchError(`${operation.op} operation does not apply: doc is missing path: ${JSON.stringify(path)}: missing value`);

/** Copies the containers on the way to a path and lets `change` make a new last one. */
function changeAt(
  document: Json,
  operation: JsonPatchOperation,
  path: string,
  change: (parent: JsonObject | readonly Json[], key: string) => Json,
): Json {
  const { way, last } = keysOf(operation, path);
  const descend = (node: Json | undefined, depth: number): Json => {
    if (!isJsonObject(node) && !isJsonList(node)) throw missingPath(operation, path);
    const key = way[depth];
    if (key === undefined) return change(node, last);
    if (isJsonObject(node)) {
      const copy = copyOf(node);
      setValue(copy, key, descend(valueAt(node, key), depth + 1));
      return copy;
    }
    const index = existingIndex(node, key);
    if (index === undefined) throw missingPath(operation, path);
    return node.with(index, descend(node[index], depth + 1));
  };
  return descend(document, 0);
}

/** The value at a path: `undefined` for a missing key of an object. */
function read(document: Json, operation: JsonPatchOperation, path: string): Json | undefined {
  const { way, last } = keysOf(operation, path);
  let node: Json | undefined = document;
  for (const key of way) {
    node = isJsonObject(node)
      ? valueAt(node, key)
      : isJsonList(node)
        ? node[existingIndex(node, key) ?? -1]
        : undefined;
  }
  if (isJsonObject(node)) return valueAt(node, last);
  if (!isJsonList(node)) throw missingPath(operation, path);
  return node[checkedIndex(node, last)];
}

function added(parent: JsonObject | readonly Json[], key: string, value: Json): Json {
  if (isJsonObject(parent)) return withKey(parent, key, value);
  if (key === "-") return [...parent, value];
  const index = indexIn(parent.length + 1, key);
  if (index === undefined) throw invalidIndex(key);
  return parent.toSpliced(index, 0, value);
}

function replaced(parent: JsonObject | readonly Json[], key: string, value: Json): Json {
  return isJsonObject(parent) ? withKey(parent, key, value) : parent.with(checkedIndex(parent, key), value);
}

function removed(parent: JsonObject | readonly Json[], key: string): Json {
  if (isJsonList(parent)) return parent.toSpliced(checkedIndex(parent, key), 1);
  if (!Object.hasOwn(parent, key)) throw patchError(`Unable to remove nonexistent key: ${key}: missing value`);
  const copy = copyOf(parent);
  delete copy[key];
  return copy;
}

function withKey(object: JsonObject, key: string, value: Json): JsonObject {
  const copy = copyOf(object);
  setValue(copy, key, value);
  return copy;
}

function checkedIndex(list: readonly Json[], key: string): number {
  const index = existingIndex(list, key);
  if (index === undefined) throw invalidIndex(key);
  return index;
}

const existingIndex = (list: readonly Json[], key: string): number | undefined => indexIn(list.length, key);

/** Go's `Atoi`, which takes signs and leading zeros; negative numbers count from the end. */
function indexIn(length: number, key: string): number | undefined {
  if (!/^[+-]?[0-9]{1,15}$/.test(key)) return undefined;
  const number = Number(key);
  const index = number < 0 ? number + length : number;
  return index >= 0 && index < length ? index : undefined;
}

const invalidIndex = (key: string): Error =>
  patchError(`Unable to access invalid index: ${key}: invalid index referenced`);

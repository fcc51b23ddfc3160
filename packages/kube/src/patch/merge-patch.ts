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

/**
 * Applies a JSON merge patch (RFC 7386) as the API server does; the document stays as it is. The server's library
 * differs from the RFC in one thing: `null`s within objects of a new list are dropped, too.
 *
 * @throws {FleetwrightError} `FW_PATCH` when the patch is not an object
 */
export function applyMergePatch<T extends object>(document: T, patch: unknown): T {
  if (!isJsonObject(patch)) throw patchError("a merge patch is an object");
  return merged(document as unknown as JsonObject, patch) as unknown as T;
}

function merged(document: JsonObject, patch: JsonObject): JsonObject {
  const result = copyOf(document);
  for (const [key, value] of Object.entries(patch)) {
    const current = valueAt(document, key);
    if (value === null) delete result[key];
    else if (isJsonObject(current)) setValue(result, key, isJsonObject(value) ? merged(current, value) : value);
    else setValue(result, key, withoutNulls(value));
  }
  return result;
}

function withoutNulls(value: Json): Json {
  if (isJsonList(value)) return value.map(withoutNulls);
  if (!isJsonObject(value)) return value;
  const result: Record<string, Json> = {};
  for (const [key, inner] of Object.entries(value)) if (inner !== null) setValue(result, key, withoutNulls(inner));
  return result;
}

/** The merge patch that turns `original` into `modified`, which holds no `null`: `{}` when they are equal. */
export function createMergePatch(original: object, modified: object): JsonObject {
  return difference(original as JsonObject, modified as JsonObject);
}

function difference(original: JsonObject, modified: JsonObject): JsonObject {
  const patch: Record<string, Json> = {};
  for (const [key, value] of Object.entries(modified)) {
    const before = valueAt(original, key);
    if (jsonEqual(before, value)) continue;
    setValue(patch, key, isJsonObject(before) && isJsonObject(value) ? difference(before, value) : value);
  }
  for (const key of Object.keys(original)) if (!Object.hasOwn(modified, key)) setValue(patch, key, null);
  return patch;
}

/**
 * What `kubectl apply` sends for a custom resource: everything that `modified` says, and deletions of what `original`
 * (the configuration applied last) said and `modified` does not. What others set in `current` stays
 * (apimachinery pkg/util/jsonmergepatch).
 */
export function createThreeWayMergePatch(original: object, modified: object, current: object): JsonObject {
  const changes = filterNulls(createMergePatch(current, modified), false);
  const deletions = filterNulls(createMergePatch(original, modified), true);
  return combined(deletions, changes);
}

/** Keeps either the deletions of a patch or everything else. */
function filterNulls(patch: JsonObject, keepNulls: boolean): JsonObject {
  const result: Record<string, Json> = {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) {
      if (keepNulls) setValue(result, key, null);
    } else if (isJsonObject(value)) {
      const inner = filterNulls(value, keepNulls);
      // An object that is empty in the patch itself says "make it"; one that became empty says nothing.
      if (Object.keys(inner).length > 0 || (!keepNulls && Object.keys(value).length === 0))
        setValue(result, key, inner);
    } else if (!keepNulls) setValue(result, key, value);
  }
  return result;
}

function combined(first: JsonObject, second: JsonObject): JsonObject {
  const result = copyOf(first);
  for (const [key, value] of Object.entries(second)) {
    const before = valueAt(first, key);
    setValue(result, key, isJsonObject(before) && isJsonObject(value) ? combined(before, value) : value);
  }
  return result;
}

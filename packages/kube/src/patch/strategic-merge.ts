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
import { goText, goTypeText } from "./go-text.ts";
import {
  deleteFromListDirective,
  elementKindOf,
  elementOrderDirective,
  fieldOfDirective,
  indexOfKey,
  interleaved,
  isDeletion,
  keyOfElement,
  objectElement,
  partitioned,
  patchDirective,
  retainKeysDirective,
} from "./merge-list.ts";
import { patchError } from "./patch-error.ts";
import { fieldOf, schemaOf, type PatchField, type PatchSchema } from "./patch-schema.ts";

/**
 * Applies a strategic merge patch as the API server does (apimachinery pkg/util/strategicpatch); the document stays as
 * it is. Directives: `$patch` (`delete`, `replace`), `$retainKeys`, `$deleteFromPrimitiveList/<field>`,
 * `$setElementOrder/<field>`.
 *
 * @param schema of the object's kind, from `patchSchemaOf`
 * @throws {FleetwrightError} `FW_PATCH` when the patch does not apply
 *
 * @example
 * const schema = patchSchemaOf({ group: "apps", version: "v1", kind: "Deployment" });
 * applyStrategicMergePatch(schema, deployment, {
 *   spec: { template: { spec: { containers: [{ name: "web", image: "web:2" }] } } },
 * });
 */
export function applyStrategicMergePatch<T extends object>(schema: PatchSchema, document: T, patch: unknown): T {
  // The server reads `null` into an empty patch.
  if (patch === null) return document;
  if (!isJsonObject(patch)) throw patchError("a strategic merge patch is an object");
  return mergeObjects(document as unknown as JsonObject, patch, schema, "apply") as unknown as T;
}

/**
 * `apply`: the patch is carried out on a document. `combine`: two patches become one, and directives and `null`s are
 * kept for the server.
 */
export type MergeMode = "apply" | "combine";

/** Merges a patch into an object, or, combining, into another patch. */
export function mergeObjects(
  original: JsonObject,
  patch: JsonObject,
  schema: PatchSchema,
  mode: MergeMode,
): JsonObject {
  const directive = valueAt(patch, patchDirective);
  if (directive !== undefined) return carriedOut(directive, patch, mode);
  const rest = copyOf(patch);
  const result = applyRetainKeys(original, rest, mode);
  applyElementOrders(result, rest, schema, mode);
  for (const [key, value] of Object.entries(rest)) mergeField(result, key, value, schema, mode);
  return result;
}

/** `$patch` in an object is about the whole object. */
function carriedOut(directive: Json, patch: JsonObject, mode: MergeMode): JsonObject {
  if (directive === "delete") return {};
  if (directive !== "replace") throw unknownDirective(directive, patch);
  const replacement = copyOf(patch);
  delete replacement[patchDirective];
  return taken(replacement, mode);
}

const unknownDirective = (directive: Json, patch: JsonObject): Error =>
  patchError(`unknown patch type: ${goText(directive)} in map: ${goText(patch)}`);

/** Takes `$retainKeys` out of the patch and drops what it does not name. */
function applyRetainKeys(original: JsonObject, patch: Record<string, Json>, mode: MergeMode): Record<string, Json> {
  const result = copyOf(original);
  const directive = valueAt(patch, retainKeysDirective);
  if (directive === undefined) return result;
  delete patch[retainKeysDirective];
  if (mode === "combine") {
    const before = valueAt(original, retainKeysDirective);
    if (before !== undefined && !jsonEqual(before, directive)) {
      throw patchError(`${goText(before)} and ${goText(directive)} are not deep equal`);
    }
    setValue(result, retainKeysDirective, directive);
    return result;
  }
  if (!isJsonList(directive)) throw patchError("invalid patch format of retainKeys");
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || key.startsWith(deleteFromListDirective) || key.startsWith(elementOrderDirective)) continue;
    if (!directive.includes(key)) {
      throw patchError("invalid patch format of retainKeys");
    }
  }
  for (const key of Object.keys(result)) if (!directive.includes(key)) delete result[key];
  return result;
}

/** Takes every `$setElementOrder/<field>` and its list out of the patch and makes the ordered list. */
function applyElementOrders(
  result: Record<string, Json>,
  patch: Record<string, Json>,
  schema: PatchSchema,
  mode: MergeMode,
): void {
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(elementOrderDirective)) continue;
    if (mode === "combine") {
      const before = valueAt(result, key);
      if (before !== undefined && !jsonEqual(before, order))
        throw patchError("invalid patch format of setElementOrder list");
      setValue(result, key, order);
    }
    delete patch[key];
    const wanted = list(order);
    const field = fieldOfDirective(key, elementOrderDirective);
    const ordered = orderedList(valueAt(result, field), valueAt(patch, field), wanted, fieldOf(schema, field), mode);
    if (ordered === undefined) continue;
    setValue(result, field, ordered);
    delete patch[field];
  }
}

function orderedList(
  original: Json | undefined,
  patch: Json | undefined,
  wanted: readonly Json[],
  field: PatchField,
  mode: MergeMode,
): readonly Json[] | undefined {
  const before = original === undefined ? undefined : list(original);
  const changes = patch === undefined ? undefined : list(patch);
  const mergeKey = field.mergeKey ?? "";
  checkOrder(changes ?? [], wanted, mergeKey);
  if (before === undefined && changes === undefined) return undefined;
  let merged: readonly Json[];
  if (changes === undefined) merged = before ?? [];
  else if (before === undefined) merged = withoutDirectives(changes);
  else merged = mergeListField(before, changes, field, false, mode);
  const { named, others } = partitioned(merged, wanted, mergeKey);
  const kind = elementKindOf(before ?? [], changes ?? []);
  return interleaved(named, others, wanted, before ?? [], { kind, mergeKey });
}

function list(value: Json): readonly Json[] {
  if (isJsonList(value)) return value;
  throw patchError(`expected a []interface {}, but received a ${goTypeText(value)}`);
}

/** The patch's own list has to follow the order that the patch asks for. */
function checkOrder(changes: readonly Json[], order: readonly Json[], mergeKey: string): void {
  if (changes.length === 0 || order.length === 0) return;
  const kept = mergeKey === "" ? changes : changes.filter((element) => !isDeletion(element));
  let at = 0;
  for (const wanted of order) {
    while (at < kept.length && isJsonObject(kept[at]) && Object.hasOwn(kept[at] as JsonObject, patchDirective)) at += 1;
    const element = kept[at];
    if (element === undefined) return;
    const same =
      mergeKey === "" ? element === wanted : keyOfElement(element, mergeKey) === keyOfElement(wanted, mergeKey);
    if (same) at += 1;
  }
  if (at < kept.length) {
    throw patchError(
      `The order in patch list:\n${goText(changes)}\n doesn't match $setElementOrder list:\n${goText(order)}\n`,
    );
  }
}

function mergeField(
  result: Record<string, Json>,
  patchKey: string,
  value: Json,
  schema: PatchSchema,
  mode: MergeMode,
): void {
  const isDeleteList = patchKey.startsWith(deleteFromListDirective);
  if (isDeleteList && mode === "combine") {
    setValue(result, patchKey, value);
    return;
  }
  const key = isDeleteList ? fieldOfDirective(patchKey, deleteFromListDirective) : patchKey;
  if (value === null) {
    delete result[key];
    if (mode === "apply") return;
  }
  const current = valueAt(result, key);
  if (current === undefined || kindOf(current) !== kindOf(value)) {
    if (!isDeleteList) setKept(result, key, value, mode);
  } else if (isJsonObject(current) && isJsonObject(value)) {
    const field = fieldOf(schema, key);
    const merged =
      field.strategy === "replace" ? taken(value, mode) : mergeObjects(current, value, schemaOf(field), mode);
    setValue(result, key, merged);
  } else if (isJsonList(current) && isJsonList(value)) {
    setValue(result, key, mergeListField(current, value, fieldOf(schema, key), isDeleteList, mode));
  } else setKept(result, key, value, mode);
}

const kindOf = (value: Json): string => (value === null ? "null" : isJsonList(value) ? "list" : typeof value);

function mergeListField(
  original: readonly Json[],
  patch: readonly Json[],
  field: PatchField,
  isDeleteList: boolean,
  mode: MergeMode,
): readonly Json[] {
  if (field.strategy !== "merge" && !isDeleteList) return taken(patch, mode);
  if (original.length === 0 && patch.length === 0) return original;
  const kind = elementKindOf(original, patch);
  const mergeKey = field.mergeKey ?? "";
  if (kind === "scalar") {
    if (isDeleteList && mode === "apply") return original.filter((element) => !patch.includes(element));
    const { named, others } = partitioned([...new Set([...original, ...patch])], patch, mergeKey);
    return interleaved(named, others, patch, original, { kind, mergeKey });
  }
  if (mergeKey === "") throw patchError("cannot merge lists without merge key for struct");
  const special = carriedOutInList(original, patch, mergeKey);
  const merged = mergeElements(special.original, special.patch, mergeKey, schemaOf(field), mode);
  const { named, others } = partitioned(merged, special.patch, mergeKey);
  return interleaved(named, others, special.patch, special.original, { kind, mergeKey });
}

/** `$patch` in an element of a merged list: `delete` is about that element, `replace` about the whole list. */
function carriedOutInList(
  original: readonly Json[],
  patch: readonly Json[],
  mergeKey: string,
): { readonly original: readonly Json[]; readonly patch: readonly Json[] } {
  let kept = original;
  let replaces = false;
  const elements: Json[] = [];
  for (const element of patch) {
    const object = objectElement(element);
    const directive = valueAt(object, patchDirective);
    if (directive === undefined) elements.push(object);
    else if (directive === "delete") {
      const key = keyOfElement(element, mergeKey);
      kept = kept.filter((other) => valueAt(objectElement(other), mergeKey) !== key);
    } else if (directive === "replace") replaces = true;
    else if (directive === "merge") throw patchError("merging lists cannot yet be specified in the patch");
    else throw unknownDirective(directive, object);
  }
  return replaces ? { original: elements, patch: [] } : { original: kept, patch: elements };
}

function mergeElements(
  original: readonly Json[],
  patch: readonly Json[],
  mergeKey: string,
  schema: PatchSchema,
  mode: MergeMode,
): readonly Json[] {
  const merged = [...original];
  for (const element of patch) {
    const index = indexOfKey(merged, mergeKey, keyOfElement(element, mergeKey));
    const before = merged[index];
    if (before === undefined) merged.push(taken(element, mode));
    else merged[index] = mergeObjects(objectElement(before), objectElement(element), schema, mode);
  }
  return merged;
}

/** Sets a value without the directives in it; an object that is a directive itself sets nothing. */
function setKept(result: Record<string, Json>, key: string, value: Json, mode: MergeMode): void {
  if (isDirective(value)) delete result[key];
  else setValue(result, key, taken(cleaned(value), mode));
}

const isDirective = (value: Json): boolean => isJsonObject(value) && Object.hasOwn(value, patchDirective);

const withoutDirectives = (values: readonly Json[]): readonly Json[] =>
  values.filter((value) => !isDirective(value)).map(cleaned);

function cleaned(value: Json): Json {
  if (isJsonList(value)) return withoutDirectives(value);
  if (!isJsonObject(value)) return value;
  const result: Record<string, Json> = {};
  for (const [key, inner] of Object.entries(value)) if (!isDirective(inner)) setValue(result, key, cleaned(inner));
  return result;
}

/**
 * What a patch says as a part of the document. The API server decodes it into the kind's type, which knows neither
 * `null` nor directives.
 */
function taken<T extends Json>(value: T, mode: MergeMode): T;
function taken(value: Json, mode: MergeMode): Json {
  if (mode === "combine") return value;
  if (isJsonList(value)) return value.map((element) => taken(element, mode));
  if (!isJsonObject(value)) return value;
  const result: Record<string, Json> = {};
  for (const [key, inner] of Object.entries(value)) {
    if (inner !== null && !isDirectiveKey(key)) setValue(result, key, taken(inner, mode));
  }
  return result;
}

const isDirectiveKey = (key: string): boolean =>
  key === patchDirective ||
  key === retainKeysDirective ||
  key.startsWith(`${deleteFromListDirective}/`) ||
  key.startsWith(`${elementOrderDirective}/`);

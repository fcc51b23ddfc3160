import { isJsonList, isJsonObject, jsonEqual, setValue, valueAt, type Json, type JsonObject } from "./json-value.ts";
import {
  deleteFromListDirective,
  elementKindOf,
  elementOrderDirective,
  keyOfElement,
  objectElement,
  patchDirective,
  retainKeysDirective,
  sortedLike,
} from "./merge-list.ts";
import { patchError } from "./patch-error.ts";
import { fieldOf, schemaOf, type PatchField, type PatchSchema } from "./patch-schema.ts";
import { mergeObjects } from "./strategic-merge.ts";

/**
 * The strategic merge patch that turns `original` into `modified` (apimachinery's `CreateTwoWayMergePatch`): `{}` when
 * they are equal.
 *
 * @param schema of the objects' kind, from `patchSchemaOf`
 * @throws {FleetwrightError} `FW_PATCH` for lists that cannot be merged (elements without their key)
 */
export function createStrategicMergePatch(schema: PatchSchema, original: object, modified: object): JsonObject {
  return objectDifference(original as JsonObject, modified as JsonObject, schema, { changes: true, deletions: true });
}

/**
 * What `kubectl apply` sends for a built-in kind (apimachinery's `CreateThreeWayMergePatch`, overwriting): everything
 * that `modified` says and `current` does not, and deletions of what `original`, the configuration applied last, said
 * and `modified` does not. What others set in `current` stays.
 *
 * @throws {FleetwrightError} `FW_PATCH` for lists that cannot be merged
 */
export function createThreeWayStrategicMergePatch(
  schema: PatchSchema,
  original: object,
  modified: object,
  current: object,
): JsonObject {
  const [first, wanted, live] = [original as JsonObject, modified as JsonObject, current as JsonObject];
  const changes = objectDifference(live, wanted, schema, { changes: true, deletions: false });
  const deletions = objectDifference(first, wanted, schema, { changes: false, deletions: true });
  return mergeObjects(deletions, changes, schema, "combine");
}

/** Which differences become part of the patch. */
interface Parts {
  readonly changes: boolean;
  readonly deletions: boolean;
}

function objectDifference(
  original: JsonObject,
  modified: JsonObject,
  schema: PatchSchema,
  parts: Parts,
  retainKeys = false,
): JsonObject {
  const patch: Record<string, Json> = {};
  for (const [key, value] of Object.entries(modified)) {
    const before = valueAt(original, key);
    if (before === undefined) {
      if (parts.changes) setValue(patch, key, value);
    } else if (isJsonObject(before) && isJsonObject(value)) {
      addObjectDifference(patch, key, before, value, fieldOf(schema, key), parts);
    } else if (isJsonList(before) && isJsonList(value) && fieldOf(schema, key).strategy === "merge") {
      addListDifference(patch, key, before, value, fieldOf(schema, key), parts);
    } else if (parts.changes && !jsonEqual(before, value)) setValue(patch, key, value);
  }
  const gone = Object.keys(original).filter((key) => !Object.hasOwn(modified, key));
  if (parts.deletions) for (const key of gone) setValue(patch, key, null);
  const retained = retainKeys ? Object.keys(modified).filter((key) => modified[key] !== null) : [];
  if (retained.length > 0 && (Object.keys(patch).length > 0 || gone.length > 0)) {
    setValue(patch, retainKeysDirective, retained.toSorted(byText));
  }
  return patch;
}

function addObjectDifference(
  patch: Record<string, Json>,
  key: string,
  original: JsonObject,
  modified: JsonObject,
  field: PatchField,
  parts: Parts,
): void {
  if (field.strategy === "replace") {
    if (parts.changes && !jsonEqual(original, modified)) setValue(patch, key, modified);
    return;
  }
  const difference = objectDifference(original, modified, schemaOf(field), parts, field.retainKeys === true);
  if (Object.keys(difference).length > 0) setValue(patch, key, difference);
}

function addListDifference(
  patch: Record<string, Json>,
  key: string,
  original: readonly Json[],
  modified: readonly Json[],
  field: PatchField,
  parts: Parts,
): void {
  if (original.length === 0) {
    if (modified.length > 0 && parts.changes) setValue(patch, key, modified);
    return;
  }
  const kind = elementKindOf(original, modified);
  const { elements, deletions, order } =
    kind === "object"
      ? objectListDifference(original, modified, field, parts)
      : scalarListDifference(original, modified, parts);
  if (elements.length > 0) setValue(patch, key, elements);
  if (deletions.length > 0) setValue(patch, `${deleteFromListDirective}/${key}`, deletions);
  if (order.length > 0) setValue(patch, `${elementOrderDirective}/${key}`, order);
}

interface ListDifference {
  readonly elements: readonly Json[];
  readonly deletions: readonly Json[];
  readonly order: readonly Json[];
}

function scalarListDifference(original: readonly Json[], modified: readonly Json[], parts: Parts): ListDifference {
  const additions = parts.changes ? modified.filter((element) => !original.includes(element)) : [];
  const deletions = parts.deletions ? original.filter((element) => !modified.includes(element)) : [];
  const isOrdered = (parts.changes && !jsonEqual(original, modified)) || deletions.length > 0;
  return {
    elements: additions,
    deletions: [...new Set(deletions)].toSorted(byText),
    order: isOrdered ? modified : [],
  };
}

function objectListDifference(
  original: readonly Json[],
  modified: readonly Json[],
  field: PatchField,
  parts: Parts,
): ListDifference {
  const { mergeKey } = field;
  if (mergeKey === undefined) throw patchError("cannot merge lists without merge key");
  const changed: Json[] = [];
  const deletions: Json[] = [];
  for (const [before, after] of pairs(sortedByKey(original, mergeKey), sortedByKey(modified, mergeKey), mergeKey)) {
    if (before === undefined) {
      if (parts.changes && after !== undefined) changed.push(after);
    } else if (after === undefined) {
      if (parts.deletions) deletions.push({ [mergeKey]: keyOfElement(before, mergeKey), [patchDirective]: "delete" });
    } else {
      const difference = objectDifference(before, after, schemaOf(field), parts, field.retainKeys === true);
      if (Object.keys(difference).length > 0)
        changed.push({ ...difference, [mergeKey]: keyOfElement(after, mergeKey) });
    }
  }
  const elements = [...sortedLike(changed, modified, { kind: "object", mergeKey }), ...deletions];
  const keys = modified.map((element) => keyOfElement(element, mergeKey));
  const sameOrder = jsonEqual(
    keys,
    original.map((element) => keyOfElement(element, mergeKey)),
  );
  const isOrdered = elements.length > 0 || (parts.changes && !sameOrder);
  return { elements, deletions: [], order: isOrdered ? keys.map((key) => ({ [mergeKey]: key })) : [] };
}

/** Elements of two sorted lists side by side. A key that stands twice is paired in order. */
function* pairs(
  originals: readonly JsonObject[],
  modifieds: readonly JsonObject[],
  mergeKey: string,
): Generator<readonly [JsonObject | undefined, JsonObject | undefined]> {
  let at = 0;
  for (const modified of modifieds) {
    const key = keyOfElement(modified, mergeKey);
    let original = originals[at];
    while (original && byText(keyOfElement(original, mergeKey), key) < 0) {
      yield [original, undefined];
      at += 1;
      original = originals[at];
    }
    if (original && byText(keyOfElement(original, mergeKey), key) === 0) {
      yield [original, modified];
      at += 1;
    } else yield [undefined, modified];
  }
  for (const original of originals.slice(at)) yield [original, undefined];
}

const sortedByKey = (list: readonly Json[], mergeKey: string): readonly JsonObject[] =>
  list
    .map(objectElement)
    .toSorted((left, right) => byText(keyOfElement(left, mergeKey), keyOfElement(right, mergeKey)));

function byText(left: Json, right: Json): number {
  const [leftText, rightText] = [keyText(left), keyText(right)];
  return leftText < rightText ? -1 : leftText > rightText ? 1 : 0;
}

/** Keys are strings and numbers; anything else only has to be put somewhere. */
const keyText = (key: Json): string => (typeof key === "string" ? key : JSON.stringify(key));

import { isDraft, type Draft } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { differenceOf, intersectionOf, isEmptySet, newFieldSet, unionOf, type FieldSet } from "./field-set.ts";
import type { Manager, Managers } from "./managers.ts";
import { inVersion, type Versions } from "./ownership.ts";
import { shapeOf } from "./shape.ts";
import { fieldsOf, withNamedContainers, withoutFields } from "./typed-value.ts";

const remove = (schema: Schema, object: Draft, fields: FieldSet): Draft => {
  const rest = withoutFields(shapeOf(schema), object, fields);
  return isDraft(rest) ? rest : {};
};

/**
 * Removes what the manager applied last time, does not apply now and nobody else owns (`prune` of
 * structured-merge-diff/v6/merge/update.go). `managers` has the manager's new fields already.
 */
export function pruneUnapplied(versions: Versions, merged: Draft, managers: Managers, last: Manager): Draft {
  if (isEmptySet(last.fields)) return merged;
  const seen = inVersion(versions, merged, last.apiVersion);
  if (seen === undefined) return merged;
  const { schema } = seen;
  const lastFields = withNamedContainers(shapeOf(schema), last.fields);
  let pruned = remove(schema, seen.object, lastFields);
  pruned = addBackOwned(versions, seen.object, pruned, last.apiVersion, managers);
  pruned = addBackDangling(schema, seen.object, pruned, lastFields);
  if (last.apiVersion === versions.apiVersion) return pruned;
  return inVersion({ ...versions, apiVersion: last.apiVersion }, pruned, versions.apiVersion)?.object ?? merged;
}

/** What somebody still owns stays. */
function addBackOwned(
  versions: Versions,
  merged: Draft,
  pruned: Draft,
  prunedVersion: string,
  managers: Managers,
): Draft {
  const byVersion = new Map<string, FieldSet>([[prunedVersion, newFieldSet()]]);
  for (const { apiVersion, fields } of managers.values()) {
    byVersion.set(apiVersion, unionOf(byVersion.get(apiVersion) ?? newFieldSet(), fields));
  }
  const from = { ...versions, apiVersion: prunedVersion };
  let current = pruned;
  for (const [apiVersion, owned] of byVersion) {
    const whole = inVersion(from, merged, apiVersion);
    const rest = inVersion(from, current, apiVersion);
    if (whole === undefined || rest === undefined) continue;
    const shape = shapeOf(whole.schema);
    const wholeFields = withNamedContainers(shape, fieldsOf(shape, whole.object));
    const keep = unionOf(withNamedContainers(shape, fieldsOf(shape, rest.object)), withNamedContainers(shape, owned));
    const kept = remove(whole.schema, whole.object, differenceOf(wholeFields, keep));
    current =
      apiVersion === prunedVersion
        ? kept
        : (inVersion({ ...versions, apiVersion }, kept, prunedVersion)?.object ?? current);
  }
  return current;
}

/** What the manager never applied stays, even below what it does not apply any more. */
function addBackDangling(schema: Schema, merged: Draft, pruned: Draft, lastFields: FieldSet): Draft {
  const shape = shapeOf(schema);
  const prunedFields = withNamedContainers(shape, fieldsOf(shape, pruned));
  const mergedFields = withNamedContainers(shape, fieldsOf(shape, merged));
  return remove(schema, merged, intersectionOf(differenceOf(mergedFields, prunedFields), lastFields));
}

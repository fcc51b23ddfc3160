import { createMemo } from "../machinery/memo.ts";
import { isDraft, type Draft, type DraftValue } from "../machinery/draft.ts";
import { compareText, formatFields, isEmptySet, readFields, unionOf, type FieldSet } from "./field-set.ts";

/** An entry of `metadata.managedFields`: who owns which fields (k8s.io/apimachinery/pkg/util/managedfields/internal). */
export interface Manager {
  readonly name: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly subresource: string;
  /** RFC 3339 with seconds. */
  readonly time: string | undefined;
  readonly fields: FieldSet;
  /** FieldsV1 as it was, as long as `fields` has not been replaced. */
  readonly formatted?: Draft;
}

/** By identity, which has no version for appliers. */
export type Managers = Map<string, Manager>;

/** `BuildManagerIdentifier`. Its text orders managers of the same age. */
export const managerId = ({
  name,
  operation,
  apiVersion,
  subresource,
}: Pick<Manager, "name" | "operation" | "apiVersion" | "subresource">): string => {
  // All four are the clients' texts: their lengths keep them apart.
  const key = `${operation}${apiVersion.length},${subresource.length},${apiVersion}${subresource}${name}`;
  return ids(key, () =>
    JSON.stringify({
      ...(name === "" ? {} : { manager: name }),
      operation,
      ...(operation === "Apply" || apiVersion === "" ? {} : { apiVersion }),
      ...(subresource === "" ? {} : { subresource }),
    }),
  );
};

/** Managers are few, and every write names some. */
const ids = createMemo<string>();

const textOf = (value: DraftValue): string => (typeof value === "string" ? value : "");

/** @throws Error saying what is wrong with an entry */
export function decodeManagers(entries: DraftValue): Managers {
  const managers: Managers = new Map();
  if (!Array.isArray(entries)) return managers;
  for (const [index, entry] of entries.entries()) {
    if (!isDraft(entry)) throw new Error("operation must be `Apply` or `Update`");
    const { operation, fieldsType } = entry;
    if (operation !== "Apply" && operation !== "Update") throw new Error("operation must be `Apply` or `Update`");
    const apiVersion = textOf(entry["apiVersion"]);
    if (apiVersion === "") throw new Error("apiVersion must not be empty");
    if (fieldsType === undefined || fieldsType === "" || fieldsType === null) {
      throw new Error(`missing fieldsType in managed fields entry ${index}`);
    }
    if (fieldsType !== "FieldsV1") {
      throw new Error(`invalid fieldsType ${JSON.stringify(fieldsType)} in managed fields entry ${index}`);
    }
    const formatted = entry["fieldsV1"];
    const manager: Manager = {
      name: textOf(entry["manager"]),
      operation,
      apiVersion,
      subresource: textOf(entry["subresource"]),
      time: typeof entry["time"] === "string" ? entry["time"] : undefined,
      fields: readFields(formatted),
      ...(isDraft(formatted) ? { formatted } : {}),
    };
    managers.set(managerId(manager), manager);
  }
  return managers;
}

const secondsOf = (time: string | undefined): number => {
  const ms = time === undefined ? 0 : Date.parse(time);
  return Number.isNaN(ms) ? 0 : Math.floor(ms / 1000);
};

/** In upstream's order: appliers first, then by age, name, version and subresource. */
export function encodeManagers(managers: Managers): Draft[] {
  const sorted = [...managers.values()];
  if (sorted.length > 1) {
    sorted.sort(
      (left, right) =>
        compareText(left.operation, right.operation) ||
        secondsOf(left.time) - secondsOf(right.time) ||
        compareText(left.name, right.name) ||
        compareText(left.apiVersion, right.apiVersion) ||
        compareText(left.subresource, right.subresource),
    );
  }
  return sorted.map((manager) => ({
    ...(manager.name === "" ? {} : { manager: manager.name }),
    operation: manager.operation,
    apiVersion: manager.apiVersion,
    ...(manager.time === undefined ? {} : { time: manager.time }),
    fieldsType: "FieldsV1",
    fieldsV1: manager.formatted ?? formatFields(manager.fields),
    ...(manager.subresource === "" ? {} : { subresource: manager.subresource }),
  }));
}

/** The manager with other fields. */
export function withFields(manager: Manager, fields: FieldSet): Manager {
  const { formatted: _, ...rest } = manager;
  return { ...rest, fields };
}

const mostUpdaters = 10;

/** Folds the oldest updaters into one for each version, so that there are no more than ten. */
export function capUpdaters(managers: Managers): void {
  const updaters = [...managers].filter(([, { operation }]) => operation === "Update");
  let excess = updaters.length - mostUpdaters;
  if (excess <= 0) return;
  updaters.sort(
    ([leftId, left], [rightId, right]) => secondsOf(left.time) - secondsOf(right.time) || compareText(leftId, rightId),
  );
  const firstOfVersion = new Map<string, string>();
  for (const [id, manager] of updaters) {
    if (excess <= 0) break;
    const { apiVersion } = manager;
    const first = firstOfVersion.get(apiVersion);
    if (first === undefined) {
      firstOfVersion.set(apiVersion, id);
      continue;
    }
    const bucket = { name: "ancient-changes", operation: "Update", apiVersion, subresource: "" } as const;
    const bucketId = managerId(bucket);
    const oldest = managers.get(bucketId) ?? managers.get(first);
    if (!managers.has(bucketId)) managers.delete(first);
    managers.delete(id);
    // The younger one's time is the bucket's.
    managers.set(bucketId, {
      ...bucket,
      time: manager.time,
      fields: oldest === undefined ? manager.fields : unionOf(manager.fields, oldest.fields),
    });
    excess--;
  }
}

/** Takes away those that own nothing. */
export function dropEmpty(managers: Managers): void {
  for (const [id, { fields }] of managers) if (isEmptySet(fields)) managers.delete(id);
}

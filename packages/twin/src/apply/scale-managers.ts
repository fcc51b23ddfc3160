import type { Draft, DraftValue } from "../machinery/draft.ts";
import { differenceOf, fieldSetOf, intersectionOf, isEmptySet, type FieldSet } from "./field-set.ts";
import { decodeManagers, encodeManagers, withFields, type Manager, type Managers } from "./managers.ts";

/** Where each version of a kind has its replicas; null where it has no `/scale`. */
export type ReplicasPaths = Readonly<Record<string, readonly string[] | null>>;

const scaleVersion = "autoscaling/v1";
const replicasOfScale = fieldSetOf([["spec", "replicas"]]);

const has = (fields: FieldSet, part: FieldSet): boolean => !isEmptySet(intersectionOf(fields, part));

const pathOf = (paths: ReplicasPaths, apiVersion: string): readonly string[] | null | undefined =>
  Object.hasOwn(paths, apiVersion) ? paths[apiVersion] : undefined;

/** Those who own the replicas, as owners of a Scale's (`ToSubresource` of apimachinery/pkg/util/managedfields/scalehandler.go). */
export function scaleManagers(entries: DraftValue, paths: ReplicasPaths): Draft[] {
  const owners: Managers = new Map();
  for (const [id, manager] of decodeManagers(entries)) {
    const path = pathOf(paths, manager.apiVersion);
    if (path === null || path === undefined || !has(manager.fields, fieldSetOf([path]))) continue;
    owners.set(id, withFields({ ...manager, apiVersion: scaleVersion }, replicasOfScale));
  }
  return encodeManagers(owners);
}

/** The object's managers after its Scale was written: who lost the replicas there loses them here (`ToParent`). */
export function parentManagers(
  entries: DraftValue,
  scaleEntries: DraftValue,
  apiVersion: string,
  paths: ReplicasPaths,
): Draft[] {
  const before = decodeManagers(entries);
  const scale = decodeManagers(scaleEntries);
  const managers: Managers = new Map();
  for (const [id, manager] of before) {
    const path = pathOf(paths, manager.apiVersion);
    if (path === undefined) continue;
    const replicas = path === null ? undefined : fieldSetOf([path]);
    if (replicas === undefined || !has(manager.fields, replicas)) managers.set(id, manager);
    else if (scale.delete(id)) managers.set(id, manager);
    else {
      const rest = differenceOf(manager.fields, replicas);
      if (!isEmptySet(rest)) managers.set(id, withFields(manager, rest));
    }
  }
  const path = pathOf(paths, apiVersion);
  if (path === null || path === undefined) return encodeManagers(managers);
  for (const [id, manager] of scale) {
    if (!has(manager.fields, replicasOfScale)) continue;
    // Upstream knows it by the Scale's version: it finds the time of appliers alone, and somebody who owns other fields
    // comes to be there twice.
    const owner: Manager = { ...manager, apiVersion, time: before.get(id)?.time };
    managers.set(id, withFields(owner, fieldSetOf([path])));
  }
  return encodeManagers(managers);
}

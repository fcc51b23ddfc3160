import type { KubeObject } from "../core/object.ts";

/** Which changes of a source matter. What is left out lets everything through. */
export interface Predicate<T extends KubeObject = KubeObject> {
  added?(object: T): boolean;
  updated?(before: T, after: T): boolean;
  deleted?(object: T): boolean;
}

/**
 * The spec changed. Kinds whose `metadata.generation` the server does not count (most of `v1`) are never let through
 * on update.
 */
export const generationChanged: Predicate = {
  updated: (before, after) => before.metadata.generation !== after.metadata.generation,
};

export const resourceVersionChanged: Predicate = {
  updated: (before, after) => before.metadata.resourceVersion !== after.metadata.resourceVersion,
};

export const labelsChanged: Predicate = {
  updated: (before, after) => !sameEntries(before.metadata.labels, after.metadata.labels),
};

export const annotationsChanged: Predicate = {
  updated: (before, after) => !sameEntries(before.metadata.annotations, after.metadata.annotations),
};

/** Deletion was asked for. `generation` counts it for kinds that have one; this is for the others. */
export const deletionStarted: Predicate = {
  updated: (before, after) =>
    before.metadata.deletionTimestamp === undefined && after.metadata.deletionTimestamp !== undefined,
};

/** Lets through what at least one lets through. Predicates in a list must all agree. */
export function anyOf<T extends KubeObject>(...predicates: readonly Predicate<T>[]): Predicate<T> {
  return {
    added: (object) => predicates.some((predicate) => predicate.added?.(object) ?? true),
    updated: (before, after) => predicates.some((predicate) => predicate.updated?.(before, after) ?? true),
    deleted: (object) => predicates.some((predicate) => predicate.deleted?.(object) ?? true),
  };
}

/** Only objects for which it holds; an update passes when it holds for either side. */
export function objectsWhere<T extends KubeObject>(holds: (object: T) => boolean): Predicate<T> {
  return { added: holds, updated: (before, after) => holds(before) || holds(after), deleted: holds };
}

function sameEntries(
  left: Readonly<Record<string, string>> = {},
  right: Readonly<Record<string, string>> = {},
): boolean {
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => left[key] === right[key]);
}

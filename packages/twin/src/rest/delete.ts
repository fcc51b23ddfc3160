import { timeText } from "@fleetwright/kube";
import { copyJson, typed } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { RequestContext } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { WriteConflict } from "../storage/store.ts";
import type { Version } from "../storage/version.ts";
import { admit, settle, validate } from "./admission-chain.ts";
import { attributesOf, removeVersion } from "./write.ts";
import type { Target } from "./write.ts";
import { metadataOf, readVersion, storageKey, subjectOf, textOf } from "./core.ts";
import type { Core } from "./core.ts";
import type { DeleteOptions } from "./options.ts";

const orphanFinalizer = "orphan";
const foregroundFinalizer = "foregroundDeletion";

/** What a deletion left: the object as it stays, or its last state when it is gone. */
export interface Deleted {
  readonly object: Draft;
  readonly gone: boolean;
}

const finalizersOf = (metadata: Draft): string[] =>
  Array.isArray(metadata["finalizers"]) ? metadata["finalizers"].filter((item) => typeof item === "string") : [];

function checkPreconditions(kind: ServedKind, metadata: Draft, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions;
  const name = textOf(metadata["name"]);
  const subject = { group: kind.group, resource: kind.kind };
  // Kinds whose deletion begins with a mark compare by themselves.
  if (kind.strategy.markDeleting !== undefined) {
    for (const [label, wanted, found] of [
      ["UID", uid, metadata["uid"]],
      ["ResourceVersion", resourceVersion, metadata["resourceVersion"]],
    ] as const) {
      if (wanted === undefined || wanted === found) continue;
      throw refusals.conflict(
        subjectOf(kind),
        name,
        `Precondition failed: ${label} in precondition: ${wanted}, ${label} in object meta: ${textOf(found)}`,
      );
    }
  }
  if (uid !== undefined && uid !== metadata["uid"]) {
    throw refusals.conflict(
      subject,
      name,
      `the UID in the precondition (${uid}) does not match the UID in record (${textOf(metadata["uid"])}). The object might have been deleted and then recreated`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata["resourceVersion"]) {
    throw refusals.conflict(
      subject,
      name,
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${textOf(metadata["resourceVersion"])}). The object might have been modified`,
    );
  }
}

interface Grace {
  readonly kind: "none" | "graceful" | "pending";
  readonly seconds: number;
}

/** `BeforeDelete`: whether the object stays for a while. Sets the deletion's time in `metadata`. */
function beforeDelete(kind: ServedKind, object: Draft, options: DeleteOptions, nowMs: number): Grace {
  const metadata = metadataOf(object);
  const { strategy } = kind;
  const requested =
    options.gracePeriodSeconds !== undefined && options.gracePeriodSeconds < 0 ? 1 : options.gracePeriodSeconds;
  if (strategy.graceSeconds === undefined) return { kind: "none", seconds: 0 };
  const since = textOf(metadata["deletionTimestamp"]);
  if (since !== "") {
    const current = Number(metadata["deletionGracePeriodSeconds"] ?? 0);
    if (current === 0) return { kind: "none", seconds: 0 };
    if (requested === undefined || requested >= current) return { kind: "pending", seconds: current };
    let seconds = requested;
    let end = Date.parse(since) - current * 1000 + requested * 1000;
    if (end < nowMs) {
      end = nowMs;
      if (seconds !== 0) seconds = 1;
    }
    metadata["deletionTimestamp"] = timeText(end);
    metadata["deletionGracePeriodSeconds"] = seconds;
    return { kind: "graceful", seconds };
  }
  const seconds = strategy.graceSeconds(typed(object), requested);
  if (seconds < 0) return { kind: "none", seconds: 0 };
  metadata["deletionTimestamp"] = timeText(nowMs + seconds * 1000);
  metadata["deletionGracePeriodSeconds"] = seconds;
  if (typeof metadata["generation"] === "number" && metadata["generation"] > 0) metadata["generation"] += 1;
  return { kind: "graceful", seconds };
}

/** The finalizers that the garbage collector acts on (`deletionFinalizersForGarbageCollection`). */
function propagationFinalizers(kind: ServedKind, metadata: Draft, options: DeleteOptions): readonly string[] {
  const current = finalizersOf(metadata);
  const others = current.filter((finalizer) => finalizer !== orphanFinalizer && finalizer !== foregroundFinalizer);
  const standard = kind.strategy.defaultPropagation ?? "background";
  if (standard === "unsupported") return others;
  let orphan: boolean;
  let foreground: boolean;
  if (options.orphanDependents !== undefined) {
    orphan = options.orphanDependents;
    foreground = false;
  } else if (options.propagationPolicy !== undefined) {
    orphan = options.propagationPolicy === "Orphan";
    foreground = options.propagationPolicy === "Foreground";
  } else {
    const set = current.find((finalizer) => finalizer === orphanFinalizer || finalizer === foregroundFinalizer);
    orphan = set === orphanFinalizer || (set === undefined && standard === "orphan");
    foreground = set === foregroundFinalizer;
  }
  return [...others, ...(orphan ? [orphanFinalizer] : []), ...(foreground ? [foregroundFinalizer] : [])];
}

const sameSet = (left: readonly string[], right: readonly string[]): boolean =>
  new Set(left).size === new Set(right).size && left.every((item) => right.includes(item));

async function storeMarked(core: Core, kind: ServedKind, version: Version, object: Draft): Promise<void> {
  const converted = kind.conversion === undefined ? [object] : await kind.conversion.toStorage([object]);
  const stored = copyJson(converted[0] ?? object) as Draft;
  const metadata = metadataOf(stored);
  core.store.write({
    collection: kind.collection,
    key: version.key,
    expected: version.revision,
    make(revision) {
      metadata["resourceVersion"] = String(revision);
      return { object: stored, index: version.index };
    },
  });
  metadataOf(object)["resourceVersion"] = textOf(metadata["resourceVersion"]);
  core.afterWrite(kind, stored, false);
}

function markAsDeleting(metadata: Draft, nowMs: number): void {
  const since = textOf(metadata["deletionTimestamp"]);
  if (since === "" && typeof metadata["generation"] === "number" && metadata["generation"] > 0) {
    metadata["generation"] += 1;
  }
  if (since === "" || Date.parse(since) > nowMs) metadata["deletionTimestamp"] = timeText(nowMs);
  metadata["deletionGracePeriodSeconds"] = 0;
}

/**
 * DELETE of one object (registry.Store.Delete): admission, preconditions, grace, finalizers, and gone only when nothing
 * holds it.
 */
export async function deleteObject(core: Core, target: Target, options: DeleteOptions): Promise<Deleted> {
  for (;;) {
    target.context.signal.throwIfAborted();
    try {
      return await attemptDelete(core, target, options);
    } catch (error) {
      if (!(error instanceof WriteConflict)) throw error;
    }
  }
}

async function attemptDelete(core: Core, target: Target, options: DeleteOptions): Promise<Deleted> {
  const { kind, context } = target;
  const key = storageKey(kind, target.namespace, target.name);
  const version = core.store.get(kind.collection, key);
  if (version === undefined) throw refusals.notFound(subjectOf(kind), target.name);
  const old = await readVersion(kind, version);
  const object = copyJson(old);
  const metadata = metadataOf(object);
  checkPreconditions(kind, metadata, options);
  const grace = beforeDelete(kind, object, options, context.nowMs);
  if (grace.kind === "pending") return { object: old, gone: false };

  const attributes = attributesOf({ ...target, options: options.object }, "DELETE", undefined, old);
  await admit(core.plugins, attributes);
  const settling = await validate(core.plugins, attributes);
  let kept = false;
  try {
    kind.strategy.checkDelete?.(typed(object), context);
    const before = finalizersOf(metadata);
    const after = propagationFinalizers(kind, metadata, options);
    if (!sameSet(before, after)) {
      if (after.length === 0) delete metadata["finalizers"];
      else metadata["finalizers"] = [...after];
    }
    const { isHeld, markDeleting } = kind.strategy;
    const heldOtherwise = isHeld?.(typed(object)) ?? false;
    const begun = metadata["deletionTimestamp"] !== undefined;
    if (heldOtherwise && begun && markDeleting !== undefined) return { object: old, gone: false };
    const held = heldOtherwise || finalizersOf(metadata).length > 0;
    if (held && grace.kind === "none") {
      if (
        metadata["deletionTimestamp"] !== undefined &&
        metadata["deletionGracePeriodSeconds"] === 0 &&
        sameSet(before, after)
      ) {
        return { object: old, gone: false };
      }
      if (begun || markDeleting === undefined) markAsDeleting(metadata, context.nowMs);
      else {
        metadata["deletionTimestamp"] = timeText(context.nowMs);
        markDeleting(typed(object), context);
      }
    }
    if (held || (grace.kind === "graceful" && grace.seconds > 0)) {
      if (!context.dryRun) {
        await storeMarked(core, kind, version, object);
        kept = true;
      }
      return { object, gone: false };
    }
    if (core.store.get(kind.collection, key)?.revision !== version.revision) {
      throw new WriteConflict(key, core.store.get(kind.collection, key));
    }
    if (context.dryRun) return { object, gone: true };
    let current = version;
    if (grace.kind === "graceful") {
      // As upstream: the end of the grace period is written before the object goes, and watchers see both.
      await storeMarked(core, kind, version, object);
      current = core.store.get(kind.collection, key) ?? version;
    }
    const removed = removeVersion(core, kind, current);
    kept = true;
    if (kind.conversion !== undefined) {
      metadata["resourceVersion"] = textOf(metadataOf(removed)["resourceVersion"]);
      return { object, gone: true };
    }
    return { object: removed, gone: true };
  } finally {
    await settle(settling, attributes, kept);
  }
}

/** A deletion by the server itself or a part of it: everything but admission. */
export function deletionTarget(kind: ServedKind, namespace: string, name: string, context: RequestContext): Target {
  return { kind, namespace, name, subresource: "", options: {}, context };
}

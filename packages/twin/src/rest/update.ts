import { jsonEqual } from "@fleetwright/kube";
import type { Json } from "@fleetwright/kube";
import { validateMetadata, validateMetadataUpdate } from "../kinds/metadata.ts";
import { copyJson, isDraft, typed } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import { refusals } from "../machinery/status-error.ts";
import type { FieldError } from "../machinery/status-error.ts";
import { WriteConflict } from "../storage/store.ts";
import { admit, settle, validate } from "./admission-chain.ts";
import { createObject } from "./create.ts";
import { metadataOf, readVersion, storageKey, subjectOf, textOf } from "./core.ts";
import type { Core } from "./core.ts";
import { desiredPart, dropDuplicateOwners, ensureNamespace } from "./metadata.ts";
import { checkObjectRevision } from "./revisions.ts";
import {
  answeredForm,
  attributesOf,
  genericRules,
  metadataRules,
  refuseInvalid,
  removeVersion,
  setStatus,
  store,
  storedForm,
  takesAnyFinalizers,
} from "./write.ts";
import type { Target, Written } from "./write.ts";

const asJson = (object: Readonly<Draft>): Json => object as unknown as Json;

/** How an update becomes the new object. */
export interface Change {
  /** From what is there (a copy that may be changed; absent: nothing) to what should be, decoded and defaulted. */
  transform(live: Draft | undefined): Promise<Draft> | Draft;
  /** After the transformation, before admission: managedFields. */
  trackFields?(object: Draft, live: Draft | undefined): void;
  /** What admission sees instead of the object (a scale). */
  readonly view?: {
    read(parent: Draft): Draft;
    write(parent: Draft, view: Draft): void;
  };
  /** Of the object that was sent, which must be that of the object that is there. */
  readonly uid?: string;
  /** Server-side apply creates what is not there. */
  readonly forceAllowCreate?: boolean;
  /** Writes without the object's own validation of spec: the status, a view. */
  readonly validate?: (object: Draft, old: Draft) => readonly FieldError[];
}

/**
 * PUT and PATCH (handlers/update.go, patch.go, registry.Store.Update): decided on what is stored now, and again when
 * somebody else was faster, unless the client named the version that it means.
 */
export async function updateObject(core: Core, target: Target, change: Change): Promise<Written> {
  // Each round was lost to a write that took place, so somebody always gets on (etcd3's GuaranteedUpdate).
  for (;;) {
    target.context.signal.throwIfAborted();
    try {
      return await attemptUpdate(core, target, change);
    } catch (error) {
      if (!(error instanceof WriteConflict)) throw error;
    }
  }
}

const modified = (target: Target): Error =>
  refusals.conflict(
    subjectOf(target.kind),
    target.name,
    "the object has been modified; please apply your changes to the latest version and try again",
  );

/**
 * What a change may begin with. A write of the status leaves most as it is and replaces the rest: its copies share all that lies deeper, and
 * comparisons see at once that it is the same. Defaults of what has its defaults change nothing.
 */
function copyOf({ kind, subresource }: Target, object: Draft): Draft {
  if (subresource !== "status" || !kind.builtin || kind.conversion !== undefined) return copyJson(object);
  const copy: Draft = { ...object, metadata: { ...metadataOf(object) } };
  if (isDraft(object["status"])) copy["status"] = { ...object["status"] };
  return copy;
}

async function attemptUpdate(core: Core, target: Target, change: Change): Promise<Written> {
  const { kind, context, name } = target;
  const { strategy } = kind;
  const key = storageKey(kind, target.namespace, name);
  const version = core.store.get(kind.collection, key);
  const mayCreate = strategy.allowCreateOnUpdate === true || change.forceAllowCreate === true;
  if (version === undefined) {
    if (!mayCreate || target.subresource !== "") throw refusals.notFound(subjectOf(kind), name);
    const object = await change.transform(undefined);
    if (textOf(metadataOf(object)["uid"]) !== "") throw uidConflict(target, textOf(metadataOf(object)["uid"]), "");
    // A creation by name has no version to be held against.
    delete metadataOf(object)["resourceVersion"];
    return createObject(core, { ...target, options: { ...target.options, kind: "CreateOptions" } }, object, (made) =>
      change.trackFields?.(made, undefined),
    );
  }
  const old = await readVersion(kind, version);
  const found = textOf(metadataOf(old)["uid"]);
  if (change.uid !== undefined && change.uid !== "" && change.uid !== found)
    throw uidConflict(target, change.uid, found);
  const object = await change.transform(copyOf(target, old));
  dropDuplicateOwners(object, context, false);
  change.trackFields?.(object, old);

  const seen = change.view === undefined ? object : change.view.read(object);
  const attributes = attributesOf(target, "UPDATE", seen, change.view === undefined ? old : change.view.read(old));
  await admit(core.plugins, attributes);
  let admitted = attributes.object ?? seen;
  if (change.view !== undefined) {
    change.view.write(object, admitted);
    admitted = object;
  } else if (target.subresource === "") {
    dropDuplicateOwners(admitted, context, true);
    strategy.defaults?.(typed(admitted));
  }
  checkRevision(target, admitted, old);
  ensureNamespace(admitted, kind, target.namespace);
  prepareUpdate(target, admitted, old);
  refuseInvalid(kind, textOf(metadataOf(admitted)["name"]), [
    ...metadataErrors(target, admitted, old),
    ...updateErrors(target, change, admitted, old),
  ]);
  if (target.subresource === "") {
    for (const text of strategy.warnings?.(typed(admitted), typed(old), context) ?? []) context.warn(text);
  }
  keepTimesOfUnchanged(admitted, old);

  const validated = attributesOf(
    target,
    "UPDATE",
    change.view === undefined ? admitted : change.view.read(admitted),
    attributes.oldObject as Draft,
  );
  const settling = await validate(core.plugins, validated);
  let kept = false;
  try {
    if (shouldDelete(admitted, old)) {
      if (!context.dryRun) {
        removeVersion(core, kind, version);
        kept = true;
      }
      return { object: admitted, created: false };
    }
    if (jsonEqual(asJson(admitted), asJson(old))) {
      // Nothing changed: no write, no event, the same revision.
      return { object: admitted, created: false };
    }
    const stored = kind.conversion === undefined ? admitted : await storedForm(kind, copyJson(admitted));
    if (core.store.get(kind.collection, key)?.revision !== version.revision) {
      throw new WriteConflict(key, core.store.get(kind.collection, key));
    }
    strategy.beforeStore?.(typed(admitted), typed(old), core.access, context);
    if (context.dryRun) return { object: await answeredForm(kind, admitted, stored), created: false };
    const written = store(core, target, kind.conversion === undefined ? admitted : stored, version.revision);
    kept = true;
    core.afterWrite(kind, stored, false);
    if (kind.conversion === undefined) return { object: admitted, created: false, version: written };
    metadataOf(admitted)["resourceVersion"] = String(written.revision);
    return { object: await answeredForm(kind, admitted, stored), created: false };
  } finally {
    await settle(settling, validated, kept);
  }
}

function uidConflict(target: Target, asked: string, found: string): Error {
  const { kind } = target;
  const folder = `/registry/${kind.collection}/${storageKey(kind, target.namespace, target.name)}`;
  return refusals.conflict(
    subjectOf(kind),
    target.name,
    `StorageError: invalid object, Code: 4, Key: ${folder}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${asked}, UID in object meta: ${found}`,
  );
}

function checkRevision(target: Target, object: Draft, old: Draft): void {
  const metadata = metadataOf(object);
  const asked = textOf(metadata["resourceVersion"]);
  checkObjectRevision(asked);
  const current = textOf(metadataOf(old)["resourceVersion"]);
  if (asked === "" || asked === "0") {
    if (target.kind.strategy.allowUnconditionalUpdate === false && target.subresource !== "status") {
      throw refusals.invalid({ group: target.kind.group, resource: target.kind.plural }, target.name, [
        {
          type: "FieldValueInvalid",
          field: "metadata.resourceVersion",
          message: "Invalid value: 0: must be specified for an update",
        },
      ]);
    }
    metadata["resourceVersion"] = current;
    return;
  }
  if (asked !== current) throw modified(target);
}

const sameAnnotations = (left: Draft, right: Draft): boolean =>
  jsonEqual((left["annotations"] ?? {}) as Json, (right["annotations"] ?? {}) as Json);

/** `BeforeUpdate` up to validation. */
function prepareUpdate(target: Target, object: Draft, old: Draft): void {
  const { kind, context, subresource } = target;
  const { strategy } = kind;
  const metadata = metadataOf(object);
  const oldMetadata = metadataOf(old);
  const carry = (field: string): void => {
    if (oldMetadata[field] === undefined) delete metadata[field];
    else metadata[field] = oldMetadata[field];
  };
  carry("generation");
  if (subresource === "") {
    if (strategy.hasStatus === true) {
      setStatus(object, old["status"]);
    }
    strategy.prepareForUpdate?.(typed(object), typed(old), context);
  } else if (subresource === "status") {
    for (const key of Object.keys(object)) if (!(key in old) && key !== "status") delete object[key];
    for (const [key, value] of Object.entries(old)) {
      if (key !== "metadata" && key !== "status") object[key] = copyJson(value);
    }
    strategy.prepareForStatusUpdate?.(typed(object), typed(old), context);
  }
  if (
    strategy.hasGeneration === true &&
    subresource !== "status" &&
    !(
      jsonEqual(asJson(desiredPart(object)), asJson(desiredPart(old))) &&
      (strategy.countsAnnotations !== true || sameAnnotations(metadata, oldMetadata))
    )
  ) {
    metadata["generation"] = Number(oldMetadata["generation"] ?? 0) + 1;
  }
  if (textOf(metadata["uid"]) === "") carry("uid");
  carry("creationTimestamp");
  if (oldMetadata["deletionTimestamp"] !== undefined) carry("deletionTimestamp");
  if (oldMetadata["deletionGracePeriodSeconds"] !== undefined && metadata["deletionGracePeriodSeconds"] === undefined) {
    carry("deletionGracePeriodSeconds");
  }
}

/** Of all kinds alike, and once more by most kinds' own validation: causes come twice. */
function metadataErrors(target: Target, object: Draft, old: Draft): readonly FieldError[] {
  const { kind, subresource } = target;
  const { update = "changes", status = "changes" } = kind.strategy.metadataChecks ?? {};
  const repeated = subresource === "status" || subresource === "approval" ? status : update;
  const changes = (custom: boolean): FieldError[] => validateMetadataUpdate(typed(object), typed(old), { custom });
  const own = repeated === "none" || repeated === "changes" ? [] : validateMetadata(typed(object), metadataRules(kind));
  return [
    ...validateMetadata(typed(object), genericRules(kind)),
    ...changes(true),
    ...own,
    ...(repeated === "wholeTwice" ? own : []),
    ...(repeated === "changes" || repeated === "both" ? changes(takesAnyFinalizers(kind)) : []),
  ];
}

function updateErrors(target: Target, change: Change, object: Draft, old: Draft): readonly FieldError[] {
  const { strategy } = target.kind;
  const { context } = target;
  if (change.validate !== undefined) return change.validate(object, old);
  if (target.subresource === "status") {
    return strategy.validateStatusUpdate?.(typed(object), typed(old), context) ?? [];
  }
  if (strategy.validateUpdate !== undefined) return strategy.validateUpdate(typed(object), typed(old), context);
  return strategy.validate?.(typed(object), context) ?? [];
}

/** `IgnoreManagedFieldsTimestampsTransformer`: a write that only moves times of managers is none. */
function keepTimesOfUnchanged(object: Draft, old: Draft): void {
  const metadata = metadataOf(object);
  const oldMetadata = metadataOf(old);
  const fields = metadata["managedFields"];
  const oldFields = oldMetadata["managedFields"];
  if (!Array.isArray(fields) || !Array.isArray(oldFields)) return;
  const withoutTimes = (entries: readonly unknown[]): Json =>
    entries.map((entry) => {
      const { time: _, ...rest } = entry as Readonly<Record<string, Json>>;
      return rest;
    });
  if (fields.length !== oldFields.length || !jsonEqual(withoutTimes(fields), withoutTimes(oldFields))) return;
  const bare = (whole: Draft): Json => {
    const { managedFields: _, ...meta } = metadataOf(whole);
    return asJson({ ...whole, metadata: meta });
  };
  if (jsonEqual(bare(object), bare(old))) metadata["managedFields"] = oldFields;
}

/** `ShouldDeleteDuringUpdate`: the last finalizer has gone from an object that was deleted. */
function shouldDelete(object: Draft, old: Draft): boolean {
  const finalizers = metadataOf(object)["finalizers"];
  if (Array.isArray(finalizers) && finalizers.length > 0) return false;
  const oldMetadata = metadataOf(old);
  if (oldMetadata["deletionTimestamp"] === undefined) return false;
  const grace = oldMetadata["deletionGracePeriodSeconds"];
  const namespaceFinalizers = isDraft(object["spec"]) ? object["spec"]["finalizers"] : undefined;
  if (object["kind"] === "Namespace" && Array.isArray(namespaceFinalizers) && namespaceFinalizers.length > 0)
    return false;
  return grace === undefined || grace === 0;
}

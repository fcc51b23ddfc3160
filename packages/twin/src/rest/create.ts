import { validateMetadata } from "../kinds/metadata.ts";
import { copyJson, typed } from "../machinery/draft.ts";
import type { Draft, DraftValue } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import { refusals, statusError } from "../machinery/status-error.ts";
import { decodeValue } from "../schema/decode.ts";
import { WriteConflict } from "../storage/store.ts";
import { admit, settle, validate } from "./admission-chain.ts";
import { apiVersionOf, metadataOf, storageKey, subjectOf, textOf } from "./core.ts";
import type { Core } from "./core.ts";
import { dropDuplicateOwners, ensureNamespace, fillSystemFields } from "./metadata.ts";
import {
  answeredForm,
  attributesOf,
  genericRules,
  metadataRules,
  refuseInvalid,
  setStatus,
  store,
  storedForm,
} from "./write.ts";
import type { Target, Written } from "./write.ts";

const emptyStatuses = new WeakMap<ServedKind, DraftValue>();

/** What Go writes for a status that nobody has set: `{}`, `{"replicas":0}`, or nothing. */
function emptyStatus(kind: ServedKind): DraftValue {
  if (!emptyStatuses.has(kind)) {
    const { object } = decodeValue(
      { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata: {} },
      {
        schema: kind.schema,
        kind: { group: kind.group, version: kind.version, kind: kind.kind },
        fieldValidation: "Ignore",
        builtin: kind.builtin,
      },
    );
    emptyStatuses.set(kind, object["status"]);
  }
  return copyJson(emptyStatuses.get(kind));
}
/** What follows a decided creation: names, strategy, validation, validating admission, storage. */
async function finishCreate(core: Core, target: Target, object: Draft): Promise<Written> {
  const { kind, context } = target;
  const { strategy } = kind;
  fillSystemFields(
    object,
    core.random,
    context.nowMs,
    (name) => core.store.get(kind.collection, storageKey(kind, target.namespace, name)) !== undefined,
  );
  ensureNamespace(object, kind, target.namespace);
  const metadata = metadataOf(object);
  if (strategy.hasStatus === true && strategy.keepsStatusAtCreation !== true) setStatus(object, emptyStatus(kind));
  if (strategy.hasGeneration === true) metadata["generation"] = 1;
  strategy.prepareForCreate?.(typed(object), context);
  const name = textOf(metadata["name"]);
  refuseInvalid(kind, name, [
    ...(strategy.metadataChecks?.creation === "none" ? [] : validateMetadata(typed(object), metadataRules(kind))),
    ...(strategy.validate?.(typed(object), context) ?? []),
  ]);
  // Names by a rule of the kind's own may still be none that fit into a path.
  if (strategy.nameProblems !== undefined || strategy.metadataChecks?.creation === "none") {
    refuseInvalid(kind, name, validateMetadata(typed(object), genericRules(kind)));
  }
  for (const text of strategy.warnings?.(typed(object), undefined, context) ?? []) context.warn(text);
  const named: Target = { ...target, name };
  // Validating admission must not change what is stored.
  const attributes = attributesOf(named, "CREATE", object, undefined);
  const settling = await validate(core.plugins, attributes);
  let kept = false;
  try {
    if (textOf(metadata["resourceVersion"]) !== "" && textOf(metadata["resourceVersion"]) !== "0") {
      throw statusError(500, "", "resourceVersion should not be set on objects to be created");
    }
    const stored = await storedForm(kind, object);
    const key = storageKey(kind, target.namespace, name);
    if (core.store.get(kind.collection, key) !== undefined) throw exists(kind, name, metadata);
    strategy.beforeStore?.(typed(object), undefined, core.access, context);
    if (context.dryRun) return { object: await answeredForm(kind, object, stored), created: true };
    const version = store(core, named, stored, 0);
    kept = true;
    core.afterWrite(kind, stored, false);
    if (kind.conversion === undefined) return { object, created: true, version };
    metadata["resourceVersion"] = String(version.revision);
    return { object: await answeredForm(kind, object, stored), created: true };
  } catch (error) {
    if (error instanceof WriteConflict) throw exists(kind, name, metadata);
    throw error;
  } finally {
    await settle(settling, attributes, kept);
  }
}

function exists(kind: ServedKind, name: string, metadata: Draft): Error {
  if (textOf(metadata["generateName"]) === "") return refusals.alreadyExists(subjectOf(kind), name);
  // The server chose the name: the client may try again (`NewGenerateNameConflict`).
  const { status } = refusals.alreadyExists(subjectOf(kind), name);
  return statusError(
    409,
    "AlreadyExists",
    `${status.message ?? ""}, the server was not able to generate a unique name for the object`,
    { ...status.details, retryAfterSeconds: 1 },
    { "retry-after": "1" },
  );
}

/**
 * POST of an object (k8s.io/apiserver/pkg/endpoints/handlers/create.go, registry.Store.Create). The object is decoded
 * and defaulted, and is changed on the way.
 */
export async function createObject(
  core: Core,
  target: Target,
  object: Draft,
  trackFields: (object: Draft, live: Draft | undefined) => void,
): Promise<Written> {
  ensureNamespace(object, target.kind, target.namespace);
  dropDuplicateOwners(object, target.context, false);
  trackFields(object, undefined);
  const attributes = attributesOf(target, "CREATE", object, undefined);
  const { creationRefusal } = target.kind;
  if (creationRefusal !== undefined) throw refusals.forbidden(subjectOf(target.kind), target.name, creationRefusal);
  await admit(core.plugins, attributes);
  const admitted = attributes.object ?? object;
  dropDuplicateOwners(admitted, target.context, true);
  target.kind.strategy.defaults?.(typed(admitted));
  return finishCreate(core, target, admitted);
}

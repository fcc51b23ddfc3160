import { jsonEqual, timeText, type Json } from "@fleetwright/kube";
import { copyJson, isDraft, type Draft, type DraftValue } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { refusals, statusError, type StatusError } from "../machinery/status-error.ts";
import { compareValues } from "./compare.ts";
import { conflictError } from "./conflict.ts";
import { createdFields } from "./created-fields.ts";
import {
  differenceOf,
  fieldSetOf,
  goJson,
  isEmptySet,
  newFieldSet,
  unionOf,
  withoutTrees,
  type FieldSet,
} from "./field-set.ts";
import { ShapeError } from "./list-element.ts";
import { capUpdaters, decodeManagers, encodeManagers, managerId, type Manager, type Managers } from "./managers.ts";
import {
  emptyObject,
  neverOwned,
  ownable,
  reconcileManagers,
  takeChanges,
  type Clash,
  type ConvertToVersion,
  type Versions,
} from "./ownership.ts";
import { pruneUnapplied } from "./prune-unapplied.ts";
import { resetFieldsOf } from "./reset-fields.ts";
import { shapeOf } from "./shape.ts";
import { fieldsOf, mergeValues, shapeProblems } from "./typed-value.ts";

interface Write {
  readonly schema: Schema;
  /** Of the request and of the objects. */
  readonly apiVersion: string;
  /** The field manager; empty is `unknown`. */
  readonly manager: string;
  readonly subresource: string;
  readonly nowMs: number;
  /** The kind has a `/status`: its object's endpoint does not own `status`, and that of `/status` not `spec`. @default true */
  readonly hasStatus?: boolean;
  /** Paths that the endpoint does not take, when `hasStatus` does not say it all (`GetResetFields` of upstream's strategies). */
  readonly resetFields?: readonly (readonly string[])[];
  /** For managers of other versions of the kind. Without it they are compared as if they were of this version. */
  readonly convert?: ConvertToVersion;
}

const resetOf = ({ schema, hasStatus = true, resetFields, subresource }: Write): FieldSet =>
  resetFields === undefined ? resetFieldsOf(schema, subresource, hasStatus) : fieldSetOf(resetFields);

const versionsOf = (write: Write): Versions => ({
  schema: write.schema,
  apiVersion: write.apiVersion,
  convert: write.convert,
  reset: resetOf(write),
});

const metadataOf = (object: Draft | undefined): Draft => {
  const metadata = object?.["metadata"];
  return isDraft(metadata) ? metadata : {};
};

/** `managedFields: [{}]`, or an empty list: the client wants to start anew. */
function isReset(entries: DraftValue): boolean {
  if (!Array.isArray(entries)) return false;
  const [first] = entries;
  return entries.length === 0 || (entries.length === 1 && isDraft(first) && Object.keys(first).length === 0);
}

function decodeOrNone(entries: DraftValue): Managers {
  try {
    return decodeManagers(entries);
  } catch {
    return new Map();
  }
}

function managersOfUpdate(live: Draft | undefined, object: Draft, subresource: string): Managers {
  const liveEntries = metadataOf(live)["managedFields"];
  if (subresource !== "") return decodeOrNone(liveEntries);
  const entries = metadataOf(object)["managedFields"];
  if (isReset(entries)) return new Map();
  // Clients that do not know managedFields must not take them away by accident.
  const sent = decodeOrNone(entries);
  return sent.size > 0 ? sent : decodeOrNone(liveEntries);
}

function storeManagers(object: Draft, managers: Managers): void {
  const metadata = object["metadata"];
  if (!isDraft(metadata)) return;
  if (managers.size === 0) delete metadata["managedFields"];
  else metadata["managedFields"] = encodeManagers(managers);
}

const currentOperation = "current-operation";

function trackUpdate(versions: Versions, live: Draft, object: Draft, managers: Managers, write: Write): void {
  reconcileManagers(versions, live, managers);
  const { comparison } = takeChanges(versions, live, object, managers, currentOperation, true);
  const fields = ownable(unionOf(comparison.modified, comparison.added));
  if (!isEmptySet(fields)) {
    const writer = writerOf(write);
    const id = managerId(writer);
    const previous = managers.get(id);
    managers.set(id, {
      ...writer,
      time: timeText(write.nowMs),
      fields: previous === undefined ? fields : unionOf(fields, previous.fields),
    });
  }
  capUpdaters(managers);
}

const writerOf = (write: Write): Omit<Manager, "time" | "fields"> => ({
  name: write.manager === "" ? "unknown" : write.manager,
  operation: "Update",
  apiVersion: write.apiVersion,
  subresource: write.subresource,
});

/** `trackUpdate` of an object that nobody owns anything of yet; `false` when only that one knows. */
function trackCreation(object: Draft, managers: Managers, write: Write): boolean {
  const { schema, nowMs } = write;
  const without = { trees: resetOf(write), members: neverOwned };
  const formatted = createdFields(shapeOf(schema), emptyObject(schema), object, without);
  if (formatted === undefined) return false;
  if (Object.keys(formatted).length > 0) {
    const writer = writerOf(write);
    managers.set(managerId(writer), { ...writer, time: timeText(nowMs), fields: unread, formatted });
  }
  return true;
}

/** The creator's fields are only written down. */
const unread = newFieldSet();

/**
 * Sets `object.metadata.managedFields` after a create, an update or a patch that is no apply: the writer owns what it has
 * changed. Objects that nobody tracks (`managedFields: [{}]`) stay untracked until they are applied.
 * (KEP-555; k8s.io/apimachinery/pkg/util/managedfields/internal/fieldmanager.go)
 */
export function updateManagedFields(
  write: Write & {
    /** Absent at creation. */
    readonly live: Readonly<Draft> | undefined;
    /** As it is to be stored; only its managedFields are changed. */
    readonly object: Draft;
    readonly operation: "Update";
  },
): void {
  const { live, object } = write;
  const metadata = object["metadata"];
  if (!isDraft(metadata)) return;
  const managers = managersOfUpdate(live, object, write.subresource);
  delete metadata["managedFields"];
  if (managers.size === 0 && live !== undefined) return;
  try {
    if (live !== undefined || managers.size > 0 || !trackCreation(object, managers, write)) {
      trackUpdate(versionsOf(write), live ?? emptyObject(write.schema), object, managers, write);
    }
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    // As upstream does: no managedFields are better than wrong ones. Validation refuses most of these objects.
    return;
  }
  storeManagers(object, managers);
}

interface ApplyRequest extends Write {
  /** Absent when the apply creates the object. */
  readonly live: Readonly<Draft> | undefined;
  /** The applied configuration, with `apiVersion`, `kind` and `metadata.name`. */
  readonly patch: Readonly<Draft>;
  readonly force: boolean;
}

const textOf = (value: DraftValue): string => (typeof value === "string" ? value : "");

const describe = (object: Readonly<Draft>): string => {
  const { name, namespace } = metadataOf(object);
  const [group, version] = groupAndVersion(textOf(object["apiVersion"]));
  return `${textOf(namespace)}/${textOf(name)}; ${group}/${version}, Kind=${textOf(object["kind"])}`;
};

const groupAndVersion = (apiVersion: string): [string, string] => {
  const slash = apiVersion.indexOf("/");
  return slash < 0 ? ["", apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
};

/** Upstream's plain errors become 500 without a reason. */
const plainError = (message: string): StatusError => statusError(500, "", message);

const problemText = (problems: readonly string[]): string =>
  problems.length === 1 ? (problems[0] ?? "") : ["errors:", ...problems.map((problem) => `  ${problem}`)].join("\n");

/**
 * Server-side apply: the live object with the configuration merged into it, without what the manager applied before and
 * does not any more, and with managedFields.
 * @throws StatusError 409 when others own what would change; 500 when the configuration does not fit the schema
 */
export function applyPatch(request: ApplyRequest): Draft {
  const { live, patch, manager } = request;
  if (metadataOf(patch)["managedFields"] !== undefined) {
    throw refusals.badRequest("metadata.managedFields must be nil");
  }
  const problems = shapeProblems(shapeOf(request.schema), patch, "refused");
  if (problems.length > 0) {
    throw plainError(`failed to create typed patch object (${describe(patch)}): ${problemText(problems)}`);
  }
  const versions = versionsOf(request);
  let managers: Managers;
  try {
    managers = decodeManagers(metadataOf(live)["managedFields"]);
  } catch (error) {
    throw plainError(`failed to decode managed fields: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (managers.size === 0 && live !== undefined) {
    trackUpdate(versions, emptyObject(request.schema), live, managers, {
      ...request,
      manager: "before-first-apply",
    });
  }
  let outcome = applyTo(request, versions, new Map(managers), request.force);
  if (manager === "kubectl" && "clashes" in outcome && live !== undefined) {
    outcome = forgiveLastApplied(request, versions, managers, outcome);
  }
  if ("clashes" in outcome) throw conflictError(outcome.managers, outcome.clashes);
  const { object } = outcome;
  if (manager === "kubectl") syncLastApplied(object, patch);
  storeManagers(object, outcome.managers);
  return object;
}

type Outcome =
  | { readonly object: Draft; readonly managers: Managers }
  | { readonly clashes: readonly Clash[]; readonly managers: Managers };

function applyTo(request: ApplyRequest, versions: Versions, managers: Managers, force: boolean): Outcome {
  const { schema, apiVersion, live, patch } = request;
  const before = live ?? {};
  const shape = shapeOf(schema);
  reconcileManagers(versions, before, managers);
  const applier: Omit<Manager, "time" | "fields"> = {
    name: request.manager === "" ? "unknown" : request.manager,
    operation: "Apply",
    apiVersion,
    subresource: request.subresource,
  };
  const id = managerId(applier);
  const last = managers.get(id);
  const applied = withoutTrees(fieldsOf(shape, patch), versions.reset);
  managers.set(id, { ...applier, time: last?.time, fields: applied });
  const merged = mergeValues(shape, before, patch);
  let after = copyJson(isDraft(merged) ? merged : {});
  if (last !== undefined) after = pruneUnapplied(versions, after, managers, last);
  const { clashes } = takeChanges(versions, before, after, managers, id, force);
  if (clashes.length > 0) return { clashes, managers };
  const changed = !jsonEqual(before as Json, after as Json);
  const own = managers.get(id);
  if (own !== undefined) {
    const fields = ownable(own.fields);
    if (isEmptySet(fields)) managers.delete(id);
    else managers.set(id, { ...own, fields, time: changed ? timeText(request.nowMs) : own.time });
  }
  return { object: after, managers };
}

const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";

function annotationsOf(object: Readonly<Draft>): Draft {
  const annotations = metadataOf(object)["annotations"];
  return isDraft(annotations) ? annotations : {};
}

/** Fields that `kubectl apply` owned by its annotation do not clash when kubectl goes over to server-side apply. */
function forgiveLastApplied(request: ApplyRequest, versions: Versions, managers: Managers, refused: Outcome): Outcome {
  if (!("clashes" in refused) || request.live === undefined) return refused;
  const allowed = ownedByLastApplied(request, request.live);
  if (allowed === undefined) return refused;
  const remaining = refused.clashes.flatMap(({ id, fields }) => {
    const rest = differenceOf(fields, allowed);
    return isEmptySet(rest) ? [] : [{ id, fields: rest }];
  });
  if (remaining.length > 0) return { clashes: remaining, managers: refused.managers };
  return applyTo(request, versions, new Map(managers), true);
}

function ownedByLastApplied(request: ApplyRequest, live: Readonly<Draft>): FieldSet | undefined {
  const text = annotationsOf(live)[lastAppliedAnnotation];
  if (typeof text !== "string" || text === "") return undefined;
  const shape = shapeOf(request.schema);
  try {
    const lastApplied: unknown = JSON.parse(text);
    if (!isDraft(lastApplied) || lastApplied["apiVersion"] !== request.apiVersion) return undefined;
    if (shapeProblems(shape, lastApplied, "refused").length > 0) return undefined;
    const { added, modified, removed } = compareValues(shape, lastApplied, live);
    return [modified, added, removed].reduce(differenceOf, fieldsOf(shape, lastApplied));
  } catch (error) {
    // An annotation that is no JSON, or lists that cannot be compared: nothing is forgiven.
    if (error instanceof SyntaxError || error instanceof ShapeError) return undefined;
    throw error;
  }
}

const largestAnnotations = 256 * 1024;

/** Keeps the annotation of client-side apply true when kubectl applies on the server. */
function syncLastApplied(object: Draft, patch: Readonly<Draft>): void {
  const metadata = object["metadata"];
  const annotations = annotationsOf(object);
  if (!isDraft(metadata) || typeof annotations[lastAppliedAnnotation] !== "string") return;
  if (annotations[lastAppliedAnnotation] === "") return;
  const applied = copyJson(patch);
  const appliedMetadata = applied["metadata"];
  if (isDraft(appliedMetadata) && isDraft(appliedMetadata["annotations"])) {
    delete appliedMetadata["annotations"][lastAppliedAnnotation];
    if (Object.keys(appliedMetadata["annotations"]).length === 0) delete appliedMetadata["annotations"];
  }
  const text = `${goJson(applied)}\n`;
  const others = Object.entries(annotations).filter(([key]) => key !== lastAppliedAnnotation);
  const size = others.reduce(
    (total, [key, value]) => total + Buffer.byteLength(key) + Buffer.byteLength(textOf(value)),
    Buffer.byteLength(text) + lastAppliedAnnotation.length,
  );
  if (size > largestAnnotations) delete annotations[lastAppliedAnnotation];
  else annotations[lastAppliedAnnotation] = text;
}

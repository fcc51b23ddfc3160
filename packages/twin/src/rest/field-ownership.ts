import type { GroupVersionKind } from "@fleetwright/kube";
import { applyPatch, updateManagedFields } from "../apply/managed-fields.ts";
import type { ConvertToVersion } from "../apply/ownership.ts";
import { copyJson } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { RequestContext } from "../machinery/request.ts";
import type { Schema } from "../machinery/schema.ts";
import { refusals } from "../machinery/status-error.ts";
import { apiVersionOf, metadataOf, subjectOf, textOf } from "./core.ts";
import { checkDoubledFields, decodeApplied, decodeApply } from "./decoding.ts";
import type { WriteOptions } from "./options.ts";
import type { ResourceCall } from "./resource-call.ts";

/** What is written: the object in the version of the path, or a view of it. */
export interface OwnedForm extends GroupVersionKind {
  readonly schema: Schema;
  readonly builtin: boolean;
  readonly hasStatus: boolean;
}

/** Objects of the path's version. */
export const formOf = ({ kind }: ResourceCall): OwnedForm => ({
  group: kind.group,
  version: kind.version,
  kind: kind.kind,
  schema: kind.schema,
  builtin: kind.builtin,
  hasStatus: kind.subresources.has("status"),
});

/** Managers of other versions own fields of those versions; conversion by webhook is too late here. */
function converter({ core, kind }: ResourceCall): ConvertToVersion {
  return (object, apiVersion) => {
    const slash = apiVersion.indexOf("/");
    const group = slash < 0 ? "" : apiVersion.slice(0, slash);
    const other = core.registry.find(group, apiVersion.slice(slash + 1), kind.plural);
    if (other === undefined || other.collection !== kind.collection) return undefined;
    const stored = kind.conversion === undefined ? [object] : kind.conversion.toStorage([copyJson(object)]);
    if (stored instanceof Promise) return { object, schema: kind.schema };
    const converted = other.conversion === undefined ? stored : other.conversion.fromStorage(stored);
    if (converted instanceof Promise || converted[0] === undefined) return { object, schema: kind.schema };
    return { object: { ...converted[0], apiVersion }, schema: other.schema };
  };
}

const writeOf = (request: ResourceCall, context: RequestContext, form: OwnedForm) => ({
  schema: form.schema,
  apiVersion: apiVersionOf(form),
  manager: context.fieldManager,
  subresource: request.info.subresource,
  nowMs: context.nowMs,
  hasStatus: form.hasStatus,
  convert: converter(request),
});

/** Who wrote which fields, with the rules of the endpoint. */
export function tracker(request: ResourceCall, context: RequestContext, form: OwnedForm = formOf(request)) {
  return (object: Draft, live: Draft | undefined): void =>
    updateManagedFields({ ...writeOf(request, context, form), live, object, operation: "Update" });
}

const typeText = ({ group, version, kind }: GroupVersionKind): string => `${group}/${version}, Kind=${kind}`;

function typeOf(object: Draft): GroupVersionKind {
  const parts = textOf(object["apiVersion"]).split("/");
  if (parts.length > 2) return { group: "", version: "", kind: "" };
  const [group = "", version = ""] = parts.length === 2 ? parts : ["", parts[0]];
  return { group, version, kind: textOf(object["kind"]) };
}

/**
 * What comes of an applied configuration and the object that is there (`applyPatcher` of apiserver's handlers/patch.go).
 * @throws StatusError 400, 409, 500
 */
export function appliedObject(
  request: ResourceCall,
  context: RequestContext,
  options: WriteOptions,
  bytes: Buffer,
  live: Draft | undefined,
  form: OwnedForm,
): Draft {
  const { object: patch, doubled } = decodeApply(bytes);
  const own = typeOf(patch);
  if (typeText(own) !== typeText(form)) throw refusals.badRequest(`invalid object type: ${typeText(own)}`);
  const object = applyPatch({ ...writeOf(request, context, form), live, patch, force: options.force === true });
  object["kind"] = form.kind;
  object["apiVersion"] = apiVersionOf(form);
  const decoded = decodeApplied(object, form);
  checkDoubledFields(doubled, options.fieldValidation, context);
  const uid = textOf(metadataOf(decoded)["uid"]);
  if (live === undefined && uid !== "") {
    throw refusals.conflict(
      subjectOf(request.kind),
      request.info.name,
      `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
    );
  }
  return decoded;
}

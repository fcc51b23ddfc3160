import { parentManagers, scaleManagers } from "../apply/scale-managers.ts";
import { copyJson } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { Subresource } from "../machinery/kind.ts";
import type { Reply } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { updateObject } from "./update.ts";
import { warningHeaders } from "./context.ts";
import type { GatheredContext } from "./context.ts";
import { apiVersionOf, metadataOf, readVersion, storageKey, subjectOf, textOf } from "./core.ts";
import { decodeObject, decodePatched } from "./decoding.ts";
import { appliedObject, formOf, tracker } from "./field-ownership.ts";
import type { OwnedForm } from "./field-ownership.ts";
import type { OutputFormat } from "./negotiate.ts";
import { optionsObject, writeOptions } from "./options.ts";
import type { WriteOptions } from "./options.ts";
import { applyPatchBody, readPatch, patchTypeOf, sourceOf } from "./patch-body.ts";
import { checkName, contextOf, headerOf, targetOf } from "./resource-call.ts";
import type { ResourceCall } from "./resource-call.ts";
import { valueReply } from "./respond.ts";

type View = NonNullable<Subresource["view"]>;

/** GET of a view. */
export async function readView(request: ResourceCall, view: View, format: OutputFormat): Promise<Reply> {
  const { core, kind, info } = request;
  const version = core.store.get(kind.collection, storageKey(kind, info.namespace, info.name));
  if (version === undefined) throw refusals.notFound(subjectOf(kind), info.name);
  await core.store.durable(version.revision);
  const object = await readVersion(kind, version);
  const missing = view.missing?.(object);
  if (missing !== undefined) throw missing;
  return valueReply(200, view.read(object), format);
}

/** The view as it is to be, from the view that is there. */
type MakeView = (current: Draft) => Draft;

async function makerOf(
  request: ResourceCall,
  subresource: Subresource,
  form: OwnedForm,
): Promise<{ readonly make: MakeView; readonly options: WriteOptions; readonly context: GatheredContext }> {
  const { call, kind, info } = request;
  const patching = info.verb === "patch";
  const contentType = headerOf(call, "content-type");
  const type = patching ? patchTypeOf(contentType, kind) : undefined;
  const options = writeOptions(call.query, patching ? "PatchOptions" : "UpdateOptions", type === "apply");
  const context = contextOf(request, options);
  const track = tracker(request, context, form);
  const rest = { options, context };
  if (type === undefined) {
    const sent = await decodeObject(call, form, options.fieldValidation, context);
    const make: MakeView = (current) => {
      const next = copyJson(sent);
      track(next, current);
      return next;
    };
    return { make, ...rest };
  }
  if (type === "apply") {
    const bytes = await call.body();
    return { make: (current) => appliedObject(request, context, options, bytes, current, form), ...rest };
  }
  const patch = await readPatch(type, call);
  const make: MakeView = (current) => {
    const patched = applyPatchBody(subresource.kind, current, patch);
    const source = sourceOf(patch, form, current, patched);
    const next = decodePatched(patched, form, options.fieldValidation, context, source);
    track(next, current);
    return next;
  };
  return { make, ...rest };
}

/** PUT and PATCH of a view: the change is made on the view and put into the object. */
export async function changeView(
  request: ResourceCall,
  subresource: Subresource,
  view: View,
  format: OutputFormat,
): Promise<Reply> {
  const { core, kind, info } = request;
  const { kind: own } = subresource;
  const isObject = own.kind === kind.kind && own.group === kind.group;
  const form = isObject ? formOf(request) : { ...own, schema: subresource.schema, builtin: true, hasStatus: false };
  const { make, options, context } = await makerOf(request, subresource, form);
  const { replicasPaths } = view;
  const parentVersion = apiVersionOf(kind);
  const target = targetOf(request, context, optionsObject({ ...options, kind: "UpdateOptions" }));
  const written = await updateObject(core, target, {
    transform(live) {
      if (live === undefined) throw refusals.notFound(subjectOf(kind), info.name);
      const entries = metadataOf(live)["managedFields"];
      const current = view.read(live);
      if (replicasPaths !== undefined) {
        const owners = scaleManagers(entries, replicasPaths);
        if (owners.length > 0) metadataOf(current)["managedFields"] = owners;
      }
      const next = make(current);
      view.defaults?.(next);
      checkName(next, info);
      const object = copyJson(live);
      const { uid, resourceVersion, managedFields } = metadataOf(next);
      if (typeof uid === "string" && uid !== "") metadataOf(object)["uid"] = uid;
      metadataOf(object)["resourceVersion"] = textOf(resourceVersion);
      view.write(object, next, context);
      if (replicasPaths !== undefined) {
        setManagers(object, parentManagers(entries, managedFields, parentVersion, replicasPaths));
      } else if (isObject) setManagers(object, managedFields);
      return object;
    },
    view: { read: (parent) => view.read(parent), write: (parent, next) => view.write(parent, next, context) },
    ...(view.validate === undefined
      ? {}
      : { validate: (object: Draft, old: Draft) => view.validate?.(object, old, context) ?? [] }),
  });
  await core.store.durable(core.store.revision);
  return valueReply(200, view.read(written.object), format, warningHeaders(context.warnings));
}

function setManagers(object: Draft, entries: Draft[string]): void {
  if (Array.isArray(entries) && entries.length > 0) metadataOf(object)["managedFields"] = entries;
  else delete metadataOf(object)["managedFields"];
}

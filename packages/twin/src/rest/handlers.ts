import { copyJson, isDraft, typed } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind, Subresource } from "../machinery/kind.ts";
import type { Call, Reply, RequestInfo } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { applyPatch, updateManagedFields } from "../apply/managed-fields.ts";
import { createObject, updateObject } from "./change.ts";
import type { Change, Target, Written } from "./change.ts";
import { requestContext, warningHeaders } from "./context.ts";
import type { GatheredContext } from "./context.ts";
import { apiVersionOf, metadataOf, readVersion, storageKey, subjectOf, textOf } from "./core.ts";
import type { Core } from "./core.ts";
import { decodeApply, decodeObject, decodeOptionsBody, decodePatched } from "./decoding.ts";
import { deleteObject } from "./delete.ts";
import { listPage, listReply } from "./list.ts";
import { listForms, negotiate, objectForms, plainOnly } from "./negotiate.ts";
import type { OutputFormat } from "./negotiate.ts";
import { deleteOptions, listOptions, optionsObject, writeOptions } from "./options.ts";
import type { WriteOptions } from "./options.ts";
import { applyPatchBody, parsePatch, patchTypeOf } from "./patch-body.ts";
import { objectReply, valueReply } from "./respond.ts";
import { parseRevision, tooLarge } from "./revisions.ts";
import { selectionOf } from "./selection.ts";
import type { UserInfo } from "@fleetwright/kube";

/** A request for a kind that is served. */
export interface ResourceCall {
  readonly core: Core;
  readonly call: Call;
  readonly info: RequestInfo;
  readonly kind: ServedKind;
  readonly user: UserInfo;
}

const headerOf = (call: Call, name: string): string => {
  const value = call.headers[name];
  return typeof value === "string" ? value : (value?.[0] ?? "");
};

function contextOf(request: ResourceCall, options: { dryRun: boolean; fieldManager: string }): GatheredContext {
  const { core, call, info, user } = request;
  return requestContext(call, info, user, core.clock.now(), options);
}

function targetOf(request: ResourceCall, context: GatheredContext, options: Draft): Target {
  const { info, kind } = request;
  return {
    kind,
    namespace: info.namespace,
    name: info.name,
    subresource: info.subresource,
    options,
    context,
  };
}

/** Answers with what was written once it cannot be lost any more. */
async function writtenReply(
  request: ResourceCall,
  context: GatheredContext,
  written: Written,
  format: OutputFormat,
): Promise<Reply> {
  await request.core.store.durable(request.core.store.revision);
  return objectReply(request.call, request.kind, written, format, {
    status: written.created ? 201 : 200,
    nowMs: context.nowMs,
    headers: warningHeaders(context.warnings),
  });
}

/** Who wrote which fields, with the rules of the endpoint. */
function tracker(request: ResourceCall, context: GatheredContext, subresource = request.info.subresource) {
  return (object: Draft, live: Draft | undefined): void =>
    updateManagedFields({
      schema: request.kind.schema,
      apiVersion: apiVersionOf(request.kind),
      live,
      object,
      manager: context.fieldManager,
      subresource,
      nowMs: context.nowMs,
      operation: "Update",
      hasStatus: request.kind.subresources.has("status"),
    });
}

/** GET of an object. */
export async function handleGet(request: ResourceCall): Promise<Reply> {
  const { core, call, kind, info } = request;
  const format = negotiate(call, objectForms);
  const asked = parseRevision(call.query.get("resourceVersion") ?? "", "get") ?? 0;
  if (asked > core.store.revision) throw tooLarge(asked, core.store.revision);
  const version = core.store.get(kind.collection, storageKey(kind, info.namespace, info.name));
  if (version === undefined) throw refusals.notFound(subjectOf(kind), info.name);
  await core.store.durable(version.revision);
  if (format.convert === undefined && format.format === "json" && !format.pretty && kind.conversion === undefined) {
    return { status: 200, headers: { "content-type": "application/json" }, body: version.bytes };
  }
  const object = await readVersion(kind, version);
  return objectReply(call, kind, { object }, format, { status: 200, nowMs: core.clock.now() });
}

/** POST to a collection. */
export async function handleCreate(request: ResourceCall): Promise<Reply> {
  const { core, call, kind } = request;
  const format = negotiate(call, objectForms);
  const options = writeOptions(call.query, "CreateOptions");
  const context = contextOf(request, options);
  const bytes = await call.body();
  const object = decodeObject(bytes, headerOf(call, "content-type"), kind, options.fieldValidation, context);
  kind.strategy.defaults?.(typed(object));
  const name = textOf(metadataOf(object)["name"]);
  const target: Target = { ...targetOf(request, context, optionsObject(options)), name };
  const review = core.reviews.get(kind.plural);
  if (review !== undefined) {
    const answer = await review(object, context);
    return valueReply(201, answer, format, warningHeaders(context.warnings));
  }
  const written = await createObject(core, target, object, tracker(request, context));
  return writtenReply(request, context, written, format);
}

/** PUT of an object or its status. */
export async function handleUpdate(request: ResourceCall): Promise<Reply> {
  const { core, call, kind, info } = request;
  const format = negotiate(call, objectForms);
  const options = writeOptions(call.query, "UpdateOptions");
  const context = contextOf(request, options);
  const bytes = await call.body();
  const sent = decodeObject(bytes, headerOf(call, "content-type"), kind, options.fieldValidation, context);
  kind.strategy.defaults?.(typed(sent));
  checkName(sent, info);
  const target = targetOf(request, context, optionsObject(options));
  const written = await updateObject(core, target, {
    transform: () => copyJson(sent),
    trackFields: tracker(request, context),
    uid: textOf(metadataOf(sent)["uid"]),
  });
  return writtenReply(request, context, written, format);
}

function checkName(object: Draft, info: RequestInfo): void {
  const metadata = metadataOf(object);
  const name = textOf(metadata["name"]);
  if (name === "") {
    throw refusals.badRequest(
      `the name of the object (${info.name} based on URL) was undeterminable: name must be provided`,
    );
  }
  if (name !== info.name) {
    throw refusals.badRequest(`the name of the object (${name}) does not match the name on the URL (${info.name})`);
  }
  const namespace = textOf(metadata["namespace"]);
  if (info.namespace !== "" && namespace !== "" && namespace !== info.namespace && info.resource !== "namespaces") {
    throw refusals.badRequest(
      `the namespace of the object (${namespace}) does not match the namespace on the URL (${info.namespace})`,
    );
  }
}

/** PATCH of an object or its status, in each of the four ways. */
export async function handlePatch(request: ResourceCall): Promise<Reply> {
  const { core, call, kind } = request;
  const type = patchTypeOf(headerOf(call, "content-type"), kind);
  const format = negotiate(call, objectForms);
  const bytes = await call.body();
  const options = writeOptions(call.query, "PatchOptions", type === "apply");
  const context = contextOf(request, options);
  const target = targetOf(request, context, optionsObject({ ...options, kind: "UpdateOptions" }));
  const change = patchChange(request, context, options, type, bytes);
  const written = await updateObject(core, target, change);
  return writtenReply(request, context, written, format);
}

function patchChange(
  request: ResourceCall,
  context: GatheredContext,
  options: WriteOptions,
  type: ReturnType<typeof patchTypeOf>,
  bytes: Buffer,
): Change {
  const { kind, info } = request;
  if (type === "apply") {
    return {
      forceAllowCreate: info.subresource === "",
      transform(live) {
        const applied = decodeApply(bytes, options.fieldValidation, context);
        checkApplied(applied, kind, info);
        if (live === undefined && textOf(metadataOf(applied)["uid"]) !== "") {
          const uid = textOf(metadataOf(applied)["uid"]);
          throw refusals.conflict(
            subjectOf(kind),
            info.name,
            `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
          );
        }
        const object = applyPatch({
          schema: kind.schema,
          apiVersion: apiVersionOf(kind),
          live,
          patch: applied,
          manager: context.fieldManager,
          force: options.force === true,
          subresource: info.subresource,
          nowMs: context.nowMs,
          hasStatus: kind.subresources.has("status"),
        });
        object["kind"] = kind.kind;
        object["apiVersion"] = apiVersionOf(kind);
        const decoded = decodePatched(object, kind, "Ignore", context);
        kind.strategy.defaults?.(typed(decoded));
        return decoded;
      },
    };
  }
  const patch = parsePatch(type, bytes);
  return {
    transform(live) {
      if (live === undefined) throw refusals.notFound(subjectOf(kind), info.name);
      const patched = applyPatchBody(type, kind, live, patch);
      const decoded = decodePatched(patched, kind, options.fieldValidation, context);
      kind.strategy.defaults?.(typed(decoded));
      checkName(decoded, info);
      return decoded;
    },
    trackFields: tracker(request, context),
  };
}

function checkApplied(applied: Draft, kind: ServedKind, info: RequestInfo): void {
  const metadata = metadataOf(applied);
  const name = textOf(metadata["name"]);
  if (name !== "" && name !== info.name) {
    throw refusals.badRequest(`the name of the object (${name}) does not match the name on the URL (${info.name})`);
  }
  metadata["name"] = info.name;
  if (Array.isArray(metadata["managedFields"]) && metadata["managedFields"].length > 0) {
    throw refusals.badRequest("metadata.managedFields must be nil");
  }
  const expected = apiVersionOf(kind);
  if (textOf(applied["apiVersion"]) === "" && textOf(applied["kind"]) === "") {
    throw refusals.badRequest("invalid object type: /, Kind=");
  }
  if (applied["apiVersion"] !== expected) {
    throw refusals.badRequest(
      `Incorrect version specified in apply patch. Specified patch version: ${textOf(applied["apiVersion"])}, expected: ${expected}`,
    );
  }
}

/** DELETE of an object. */
export async function handleDelete(request: ResourceCall): Promise<Reply> {
  const { core, call, kind, info } = request;
  const format = negotiate(call, objectForms);
  const body = decodeOptionsBody(await call.body(), headerOf(call, "content-type"));
  const options = deleteOptions(call.query, body);
  const context = contextOf(request, { dryRun: options.dryRun, fieldManager: "" });
  const target = targetOf(request, context, options.object);
  if (options.propagationPolicy === undefined && options.orphanDependents === undefined) {
    for (const text of kind.strategy.deleteWarnings ?? []) context.warn(text);
  }
  const { object, gone } = await deleteObject(core, target, options);
  await core.store.durable(core.store.revision);
  const status = !gone && options.orphanDependents === false ? 202 : 200;
  const headers = warningHeaders(context.warnings);
  if (gone && kind.strategy.returnsDeletedObject !== true) {
    return valueReply(
      status,
      {
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Success",
        details: {
          name: info.name,
          ...(kind.group === "" ? {} : { group: kind.group }),
          kind: kind.plural,
          uid: metadataOf(object)["uid"],
        },
      },
      format,
      headers,
    );
  }
  return objectReply(call, kind, { object }, format, { status, nowMs: context.nowMs, headers });
}

/** DELETE of a collection: what the selectors find, one after another. Answers with the list of what was there. */
export async function handleDeleteCollection(request: ResourceCall): Promise<Reply> {
  const { core, call, kind, info } = request;
  const format = negotiate(call, listForms);
  const list = listOptions(call.query, false);
  const body = decodeOptionsBody(await call.body(), headerOf(call, "content-type"));
  const options = deleteOptions(call.query, body);
  const selection = selectionOf(kind, info, list);
  const page = await listPage(core, kind, info, list, selection);
  const context = contextOf(request, { dryRun: options.dryRun, fieldManager: "" });
  for (const version of page.items) {
    const slash = kind.namespaced ? version.key.indexOf("/") : -1;
    const target: Target = {
      ...targetOf(request, context, options.object),
      namespace: slash < 0 ? "" : version.key.slice(0, slash),
      name: version.key.slice(slash + 1),
    };
    try {
      await deleteObject(core, target, options);
    } catch (error) {
      if (!isNotFoundStatus(error)) throw error;
    }
  }
  await core.store.durable(core.store.revision);
  return listReply(core, call, kind, page, format);
}

const isNotFoundStatus = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === 404;

/** Anything below an object but its status. */
export async function handleSubresource(request: ResourceCall, subresource: Subresource): Promise<Reply> {
  const { call, info, core } = request;
  if (subresource.connect !== undefined) return connect(request, subresource);
  if (info.verb === "create" && subresource.create !== undefined) return createBelow(request, subresource);
  const { view } = subresource;
  if (view === undefined) {
    if (info.verb === "get") return handleGet(request);
    if (info.verb === "update") return handleUpdate(request);
    if (info.verb === "patch") return handlePatch(request);
    throw refusals.methodNotAllowed(subjectOf(request.kind), info.verb);
  }
  const format = negotiate(call, objectForms);
  if (info.verb === "get") {
    const version = core.store.get(request.kind.collection, storageKey(request.kind, info.namespace, info.name));
    if (version === undefined) throw refusals.notFound(subjectOf(request.kind), info.name);
    await core.store.durable(version.revision);
    return valueReply(200, view.read(await readVersion(request.kind, version)), format);
  }
  return changeView(request, subresource, view, format);
}

/** PUT and PATCH of a view: the change is made on the view and put into the object. */
async function changeView(
  request: ResourceCall,
  subresource: Subresource,
  view: NonNullable<Subresource["view"]>,
  format: OutputFormat,
): Promise<Reply> {
  const { core, call, kind, info } = request;
  const patching = info.verb === "patch";
  const contentType = headerOf(call, "content-type");
  const viewKind = { ...subresource.kind, schema: subresource.schema, builtin: true };
  const type = patching ? patchTypeOf(contentType, kind) : undefined;
  const bytes = await call.body();
  const options = writeOptions(call.query, patching ? "PatchOptions" : "UpdateOptions", type === "apply");
  const context = contextOf(request, options);
  const sent =
    type === undefined
      ? decodeObject(bytes, contentType, viewKind, options.fieldValidation, context)
      : type === "apply"
        ? decodeApply(bytes, options.fieldValidation, context)
        : undefined;
  const patch = type === undefined || type === "apply" ? undefined : parsePatch(type, bytes);

  function changed(live: Draft): Draft {
    const current = view.read(live);
    if (type === undefined) return copyJson(sent ?? {});
    if (type === "apply") return applyView(current, sent ?? {});
    const patched = applyPatchBody(type, subresource.kind, current, patch);
    return decodePatched(patched, viewKind, options.fieldValidation, context);
  }
  const target = targetOf(request, context, optionsObject({ ...options, kind: "UpdateOptions" }));
  const written = await updateObject(core, target, {
    transform(live) {
      if (live === undefined) throw refusals.notFound(subjectOf(kind), info.name);
      const next = changed(live);
      view.defaults?.(next);
      if (textOf(metadataOf(next)["name"]) === "" && patching) metadataOf(next)["name"] = info.name;
      checkName(next, info);
      const object = copyJson(live);
      const { uid, resourceVersion } = metadataOf(next);
      if (typeof uid === "string" && uid !== "") metadataOf(object)["uid"] = uid;
      metadataOf(object)["resourceVersion"] = textOf(resourceVersion);
      view.write(object, next, context);
      return object;
    },
    trackFields: tracker(request, context),
    view: { read: (parent) => view.read(parent), write: (parent, next) => view.write(parent, next, context) },
    ...(view.validate === undefined
      ? {}
      : { validate: (object: Draft, old: Draft) => view.validate?.(object, old, context) ?? [] }),
  });
  await core.store.durable(core.store.revision);
  return valueReply(200, view.read(written.object), format, warningHeaders(context.warnings));
}

/** An applied view holds the fields that are set; the rest stays. */
function applyView(current: Draft, applied: Draft): Draft {
  const merge = (into: Draft, from: Draft): Draft => {
    for (const [key, value] of Object.entries(from)) {
      const there = into[key];
      into[key] = isDraft(value) && isDraft(there) ? merge(there, value) : value;
    }
    return into;
  };
  return merge(copyJson(current), applied);
}

async function createBelow(request: ResourceCall, subresource: Subresource): Promise<Reply> {
  const { core, call, kind, info } = request;
  const format = negotiate(call, plainOnly);
  const options = writeOptions(call.query, "CreateOptions");
  const context = contextOf(request, options);
  const bytes = await call.body();
  const viewKind = { ...subresource.kind, schema: subresource.schema, builtin: true };
  const body = decodeObject(bytes, headerOf(call, "content-type"), viewKind, options.fieldValidation, context);
  const answer = await subresource.create?.({
    kind,
    subresource: subresource.name,
    namespace: info.namespace,
    name: info.name,
    body,
    context,
    server: core.access,
  });
  await core.store.durable(core.store.revision);
  const status = answer?.["kind"] === "Status" && typeof answer["code"] === "number" ? answer["code"] : 201;
  return valueReply(status, answer, format, warningHeaders(context.warnings));
}

async function connect(request: ResourceCall, subresource: Subresource): Promise<Reply> {
  const { core, call, kind, info } = request;
  const context = contextOf(request, { dryRun: false, fieldManager: "" });
  const answer = await subresource.connect?.({
    kind,
    subresource: subresource.name,
    namespace: info.namespace,
    name: info.name,
    body: {},
    context,
    server: core.access,
  });
  if (typeof answer === "string") return { status: 200, headers: { "content-type": "text/plain" }, body: answer };
  return valueReply(200, answer, negotiate(call, plainOnly));
}

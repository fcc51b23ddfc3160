import { copyJson, typed } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind, Subresource } from "../machinery/kind.ts";
import type { Reply, RequestContext } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { componentOf, componentsCollection } from "./component-status.ts";
import { admit, settle, validate } from "./admission-chain.ts";
import { createObject } from "./create.ts";
import { updateObject } from "./update.ts";
import type { Change } from "./update.ts";
import { attributesOf } from "./write.ts";
import type { Target, Written } from "./write.ts";
import { warningHeaders } from "./context.ts";
import type { GatheredContext } from "./context.ts";
import { metadataOf, readVersion, storageKey, subjectOf, textOf } from "./core.ts";
import { decodeObject, decodeOptionsBody, decodePatched } from "./decoding.ts";
import { deleteObject } from "./delete.ts";
import { appliedObject, formOf, tracker } from "./field-ownership.ts";
import { listPage, listReply } from "./list.ts";
import { allForms, negotiate, plainOnly } from "./negotiate.ts";
import type { OutputFormat } from "./negotiate.ts";
import { deleteOptions, listOptions, optionsObject, writeOptions } from "./options.ts";
import type { DeleteOptions, WriteOptions } from "./options.ts";
import { applyPatchBody, patchTypeOf, readPatch, sourceOf } from "./patch-body.ts";
import type { Patch } from "./patch-body.ts";
import { readCreation } from "./read-creation.ts";
import { checkName, contextOf, headerOf, targetOf } from "./resource-call.ts";
import type { ResourceCall } from "./resource-call.ts";
import { objectReply, valueReply, versionReply } from "./respond.ts";
import { parseRevision, tooLarge } from "./revisions.ts";
import { selectionOf } from "./selection.ts";
import { changeView, readView } from "./views.ts";

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

/** GET of an object. */
export async function handleGet(request: ResourceCall): Promise<Reply> {
  const { core, call, kind, info } = request;
  const format = negotiate(call, allForms);
  const asked = parseRevision(call.query.get("resourceVersion") ?? "", "get") ?? 0;
  if (asked > core.store.revision) throw tooLarge(asked, core.store.revision);
  const isComponent = kind.collection === componentsCollection;
  const version = isComponent
    ? componentOf(info.name)
    : core.store.get(kind.collection, storageKey(kind, info.namespace, info.name));
  if (version === undefined) {
    throw refusals.notFound(isComponent ? { group: "", resource: "componentstatus" } : subjectOf(kind), info.name);
  }
  await core.store.durable(version.revision);
  if (format.convert === undefined && kind.conversion === undefined) return versionReply(200, version, format);
  const object = await readVersion(kind, version);
  return objectReply(call, kind, { object }, format, { status: 200, nowMs: core.clock.now() });
}

/** POST to a collection. */
export async function handleCreate(request: ResourceCall): Promise<Reply> {
  const { core, call, kind } = request;
  const review = core.reviews.get(kind.plural);
  if (kind.collection === "bindings") return createBinding(request);
  // A review is no object with metadata: it has no other form.
  const format = negotiate(call, review === undefined ? allForms : plainOnly);
  const options = writeOptions(call.query, "CreateOptions");
  const context = contextOf(request, options);
  const { object, trackFields } = await readCreation(request, options, context);
  const name = textOf(metadataOf(object)["name"]);
  const target: Target = { ...targetOf(request, context, optionsObject(options)), name };
  if (review !== undefined) {
    const answer = await review(object, context);
    return valueReply(201, answer, format, warningHeaders(context.warnings));
  }
  const written = await createObject(core, target, object, trackFields);
  return writtenReply(request, context, written, format);
}

/** PUT of an object or its status. */
export async function handleUpdate(request: ResourceCall): Promise<Reply> {
  const { core, call, kind, info } = request;
  const format = negotiate(call, allForms);
  const options = writeOptions(call.query, "UpdateOptions");
  const context = contextOf(request, options);
  const sent = await decodeObject(call, kind, options.fieldValidation, context);
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

/** PATCH of an object or its status, in each of the four ways. */
export async function handlePatch(request: ResourceCall): Promise<Reply> {
  const { core, call, kind } = request;
  const type = patchTypeOf(headerOf(call, "content-type"), kind);
  const format = negotiate(call, allForms);
  const patch = type === "apply" ? { type, bytes: await call.body() } : await readPatch(type, call);
  const options = writeOptions(call.query, "PatchOptions", type === "apply");
  const context = contextOf(request, options);
  const target = targetOf(request, context, optionsObject({ ...options, kind: "UpdateOptions" }));
  const change = patchChange(request, context, options, patch);
  const written = await updateObject(core, target, change);
  return writtenReply(request, context, written, format);
}

function patchChange(
  request: ResourceCall,
  context: GatheredContext,
  options: WriteOptions,
  patch: Patch | { readonly type: "apply"; readonly bytes: Buffer },
): Change {
  const { kind, info } = request;
  if (patch.type === "apply") {
    const { bytes } = patch;
    return {
      forceAllowCreate: info.subresource === "",
      transform(live) {
        const decoded = appliedObject(request, context, options, bytes, live, formOf(request));
        checkName(decoded, info);
        kind.strategy.defaults?.(typed(decoded));
        return decoded;
      },
    };
  }
  return {
    transform(live) {
      if (live === undefined) throw refusals.notFound(subjectOf(kind), info.name);
      const patched = applyPatchBody(kind, live, patch);
      const decoded = decodePatched(
        patched,
        kind,
        options.fieldValidation,
        context,
        sourceOf(patch, kind, live, patched),
        live,
      );
      kind.strategy.defaults?.(typed(decoded));
      checkName(decoded, info);
      return decoded;
    },
    trackFields: tracker(request, context),
  };
}

/** DELETE of an object. */
export async function handleDelete(request: ResourceCall): Promise<Reply> {
  const { core, call, kind, info } = request;
  const format = negotiate(call, allForms);
  const body = decodeOptionsBody(await call.body(), headerOf(call, "content-type"));
  const options = deleteOptions(call.query, body);
  const context = contextOf(request, { dryRun: options.dryRun, fieldManager: "" });
  const target = targetOf(request, context, options.object);
  warnOfDeletion(kind, options, context);
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
  const format = negotiate(call, allForms);
  const list = listOptions(call.query, false);
  const body = decodeOptionsBody(await call.body(), headerOf(call, "content-type"));
  const options = deleteOptions(call.query, body);
  const selection = selectionOf(kind, info, list);
  const page = await listPage(core, kind, info, list, selection);
  const context = contextOf(request, { dryRun: options.dryRun, fieldManager: "" });
  warnOfDeletion(kind, options, context);
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
  const reply = await listReply(core, call, kind, page, format);
  return { ...reply, headers: { ...reply.headers, ...warningHeaders(context.warnings) } };
}

/** Of what happens to dependents when nobody says what should. */
function warnOfDeletion(kind: ServedKind, options: DeleteOptions, context: RequestContext): void {
  if (options.propagationPolicy !== undefined || options.orphanDependents !== undefined) return;
  for (const text of kind.strategy.deleteWarnings ?? []) context.warn(text);
}

const isNotFoundStatus = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === 404;

/** Anything below an object but its status. */
export async function handleSubresource(request: ResourceCall, subresource: Subresource): Promise<Reply> {
  const { call, info } = request;
  if (subresource.connect !== undefined) return connect(request, subresource);
  if (info.verb === "create" && subresource.create !== undefined) return createBelow(request, subresource);
  const { view } = subresource;
  if (view === undefined) {
    if (info.verb === "get") return handleGet(request);
    if (info.verb === "update") return handleUpdate(request);
    if (info.verb === "patch") return handlePatch(request);
    throw refusals.methodNotAllowed(subjectOf(request.kind), info.verb);
  }
  const format = negotiate(call, allForms);
  if (info.verb === "get") return readView(request, view, format);
  return changeView(request, subresource, view, format);
}

/** POST of a Binding to the collection of bindings: to that of the pod which it names (`LegacyBindingREST`). */
async function createBinding(request: ResourceCall): Promise<Reply> {
  const kind = request.core.registry.find("", "v1", "pods");
  const binding = kind?.subresources.get("binding");
  if (kind === undefined || binding === undefined) throw refusals.pathNotFound();
  return createBelow({ ...request, kind }, binding, true);
}

async function createBelow(request: ResourceCall, subresource: Subresource, namedByBody = false): Promise<Reply> {
  const { core, call, kind, info } = request;
  const format = negotiate(call, plainOnly);
  const options = writeOptions(call.query, "CreateOptions");
  const context = contextOf(request, options);
  const viewKind = { ...subresource.kind, schema: subresource.schema, builtin: true };
  const decoded = await decodeObject(call, viewKind, options.fieldValidation, context);
  const name = namedByBody ? textOf(metadataOf(decoded)["name"]) : info.name;
  const target: Target = {
    ...targetOf(request, context, optionsObject(options)),
    kind,
    name,
    subresource: subresource.name,
  };
  const attributes = attributesOf(target, "CREATE", decoded, undefined);
  await admit(core.plugins, attributes);
  const body = attributes.object ?? decoded;
  const settling = await validate(core.plugins, attributes);
  let done = false;
  let answer: Draft | undefined;
  try {
    const { namespace } = info;
    answer = await subresource.create?.({
      kind,
      subresource: subresource.name,
      namespace,
      name,
      body,
      context,
      server: core.access,
    });
    done = true;
  } finally {
    await settle(settling, attributes, done);
  }
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
    query: call.query,
    context,
    server: core.access,
  });
  // Nothing to stream: nobody has run yet.
  if (answer === "") return { status: 204, headers: {}, body: "" };
  if (typeof answer === "string") return { status: 200, headers: { "content-type": "text/plain" }, body: answer };
  if (answer !== undefined && Symbol.asyncIterator in answer) {
    return { status: 200, headers: { "content-type": "text/plain" }, body: answer as AsyncIterable<Buffer> };
  }
  return valueReply(200, answer, negotiate(call, plainOnly));
}

import { nextTurn } from "@fleetwright/kube";
import { renderTable } from "../table/render-table.ts";
import { copyJson } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { Call, Reply, RequestInfo } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { Compacted } from "../storage/store.ts";
import type { Version } from "../storage/version.ts";
import { componentsCollection, listComponents } from "./component-status.ts";
import { decodeContinue, encodeContinue, expiredContinuation } from "./continue-token.ts";
import { apiVersionOf } from "./core.ts";
import type { Core } from "./core.ts";
import { allForms, negotiate } from "./negotiate.ts";
import type { OutputFormat } from "./negotiate.ts";
import { listOptions } from "./options.ts";
import type { ListOptions } from "./options.ts";
import { formMismatch, includeObject, itemPrefix, partialObject, valueReply } from "./respond.ts";
import { parseRevision, tooLarge } from "./revisions.ts";
import { selectionOf } from "./selection.ts";
import type { Selection } from "./selection.ts";

/** What a list found. */
export interface Page {
  readonly items: readonly Version[];
  readonly revision: number;
  readonly continue: string;
  readonly remaining: number | undefined;
}

/** So many objects are looked at before the event loop gets a turn. */
const chunkItems = 64;
/** Lists below this go out in one piece, with their length. */
const smallBytes = 256 * 1024;

interface Position {
  /** The revision to read at; `undefined`: the newest. */
  readonly atRevision: number | undefined;
  readonly after: string | undefined;
  readonly limit: number;
}

/** Which revision a list is of (the matrix of docs "Resource versions" and storage/cacher's delegator). */
function positionOf(core: Core, kind: ServedKind, info: RequestInfo, options: ListOptions): Position {
  const asked = parseRevision(options.resourceVersion, "list");
  if (options.continue !== "") {
    if (asked !== undefined && asked !== 0) {
      throw refusals.badRequest("specifying resource version is not allowed when using continue");
    }
    const { revision, after } = decodeContinue(options.continue);
    const key = kind.namespaced && info.namespace !== "" ? `${info.namespace}/${after}` : after;
    return { atRevision: revision < 0 ? undefined : revision, after: key, limit: options.limit };
  }
  if (asked === undefined || asked === 0) {
    // "Any" is served whole, as the watch cache serves it.
    return { atRevision: undefined, after: undefined, limit: asked === 0 ? 0 : options.limit };
  }
  const exact = options.resourceVersionMatch === "Exact" || (options.resourceVersionMatch === "" && options.limit > 0);
  if (asked > core.store.revision) throw tooLarge(asked, core.store.revision);
  return { atRevision: exact ? asked : undefined, after: undefined, limit: options.limit };
}

/** The objects of a list, in key order. @throws StatusError 400, 410, 422, 504 */
export async function listPage(
  core: Core,
  kind: ServedKind,
  info: RequestInfo,
  options: ListOptions,
  selection: Selection,
): Promise<Page> {
  const { atRevision, after, limit } = positionOf(core, kind, info, options);
  const relative = (key: string): string =>
    kind.namespaced && info.namespace !== "" ? key.slice(info.namespace.length + 1) : key;
  const revision = atRevision ?? core.store.revision;
  if (selection.scope.key !== undefined && atRevision === undefined) {
    const version = core.store.get(kind.collection, selection.scope.key);
    const items = version !== undefined && selection.matches(version) ? [version] : [];
    return { items, revision, continue: "", remaining: undefined };
  }
  try {
    const page = core.store.list(kind.collection, {
      ...(selection.scope.namespace === undefined ? {} : { namespace: selection.scope.namespace }),
      ...(after === undefined ? {} : { after }),
      ...(selection.everything && limit > 0 ? { limit } : {}),
      ...(atRevision === undefined ? {} : { atRevision }),
    });
    if (selection.everything) {
      const last = page.items.at(-1);
      const more = page.remaining > 0 && last !== undefined;
      return {
        items: page.items,
        revision,
        continue: more ? encodeContinue({ revision, after: relative(last.key) }) : "",
        remaining: more ? page.remaining : undefined,
      };
    }
    const items: Version[] = [];
    for (const [position, version] of page.items.entries()) {
      if (position % chunkItems === chunkItems - 1) await nextTurn();
      if (!selection.matches(version)) continue;
      if (limit > 0 && items.length === limit) {
        const last = items.at(-1);
        const token = encodeContinue({ revision, after: relative(last?.key ?? "") });
        return { items, revision, continue: token, remaining: undefined };
      }
      items.push(version);
    }
    return { items, revision, continue: "", remaining: undefined };
  } catch (error) {
    if (!(error instanceof Compacted)) throw error;
    if (options.continue !== "") throw expiredContinuation(relative(after ?? ""));
    throw refusals.expired("The provided resource version is too old.");
  }
}

const listMetadata = (page: Page, kind?: ServedKind): Draft => ({
  // Only what is stored has a revision.
  ...(page.revision === 0 ? {} : { resourceVersion: String(page.revision) }),
  // Lists of custom resources are no Go type: what was set is there, empty or not.
  ...(page.continue === "" && kind?.builtin !== false ? {} : { continue: page.continue }),
  ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
});

/** The objects of a page in the served version, some at a time. */
async function* objectsOf(kind: ServedKind, items: readonly Version[]): AsyncGenerator<readonly Draft[]> {
  for (let start = 0; start < items.length; start += chunkItems) {
    const chunk = items.slice(start, start + chunkItems).map(({ object }) => object);
    yield kind.conversion === undefined
      ? chunk
      : ((await kind.conversion.fromStorage(copyJson(chunk))) as readonly Draft[]);
    await nextTurn();
  }
}

const comma = Buffer.from(",");

/** A list as its stored bytes, without parsing anything. */
function* rawChunks(kind: ServedKind, page: Page): Generator<Buffer> {
  const head = { kind: kind.listKind, apiVersion: apiVersionOf(kind), metadata: listMetadata(page, kind) };
  const cut = Buffer.byteLength(itemPrefix(kind));
  let parts: Buffer[] = [Buffer.from(`${JSON.stringify(head).slice(0, -1)},"items":[`)];
  const open = Buffer.from("{");
  for (const [position, { bytes }] of page.items.entries()) {
    if (position > 0) parts.push(comma);
    if (cut > 0) parts.push(open, bytes.subarray(cut));
    else parts.push(bytes);
    if (position % chunkItems === chunkItems - 1) {
      yield Buffer.concat(parts);
      parts = [];
    }
  }
  parts.push(Buffer.from("]}\n"));
  yield Buffer.concat(parts);
}

async function* turnByTurn(chunks: Iterable<Buffer>): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    yield chunk;
    await nextTurn();
  }
}

function rawReply(kind: ServedKind, page: Page): Reply {
  const headers = { "content-type": "application/json" };
  const size = page.items.reduce((sum, version) => sum + version.size, 0);
  if (size < smallBytes) return { status: 200, headers, body: Buffer.concat([...rawChunks(kind, page)]) };
  return { status: 200, headers, body: turnByTurn(rawChunks(kind, page)) };
}

/** A page as the client accepts it: the list, a table, or metadata only. */
export async function listReply(
  core: Core,
  call: Call,
  kind: ServedKind,
  page: Page,
  format: OutputFormat,
): Promise<Reply> {
  const isJson = format.format === "json" && !format.pretty && !format.asValue;
  if (format.convert === undefined && isJson && kind.conversion === undefined) return rawReply(kind, page);
  const objects: Draft[] = [];
  for await (const chunk of objectsOf(kind, page.items)) objects.push(...chunk);
  const metadata = listMetadata(page);
  if (format.convert === undefined) {
    const items = objects.map((object) => {
      if (!kind.builtin) return object;
      const { kind: _, apiVersion: __, ...rest } = object;
      return rest;
    });
    const list = { kind: kind.listKind, apiVersion: apiVersionOf(kind), metadata: listMetadata(page, kind), items };
    return valueReply(200, list, format);
  }
  const { version } = format.convert;
  if (format.convert.kind === "PartialObjectMetadata") throw formMismatch(kind, "PartialObjectMetadata");
  if (format.convert.kind === "Table") {
    const table = renderTable({
      kind,
      objects,
      includeObject: includeObject(call),
      nowMs: core.clock.now(),
      listMetadata: metadata,
      noHeaders: false,
    });
    return valueReply(200, table, format);
  }
  const items = objects.map((object) => partialObject(object, version));
  return valueReply(
    200,
    { kind: "PartialObjectMetadataList", apiVersion: `meta.k8s.io/${version}`, metadata, items },
    format,
  );
}

/** GET of a collection. */
export async function handleList(core: Core, call: Call, kind: ServedKind, info: RequestInfo): Promise<Reply> {
  const format = negotiate(call, allForms);
  const options = listOptions(call.query, false);
  const selection = selectionOf(kind, info, options);
  if (format.convert?.kind === "Table") includeObject(call);
  const page =
    kind.collection === componentsCollection
      ? { items: listComponents(selection.matches), revision: 0, continue: "", remaining: undefined }
      : await listPage(core, kind, info, options, selection);
  await core.store.durable(page.revision);
  return listReply(core, call, kind, page, format);
}

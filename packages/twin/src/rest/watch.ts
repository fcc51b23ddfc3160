import { renderTable } from "../table/render-table.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { Call, Reply, RequestInfo, SentEvent } from "../machinery/request.ts";
import { asStatus, refusals, statusError } from "../machinery/status-error.ts";
import { Compacted } from "../storage/store.ts";
import { newestStates } from "../storage/newest-watch.ts";
import type { StoreEvent, StoreWatch } from "../storage/store.ts";
import { Version } from "../storage/version.ts";
import { apiVersionOf, metadataOf, readVersion } from "./core.ts";
import type { Core } from "./core.ts";
import { negotiate, watchForms } from "./negotiate.ts";
import type { OutputFormat } from "./negotiate.ts";
import { listOptions } from "./options.ts";
import { includeObject, partialObject } from "./respond.ts";
import { parseRevision, tooLarge } from "./revisions.ts";
import { selectionOf } from "./selection.ts";
import type { Selection } from "./selection.ts";

/** As upstream's watch cache. */
const bookmarkIntervalMs = 60_000;
/** A watch without a deadline of its own lasts one to two of these (`--min-request-timeout`). */
const minimumTimeoutMs = 1_800_000;
/** How long a watch from a revision of the future waits for it. */
const futureWaitMs = 3_000;
/** Initial events go out so many at a time. */
const chunkItems = 64;

type EventType = "ADDED" | "MODIFIED" | "DELETED";

interface Shown {
  readonly type: EventType;
  readonly version: Version;
}

/** The previous state under the revision at which it stopped being selected. */
function withRevision({ key, index, object }: Version, revision: number): Version {
  const metadata = { ...metadataOf(object), resourceVersion: String(revision) };
  return new Version({ key, index, revision }, { object: { ...object, metadata } }, 0);
}

/** What an event is to a watcher that selects: coming into view is ADDED, going out of it DELETED. */
function shownAs(selection: Selection, { type, object, previous, revision }: StoreEvent): Shown | undefined {
  if (selection.everything) return { type, version: object };
  const was = previous !== undefined && selection.matches(previous);
  if (type === "DELETED") return was ? { type, version: object } : undefined;
  const is = selection.matches(object);
  if (is) return { type: was ? "MODIFIED" : "ADDED", version: object };
  return was ? { type: "DELETED", version: withRevision(previous, revision) } : undefined;
}

const newline = Buffer.from("}\n");
const heads: Readonly<Record<EventType, Buffer>> = {
  ADDED: Buffer.from('{"type":"ADDED","object":'),
  MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
  DELETED: Buffer.from('{"type":"DELETED","object":'),
};

const line = (type: string, object: unknown): Buffer => Buffer.from(`${JSON.stringify({ type, object })}\n`);

/** What goes out, in pieces. */
interface Writer<Piece> {
  stored(shown: readonly Shown[]): Promise<Piece>;
  other(type: string, object: unknown): Piece;
}

const valueWriter: Writer<readonly SentEvent[]> = {
  stored: (shown) => Promise.resolve(shown.map(({ type, version }) => ({ type, object: version.object }))),
  other: (type, object) => [{ type, object }],
};

/** Stored objects as they are, or converted, as tables, as metadata. */
function textWriter(core: Core, call: Call, kind: ServedKind, format: OutputFormat): Writer<Buffer> {
  const { convert } = format;
  if (convert === undefined && kind.conversion === undefined) {
    const parts = ({ type, version }: Shown): readonly Buffer[] => [heads[type], version.bytes, newline];
    return { stored: (shown) => Promise.resolve(Buffer.concat(shown.flatMap(parts))), other: line };
  }
  let noHeaders = false;
  const stored = async (shown: readonly Shown[]): Promise<Buffer> => {
    const lines: Buffer[] = [];
    for (const { type, version } of shown) {
      const object = await readVersion(kind, version);
      if (convert === undefined) lines.push(line(type, object));
      else if (convert.kind === "Table") {
        const table = renderTable({
          kind,
          objects: [object],
          includeObject: includeObject(call),
          nowMs: core.clock.now(),
          listMetadata: { resourceVersion: metadataOf(object)["resourceVersion"] ?? "" },
          noHeaders,
        });
        noHeaders = true;
        lines.push(line(type, table));
      } else lines.push(line(type, partialObject(object, convert.version)));
    }
    return Buffer.concat(lines);
  };
  return { stored, other: line };
}

/** How a bookmark looks: an object of the kind with nothing but a revision. */
function bookmark(kind: ServedKind, format: OutputFormat, revision: number, initialEnd: boolean): Draft {
  const metadata: Draft = {
    resourceVersion: String(revision),
    ...(initialEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
  };
  if (format.convert === undefined) return { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata };
  const apiVersion = `meta.k8s.io/${format.convert.version}`;
  if (format.convert.kind !== "Table") return { kind: "PartialObjectMetadata", apiVersion, metadata };
  return {
    kind: "Table",
    apiVersion,
    metadata: { resourceVersion: String(revision) },
    columnDefinitions: null,
    rows: [{ cells: [], object: partialObject({ metadata }, format.convert.version) }],
  };
}

interface Plan {
  readonly after: number;
  readonly initial: readonly Version[];
  readonly sendsEnd: boolean;
}

const tooOld = (asked: number, oldest: number): Error =>
  statusError(410, "Expired", `too old resource version: ${asked} (${oldest - 1})`);

/** GET of a collection with `watch=true`, or of one object below `/watch/`. */
export async function handleWatch(core: Core, call: Call, kind: ServedKind, info: RequestInfo): Promise<Reply> {
  const format = negotiate(call, watchForms);
  const options = listOptions(call.query, true);
  const selection = selectionOf(kind, info, options);
  if (format.convert?.kind === "Table") includeObject(call);
  const asked = parseRevision(options.resourceVersion, "watch") ?? 0;
  const wantsInitial = options.sendInitialEvents ?? (options.resourceVersionMatch === "" && asked === 0);
  if (asked > core.store.revision) {
    await reachRevision(core, kind, asked, call.signal);
    if (asked > core.store.revision && wantsInitial) throw tooLarge(asked, core.store.revision);
  }
  const plan: Plan = wantsInitial
    ? {
        after: core.store.revision,
        initial: initialOf(core, kind, selection),
        sendsEnd: options.allowWatchBookmarks,
      }
    : { after: asked === 0 ? core.store.revision : asked, initial: [], sendsEnd: false };
  const timeoutMs =
    options.timeoutSeconds === undefined || options.timeoutSeconds === 0
      ? minimumTimeoutMs * (1 + core.random.next())
      : options.timeoutSeconds * 1000;
  // Opened here and not with the first read: what is written from now on must not be missed.
  let watch: StoreWatch | Error;
  try {
    const opened = core.store.watch(kind.collection, plan.after, selection.scope);
    watch = call.newestOnly === true ? newestStates(opened) : opened;
  } catch (error) {
    if (!(error instanceof Compacted)) throw error;
    watch = tooOld(plan.after, error.oldest);
  }
  await core.store.durable(Math.min(plan.after, core.store.revision));
  const stream = <Piece>(writer: Writer<Piece>): AsyncGenerator<Piece> =>
    watch instanceof Error
      ? onlyError(writer, watch)
      : events(writer, core, call, kind, format, selection, plan, watch, {
          timeoutMs,
          bookmarks: options.allowWatchBookmarks,
        });
  const answer = { status: 200, headers: { "content-type": "application/json" } };
  if (format.asValue && format.convert === undefined && kind.conversion === undefined)
    return { ...answer, body: "", events: stream(valueWriter) };
  return { ...answer, body: stream(textWriter(core, call, kind, format)) };
}

function initialOf(core: Core, kind: ServedKind, selection: Selection): readonly Version[] {
  if (selection.scope.key !== undefined) {
    const version = core.store.get(kind.collection, selection.scope.key);
    return version === undefined ? [] : [version];
  }
  return core.store.list(
    kind.collection,
    selection.scope.namespace === undefined ? {} : { namespace: selection.scope.namespace },
  ).items;
}

/** Waits a little for a revision that another server of the same state may have given out. */
async function reachRevision(core: Core, kind: ServedKind, revision: number, signal: AbortSignal): Promise<void> {
  const watch = core.store.watch(kind.collection, core.store.revision);
  const timer = core.clock.setTimer(futureWaitMs, () => watch.wake());
  try {
    while (core.store.revision < revision && (await watch.next(signal)).length > 0);
  } finally {
    timer.cancel();
    watch.close();
  }
}

async function* onlyError<Piece>(writer: Writer<Piece>, error: Error): AsyncGenerator<Piece> {
  yield writer.other("ERROR", asStatus(error));
}

async function* events<Piece>(
  writer: Writer<Piece>,
  core: Core,
  call: Call,
  kind: ServedKind,
  format: OutputFormat,
  selection: Selection,
  plan: Plan,
  watch: StoreWatch,
  options: { readonly timeoutMs: number; readonly bookmarks: boolean },
): AsyncGenerator<Piece> {
  let ended = false;
  let bookmarkDue = false;
  const deadline = core.clock.setTimer(options.timeoutMs, () => {
    ended = true;
    watch.wake();
  });
  const remind = (): ReturnType<typeof core.clock.setTimer> =>
    core.clock.setTimer(bookmarkIntervalMs, () => {
      bookmarkDue = true;
      reminder = remind();
      watch.wake();
    });
  let reminder = options.bookmarks ? remind() : undefined;
  try {
    for (let start = 0; start < plan.initial.length; start += chunkItems) {
      const shown = plan.initial
        .slice(start, start + chunkItems)
        .filter((version) => selection.matches(version))
        .map((version): Shown => ({ type: "ADDED", version }));
      if (shown.length > 0) yield await writer.stored(shown);
    }
    if (plan.sendsEnd) yield writer.other("BOOKMARK", bookmark(kind, format, plan.after, true));
    while (!ended && !call.signal.aborted) {
      const batch = await watch.next(call.signal);
      const shown = batch.map((event) => shownAs(selection, event)).filter((item) => item !== undefined);
      if (shown.length > 0) yield await writer.stored(shown);
      if (bookmarkDue && batch.length === 0) {
        bookmarkDue = false;
        yield writer.other("BOOKMARK", bookmark(kind, format, watch.position, false));
      }
    }
    if (options.bookmarks && !call.signal.aborted) {
      yield writer.other("BOOKMARK", bookmark(kind, format, watch.position, false));
    }
  } catch (error) {
    if (call.signal.aborted) return;
    yield writer.other("ERROR", error instanceof Compacted ? refusals.expired(error.message).status : asStatus(error));
  } finally {
    deadline.cancel();
    reminder?.cancel();
    watch.close();
  }
}

import type { Transport, TransportRequest, TransportResponse } from "../../client/transport.ts";
import { sleep, type Clock } from "../../core/clock.ts";
import { TransportError } from "../../core/errors.ts";
import type { KubeObject, Status } from "../../core/object.ts";
import type { Random } from "../../core/random.ts";
import { ByteStream } from "./byte-stream.ts";
import { ObjectStorage, type Write } from "./object-storage.ts";

/** What goes wrong with one request. */
export type Fault =
  | "refused"
  | "throttled"
  | "server-error"
  /** No answer, ever. */
  | "hang"
  /** The body stops in the middle and the connection ends as if all were well. */
  | "truncated"
  /** The connection breaks after a while. */
  | "cut"
  /** The connection goes silent after a while, and stays open. */
  | "half-open"
  /** A watch that ends at once, without an event. */
  | "ends-at-once"
  | "error-event"
  | "expired"
  | "garbage"
  /** A watch that begins with events that were sent before. */
  | "replay";

export interface FakeApiServerOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Decides on the fate of each request. @default all is well */
  readonly fault?: (request: TransportRequest) => Fault | undefined;
  /** `refused`: 422 as a server has it switched off; `ignored`: never says that the initial events are all. */
  readonly streamingLists?: "supported" | "refused" | "ignored";
  readonly onRequest?: (request: TransportRequest) => void;
}

interface Target {
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly query: URLSearchParams;
}

/**
 * An API server in this process that speaks the wire format: JSON lists with continue tokens, watch lines, bookmarks,
 * `Status` errors. It knows only what informers, leader election and events ask of one.
 */
export class FakeApiServer {
  readonly storage = new ObjectStorage();
  readonly #options: FakeApiServerOptions;
  readonly #snapshots = new Map<string, { readonly objects: readonly KubeObject[]; readonly revision: number }>();
  readonly #connections = new Set<(error: Error) => void>();
  #down = false;
  #snapshotIds = 0;
  /** A restarted server's watch cache knows nothing older. */
  #windowStart = 0;

  constructor(options: FakeApiServerOptions) {
    this.#options = options;
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  /** Breaks all connections. */
  cutConnections(): void {
    for (const cutOne of this.#connections) cutOne(new TransportError("connection reset by peer"));
  }

  /** Breaks all connections, refuses new ones for a while, and comes back with an empty watch window. */
  async restart(downMs: number): Promise<void> {
    this.#down = true;
    this.cutConnections();
    await sleep(this.#options.clock, downMs);
    this.#windowStart = this.storage.revision;
    this.#snapshots.clear();
    this.#down = false;
  }

  compact(): void {
    this.storage.compact();
    this.#snapshots.clear();
  }

  readonly transport: Transport = async (request, signal) => {
    const { clock, random } = this.#options;
    signal?.throwIfAborted();
    this.#options.onRequest?.(request);
    await sleep(clock, 1 + random.next() * 20, signal);
    if (this.#down) throw new TransportError("connect ECONNREFUSED 127.0.0.1:6443");
    const fault = this.#options.fault?.(request);
    if (fault === "refused") throw new TransportError("connect ECONNREFUSED 127.0.0.1:6443");
    if (fault === "hang") await forever(signal);
    if (fault === "throttled") return throttled(1 + Math.floor(random.next() * 3));
    if (fault === "server-error") return statusResponse(500, "InternalError", "etcdserver: leader changed");
    const target = targetOf(request.path);
    if (target.query.get("watch") === "true") return this.#watch(target, fault, signal);
    if (fault === "expired" && target.query.has("continue")) return expired();
    const response = this.#call(request, target);
    if (fault === "truncated" || fault === "garbage") return truncated(response);
    if (fault !== "cut" && fault !== "half-open") return response;
    return fault === "cut" ? cut(response) : { ...response, body: silent(signal) };
  };

  #call(request: TransportRequest, target: Target): TransportResponse {
    const { collection, name } = target;
    const key = name === undefined ? undefined : joinKey(target.namespace, name);
    const present = key === undefined ? undefined : this.storage.get(collection, key);
    const body = typeof request.body === "string" ? (JSON.parse(request.body) as KubeObject) : undefined;
    if (request.method === "GET" && key === undefined) return this.#list(target);
    if (request.method === "POST" && body !== undefined) {
      const created = body.metadata.name ?? `${body.metadata.generateName ?? ""}${this.storage.revision}`;
      const at = joinKey(target.namespace, created);
      if (this.storage.get(collection, at)) return statusResponse(409, "AlreadyExists", `${created} already exists`);
      return json(201, this.storage.put(collection, at, { ...body, metadata: { ...body.metadata, name: created } }));
    }
    if (key === undefined || present === undefined) return statusResponse(404, "NotFound", `${name} not found`);
    if (request.method === "GET") return json(200, present);
    if (request.method === "DELETE") return json(200, this.storage.delete(collection, key));
    const patched = request.method === "PATCH" ? (merged(present, body) as KubeObject) : body;
    if (patched === undefined) return statusResponse(400, "BadRequest", "no body");
    const expectedVersion = body?.metadata?.resourceVersion;
    if (expectedVersion !== undefined && expectedVersion !== present.metadata.resourceVersion) {
      return statusResponse(409, "Conflict", "the object has been modified");
    }
    return json(200, this.storage.put(collection, key, patched));
  }

  #list(target: Target): TransportResponse {
    const limit = Number(target.query.get("limit") ?? "0");
    const token = target.query.get("continue");
    let snapshot = { objects: this.#selected(target), revision: this.storage.revision };
    let offset = 0;
    let id = `s${++this.#snapshotIds}`;
    if (token !== null) {
      [id = "", offset = 0] = JSON.parse(Buffer.from(token, "base64").toString()) as [string, number];
      const kept = this.#snapshots.get(id);
      if (kept === undefined) return expired();
      snapshot = { ...kept, objects: [...kept.objects] };
    }
    const end = limit > 0 ? Math.min(offset + limit, snapshot.objects.length) : snapshot.objects.length;
    const more = end < snapshot.objects.length;
    if (more) this.#snapshots.set(id, snapshot);
    return json(200, {
      kind: "List",
      apiVersion: "v1",
      metadata: {
        resourceVersion: String(snapshot.revision),
        ...(more ? { continue: Buffer.from(JSON.stringify([id, end])).toString("base64") } : {}),
      },
      // Items of lists come without kind and version, as from a real server.
      items: snapshot.objects.slice(offset, end).map(({ kind: _kind, apiVersion: _version, ...rest }) => rest),
    });
  }

  #watch(target: Target, fault: Fault | undefined, signal: AbortSignal | undefined): TransportResponse {
    const { clock, random, streamingLists = "supported" } = this.#options;
    const initial = target.query.get("sendInitialEvents") === "true";
    if (initial && streamingLists === "refused") {
      return statusResponse(422, "Invalid", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch");
    }
    const from = Number(target.query.get("resourceVersion") ?? "0");
    if (fault === "expired" && random.next() < 0.5) return expired();
    const body = new ByteStream();
    let silenced = false;
    const send = (type: string, object: unknown): void => {
      if (!silenced) body.write(Buffer.from(`${JSON.stringify({ type, object })}\n`));
    };
    const bookmark = (annotations?: Record<string, string>): void =>
      send("BOOKMARK", {
        kind: "Bookmark",
        apiVersion: "v1",
        metadata: { resourceVersion: String(this.storage.revision), ...(annotations ? { annotations } : {}) },
      });
    const forgotten = !initial && from > 0 && from < Math.max(this.storage.compacted, this.#windowStart);
    if (forgotten || fault === "expired") {
      send("ERROR", expiredStatus);
      body.end();
      return { status: 200, headers: {}, body };
    }
    if (fault === "error-event") send("ERROR", statusOf(500, "InternalError", "the storage is unwell"));
    if (fault === "ends-at-once" || fault === "error-event") {
      body.end();
      return { status: 200, headers: {}, body };
    }
    const deliver = (write: Write): void => {
      if (write.collection !== target.collection) return;
      const before = write.before !== undefined && selects(target, write.before) ? write.before : undefined;
      const after = write.after !== undefined && selects(target, write.after) ? write.after : undefined;
      if (after !== undefined) send(before === undefined ? "ADDED" : "MODIFIED", after);
      else if (before !== undefined) {
        const last = { ...before.metadata, resourceVersion: String(write.revision) };
        send("DELETED", { ...before, metadata: last });
      }
    };
    if (initial) {
      for (const object of this.#selected(target)) send("ADDED", object);
      if (streamingLists === "supported") bookmark({ "k8s.io/initial-events-end": "true" });
    } else {
      const start = fault === "replay" ? from - 20 : from;
      for (const write of this.storage.history) if (write.revision > start) deliver(write);
    }
    const stopListening = this.storage.onWrite(deliver);
    const close = (error?: unknown): void => {
      stopListening();
      ticking.cancel();
      ending.cancel();
      breaking?.cancel();
      this.#connections.delete(onRestart);
      signal?.removeEventListener("abort", onAbort);
      if (error === undefined) body.end();
      else body.fail(error);
    };
    const onAbort = (): void => close(signal?.reason);
    // A half-open connection does not hear of the server's death either.
    const onRestart = (error: Error): void => {
      if (!silenced) close(error);
    };
    const tick = (): void => {
      bookmark();
      ticking = clock.setTimer(60_000, tick);
    };
    let ticking = clock.setTimer(55_000 + random.next() * 10_000, tick);
    const ending = clock.setTimer(Number(target.query.get("timeoutSeconds") ?? "3600") * 1000, () => {
      if (!silenced) close();
    });
    const breaking =
      fault === undefined || fault === "replay"
        ? undefined
        : clock.setTimer(random.next() * 20_000, () => {
            if (fault === "half-open") silenced = true;
            else if (fault === "cut") close(new TransportError("connection reset by peer"));
            else {
              body.write(Buffer.from(fault === "garbage" ? "<html>\n" : '{"type":"MODIFIED","object":{"metad'));
              close();
            }
          });
    this.#connections.add(onRestart);
    signal?.addEventListener("abort", onAbort, { once: true });
    return { status: 200, headers: {}, body };
  }

  #selected(target: Target): readonly KubeObject[] {
    return this.storage.list(target.collection).filter((object) => selects(target, object));
  }
}

/** Equality terms only. */
function selects(target: Target, object: KubeObject): boolean {
  if (target.namespace !== undefined && object.metadata.namespace !== target.namespace) return false;
  const selector = target.query.get("labelSelector");
  return (
    selector === null ||
    selector.split(",").every((term) => {
      const [label = "", value = ""] = term.split("=");
      return object.metadata.labels?.[label] === value;
    })
  );
}

function targetOf(path: string): Target {
  const url = new URL(path, "http://server");
  const parts = url.pathname.split("/").filter((part) => part !== "");
  const rest = parts.slice(parts[0] === "api" ? 2 : 3);
  const namespaced = rest[0] === "namespaces" && rest.length > 2;
  const [plural, name] = namespaced ? rest.slice(2) : rest;
  return {
    collection: plural ?? "",
    namespace: namespaced ? rest[1] : undefined,
    name,
    query: url.searchParams,
  };
}

const joinKey = (namespace: string | undefined, name: string): string =>
  namespace === undefined ? name : `${namespace}/${name}`;

function merged(base: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof base === "object" && base !== null ? { ...base } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

function json(status: number, value: unknown, headers: Record<string, string> = {}): TransportResponse {
  const body = new ByteStream();
  body.write(Buffer.from(JSON.stringify(value)));
  body.end();
  return { status, headers: { "content-type": "application/json", ...headers }, body };
}

const statusOf = (code: number, reason: string, message: string): Status => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message,
  reason,
  code,
});

const expiredStatus = statusOf(410, "Expired", "too old resource version");
const expired = (): TransportResponse => json(410, expiredStatus);
const statusResponse = (code: number, reason: string, message: string): TransportResponse =>
  json(code, statusOf(code, reason, message));
const throttled = (seconds: number): TransportResponse =>
  json(429, statusOf(429, "TooManyRequests", "too many requests"), { "retry-after": String(seconds) });

async function bytesOf(response: TransportResponse): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const half = (bytes: Buffer): Buffer => bytes.subarray(0, Math.floor(bytes.length / 2));

async function* firstHalf(response: TransportResponse): AsyncGenerator<Uint8Array> {
  yield half(await bytesOf(response));
}

async function* halfThenBreak(response: TransportResponse): AsyncGenerator<Uint8Array> {
  yield half(await bytesOf(response));
  throw new TransportError("connection reset by peer");
}

const truncated = (response: TransportResponse): TransportResponse => ({ ...response, body: firstHalf(response) });
const cut = (response: TransportResponse): TransportResponse => ({ ...response, body: halfThenBreak(response) });

function forever(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

// oxlint-disable-next-line require-yield -- a body that never brings a byte
async function* silent(signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  await forever(signal);
}

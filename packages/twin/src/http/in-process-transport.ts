import { type Logger, silentLogger, type Transport, type UserInfo } from "@fleetwright/kube";
import type { Call, Reply } from "../machinery/request.ts";
import { failureReply } from "./failure.ts";
import { plainCopy } from "./plain-copy.ts";
import { parseQuery } from "./query.ts";
import { bodyTooLarge, defaultMaxBodyBytes } from "./request-body.ts";

function headersOf(headers: Readonly<Record<string, string | readonly string[]>> | undefined): Call["headers"] {
  const lower: Record<string, string | readonly string[]> = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers ?? {})) lower[name.toLowerCase()] = value;
  return lower;
}

function bytesOf(body: string | Uint8Array | undefined): Buffer {
  if (body === undefined) return Buffer.alloc(0);
  if (typeof body === "string") return Buffer.from(body);
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

/**
 * Calls the server's handler as a user who needs no proof: no sockets, and objects instead of JSON where both sides have them.
 * Answers, refusals and aborts are as over HTTP.
 *
 * @example
 * const client = createClient({ transport: createInProcessTransport(server.handle, { username: "kube-scheduler" }) });
 */
export function createInProcessTransport(
  handle: (call: Call) => Promise<Reply>,
  user: UserInfo,
  options: {
    readonly logger?: Logger;
    readonly maxBodyBytes?: number;
    /** Called when a call begins and ends, and with every piece of an answer. */
    readonly onActivity?: () => void;
  } = {},
): Transport {
  const { logger = silentLogger, maxBodyBytes = defaultMaxBodyBytes, onActivity = ignore } = options;
  return async (request, signal) => {
    signal?.throwIfAborted();
    onActivity();
    const mark = request.path.indexOf("?");
    const path = mark < 0 ? request.path : request.path.slice(0, mark);
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const done = (): void => signal?.removeEventListener("abort", onAbort);
    const { json } = request;
    const call: Call = {
      method: request.method,
      path,
      query: parseQuery(mark < 0 ? "" : request.path.slice(mark + 1)),
      headers: headersOf(request.headers),
      signal: controller.signal,
      user,
      async body() {
        const bytes = bytesOf(request.body);
        if (bytes.length > maxBodyBytes) throw bodyTooLarge(maxBodyBytes);
        return bytes;
      },
      ...(typeof json === "object" && json !== null
        ? { json, copyJson: () => plainCopy(json, maxBodyBytes / maxBytesPerUnit) }
        : {}),
      takesValues: true,
    };
    let reply: Reply;
    try {
      reply = await abortable(run(handle, call, logger), controller.signal);
    } catch (error) {
      done();
      throw error;
    }
    onActivity();
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(reply.headers)) {
      headers[name.toLowerCase()] = typeof value === "string" ? value : value.join(", ");
    }
    const { status, value, events } = reply;
    if (value !== undefined) done();
    return {
      status,
      headers,
      get body() {
        return followed(bodyOf(reply), controller, done, onActivity);
      },
      ...(value === undefined ? {} : { value }),
      ...(events === undefined ? {} : { events: followed(events, controller, done, onActivity) }),
    };
  };
}

/** Characters are at most so many bytes, and JSON has quotation marks, commas and escapes beside them. */
const maxBytesPerUnit = 8;

/** What a value is to who reads bytes all the same. */
async function* bodyOf({ body, value, events }: Reply): AsyncGenerator<Buffer> {
  if (value !== undefined) yield Buffer.from(JSON.stringify(value));
  else if (events !== undefined) {
    for await (const batch of events) yield Buffer.from(batch.map((event) => `${JSON.stringify(event)}\n`).join(""));
  } else if (typeof body === "string") yield Buffer.from(body);
  else if (Buffer.isBuffer(body)) yield body;
  else yield* body;
}

/** Nobody wants to know. */
function ignore(): void {}

async function run(handle: (call: Call) => Promise<Reply>, call: Call, logger: Logger): Promise<Reply> {
  try {
    return await handle(call);
  } catch (error) {
    return failureReply(error, call, logger);
  }
}

/** The promise's outcome, or at once the signal's reason. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** A stream to somebody who may leave. */
async function* followed<T>(
  pieces: AsyncIterable<T>,
  controller: AbortController,
  done: () => void,
  onActivity: () => void,
): AsyncGenerator<T> {
  const { signal } = controller;
  let whole = false;
  try {
    for await (const piece of pieces) {
      signal.throwIfAborted();
      onActivity();
      yield piece;
    }
    signal.throwIfAborted();
    whole = true;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    done();
    // The reader has left: what feeds the stream must hear of it.
    if (!whole) controller.abort(new Error("the caller has stopped reading"));
  }
}

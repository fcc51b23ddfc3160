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
    const reader = request.kind === "watch" ? followedReader(signal) : undefined;
    const { json } = request;
    const call: Call = {
      method: request.method,
      path,
      query: parseQuery(mark < 0 ? "" : request.path.slice(mark + 1)),
      headers: headersOf(request.headers),
      signal: reader?.signal ?? signal ?? new AbortController().signal,
      user,
      async body() {
        const bytes = bytesOf(request.body);
        if (bytes.length > maxBodyBytes) throw bodyTooLarge(maxBodyBytes);
        return bytes;
      },
      json,
      copyJson: () =>
        typeof json === "object" && json !== null ? plainCopy(json, maxBodyBytes / maxBytesPerUnit) : undefined,
      takesValues: true,
      newestOnly: request.newestOnly === true,
    };
    let reply: Reply;
    try {
      const running = run(handle, call, logger);
      reply = await (reader === undefined && signal === undefined ? running : abortable(running, call.signal));
    } catch (error) {
      reader?.left();
      throw error;
    }
    onActivity();
    const headers: Record<string, string> = {};
    for (const name of Object.keys(reply.headers)) {
      const text = reply.headers[name] ?? "";
      headers[name.toLowerCase()] = typeof text === "string" ? text : text.join(", ");
    }
    const { status, value, events } = reply;
    const follow = <T>(pieces: AsyncIterable<T>): AsyncGenerator<T> =>
      followed(pieces, call.signal, reader, onActivity);
    return {
      status,
      headers,
      get body() {
        return follow(bodyOf(reply));
      },
      ...(value === undefined ? {} : { value }),
      ...(events === undefined ? {} : { events: follow(events) }),
    };
  };
}

/** Who reads a stream may leave before its end. */
interface Reader {
  readonly signal: AbortSignal;
  left(): void;
}

function followedReader(signal: AbortSignal | undefined): Reader {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    left() {
      signal?.removeEventListener("abort", onAbort);
      controller.abort(new Error("the caller has stopped reading"));
    },
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
    promise.then(
      (value) => {
        signal.removeEventListener("abort", onAbort);
        resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener("abort", onAbort);
        reject(error as Error);
      },
    );
  });
}

async function* followed<T>(
  pieces: AsyncIterable<T>,
  signal: AbortSignal,
  reader: Reader | undefined,
  onActivity: () => void,
): AsyncGenerator<T> {
  try {
    for await (const piece of pieces) {
      signal.throwIfAborted();
      onActivity();
      yield piece;
    }
    signal.throwIfAborted();
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    // What feeds the stream must hear of it.
    reader?.left();
  }
}

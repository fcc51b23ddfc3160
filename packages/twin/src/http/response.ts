import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Reply } from "../machinery/request.ts";

const compress = promisify(gzip);

/** k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/writers.go: smaller answers are sent as they are. */
const gzipThresholdBytes = 128 * 1024;

/** As upstream reads it: no weights, no wildcards. */
function acceptsGzip(request: IncomingMessage): boolean {
  const accepted = request.headers["accept-encoding"];
  return typeof accepted === "string" && accepted.split(",").some((token) => token.trim() === "gzip");
}

/** Writes an answer; resolves when it has been handed to the connection, fails when a stream does. */
export async function sendReply(
  request: IncomingMessage,
  response: ServerResponse,
  reply: Reply,
  signal: AbortSignal,
): Promise<void> {
  const { status, headers, body } = reply;
  for (const [name, value] of Object.entries(headers)) {
    response.setHeader(name, typeof value === "string" ? value : [...value]);
  }
  response.statusCode = status;
  if (typeof body === "string" || Buffer.isBuffer(body)) {
    let bytes = typeof body === "string" ? Buffer.from(body) : body;
    if (bytes.length > gzipThresholdBytes && acceptsGzip(request) && !response.hasHeader("content-encoding")) {
      // In libuv's pool: the event loop goes on.
      bytes = await compress(bytes, { level: 1 });
      response.setHeader("content-encoding", "gzip");
      response.appendHeader("vary", "Accept-Encoding");
    }
    response.setHeader("content-length", bytes.length);
    response.end(bytes);
    return;
  }
  // A watch may have nothing to say for a long time, and its client waits for the head.
  response.flushHeaders();
  try {
    for await (const chunk of body) {
      if (response.destroyed) return;
      // The client does not read: nothing more is made until it does, or has gone.
      if (!response.write(chunk)) await once(response, "drain", { signal });
    }
  } catch (error) {
    // Aborted because the server stops: the stream ends properly.
    if (!signal.aborted) throw error;
  }
  response.end();
}

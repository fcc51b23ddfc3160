import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Reply } from "../machinery/request.ts";
import { createBatch } from "./turn-batch.ts";

const compress = promisify(gzip);

const inRow = createBatch(256);

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
  const { status, body } = reply;
  const headers: Record<string, string | string[] | number> = {
    ...(reply.headers as Record<string, string | string[]>),
  };
  if (typeof body === "string" || Buffer.isBuffer(body)) {
    let bytes = typeof body === "string" ? Buffer.from(body) : body;
    if (bytes.length > gzipThresholdBytes && acceptsGzip(request) && headers["content-encoding"] === undefined) {
      // In libuv's pool: the event loop goes on.
      bytes = await compress(bytes, { level: 1 });
      headers["content-encoding"] = "gzip";
      headers["vary"] = [...[headers["vary"] ?? []].flat().map(String), "Accept-Encoding"];
    }
    headers["content-length"] = bytes.length;
    return new Promise((resolve, reject) => {
      inRow(() => {
        try {
          // Headers that are set one by one are copied and checked twice.
          response.writeHead(status, headers).end(bytes);
          resolve();
        } catch (error) {
          reject(error as Error);
        }
      });
    });
  }
  response.writeHead(status, headers);
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

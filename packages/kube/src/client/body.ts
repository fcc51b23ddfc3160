import { createGunzip } from "node:zlib";
import { Readable } from "node:stream";
import { TransportError } from "../core/errors.ts";

/** All bytes of a body. */
export async function readBytes(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return chunks.length === 1 && chunks[0] !== undefined
    ? Buffer.from(chunks[0].buffer, chunks[0].byteOffset, chunks[0].byteLength)
    : Buffer.concat(chunks);
}

/** Reads and drops what is left, so that the connection can be used again. */
export async function discard(body: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    // oxlint-disable-next-line no-unused-vars
    for await (const _chunk of body);
  } catch {
    // Nothing is expected from this body; a broken connection shows itself in the next call.
  }
}

/** @param what the call, for the error: `GET /api/v1/pods` */
export function parseJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new TransportError(
      `${what}: the answer is not JSON, or was cut off, after ${bytes.length} bytes (${String((error as Error).message)}); ` +
        `try again, and look for a proxy in between when it happens often`,
      { cause: error },
    );
  }
}

/** Decodes a gzip body; a stream that ends too early fails as a connection cut does. */
export function gunzip(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      const source = Readable.from(body, { objectMode: false });
      const decoded = createGunzip();
      source.on("error", (error) => decoded.destroy(error));
      decoded.on("close", () => source.destroy());
      source.pipe(decoded);
      return decoded.iterator() as AsyncIterator<Uint8Array>;
    },
  };
}

/** Longest line that is kept: etcd refuses objects far below it, so a longer one is not an object. */
const maxLineBytes = 256 * 1024 * 1024;

/**
 * The lines of a stream, wherever its chunks are split (inside a character, too). A line is decoded once it is
 * whole. Bytes after the last newline mean that the stream was cut: `TransportError`.
 *
 * @param what the call, for the error
 */
export async function* lines(body: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<string, void, undefined> {
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  for await (const chunk of body) {
    let start = 0;
    let end = chunk.indexOf(10);
    while (end >= 0) {
      const piece = Buffer.from(chunk.buffer, chunk.byteOffset + start, end - start);
      const line = pending.length === 0 ? piece : Buffer.concat([...pending, piece]);
      pending = [];
      pendingBytes = 0;
      if (line.length > 0) yield line.toString("utf8");
      start = end + 1;
      end = chunk.indexOf(10, start);
    }
    if (start < chunk.length) {
      pending.push(chunk.subarray(start));
      pendingBytes += chunk.length - start;
      if (pendingBytes > maxLineBytes)
        throw new TransportError(`${what}: a line of more than ${maxLineBytes} bytes: this is not a Kubernetes watch`);
    }
  }
  if (pendingBytes > 0) {
    throw new TransportError(`${what}: the stream ended inside a line, ${pendingBytes} bytes into it; watch again`);
  }
}

import { Readable } from "node:stream";
import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import { checkpointError } from "../../errors.ts";

export type Compression = "none" | "gzip" | "zstd";

/** Magics of what we do not read, to say so by name. */
const foreign: readonly (readonly [hex: string, name: string])[] = [
  ["fd377a585a00", "xz"],
  ["425a68", "bzip2"],
  ["04224d18", "lz4"],
  ["504b0304", "zip"],
];

/** Told by the first bytes, never by a name: containerd's `rootfs-diff.tar` is gzip. Throws FW_CHECKPOINT_ARCHIVE for other compressions. */
export function compressionOf(start: Uint8Array, name = "archive"): Compression {
  const hex = Buffer.from(start.subarray(0, 6)).toString("hex");
  if (hex.startsWith("1f8b")) return "gzip";
  if (hex.startsWith("28b52ffd")) return "zstd";
  const other = foreign.find(([magic]) => hex.startsWith(magic));
  if (other)
    throw checkpointError(
      "FW_CHECKPOINT_ARCHIVE",
      `${name}: compressed with ${other[1]}, which is not read: use gzip, zstd or none`,
    );
  return "none";
}

async function* prepend(first: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (first.length > 0) yield first;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

/** The largest window that a zstd frame may ask for: 2^27 bytes is what `zstd` itself accepts, 2^25 more than podman's level ever needs. */
const zstdWindowLog = 25;

/**
 * Decompressed bytes of a stream; one that is not compressed is passed through. At most `limit` bytes come out, so that a bomb ends there.
 * Throws FW_CHECKPOINT_ARCHIVE and FW_CHECKPOINT_LIMIT.
 */
export async function* decompressed(
  chunks: AsyncIterable<Uint8Array>,
  { name = "archive", limit = 2 ** 40 }: { readonly name?: string; readonly limit?: number } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = chunks[Symbol.asyncIterator]();
  let start: Uint8Array = new Uint8Array(0);
  while (start.length < 6) {
    const next = await iterator.next();
    if (next.done === true) break;
    start = start.length === 0 ? next.value : Buffer.concat([start, next.value]);
  }
  const compression = compressionOf(start, name);
  const source = prepend(start, iterator);
  if (compression === "none") {
    yield* source;
    return;
  }
  const input = Readable.from(source, { objectMode: false, highWaterMark: 256 * 1024 });
  const decoder =
    compression === "gzip"
      ? createGunzip({ chunkSize: 256 * 1024 })
      : createZstdDecompress({
          chunkSize: 256 * 1024,
          params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLog },
        });
  input.once("error", (error) => decoder.destroy(error));
  input.pipe(decoder);
  let total = 0;
  try {
    for await (const chunk of decoder as AsyncIterable<Uint8Array>) {
      total += chunk.length;
      if (total > limit)
        throw checkpointError("FW_CHECKPOINT_LIMIT", `${name}: decompresses to more than the limit of ${limit} bytes`);
      yield chunk;
    }
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith("FW_")) throw error;
    throw checkpointError(
      "FW_CHECKPOINT_ARCHIVE",
      `${name}: broken or truncated ${compression} data: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  } finally {
    input.destroy();
    decoder.destroy();
  }
}

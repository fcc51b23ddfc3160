import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { constants, zstdDecompress } from "node:zlib";
import { checkpointError } from "../../errors.ts";
import type { ArchiveTable, ChunkEntry } from "./chunk-table.ts";
import { hashInTurns, inOrder, sha256 } from "./cut-archive.ts";
import type { Sealer } from "./data-key.ts";

/** Brings the stored bytes of a chunk; rejects when it has none. Nothing about them is trusted. */
export type FetchChunk = (chunk: ChunkEntry) => Promise<Uint8Array> | AsyncIterable<Uint8Array>;

export interface JoinOptions {
  /** Of an encrypted artifact. */
  readonly sealer?: Sealer | undefined;
  /** Bytes of chunks that are fetched and decompressed at once, at most, but always one chunk. @default 64 MiB */
  readonly inFlightBytes?: number;
}

const decompress = promisify(zstdDecompress);
/** Levels up to 19 need no larger window (2^23); a frame that asks for more is not ours. */
const windowLogLimit = 25;

const differs = (message: string) =>
  checkpointError("FW_CHECKPOINT_DIGEST", `${message}: do not restore from this artifact`);

async function storedBytes(chunk: ChunkEntry, fetch: FetchChunk): Promise<Uint8Array> {
  const place = `chunk ${chunk.digest}`;
  const answer = fetch(chunk);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of Symbol.asyncIterator in answer ? answer : [await answer]) {
    size += part.length;
    if (size > chunk.size) throw differs(`${place}: more than the ${chunk.size} bytes that its artifact says`);
    parts.push(part);
  }
  if (size < chunk.size) throw differs(`${place}: ${size} bytes came, its artifact says ${chunk.size}`);
  const [only, more] = parts;
  const bytes = only !== undefined && more === undefined ? only : Buffer.concat(parts);
  const digest = await sha256(bytes);
  if (digest !== chunk.digest) throw differs(`${place}: what came is ${digest}`);
  return bytes;
}

async function rawBytes(chunk: ChunkEntry, fetch: FetchChunk, sealer: Sealer | undefined): Promise<Uint8Array> {
  const place = `chunk ${chunk.digest}`;
  const stored = await storedBytes(chunk, fetch);
  const compressed = sealer ? await sealer.open(stored, "chunk", place) : stored;
  let bytes: Uint8Array;
  try {
    bytes = await decompress(compressed, {
      maxOutputLength: chunk.length,
      chunkSize: Math.max(64, Math.min(chunk.length, 1024 * 1024)),
      params: { [constants.ZSTD_d_windowLogMax]: windowLogLimit },
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw code === "ERR_BUFFER_TOO_LARGE"
      ? checkpointError("FW_CHECKPOINT_LIMIT", `${place}: decompresses to more than its ${chunk.length} bytes`, error)
      : checkpointError("FW_CHECKPOINT_ARTIFACT", `${place}: is no zstd data: ${message}`, error);
  }
  if (bytes.length !== chunk.length)
    throw differs(`${place}: holds ${bytes.length} bytes of the archive, its artifact says ${chunk.length}`);
  const raw = await sha256(bytes);
  if (raw !== chunk.raw) throw differs(`${place}: holds ${raw}, its artifact says ${chunk.raw}`);
  return bytes;
}

/**
 * Puts an archive together from its chunks, fetched a few ahead. Every chunk is verified before it is given, the whole when it ends: nothing may be used before the last
 * one has come. Memory is bounded by `inFlightBytes` and one chunk's length, whatever the chunks decompress to.
 *
 * @throws FW_CHECKPOINT_DIGEST, FW_CHECKPOINT_LIMIT, FW_CHECKPOINT_ARTIFACT, FW_CHECKPOINT_ENCRYPTION, and what `fetch` throws
 */
export async function* joinArchive(
  table: ArchiveTable,
  fetch: FetchChunk,
  { sealer, inFlightBytes = 64 * 1024 * 1024 }: JoinOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const whole = createHash("sha256");
  async function* starts() {
    for (const chunk of table.chunks)
      yield { weight: chunk.length + chunk.size, run: () => rawBytes(chunk, fetch, sealer) };
  }
  for await (const bytes of inOrder(starts(), inFlightBytes)) {
    await hashInTurns(whole, bytes);
    yield bytes;
  }
  const digest = `sha256:${whole.digest("hex")}`;
  if (digest !== table.archive.digest)
    throw differs(`the archive that its chunks make up is ${digest}, the artifact says ${table.archive.digest}`);
}

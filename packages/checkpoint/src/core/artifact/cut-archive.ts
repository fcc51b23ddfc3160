import { createHash, webcrypto } from "node:crypto";
import type { Hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import type { ArchiveTable, ChunkEntry } from "./chunk-table.ts";
import { contentCuts, cutSizes } from "./content-cuts.ts";
import type { Sealer } from "./data-key.ts";

/** A chunk with its bytes, as they are stored. */
export interface StoredChunk extends ChunkEntry {
  readonly bytes: Uint8Array;
}

export interface CutOptions {
  /** Of the archive in bytes, which the size of chunks depends on. Artifacts that are to share chunks must be cut alike. @default less than 4 GiB */
  readonly archiveBytes?: number;
  /** Average size of chunks before compression, a power of two from 4 KiB to 64 MiB. @default 1 MiB, more for archives of more than 4 GiB */
  readonly averageBytes?: number;
  /** zstd's. @default 1 */
  readonly level?: number;
  /** Encrypts; without it, the same archive gives the same chunks everywhere. */
  readonly sealer?: Sealer | undefined;
  /** Bytes of chunks that are compressed at once, at most, but always one chunk. @default 64 MiB */
  readonly inFlightBytes?: number;
}

const compress = promisify(zstdCompress);
const sliceBytes = 1024 * 1024;

/** `sha256:…`, computed off the event loop. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  return `sha256:${Buffer.from(await webcrypto.subtle.digest("SHA-256", bytes)).toString("hex")}`;
}

/** Hashes a large chunk without keeping the event loop from others. */
export async function hashInTurns(hash: Hash, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += sliceBytes) {
    if (at > 0) await setImmediate();
    hash.update(bytes.subarray(at, at + sliceBytes));
  }
}

/** Chunks at once: the thread pool has four threads, and what they give waits for its turn. */
const parallel = 8;

/** Results in the order of their starts, several under way at once: as many as fit into `bytes`, eight at most, and always one. */
export async function* inOrder<T>(
  starts: AsyncIterable<{ readonly weight: number; readonly run: () => Promise<T> }>,
  bytes: number,
): AsyncGenerator<T, void, undefined> {
  const running: { readonly weight: number; readonly result: Promise<T> }[] = [];
  let weighs = 0;
  const first = async (): Promise<T> => {
    const next = running.shift();
    if (next === undefined) throw new Error("nothing is running");
    const result = await next.result;
    weighs -= next.weight;
    return result;
  };
  for await (const { weight, run } of starts) {
    while (running.length > 0 && (weighs + weight > bytes || running.length >= parallel)) yield await first();
    const result = run();
    // One that fails while another is waited for is heard of in its turn, or not at all when nobody asks any more.
    result.catch(() => undefined);
    running.push({ weight, result });
    weighs += weight;
  }
  while (running.length > 0) yield await first();
}

/**
 * Cuts an archive into chunks by its contents, each compressed with zstd and, with a `sealer`, encrypted: what two archives have in common is the same chunks. Holds a few chunks at a time.
 * The same archive, options and zstd give the same chunks. The generator's result is the table by which {@link joinArchive} puts it together.
 *
 * @throws FW_CHECKPOINT_LIMIT for an `averageBytes` out of range, and what the source throws
 */
export async function* cutArchive(
  source: AsyncIterable<Uint8Array>,
  options: CutOptions = {},
): AsyncGenerator<StoredChunk, ArchiveTable, undefined> {
  const { archiveBytes = 0, averageBytes, level = 1, sealer, inFlightBytes = 64 * 1024 * 1024 } = options;
  const sizes = cutSizes(archiveBytes, averageBytes);
  const whole = createHash("sha256");
  let size = 0;
  const store = async (piece: Uint8Array, offset: number): Promise<StoredChunk> => {
    const raw = sha256(piece);
    const compressed = await compress(piece, {
      params: { [constants.ZSTD_c_compressionLevel]: level },
      pledgedSrcSize: piece.length,
      // Each filled buffer is a turn of the event loop.
      chunkSize: Math.min(piece.length + 1024, sliceBytes),
    });
    const bytes = sealer ? await sealer.seal(compressed, "chunk") : compressed;
    return { digest: await sha256(bytes), size: bytes.length, offset, length: piece.length, raw: await raw, bytes };
  };
  async function* starts() {
    for await (const piece of contentCuts(source, sizes, sealer?.cutSeed ?? 0)) {
      await hashInTurns(whole, piece);
      const offset = size;
      size += piece.length;
      yield { weight: piece.length, run: () => store(piece, offset) };
    }
  }
  const chunks: ChunkEntry[] = [];
  for await (const chunk of inOrder(starts(), inFlightBytes)) {
    const { bytes: _bytes, ...entry } = chunk;
    chunks.push(entry);
    yield chunk;
  }
  return { archive: { digest: `sha256:${whole.digest("hex")}`, size }, chunks };
}

import { checkpointError } from "../../errors.ts";

/** How large the pieces are that an archive is cut into, in bytes: multiples of 512. */
export interface CutSizes {
  readonly minimum: number;
  readonly average: number;
  readonly maximum: number;
}

/**
 * Cuts lie at multiples of a tar block. The pages of an image begin at any such multiple, not at a multiple of their own size, so that this is the coarsest grid on which the same pages are
 * found again after members before them grew or shrank.
 */
const blockBytes = 512;

const mebibyte = 1024 * 1024;
/** An archive is to have about this many pieces at most: each takes 180 bytes of a manifest, and registries take manifests of 4 MiB. */
const pieces = 4096;
/** From here on an archive has more pieces instead of larger ones, because a piece is held in memory: 1 TiB has 16,384. */
const largestAverage = 64 * mebibyte;

/**
 * The sizes for an archive: a mebibyte on average up to 4 GiB, the next power of two that keeps the pieces few beyond. A piece has between a quarter and four times its average.
 *
 * @throws FW_CHECKPOINT_LIMIT for an `average` that is no power of two from 4 KiB to 64 MiB
 */
export function cutSizes(archiveBytes: number, average?: number): CutSizes {
  let size = average ?? mebibyte;
  if (average === undefined) while (size < largestAverage && archiveBytes / size > pieces) size *= 2;
  if (!Number.isInteger(Math.log2(size)) || size < 8 * blockBytes || size > largestAverage)
    throw checkpointError(
      "FW_CHECKPOINT_LIMIT",
      `average size of chunks: ${size} bytes: give a power of two from ${8 * blockBytes} to ${largestAverage}`,
    );
  return { minimum: size / 4, average: size, maximum: size * 4 };
}

/** Murmur3's mixing: every bit of the block moves every bit of the result; made for speed, not against an adversary. */
function blockHash(words: Int32Array, from: number, seed: number): number {
  let hash = seed;
  const first = words[from] ?? 0;
  let varies = 0;
  for (let at = from; at < from + blockBytes / 4; at += 1) {
    const word = words[at] ?? 0;
    varies |= word ^ first;
    hash = Math.imul(hash ^ word, 0x5bd1e995);
  }
  // Blocks of zeros come in long runs: were one a place to cut, all of them would be.
  if (varies === 0) return 2 ** 32;
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/**
 * Cuts a stream where its contents say so: the same bytes are cut at the same places whatever comes before them, so that what two archives have in common is the same pieces.
 * A cut is rare before the average size and likely soon after it (normalized chunking, FastCDC, Xia et al. 2016). Another `seed` cuts elsewhere. Holds one piece of the largest size.
 */
export async function* contentCuts(
  source: AsyncIterable<Uint8Array>,
  { minimum, average, maximum }: CutSizes,
  seed: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = new ArrayBuffer(maximum);
  const bytes = new Uint8Array(buffer);
  const words = new Int32Array(buffer);
  const blocks = average / blockBytes;
  /** A block ends a piece when its hash is below: of four times the average one does, and later of a quarter of it. */
  const [early, late] = [2 ** 32 / (4 * blocks), 2 ** 32 / (blocks / 4)];
  let filled = 0;
  let looked = minimum - blockBytes;
  const end = (): number | undefined => {
    for (; looked + blockBytes <= filled; looked += blockBytes)
      if (blockHash(words, looked / 4, seed) < (looked < average ? early : late)) return looked + blockBytes;
    return filled === maximum ? maximum : undefined;
  };
  for await (const part of source)
    for (let at = 0; at < part.length;) {
      const taken = part.subarray(at, at + maximum - filled);
      bytes.set(taken, filled);
      filled += taken.length;
      at += taken.length;
      for (let cut = end(); cut !== undefined; cut = end()) {
        yield bytes.slice(0, cut);
        bytes.copyWithin(0, cut, filled);
        filled -= cut;
        looked = minimum - blockBytes;
      }
    }
  if (filled > 0) yield bytes.slice(0, filled);
}

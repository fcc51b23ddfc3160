import { checkpointError } from "../../errors.ts";
import type { Images } from "./image-set.ts";
import { byteSearch } from "./byte-automaton.ts";
import { parseByteExpression, reversed } from "./byte-expression.ts";
import { memoryRuns, pageBytes, partBytes, processMemory } from "./memory.ts";

export interface MemoryMatch {
  /** Address of the first byte, `0x…`. */
  readonly address: string;
  readonly length: number;
}

export interface SearchOptions {
  /** Matches to stop after; 1000 unless told. */
  readonly limit?: number;
  /** The longest match of an expression, in bytes: of what is longer, its beginning is found; 4096 unless told. */
  readonly longest?: number;
}

const addressLimit = 1n << 64n;

type Find = (text: Buffer, from: number) => { readonly start: number; readonly end: number } | undefined;

function finder(pattern: Uint8Array | RegExp, longest: number): { readonly find: Find; readonly overlap: number } {
  if (pattern instanceof Uint8Array) {
    if (pattern.length === 0) throw checkpointError("FW_CHECKPOINT_IMAGE", "search: the pattern is empty");
    const find: Find = (text, from) => {
      const start = text.indexOf(pattern, from);
      return start === -1 ? undefined : { start, end: start + pattern.length };
    };
    return { find, overlap: pattern.length - 1 };
  }
  const expression = parseByteExpression(pattern);
  const search = byteSearch(expression, reversed(expression), longest);
  return { find: (text, from) => search.find(text, from), overlap: 2 * longest };
}

/**
 * Where a process's memory holds a pattern: bytes, or an expression over bytes as Latin-1 characters. Finds across page and chunk edges, not across holes.
 * Matches do not overlap; where several begin at one byte, the longest is meant. An expression is followed in one pass, in time that grows with the memory alone, and is refused
 * (FW_CHECKPOINT_IMAGE) where that cannot be: see {@link parseByteExpression}.
 */
export async function searchMemory(
  images: Images,
  pid: number,
  pattern: Uint8Array | RegExp,
  { limit = 1000, longest = 4096 }: SearchOptions = {},
): Promise<readonly MemoryMatch[]> {
  const memory = await processMemory(images, pid);
  const matches: MemoryMatch[] = [];
  if (memory === undefined) return matches;
  const { find, overlap } = finder(pattern, longest);
  const buffer = Buffer.allocUnsafeSlow(overlap + partBytes);
  /** Bytes of the buffer that are still looked at, the first of which is at `base`. */
  let held = 0;
  let base = 0n;
  const scan = (last: boolean): void => {
    const text = buffer.subarray(0, held);
    // What begins in the overlap may go on in the next piece: it is left for then.
    const settled = last ? held : Math.max(0, held - overlap);
    let from = 0;
    while (matches.length < limit) {
      const match = find(text, from);
      if (match === undefined || match.start >= settled) break;
      matches.push({ address: `0x${(base + BigInt(match.start)).toString(16)}`, length: match.end - match.start });
      from = match.end;
    }
    const keep = Math.max(from, settled);
    base += BigInt(keep);
    buffer.copyWithin(0, keep, held);
    held -= keep;
  };
  for (const run of memoryRuns(memory, 0n, addressLimit)) {
    if (run.home !== "here") continue;
    if (base + BigInt(held) !== run.address) {
      scan(true);
      base = run.address;
      held = 0;
    }
    for (let at = 0; at < Number(run.length); at += partBytes) {
      const length = Math.min(partBytes, Number(run.length) - at);
      await pageBytes(images, run.image, run.offset + at, length, buffer.subarray(held));
      held += length;
      scan(false);
      if (matches.length >= limit) return matches;
    }
  }
  scan(true);
  return matches;
}

import { checkpointError } from "../../errors.ts";
import { sealOverhead } from "./data-key.ts";

/** A piece of an archive as it is stored. */
export interface ChunkEntry {
  /** `sha256:…` of the stored bytes: their name in a registry. */
  readonly digest: string;
  /** Of the stored bytes. */
  readonly size: number;
  /** In the archive. */
  readonly offset: number;
  readonly length: number;
  /** `sha256:…` of the archive's bytes that it holds. */
  readonly raw: string;
}

/** How an archive is put together: its chunks in order, of which several may be the same. */
export interface ArchiveTable {
  readonly archive: { readonly digest: string; readonly size: number };
  readonly chunks: readonly ChunkEntry[];
}

/** What a reader takes: four times the largest average size, an archive of 1 TiB in pieces of the smallest size that it may have. */
const chunkLimits = { count: 65_536, length: 256 * 1024 * 1024, archive: 2 ** 40 };

/** The most that zstd and sealing make of bytes that do not compress (ZSTD_COMPRESSBOUND). */
const storedLimit = (length: number): number => length + (length >> 8) + 1024 + sealOverhead;

const isDigest = (value: unknown): value is string => typeof value === "string" && /^sha256:[0-9a-f]{64}$/.test(value);
const malformed = (place: string, problem: string) =>
  checkpointError("FW_CHECKPOINT_ARTIFACT", `${place}: ${problem}: do not trust this artifact`);

/**
 * Reads a table and holds it against itself: chunks lie one behind the other without gaps, and make up the whole archive.
 *
 * @throws FW_CHECKPOINT_ARTIFACT naming the field, FW_CHECKPOINT_LIMIT
 */
export function parseTable(value: unknown, place: string): ArchiveTable {
  const { archive, chunks } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const whole = (typeof archive === "object" && archive !== null ? archive : {}) as Record<string, unknown>;
  const count = (number: unknown, field: string, limit: number): number => {
    if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 0)
      throw malformed(`${place}: ${field}`, `${JSON.stringify(number)?.slice(0, 100)} is no size`);
    if (number > limit)
      throw checkpointError("FW_CHECKPOINT_LIMIT", `${place}: ${field}: ${number} is more than the limit of ${limit}`);
    return number;
  };
  const digest = (text: unknown, field: string): string => {
    if (!isDigest(text)) throw malformed(`${place}: ${field}`, `${JSON.stringify(text)?.slice(0, 100)} is no sha256:…`);
    return text;
  };
  const size = count(whole["size"], "archive.size", chunkLimits.archive);
  if (!Array.isArray(chunks)) throw malformed(`${place}: chunks`, "is no list");
  if (chunks.length > chunkLimits.count)
    throw checkpointError(
      "FW_CHECKPOINT_LIMIT",
      `${place}: ${chunks.length} chunks, the limit is ${chunkLimits.count}`,
    );
  let end = 0;
  const entries = chunks.map((item: unknown, index): ChunkEntry => {
    const chunk = (typeof item === "object" && item !== null ? item : {}) as Record<string, unknown>;
    const field = `chunks[${index}]`;
    const length = count(chunk["length"], `${field}.length`, chunkLimits.length);
    const offset = count(chunk["offset"], `${field}.offset`, chunkLimits.archive);
    if (length === 0) throw malformed(`${place}: ${field}.length`, "is nothing");
    if (offset !== end)
      throw malformed(`${place}: ${field}.offset`, `is ${offset}, where the chunk before ends at ${end}`);
    end += length;
    return {
      digest: digest(chunk["digest"], `${field}.digest`),
      size: count(chunk["size"], `${field}.size`, storedLimit(length)),
      offset,
      length,
      raw: digest(chunk["raw"], `${field}.raw`),
    };
  });
  if (end !== size) throw malformed(`${place}: archive.size`, `is ${size}, but the chunks have ${end} bytes`);
  return { archive: { digest: digest(whole["digest"], "archive.digest"), size }, chunks: entries };
}

import { checkpointError } from "../../errors.ts";
import { blockSize, longName, memberOf, parseHeader, parsePax } from "./tar-header.ts";
import type { Extension, TarMember } from "./tar-header.ts";

/** Bounds on what an archive may make a reader do. */
export interface ArchiveLimits {
  readonly members: number;
  /** Of one extended header (long names, pax records), in bytes. */
  readonly headerBytes: number;
  /** Of a name and of a link's target, in bytes. */
  readonly nameBytes: number;
  /** Of the whole archive, decompressed, in bytes. */
  readonly archiveBytes: number;
}

/** containerd's limits of a pod checkpoint (pull request 13822), a page of headers, and Linux' PATH_MAX. */
export const defaultArchiveLimits: ArchiveLimits = {
  members: 100_000,
  headerBytes: 64 * 1024,
  nameBytes: 4096,
  archiveBytes: 2 ** 40,
};

/** Bytes that can be read at any place: a file, a buffer. */
export interface RandomAccess {
  readonly size: number;
  /** Fewer than `length` bytes only at the end. With `into`, which has room for them, they are a view of it; without, of nothing else. */
  readAt(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
}

/** Bytes that are in memory already. */
export const inMemory = (bytes: Uint8Array): RandomAccess => ({
  size: bytes.length,
  readAt: (offset, length, into) => {
    const part = bytes.subarray(offset, Math.max(offset, offset + length));
    into?.set(part);
    return Promise.resolve(into?.subarray(0, part.length) ?? part);
  },
});

/** Either the parser wants the next `length` bytes, or it found a member, whose data the driver passes over. */
type TarStep = { readonly want: number } | { readonly member: TarMember };

const padded = (size: number): number => Math.ceil(size / blockSize) * blockSize;

/** One parser for files and streams. Every answer to `want` has that many bytes, or fewer when the archive ends there. */
function* parseTar(name: string, limits: ArchiveLimits): Generator<TarStep, void, Uint8Array> {
  let offset = 0;
  let extension: Extension = {};
  let general: Extension = {};
  const truncated = (where: string) =>
    checkpointError("FW_CHECKPOINT_ARCHIVE", `${where}: the archive ends here: it is truncated`);
  for (let count = 0; ;) {
    const where = `${name}: at byte ${offset}`;
    const block = yield { want: blockSize };
    if (block.length < blockSize) throw truncated(where);
    const header = parseHeader(block, where);
    offset += blockSize;
    if (header === undefined) {
      if (Object.keys(extension).length > 0)
        throw checkpointError("FW_CHECKPOINT_ARCHIVE", `${where}: an extended header without the member it is about`);
      return;
    }
    if (offset + header.size > limits.archiveBytes)
      throw checkpointError("FW_CHECKPOINT_LIMIT", `${where}: more than the limit of ${limits.archiveBytes} bytes`);
    if (header.flag === "x" || header.flag === "g" || header.flag === "L" || header.flag === "K") {
      if (header.size > limits.headerBytes)
        throw checkpointError(
          "FW_CHECKPOINT_LIMIT",
          `${where}: an extended header of ${header.size} bytes, the limit is ${limits.headerBytes}`,
        );
      const wanted = padded(header.size);
      const bytes = yield { want: wanted };
      if (bytes.length < wanted) throw truncated(where);
      offset += wanted;
      const data = bytes.subarray(0, header.size);
      if (header.flag === "g") general = { ...general, ...parsePax(data, where) };
      else if (header.flag === "x") extension = { ...extension, ...parsePax(data, where) };
      else if (header.flag === "L") extension = { ...extension, path: longName(data, where) };
      else extension = { ...extension, linkpath: longName(data, where) };
      // Headers without members must end too.
      if (++count > 4 * limits.members) throw checkpointError("FW_CHECKPOINT_LIMIT", `${where}: too many headers`);
      continue;
    }
    if (++count > limits.members)
      throw checkpointError("FW_CHECKPOINT_LIMIT", `${where}: more than the limit of ${limits.members} members`);
    const member = memberOf(header, { ...general, ...extension }, offset, where);
    for (const text of [member.name, member.target ?? ""])
      if (Buffer.byteLength(text) > limits.nameBytes)
        throw checkpointError("FW_CHECKPOINT_LIMIT", `${where}: a name longer than ${limits.nameBytes} bytes`);
    if (offset + member.size > limits.archiveBytes)
      throw checkpointError("FW_CHECKPOINT_LIMIT", `${where}: more than the limit of ${limits.archiveBytes} bytes`);
    extension = {};
    offset += padded(member.size);
    yield { member };
  }
}

interface ReadOptions {
  /** What errors call the archive. */
  readonly name?: string;
  readonly limits?: Partial<ArchiveLimits>;
}

/**
 * The members of an archive in a file, without reading their data: as many small reads as there are headers. The data of a member is at its `offset`.
 * Throws FW_CHECKPOINT_ARCHIVE (malformed, truncated) and FW_CHECKPOINT_LIMIT.
 */
export async function* indexTar(
  source: RandomAccess,
  { name = "archive", limits = {} }: ReadOptions = {},
): AsyncGenerator<TarMember, void, undefined> {
  const parser = parseTar(name, { ...defaultArchiveLimits, ...limits });
  let offset = 0;
  let answer: Uint8Array = new Uint8Array(0);
  for (let step = parser.next(answer); step.done !== true; step = parser.next(answer)) {
    if ("want" in step.value) {
      answer = await source.readAt(offset, step.value.want);
      offset += answer.length;
      continue;
    }
    const { member } = step.value;
    if (member.offset + member.size > source.size)
      throw checkpointError(
        "FW_CHECKPOINT_ARCHIVE",
        `${name}: ${JSON.stringify(member.name)} says ${member.size} bytes, ${source.size - member.offset} are left: truncated, or its length lies`,
      );
    offset = member.offset + padded(member.size);
    yield member;
  }
}

/** A member of a streamed archive and its data, which is gone once the next member is asked for. */
export interface StreamedMember {
  readonly member: TarMember;
  readonly data: AsyncIterable<Uint8Array>;
}

/** Hands out a stream's bytes by count; what it gives are views of the chunks. */
class ChunkReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Between 1 and `most` bytes; `undefined` at the end. */
  async some(most: number): Promise<Uint8Array | undefined> {
    while (this.#chunk.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#chunk = next.value;
    }
    const part = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(part.length);
    return part;
  }

  /** `length` bytes, fewer at the end. */
  async exactly(length: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let left = length; left > 0;) {
      const part = await this.some(left);
      if (part === undefined) break;
      parts.push(part);
      left -= part.length;
    }
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

/** The members of an archive that comes as a stream; unread data is passed over. Throws as {@link indexTar}. */
export async function* readTar(
  chunks: AsyncIterable<Uint8Array>,
  { name = "archive", limits = {} }: ReadOptions = {},
): AsyncGenerator<StreamedMember, void, undefined> {
  const reader = new ChunkReader(chunks);
  const parser = parseTar(name, { ...defaultArchiveLimits, ...limits });
  try {
    let answer: Uint8Array = new Uint8Array(0);
    for (let step = parser.next(answer); step.done !== true; step = parser.next(answer)) {
      if ("want" in step.value) {
        answer = await reader.exactly(step.value.want);
        continue;
      }
      const { member } = step.value;
      let left = member.size;
      const take = async (): Promise<Uint8Array> => {
        const part = await reader.some(left);
        if (part === undefined)
          throw checkpointError(
            "FW_CHECKPOINT_ARCHIVE",
            `${name}: ${JSON.stringify(member.name)} says ${member.size} bytes, ${member.size - left} came: truncated, or its length lies`,
          );
        left -= part.length;
        return part;
      };
      yield {
        member,
        data: (async function* () {
          while (left > 0) yield await take();
        })(),
      };
      while (left > 0) await take();
      const filling = padded(member.size) - member.size;
      if ((await reader.exactly(filling)).length < filling)
        throw checkpointError(
          "FW_CHECKPOINT_ARCHIVE",
          `${name}: the archive ends within ${JSON.stringify(member.name)}`,
        );
    }
  } finally {
    await reader.close();
  }
}

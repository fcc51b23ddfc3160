import { checkpointError } from "../../errors.ts";
import { parseBuffer, parseStream } from "./byte-source.ts";
import type { Parser } from "./byte-source.ts";
import { defaultImageLimits, frame, readExtra, stated, writeExtra } from "./extra.ts";
import type { ImageLimits } from "./extra.ts";
import { commonMagic, isRawImageName, kindByMagic, kindByName, serviceMagic } from "./kind-table.ts";
import type { ImageKind } from "./kind-table.ts";
import { bytesOfBase64, isObject, jsonToMessage, messageToJson } from "./message-json.ts";
import type { JsonObject, JsonValue, ValueBudget } from "./message-json.ts";
import { messageDescriptor } from "./messages.ts";

export type ImageHeader = ImageKind["header"];

/** A decoded image in crit's shape: what `crit encode` takes, but for raw images and unknown kinds, which crit has no form for. */
export interface CriuImage {
  /** The kind's name; `0x…` for a kind that CRIU 4.2 does not have; absent for an image without a header. */
  readonly magic?: string;
  /** Where the header is not what CRIU 4.2 writes for the kind: images of version 1 have none. */
  readonly $header?: ImageHeader;
  readonly entries?: readonly JsonObject[];
  /** All bytes behind the header, base64: raw images and unknown kinds. */
  readonly data?: string;
}

const word = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const wordAt = (bytes: Uint8Array): number =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt32LE();
const broken = (message: string) => checkpointError("FW_CHECKPOINT_IMAGE", message);
const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
const hex = (magic: number): string => `0x${magic.toString(16).padStart(8, "0")}`;

interface Header {
  readonly header: ImageHeader;
  readonly magic: number;
  readonly length: 4 | 8;
}

/** Reads the header of an image from its first 8 bytes; `undefined` when there are fewer than 4. */
function headerOf(bytes: Uint8Array): Header | undefined {
  if (bytes.length < 4) return undefined;
  const first = wordAt(bytes);
  if ((first === commonMagic || first === serviceMagic) && bytes.length >= 8)
    return {
      header: first === commonMagic ? "common" : "service",
      magic: wordAt(bytes.subarray(4)),
      length: 8,
    };
  return { header: "none", magic: first, length: 4 };
}

/** An entry where it lies; offsets count from the image's first byte. */
export interface LocatedEntry {
  readonly kind: ImageKind;
  readonly offset: number;
  readonly entry: JsonObject;
}

function descriptorName(kind: ImageKind, index: number): string {
  if (index === 0) return kind.head ?? kind.message;
  return kind.extra === "ghost-file" ? "ghost_chunk_entry" : kind.message;
}

function* parseEntries(
  kind: ImageKind,
  headerLength: number,
  limits: ImageLimits,
  name: string,
  budget: ValueBudget = { left: limits.values },
): Parser<LocatedEntry> {
  let offset = headerLength;
  let chunked = false;
  for (let index = 0; ; index += 1) {
    const where = `${name}: entry ${index} at byte ${offset}`;
    const start = offset;
    const prefix = yield { length: 4, what: `entry ${index}'s length`, mode: "end" };
    if (prefix.length === 0) return;
    if (index >= limits.entries)
      throw checkpointError("FW_CHECKPOINT_LIMIT", `${name}: more than the limit of ${limits.entries} entries`);
    const size = wordAt(prefix);
    if (size > limits.messageBytes)
      throw checkpointError(
        "FW_CHECKPOINT_LIMIT",
        `${where}: says ${size} bytes of message, the limit is ${limits.messageBytes}`,
      );
    const descriptor = messageDescriptor(descriptorName(kind, index));
    const message = messageToJson(descriptor, yield { length: size, what: where }, where, budget);
    offset += 4 + size;
    if (kind.extra === "ghost-file") {
      if (index === 0) chunked = message["chunks"] === true;
      const data: Uint8Array | undefined =
        index > 0
          ? yield { length: stated(message, "len", limits.extraBytes, where), what: `${where}'s data` }
          : chunked
            ? undefined
            : yield { length: limits.extraBytes, what: `${where}'s data`, mode: "rest" };
      offset += data?.length ?? 0;
      yield { found: { kind, offset: start, entry: data ? { ...message, extra: base64(data) } : message } };
      continue;
    }
    const steps = readExtra(kind.extra, message, limits, where, budget);
    let step = steps.next(new Uint8Array(0));
    while (step.done !== true) {
      const answer: Uint8Array = yield step.value;
      offset += answer.length;
      step = steps.next(answer);
    }
    yield { found: { kind, offset: start, entry: { ...message, ...step.value } } };
  }
}

export interface DecodeOptions {
  /** What errors call the image, and what tells raw images (`pages-1.img`) from framed ones. */
  readonly name?: string;
  readonly limits?: Partial<ImageLimits>;
}

const namesOf = (name: string): string => name.slice(name.lastIndexOf("/") + 1);

/**
 * Decodes a whole image. An image that `name` says is raw, one shorter than a magic and one of a kind unknown to CRIU 4.2 keep their bytes in `data`.
 * Throws FW_CHECKPOINT_IMAGE (malformed) and FW_CHECKPOINT_LIMIT, naming the image, the entry and its offset.
 *
 * @example
 * ```ts
 * const image = decodeImage(await readFile("pstree.img"), { name: "pstree.img" });
 * image.entries?.map((entry) => entry["pid"]);
 * ```
 */
export function decodeImage(bytes: Uint8Array, { name = "image", limits = {} }: DecodeOptions = {}): CriuImage {
  const header = isRawImageName(namesOf(name)) ? undefined : headerOf(bytes);
  if (header === undefined) return { data: base64(bytes) };
  const kind = kindByMagic(header.magic);
  const body = bytes.subarray(header.length);
  if (kind === undefined)
    return {
      magic: hex(header.magic),
      ...(header.header === "common" ? {} : { $header: header.header }),
      data: base64(body),
    };
  const parser = parseEntries(kind, header.length, { ...defaultImageLimits, ...limits }, name);
  return {
    magic: kind.name,
    ...(header.header === kind.header ? {} : { $header: header.header }),
    entries: [...parseBuffer(parser, bytes.subarray(header.length), name)].map(({ entry }) => entry),
  };
}

async function* withoutHeader(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    if (first.length > 0) yield first;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

/**
 * Entries of an image as they come from a stream: holds one entry at a time. Throws FW_CHECKPOINT_IMAGE for raw images and unknown kinds, whose bytes are no entries.
 * `only` refuses any other kind, so that a file's name cannot promise what its bytes are not. `budget` bounds the values of several images together.
 */
export async function* readEntries(
  chunks: AsyncIterable<Uint8Array>,
  {
    name = "image",
    limits = {},
    only,
    budget,
  }: DecodeOptions & { readonly only?: string; readonly budget?: ValueBudget } = {},
): AsyncGenerator<LocatedEntry, void, undefined> {
  const iterator = chunks[Symbol.asyncIterator]();
  let handedOn = false;
  try {
    let start: Uint8Array = new Uint8Array(0);
    while (start.length < 8) {
      const next = await iterator.next();
      if (next.done === true) break;
      start = start.length === 0 ? next.value : Buffer.concat([start, next.value]);
    }
    const header = headerOf(start);
    const kind = header === undefined ? undefined : kindByMagic(header.magic);
    if (header === undefined || kind === undefined)
      throw broken(`${name}: at byte 0: ${header ? `${hex(header.magic)} is no kind of CRIU's images` : "no magic"}`);
    if (only !== undefined && kind.name !== only) throw broken(`${name}: at byte 0: is ${kind.name}, not ${only}`);
    const body = withoutHeader(start.subarray(header.length), iterator);
    handedOn = true;
    const parser = parseEntries(kind, header.length, { ...defaultImageLimits, ...limits }, name, budget);
    yield* parseStream(parser, body, name);
  } finally {
    if (!handedOn) await iterator.return?.();
  }
}

function* encodeEntries(kind: ImageKind, entries: readonly JsonValue[], name: string): Generator<Uint8Array> {
  const [first] = entries;
  if (kind.extra === "ghost-file" && entries.length > 1 && !(isObject(first) && first["chunks"] === true))
    throw broken(`${name}: entries[1]: a ghost file without chunks has one entry`);
  for (const [index, entry] of entries.entries()) {
    const where = `${name}: entries[${index}]`;
    if (!isObject(entry)) throw broken(`${where}: not an object`);
    yield* frame(jsonToMessage(messageDescriptor(descriptorName(kind, index)), entry, where));
    if (kind.extra !== "ghost-file") yield* writeExtra(kind.extra, entry, where);
    else if (index > 0 || entry["chunks"] !== true) {
      const data = bytesOfBase64(entry["extra"] ?? "", `${where}.extra`);
      if (index > 0 && data.length !== stated(entry, "len", Number.MAX_SAFE_INTEGER, where))
        throw broken(`${where}.extra: ${data.length} bytes, but len says otherwise: change both`);
      yield data;
    }
  }
}

const firstWord: Readonly<Record<ImageHeader, readonly Uint8Array[]>> = {
  common: [word(commonMagic)],
  service: [word(serviceMagic)],
  none: [],
};

/**
 * The bytes of a decoded image: exactly those it was decoded from when nothing was changed. Takes crit's JSON too.
 * Throws FW_CHECKPOINT_IMAGE with the path of what cannot be written.
 */
export function encodeImage(image: CriuImage, { name = "image" }: { readonly name?: string } = {}): Uint8Array {
  const { magic, entries, data, $header } = image;
  if (magic === undefined) return bytesOfBase64(data, `${name}: data`);
  const kind = kindByName(magic);
  if (kind === undefined) {
    if (!/^0x[0-9a-f]{8}$/.test(magic)) throw broken(`${name}: magic: "${magic}" is no kind of CRIU's images`);
    const header = firstWord[$header ?? "common"];
    return Buffer.concat([...header, word(Number(magic)), bytesOfBase64(data, `${name}: data`)]);
  }
  if (!Array.isArray(entries)) throw broken(`${name}: entries: not a list`);
  return Buffer.concat([
    ...firstWord[$header ?? kind.header],
    word(kind.magic),
    ...encodeEntries(kind, entries as readonly JsonValue[], name),
  ]);
}

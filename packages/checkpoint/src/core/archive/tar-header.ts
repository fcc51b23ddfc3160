import { checkpointError } from "../../errors.ts";

/** What a member of a tar archive is. Sparse files and whatever else a type flag may say are refused: no engine writes them. */
export type TarKind = "file" | "hardlink" | "symlink" | "character" | "block" | "directory" | "fifo";

/** A member, as its headers describe it; names as written. */
export interface TarMember {
  readonly name: string;
  readonly kind: TarKind;
  /** Bytes of data that follow the header; 0 for what has none. */
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch. */
  readonly modified: number;
  /** Where a link points to. */
  readonly target?: string;
  /** Byte of the archive at which the data starts. */
  readonly offset: number;
}

export const blockSize = 512;

/** POSIX.1-2024 pax, `typeflag`; GNU's `L` and `K` and pax's `x` and `g` describe the next member. */
const kinds: Readonly<Record<string, TarKind>> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "character",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

/** The fields of one 512-byte header. */
export interface RawHeader {
  readonly flag: string;
  readonly name: string;
  readonly target: string;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modified: number;
}

const broken = (where: string, what: string) => checkpointError("FW_CHECKPOINT_ARCHIVE", `${where}: ${what}`);
const utf8 = new TextDecoder("utf-8", { fatal: true });

function text(bytes: Uint8Array, where: string): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw checkpointError("FW_CHECKPOINT_ARCHIVE", `${where}: a name that is not UTF-8`, error);
  }
}

function field(block: Uint8Array, from: number, length: number, where: string): string {
  const bytes = block.subarray(from, from + length);
  const end = bytes.indexOf(0);
  return text(end === -1 ? bytes : bytes.subarray(0, end), where);
}

/** An octal number, or GNU's base-256 where the first bit is set. */
function number(block: Uint8Array, from: number, length: number, where: string, what: string): number {
  const bytes = block.subarray(from, from + length);
  const [first = 0] = bytes;
  if ((first & 0x80) !== 0) {
    if (first !== 0x80) throw broken(where, `${what} is negative or too large`);
    const value = bytes.subarray(1).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw broken(where, `${what} ${value} is too large`);
    return Number(value);
  }
  const digits = Buffer.from(bytes)
    .toString("latin1")
    .replace(/^ +/, "")
    .replace(/[ \0]+$/, "");
  if (digits === "") return 0;
  if (!/^[0-7]+$/.test(digits)) throw broken(where, `${what} ${JSON.stringify(digits)} is no octal number`);
  return Number.parseInt(digits, 8);
}

/** Historic tars summed signed bytes: both sums are accepted, as every tar does. */
function checksumHolds(block: Uint8Array, stated: number): boolean {
  let unsigned = 0;
  let signed = 0;
  for (const [index, byte] of block.entries()) {
    const value = index >= 148 && index < 156 ? 0x20 : byte;
    unsigned += value;
    signed += value > 127 ? value - 256 : value;
  }
  return stated === unsigned || stated === signed;
}

/** Reads one header block; `undefined` for a block of zeros. Throws FW_CHECKPOINT_ARCHIVE. */
export function parseHeader(block: Uint8Array, where: string): RawHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const stated = /^ *([0-7]+)[ \0]*$/.exec(Buffer.from(block.subarray(148, 156)).toString("latin1"))?.[1];
  if (stated === undefined || !checksumHolds(block, Number.parseInt(stated, 8)))
    throw broken(where, "the header's checksum is wrong: not a tar archive, or a broken one");
  // GNU keeps times where POSIX keeps the prefix; its magic ends in a blank.
  const posix = Buffer.from(block.subarray(257, 263)).toString("latin1") === "ustar\0";
  const prefix = posix ? field(block, 345, 155, where) : "";
  const name = field(block, 0, 100, where);
  return {
    flag: String.fromCharCode(block[156] ?? 0),
    name: prefix === "" ? name : `${prefix}/${name}`,
    target: field(block, 157, 100, where),
    size: number(block, 124, 12, where, "the size"),
    mode: number(block, 100, 8, where, "the mode"),
    uid: number(block, 108, 8, where, "the owner"),
    gid: number(block, 116, 8, where, "the group"),
    modified: number(block, 136, 12, where, "the time"),
  };
}

/** What headers before a member say about it. */
export interface Extension {
  readonly path?: string;
  readonly linkpath?: string;
  readonly size?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
}

function paxNumber(value: string, key: string, where: string): number {
  if (!/^\d+(\.\d+)?$/.test(value) || Number(value) > Number.MAX_SAFE_INTEGER)
    throw broken(where, `pax ${key} ${JSON.stringify(value.slice(0, 40))} is no number that fits`);
  return Math.floor(Number(value));
}

/** Reads pax records (`<length> <key>=<value>\n`). Unknown keys are passed over, sparse files refused. */
export function parsePax(bytes: Uint8Array, where: string): Extension {
  const found: { -readonly [Key in keyof Extension]: Extension[Key] } = {};
  for (let at = 0; at < bytes.length;) {
    const blank = bytes.indexOf(0x20, at);
    const digits = blank === -1 ? "" : Buffer.from(bytes.subarray(at, Math.min(blank, at + 12))).toString("latin1");
    const end = at + Number(digits);
    if (!/^[1-9]\d{0,9}$/.test(digits) || end > bytes.length || bytes[end - 1] !== 0x0a || end <= blank + 1)
      throw broken(where, "a pax record's length is wrong");
    const record = text(bytes.subarray(blank + 1, end - 1), where);
    const equals = record.indexOf("=");
    if (equals < 1) throw broken(where, "a pax record without a key");
    const key = record.slice(0, equals);
    const value = record.slice(equals + 1);
    if (key.startsWith("GNU.sparse.")) throw broken(where, "a sparse file: no engine writes them");
    if (value.includes("\0")) throw broken(where, `pax ${key} holds a NUL`);
    if (key === "path") found.path = value;
    if (key === "linkpath") found.linkpath = value;
    if (key === "size") found.size = paxNumber(value, key, where);
    if (key === "uid") found.uid = paxNumber(value, key, where);
    if (key === "gid") found.gid = paxNumber(value, key, where);
    if (key === "mtime") found.mtime = Math.floor(Number(value)) || 0;
    at = end;
  }
  return found;
}

/** GNU's long name: the data up to its NUL. */
export function longName(bytes: Uint8Array, where: string): string {
  const end = bytes.indexOf(0);
  return text(end === -1 ? bytes : bytes.subarray(0, end), where);
}

/** The member that a header and what came before it describe. */
export function memberOf(header: RawHeader, extension: Extension, offset: number, where: string): TarMember {
  const name = extension.path ?? header.name;
  const kind = kinds[header.flag];
  if (kind === undefined)
    throw broken(where, `${JSON.stringify(name)} has the type ${JSON.stringify(header.flag)}, which no engine writes`);
  if (name === "") throw broken(where, "a member without a name");
  const target = extension.linkpath ?? header.target;
  // Old tars mark a directory by its name's end alone.
  const isDirectory = kind === "directory" || (kind === "file" && header.flag !== "7" && name.endsWith("/"));
  const size = extension.size ?? header.size;
  if (kind !== "file" && kind !== "hardlink" && size !== 0 && !isDirectory)
    throw broken(where, `${JSON.stringify(name)} is a ${kind} with ${size} bytes of data`);
  if (isDirectory && size !== 0) throw broken(where, `the directory ${JSON.stringify(name)} has ${size} bytes of data`);
  if (kind === "hardlink" && size !== 0) throw broken(where, `the link ${JSON.stringify(name)} has data of its own`);
  return {
    name,
    kind: isDirectory ? "directory" : kind,
    size,
    mode: header.mode & 0o7777,
    uid: extension.uid ?? header.uid,
    gid: extension.gid ?? header.gid,
    modified: extension.mtime ?? header.modified,
    ...(kind === "symlink" || kind === "hardlink" ? { target } : {}),
    offset,
  };
}

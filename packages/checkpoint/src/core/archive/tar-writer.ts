import { blockSize } from "./tar-header.ts";
import type { TarKind } from "./tar-header.ts";

/** A member to write. */
export interface TarEntry {
  readonly name: string;
  readonly kind: TarKind;
  readonly size: number;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly modified?: number;
  readonly target?: string;
}

const flags: Readonly<Record<TarKind, string>> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** What 11 octal digits hold. */
const octalLimit = 8 ** 11;

function block(entry: TarEntry, flag: string, name: string, target: string): Buffer {
  const header = Buffer.alloc(blockSize);
  const octal = (value: number, at: number, digits: number): void => {
    header.write(`${value.toString(8).padStart(digits, "0")}\0`, at, "latin1");
  };
  header.write(name, 0, 100, "utf8");
  octal(entry.mode & 0o7777, 100, 7);
  octal((entry.uid ?? 0) < 8 ** 7 ? (entry.uid ?? 0) : 0, 108, 7);
  octal((entry.gid ?? 0) < 8 ** 7 ? (entry.gid ?? 0) : 0, 116, 7);
  octal(entry.size < octalLimit ? entry.size : 0, 124, 11);
  octal(entry.modified ?? 0, 136, 11);
  header.write("        ", 148, "latin1");
  header.write(flag, 156, "latin1");
  header.write(target, 157, 100, "utf8");
  header.write("ustar\x0000", 257, "latin1");
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
    "latin1",
  );
  return header;
}

/** A pax record says its own length, which is part of that length. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + String(bytes).length;
  if (bytes + String(length).length !== length) length += 1;
  return `${length}${rest}`;
}

export const tarPadding = (size: number): Buffer => Buffer.alloc((blockSize - (size % blockSize)) % blockSize);

/** Ends an archive. */
export const tarEnd: Buffer = Buffer.alloc(2 * blockSize);

/** The header of a member, with a pax header before it where ustar's fields are too small. The same entry gives the same bytes. */
export function tarHeader(entry: TarEntry): Buffer {
  const target = entry.target ?? "";
  const long: (readonly [key: string, value: string])[] = [];
  if (Buffer.byteLength(entry.name) > 100) long.push(["path", entry.name]);
  if (Buffer.byteLength(target) > 100) long.push(["linkpath", target]);
  if (entry.size >= octalLimit) long.push(["size", String(entry.size)]);
  if ((entry.uid ?? 0) >= 8 ** 7) long.push(["uid", String(entry.uid)]);
  if ((entry.gid ?? 0) >= 8 ** 7) long.push(["gid", String(entry.gid)]);
  const ascii = (text: string): string => text.replaceAll(/[^ -~]/g, "_").slice(0, 100);
  const isLong = (text: string): boolean => Buffer.byteLength(text) > 100;
  const header = block(
    entry,
    flags[entry.kind],
    isLong(entry.name) ? ascii(entry.name) : entry.name,
    isLong(target) ? ascii(target) : target,
  );
  if (long.length === 0) return header;
  const records = Buffer.from(long.map(([key, value]) => record(key, value)).join(""));
  const pax = { name: "pax", kind: "file", size: records.length, mode: 0o644 } as const;
  return Buffer.concat([
    block(pax, "x", `pax/${ascii(entry.name)}`.slice(0, 100), ""),
    records,
    tarPadding(records.length),
    header,
  ]);
}

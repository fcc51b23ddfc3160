import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TarKind } from "./tar-header.ts";
import { indexTar, readTar } from "./tar-reader.ts";
import type { ArchiveLimits, RandomAccess } from "./tar-reader.ts";
import { tarEnd, tarHeader, tarPadding } from "./tar-writer.ts";
import type { TarEntry } from "./tar-writer.ts";

const file = (name: string, data = ""): readonly [TarEntry, Buffer] => [
  { name, kind: "file", size: Buffer.byteLength(data), mode: 0o600 },
  Buffer.from(data),
];
const tar = (...members: readonly (readonly [TarEntry, Buffer])[]): Buffer =>
  Buffer.concat([...members.flatMap(([entry, data]) => [tarHeader(entry), data, tarPadding(data.length)]), tarEnd]);

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

const memory = (bytes: Uint8Array): RandomAccess => ({
  size: bytes.length,
  readAt: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
});

async function streamed(
  bytes: Uint8Array,
  size = 1000,
  limits: Partial<ArchiveLimits> = {},
): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { member, data } of readTar(pieces(bytes, size), { name: "a.tar", limits })) {
    const parts: Uint8Array[] = [];
    for await (const part of data) parts.push(part);
    found.push(`${member.kind} ${member.name} ${Buffer.concat(parts).toString()}`);
  }
  return found;
}

async function indexed(bytes: Uint8Array, limits: Partial<ArchiveLimits> = {}): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { kind, name, offset, size } of indexTar(memory(bytes), { name: "a.tar", limits }))
    found.push(`${kind} ${name} ${Buffer.from(bytes.subarray(offset, offset + size)).toString()}`);
  return found;
}

/** What both readers say, which must be the same. */
async function both(bytes: Uint8Array, limits: Partial<ArchiveLimits> = {}): Promise<readonly string[] | string> {
  const settle = (answer: Promise<readonly string[]>): Promise<readonly string[] | string> =>
    answer.catch((error: unknown) => `${(error as { code?: string }).code}`);
  const [stream, index] = await Promise.all([settle(streamed(bytes, 777, limits)), settle(indexed(bytes, limits))]);
  expect(index).toEqual(stream);
  return stream;
}

/** A header with some bytes replaced and its checksum made right again. */
function forged(entry: TarEntry, change: (header: Buffer) => void): Buffer {
  const header = tarHeader(entry);
  change(header);
  header.write("        ", 148, "latin1");
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

describe("a tar archive", () => {
  it("gives its members, long names and all, from a stream and from a file", async () => {
    const long = `checkpoint/${"ä".repeat(90)}/pages-1.img`;
    const bytes = tar(file("./config.dump", "{}"), file(long, "x".repeat(1500)), [
      { name: "dir/", kind: "directory", size: 0, mode: 0o755 },
      Buffer.alloc(0),
    ]);
    const expected = ["file ./config.dump {}", `file ${long} ${"x".repeat(1500)}`, "directory dir/ "];
    expect(await both(bytes)).toEqual(expected);
    for (const size of [1, 511, 513]) expect(await streamed(bytes, size)).toEqual(expected);
  });

  it("passes over data that nobody reads", async () => {
    const names: string[] = [];
    for await (const { member } of readTar(pieces(tar(file("a", "x".repeat(5000)), file("b", "y")), 100)))
      names.push(member.name);
    expect(names).toEqual(["a", "b"]);
  });

  it("is truncated wherever it is cut, never shorter than it was", async () => {
    const bytes = tar(file("a", "data"), file("b", "more"));
    const cut = bytes.length - tarEnd.length;
    for (let length = 0; length <= cut; length += 1)
      expect(await both(bytes.subarray(0, length))).toBe("FW_CHECKPOINT_ARCHIVE");
  });

  it("says what is wrong, and where", async () => {
    await expect(
      indexed(Buffer.concat([tar(file("a", "data")).subarray(0, 1024), Buffer.alloc(512, 1)])),
    ).rejects.toThrow("a.tar: at byte 1024: the header's checksum is wrong");
    const lying = { name: "pages-1.img", kind: "file", size: 1e6, mode: 0o600 } as const;
    await expect(indexed(Buffer.concat([tarHeader(lying), Buffer.alloc(1024)]))).rejects.toThrow(
      'a.tar: "pages-1.img" says 1000000 bytes, 1024 are left',
    );
  });

  it.each<readonly [string, Buffer]>([
    ["a sparse file of GNU", forged(file("a")[0], (header) => header.write("S", 156, "latin1"))],
    ["a volume label", forged(file("a")[0], (header) => header.write("V", 156, "latin1"))],
    ["a negative size", forged(file("a")[0], (header) => header.writeUInt8(0xff, 124))],
    ["a size of 2^90", forged(file("a")[0], (header) => header.write("80ffffffffffffffffffffff", 124, "hex"))],
    ["a size that is no number", forged(file("a")[0], (header) => header.write("12x", 124, "latin1"))],
    [
      "a link with data",
      forged({ ...file("a")[0], kind: "hardlink" }, (header) => header.write("00000001000", 124, "latin1")),
    ],
    ["no name", forged(file("a")[0], (header) => header.fill(0, 0, 100))],
    ["a name that is not UTF-8", forged(file("a")[0], (header) => header.writeUInt8(0xff, 0))],
  ])("refuses %s", async (_, header) => {
    expect(await both(Buffer.concat([header, Buffer.alloc(2048)]))).toBe("FW_CHECKPOINT_ARCHIVE");
  });

  it.each<readonly [string, string]>([
    ["a length beyond its end", "99 path=a\n"],
    ["a length of nothing", "0 path=a\n"],
    ["a length that is no number", "x path=a\n"],
    ["no key", "5 =a\n"],
    ["no equals sign", "6 abc\n"],
    ["a NUL in a name", "11 path=a\0b\n"],
    ["a sparse file", "22 GNU.sparse.major=1\n"],
    ["a size that does not fit", "30 size=99999999999999999999\n"],
  ])("refuses a pax header with %s", async (_, records) => {
    const pax = forged({ name: "pax", kind: "file", size: Buffer.byteLength(records), mode: 0 }, (header) =>
      header.write("x", 156, "latin1"),
    );
    const bytes = Buffer.concat([pax, Buffer.from(records), tarPadding(Buffer.byteLength(records)), tar(file("a"))]);
    expect(await both(bytes)).toBe("FW_CHECKPOINT_ARCHIVE");
  });

  it("stops at its limits", async () => {
    const many = tar(...Array.from({ length: 11 }, (_, index) => file(`f${index}`)));
    expect(await both(many, { members: 10 })).toBe("FW_CHECKPOINT_LIMIT");
    expect(await both(tar(file("a".repeat(300))), { nameBytes: 255 })).toBe("FW_CHECKPOINT_LIMIT");
    expect(await both(tar(file("a".repeat(300))), { headerBytes: 255 })).toBe("FW_CHECKPOINT_LIMIT");
    expect(await both(tar(file("a", "x".repeat(3000))), { archiveBytes: 2000 })).toBe("FW_CHECKPOINT_LIMIT");
    const endless = forged(file("pax")[0], (header) => header.write("g", 156, "latin1"));
    expect(await both(Buffer.concat(Array.from({ length: 50 }, () => endless)), { members: 10 })).toBe(
      "FW_CHECKPOINT_LIMIT",
    );
  });

  it("reads what was written, of any names, kinds and sizes", async () => {
    const kinds: readonly TarKind[] = ["file", "directory", "symlink", "hardlink", "fifo"];
    const name = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 200 })
      .filter((text) => /^[^\0/]+$/.test(text) && text.isWellFormed());
    const member = fc.record({ name, kind: fc.constantFrom(...kinds), data: fc.string({ maxLength: 2000 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(member, { maxLength: 5 }), async (members) => {
        const bytes = tar(
          ...members.map(({ name: text, kind, data }) => {
            const [entry, content] = file(text, kind === "file" ? data : "");
            return [{ ...entry, kind, ...(kind.endsWith("link") ? { target: text } : {}) }, content] as const;
          }),
        );
        expect(await both(bytes)).toEqual(
          members.map(
            ({ name: text, kind, data }) => `${kind} ${text} ${kind === "file" ? Buffer.from(data).toString() : ""}`,
          ),
        );
      }),
      { numRuns: 200, seed: 11 },
    );
  });

  it("answers any bytes with members or a code", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1535), fc.nat(255), async (at, byte) => {
        const bytes = Buffer.from(tar(file("a", "data")));
        bytes[at] = byte;
        const answer = await both(bytes);
        expect(Array.isArray(answer) || /^FW_CHECKPOINT_(ARCHIVE|LIMIT)$/.test(String(answer))).toBe(true);
      }),
      { numRuns: 2000, seed: 12 },
    );
  });
});

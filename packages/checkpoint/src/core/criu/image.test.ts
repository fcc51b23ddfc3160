import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeImage, encodeImage, readEntries } from "./image.ts";
import type { CriuImage, LocatedEntry } from "./image.ts";

const through = (image: CriuImage): CriuImage => JSON.parse(JSON.stringify(image)) as CriuImage;

const pstree: CriuImage = {
  magic: "PSTREE",
  entries: [
    { pid: 1, ppid: 0, pgid: 1, sid: 1, threads: [1, 7] },
    { pid: 38, ppid: 1, pgid: 1, sid: 1, threads: [38] },
  ],
};

/** The bytes in hex, or the code of the error. */
function codeOf(bytes: () => Uint8Array): string {
  try {
    return Buffer.from(bytes()).toString("hex");
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

async function collect(entries: AsyncIterable<LocatedEntry>): Promise<readonly unknown[]> {
  const found: unknown[] = [];
  for await (const { entry } of entries) found.push(entry);
  return found;
}

/** Images whose entries are followed by bytes, one for each rule of what follows. */
const withExtra: readonly CriuImage[] = [
  { magic: "PIPES_DATA", entries: [{ pipe_id: 4, bytes: 3, extra: "AQID" }] },
  { magic: "SK_QUEUES", entries: [{ id_for: 9, length: 3, extra: "AQID" }] },
  {
    magic: "TCP_STREAM",
    entries: [
      {
        inq_len: 3,
        inq_seq: 1,
        outq_len: 0,
        outq_seq: 1,
        opt_mask: "0x0",
        snd_wscale: 7,
        mss_clamp: 1460,
        extra: { inq: "AQID", outq: "" },
      },
    ],
  },
  { magic: "GHOST_FILE", entries: [{ uid: 0, gid: 0, mode: 33188, extra: "AQIDBA==" }] },
  {
    magic: "GHOST_FILE",
    entries: [
      { uid: 0, gid: 0, mode: 33188, chunks: true, size: "4096" },
      { len: "3", off: "0", extra: "AQID" },
      { len: "1", off: "4095", extra: "BA==" },
    ],
  },
];

describe("CRIU images", () => {
  it("writes the framing that CRIU writes", () => {
    expect(Buffer.from(encodeImage(pstree)).subarray(0, 8).toString("hex")).toBe("1943565430302750");
    expect(Buffer.from(encodeImage({ magic: "INVENTORY", entries: [] })).toString("hex")).toBe("16313158");
  });

  it("keeps every field on the way through JSON, and every byte on the way back", () => {
    const bytes = encodeImage(pstree);
    const decoded = through(decodeImage(bytes, { name: "pstree.img" }));
    expect(decoded).toMatchObject(pstree);
    expect(encodeImage(decoded)).toEqual(bytes);
  });

  it.each(withExtra.map((image, index) => [`${index} ${image.magic}`, image] as const))(
    "keeps what follows a message: %s",
    (_, image) => {
      const bytes = encodeImage(image);
      const decoded = through(decodeImage(bytes));
      expect(decoded.entries?.map((entry) => entry["extra"])).toEqual(image.entries?.map((entry) => entry["extra"]));
      expect(encodeImage(decoded)).toEqual(bytes);
    },
  );

  it("refuses to write extra bytes that the message does not announce", () => {
    expect(() => encodeImage({ magic: "PIPES_DATA", entries: [{ pipe_id: 4, bytes: 2, extra: "AQID" }] })).toThrow(
      "image: entries[0].extra: 3 bytes, but its message says 2: change both",
    );
  });

  it("keeps the bytes of an entry that a canonical encoder would write otherwise, until a field is changed", () => {
    // pid 1 as a varint of two bytes where one would do; then the four other required fields.
    const message = Buffer.from("0881001000180120012801", "hex");
    const size = Buffer.alloc(4);
    size.writeUInt32LE(message.length);
    const bytes = Buffer.concat([Buffer.from("1943565430302750", "hex"), size, message]);
    const decoded = through(decodeImage(bytes));
    expect(Buffer.from(encodeImage(decoded))).toEqual(bytes);
    const [entry] = decoded.entries ?? [];
    const changed = through(decodeImage(encodeImage({ ...decoded, entries: [{ ...entry, pid: 5 }] })));
    expect(changed.entries?.[0]).toMatchObject({ pid: 5, ppid: 0, pgid: 1, sid: 1, threads: [1] });
  });

  it("keeps kinds that CRIU 4.2 does not know, images of version 1, and images without a header", () => {
    for (const [hex, name] of [
      ["19435654ffffff7f0102030405", "new-kind.img"],
      ["30302750", "pstree.img"],
      ["194356543030275001020304", "pages-1.img"],
      ["0102", "short.img"],
      ["", "empty.img"],
    ] as const) {
      const bytes = Buffer.from(hex, "hex");
      expect(Buffer.from(encodeImage(through(decodeImage(bytes, { name })), { name }))).toEqual(bytes);
    }
  });

  it("names the image of what is cut off, wherever it is cut", () => {
    const bytes = encodeImage(pstree);
    const second = 8 + 4 + Buffer.from(bytes).readUInt32LE(8);
    const lengths = Array.from({ length: bytes.length - 8 }, (_, index) => index + 8);
    const outcome = (length: number): string => {
      try {
        return `${decodeImage(bytes.subarray(0, length), { name: "pstree.img" }).entries?.length} entries`;
      } catch (error) {
        return String((error as Error).message).slice(0, 12);
      }
    };
    expect(lengths.map(outcome)).toEqual(
      lengths.map((length) => (length === 8 ? "0 entries" : length === second ? "1 entries" : "pstree.img: ")),
    );
  });

  it("believes no length beyond its limits", () => {
    const bytes = Buffer.from("1943565430302750ffffffff", "hex");
    expect(() => decodeImage(bytes)).toThrow("says 4294967295 bytes of message, the limit is 16777216");
    const pipe = encodeImage({ magic: "PIPES_DATA", entries: [{ pipe_id: 4, bytes: 3, extra: "AQID" }] });
    expect(() => decodeImage(pipe, { limits: { extraBytes: 2 } })).toThrow("3 is more than the limit of 2");
    expect(() => decodeImage(encodeImage(pstree), { limits: { entries: 1 } })).toThrow(
      "more than the limit of 1 entries",
    );
  });

  it("reads the same entries from a stream, however it is cut", async () => {
    const bytes = encodeImage(pstree);
    const expected = decodeImage(bytes).entries;
    for (const size of [1, 3, 7, 1000]) expect(await collect(readEntries(pieces(bytes, size)))).toEqual(expected);
  });

  it("does not take an image for what its name promises", async () => {
    await expect(
      collect(readEntries(pieces(encodeImage(pstree), 9), { name: "mm-1.img", only: "MM" })),
    ).rejects.toThrow("mm-1.img: at byte 0: is PSTREE, not MM");
  });

  it("gives any bytes back as they were, or refuses them with a code", () => {
    const magics = ["1943565430302750", "1943565483404756", "1943565425400856", "16313158", "405910550633 0957", ""];
    fc.assert(
      fc.property(fc.constantFrom(...magics), fc.uint8Array({ maxLength: 200 }), (magic, tail) => {
        const bytes = Buffer.concat([Buffer.from(magic.replaceAll(" ", ""), "hex"), tail]);
        const outcome = codeOf(() => encodeImage(through(decodeImage(bytes))));
        expect(["FW_CHECKPOINT_IMAGE", "FW_CHECKPOINT_LIMIT", bytes.toString("hex")]).toContain(outcome);
      }),
      { numRuns: 3000, seed: 7 },
    );
  });
});

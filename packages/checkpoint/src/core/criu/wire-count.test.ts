import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeImage } from "./image.ts";
import { jsonToMessage } from "./message-json.ts";
import { messageDescriptor } from "./messages.ts";
import { countValues, messageWeight } from "./wire-count.ts";

const count = (message: string, bytes: Uint8Array, limit = 1_000_000): number =>
  countValues(messageDescriptor(message), bytes, limit);

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** An image of one entry. */
const imageOf = (magic: number, entry: Uint8Array): Buffer =>
  Buffer.concat([word(0x54564319), word(magic), word(entry.length), entry]);

/** `mm_entry.vmas` of no bytes: two bytes each. */
const emptyMappings = (many: number): Buffer => Buffer.alloc(2 * many, Buffer.from([14 * 8 + 2, 0]));

describe("the values of a message", () => {
  it("are counted as decoding would make them", () => {
    const vma = { start: "1", end: "2", pgoff: "0", shmid: "0", prot: 1, flags: 2, status: 3, fd: "-1" };
    const names =
      "start_code end_code start_data end_data start_stack start_brk brk arg_start arg_end env_start env_end";
    const zeros = Object.fromEntries(names.split(" ").map((name) => [`mm_${name}`, "0"]));
    const mm = { ...zeros, exe_file_id: 1, mm_saved_auxv: ["1", "300", "70000"], vmas: [vma, vma] };
    const bytes = jsonToMessage(messageDescriptor("mm_entry"), mm, "mm");
    // Twelve fields, three elements under a tag each or under one, and two messages of eight fields and a tag.
    expect([33, 34].map((values) => values + 3 * messageWeight)).toContain(count("mm_entry", bytes));
    const pstree = { pid: 1, ppid: 0, pgid: 1, sid: 1, threads: [1, 300, 70_000] };
    expect([7, 8].map((values) => values + messageWeight)).toContain(
      count("pstree_entry", jsonToMessage(messageDescriptor("pstree_entry"), pstree, "p")),
    );
  });

  it("are counted no further than to the limit", () => {
    expect(count("mm_entry", emptyMappings(5000))).toBe(5000 * (1 + messageWeight) + messageWeight);
    expect(count("mm_entry", emptyMappings(5000), 100)).toBeLessThan(110);
  });

  it("of unknown fields and groups count too", () => {
    expect(count("mm_entry", Buffer.from("fa0100".repeat(50), "hex"))).toBe(50 + messageWeight);
    expect(count("mm_entry", Buffer.from("fb01fc01".repeat(50), "hex"))).toBe(100 + messageWeight);
  });

  it("are no reason to fail or to run on, whatever the bytes are", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("mm_entry", "core_entry", "file_entry"),
        fc.uint8Array({ maxLength: 300 }),
        (name, bytes) => {
          const values = count(name, bytes);
          expect(values).toBeGreaterThanOrEqual(0);
          expect(values).toBeLessThanOrEqual((1 + messageWeight) * (bytes.length + 1));
        },
      ),
      { numRuns: 3000, seed: 51 },
    );
  });
});

describe("an image of more values than its bytes let expect", () => {
  it("is refused before anything is made of it", () => {
    const bytes = imageOf(0x57492820, emptyMappings(8 * 1024 * 1024 - 1));
    const before = process.memoryUsage().heapUsed;
    expect(() => decodeImage(bytes, { name: "mm-1.img" })).toThrow(
      "mm-1.img: entry 0 at byte 8: more than the 1250000 values that may be decoded here",
    );
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(16 * 1024 * 1024);
  });

  it("is refused where its entries together have too many", () => {
    const entry = Buffer.concat([word(200), emptyMappings(100)]);
    const bytes = Buffer.concat([word(0x54564319), word(0x57492820), ...Array.from({ length: 10 }, () => entry)]);
    expect(decodeImage(bytes, { limits: { values: 10_000 } }).entries?.length).toBe(10);
    expect(() => decodeImage(bytes, { limits: { values: 9000 } })).toThrow(
      "entry 9 at byte 1844: more than the 828 values",
    );
  });
});

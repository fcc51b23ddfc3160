import { describe, expect, it } from "vitest";
import { openImages } from "./image-set.ts";
import { memoryRange } from "./memory.ts";
import { readMemoryMap } from "./memory-map.ts";
import { searchMemory } from "./memory-search.ts";
import { madeCheckpoint, page } from "./testdata/made-checkpoint.ts";
import type { MadeCheckpoint } from "./testdata/made-checkpoint.ts";

/** VMA_AREA_REGULAR | VMA_ANON_SHARED */
const sharedStatus = 0x101;

const imagesOf = async (of: MadeCheckpoint) => openImages((await madeCheckpoint(of)).images);

/** The first byte of each page, which tests tell pages by. */
async function pagesOf(stream: AsyncIterable<Uint8Array>): Promise<readonly number[]> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  const bytes = Buffer.concat(parts);
  return Array.from({ length: bytes.length / page }, (_, at) => bytes[at * page] ?? -1);
}

const sharing: MadeCheckpoint = {
  processes: [
    {
      pid: 1,
      parent: 0,
      command: "db",
      mappings: [
        { from: 0x10000, pages: 1, dumped: { 0: 1 } },
        { from: 0x20000, pages: 2, status: sharedStatus, shared: { id: 5 } },
        { from: 0x30000, pages: 2, status: sharedStatus, shared: { id: 5, offset: page } },
        { from: 0x40000, pages: 1, status: sharedStatus, shared: { id: 6 } },
        { from: 0x50000, pages: 1, dumped: { 0: 2 } },
      ],
    },
  ],
  sharedObjects: { 5: { 0: 7, 1: 8, 2: 9 } },
};

describe("memory of a process", () => {
  it("holds the pages of shared objects where it maps them", async () => {
    const images = await imagesOf(sharing);
    expect(await pagesOf(memoryRange(images, 1, 0x20000n, 0x22000n))).toEqual([7, 8]);
    expect(await pagesOf(memoryRange(images, 1, 0x31000n, 0x32000n))).toEqual([9]);
    expect((await readMemoryMap(images, 1)).map(({ dumpedBytes }) => dumpedBytes / page)).toEqual([1, 2, 2, 0, 1]);
    expect(await searchMemory(images, 1, Buffer.from([8, 8, 8, 9]))).toEqual([{ address: "0x30ffd", length: 4 }]);
    expect(await searchMemory(images, 1, /[\b]{3}\t/)).toEqual([{ address: "0x30ffd", length: 4 }]);
    expect([images.problems, [...images.missing]]).toEqual([[], []]);
  });

  it("is an error where the checkpoint does not hold it, or zeros when those were asked for", async () => {
    const images = await imagesOf(sharing);
    await expect(pagesOf(memoryRange(images, 1, 0x10000n, 0x12000n))).rejects.toThrow("no page at 0x11000");
    expect(await pagesOf(memoryRange(images, 1, 0xf000n, 0x12000n, { absent: "zeros" }))).toEqual([0, 1, 0]);
    await expect(pagesOf(memoryRange(images, 1, 0n, 2n ** 47n, { absent: "zeros" }))).rejects.toThrow("are more than");
  });

  it("is given in the sizes that were asked for, across holes larger than what is read at once", async () => {
    const images = await imagesOf({
      processes: [{ pid: 1, parent: 0, command: "a", mappings: [{ from: 0x10000, pages: 1000, dumped: { 999: 3 } }] }],
    });
    const pages = await pagesOf(memoryRange(images, 1, 0x10000n, 0x10000n + 1000n * BigInt(page), { absent: "zeros" }));
    expect(pages.length).toBe(1000);
    expect(pages.indexOf(3)).toBe(999);
  });

  it("survives mappings of shared objects that overlap", async () => {
    const mappings = [0x20000, 0x21000, 0x22000].map((from, at) => ({
      from,
      pages: at === 0 ? 8 : 1,
      status: sharedStatus,
      shared: { id: 5 },
    }));
    const images = await imagesOf({ ...sharing, processes: [{ pid: 1, parent: 0, command: "db", mappings }] });
    expect(await pagesOf(memoryRange(images, 1, 0x20000n, 0x28000n, { absent: "zeros" }))).toEqual([
      7, 8, 9, 0, 0, 0, 0, 0,
    ]);
  });
});

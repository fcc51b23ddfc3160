import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentCuts, cutSizes } from "./content-cuts.ts";
import { collected, pieces, randomBytes } from "./testdata/bytes.ts";

const sizes = cutSizes(0, 4096);

const cut = (bytes: Uint8Array, partBytes = 5000, seed = 0): Promise<readonly Buffer[]> =>
  collected(contentCuts(pieces(bytes, partBytes), sizes, seed));

describe("an archive that is cut by its contents", () => {
  it("is whole, and cut at the same places however it comes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(60_000), fc.nat(), fc.integer({ min: 61, max: 70_000 }), async (length, seed, part) => {
        const bytes = randomBytes(length, seed);
        const found = await cut(bytes, part);
        expect(Buffer.concat(found).equals(bytes)).toBe(true);
        expect(found.map((piece) => piece.length)).toEqual((await cut(bytes, 512)).map((piece) => piece.length));
        for (const piece of found.slice(0, -1)) {
          expect(piece.length).toBeGreaterThanOrEqual(sizes.minimum);
          expect(piece.length).toBeLessThanOrEqual(sizes.maximum);
          expect(piece.length % 512).toBe(0);
        }
      }),
      { numRuns: 60, seed: 31 },
    );
  });

  it("has pieces of about the size that was asked for, of anything but a single byte", async () => {
    const count = 4_000_000 / (await cut(randomBytes(4_000_000, 1))).length;
    expect(count).toBeGreaterThan(0.7 * sizes.average);
    expect(count).toBeLessThan(1.5 * sizes.average);
    expect((await cut(Buffer.alloc(100_000))).map(({ length }) => length).slice(0, -1)).toEqual(
      Array.from({ length: 6 }, () => sizes.maximum),
    );
  });

  it("is cut elsewhere with another seed", async () => {
    const bytes = randomBytes(100_000, 2);
    const lengths = async (seed: number) => (await cut(bytes, 5000, seed)).map(({ length }) => length);
    expect(await lengths(1)).not.toEqual(await lengths(2));
  });

  it("is found again behind whatever a tar puts before it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 40 }), fc.nat(300), async (seed, blocks, at) => {
        const bytes = randomBytes(300_000, seed);
        const where = at * 512;
        const more = Buffer.concat([
          bytes.subarray(0, where),
          randomBytes(blocks * 512, seed + 1),
          bytes.subarray(where),
        ]);
        const known = new Set((await cut(bytes)).map((piece) => piece.toString("latin1")));
        const fresh = (await cut(more)).filter((piece) => !known.has(piece.toString("latin1")));
        const freshBytes = fresh.reduce((sum, { length }) => sum + length, 0);
        expect(freshBytes).toBeLessThan(blocks * 512 + 5 * sizes.maximum);
      }),
      { numRuns: 50, seed: 32 },
    );
  });
});

describe("the sizes of pieces", () => {
  const gibibyte = 2 ** 30;

  it.each([
    [1, 1],
    [4 * gibibyte, 1],
    [4 * gibibyte + 1, 2],
    [64 * gibibyte, 16],
    [1024 * gibibyte, 64],
  ])("of an archive of %d bytes are %d MiB on average", (bytes, mebibytes) => {
    expect(cutSizes(bytes).average).toBe(mebibytes * 2 ** 20);
  });

  it.each([0, 1, 2048, 5000, 2 ** 27, Number.NaN])("are not %d", (average) => {
    expect(() => cutSizes(1, average)).toThrow("give a power of two from 4096 to 67108864");
  });
});

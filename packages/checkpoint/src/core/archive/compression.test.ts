import { gzipSync, zstdCompressSync } from "node:zlib";
import { expect, it } from "vitest";
import { compressionOf, decompressed } from "./compression.ts";

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}
async function all(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of chunks) parts.push(part);
  return Buffer.concat(parts);
}

const data = Buffer.from("memory ".repeat(5000));

it.each([
  ["none", data],
  ["gzip", gzipSync(data)],
  ["zstd", zstdCompressSync(data)],
] as const)("reads %s, however it comes", async (compression, bytes) => {
  expect(compressionOf(bytes)).toBe(compression);
  for (const size of [1, 4096]) expect((await all(decompressed(pieces(bytes, size)))).equals(data)).toBe(true);
});

it.each([
  ["gzip", gzipSync(data)],
  ["zstd", zstdCompressSync(data)],
] as const)("says when %s is cut off or damaged", async (compression, bytes) => {
  for (const length of [7, 20, bytes.length - 9, bytes.length - 1])
    await expect(all(decompressed(pieces(bytes.subarray(0, length), 16), { name: "a.tar" }))).rejects.toThrow(
      `a.tar: broken or truncated ${compression} data`,
    );
});

it("ends a bomb at the limit", async () => {
  const bomb = gzipSync(gzipSync(Buffer.alloc(64 * 2 ** 20)));
  expect((await all(decompressed(pieces(bomb, 100)))).length).toBeLessThan(2 ** 20);
  const inner = gzipSync(Buffer.alloc(64 * 2 ** 20));
  await expect(all(decompressed(pieces(inner, 1000), { limit: 2 ** 20 }))).rejects.toThrow(
    "more than the limit of 1048576 bytes",
  );
  await expect(
    all(decompressed(pieces(zstdCompressSync(Buffer.alloc(2 ** 24)), 1000), { limit: 2 ** 20 })),
  ).rejects.toThrow("more than the limit");
});

it("names compressions that it does not read", () => {
  expect(() => compressionOf(Buffer.from("fd377a585a00", "hex"), "a.tar")).toThrow("a.tar: compressed with xz");
});

import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CheckpointMetadata } from "../archive/metadata.ts";
import { enginesOf } from "../image/annotations.ts";
import type { ArchiveTable, ChunkEntry } from "./chunk-table.ts";
import { inOrder } from "./cut-archive.ts";
import { newDataKey, sealer } from "./data-key.ts";
import { joinArchive } from "./join-archive.ts";
import { artifactTypes, isStoredArtifact, packArtifact, readArtifact } from "./stored-artifact.ts";
import type { PackOptions } from "./stored-artifact.ts";
import { collected, pieces, randomBytes } from "./testdata/bytes.ts";

const metadata: CheckpointMetadata = {
  engine: "containerd",
  container: "app",
  pod: "web",
  runtime: "runc",
  mounts: [],
  addresses: [],
};
const sha256 = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

interface Manifest {
  readonly artifactType: string;
  readonly config: { readonly mediaType: string; readonly digest: string; readonly size: number };
  readonly layers: readonly { readonly mediaType: string; readonly digest: string; readonly size: number }[];
  readonly annotations: Readonly<Record<string, string>>;
}

async function pack(archive: Uint8Array, options: Partial<PackOptions> = {}) {
  const blobs = new Map<string, Uint8Array>();
  const artifact = await packArtifact(
    pieces(archive, 10_000),
    { metadata, host: { architecture: "amd64" }, averageBytes: 4096, ...options },
    (chunk) => Promise.resolve(blobs.set(chunk.digest, chunk.bytes)),
  );
  const manifest = JSON.parse(Buffer.from(artifact.manifest.bytes).toString()) as Manifest;
  return { ...artifact, manifest, document: artifact.manifest, blobs };
}

const fetchFrom =
  (blobs: ReadonlyMap<string, Uint8Array>) =>
  ({ digest }: ChunkEntry): Promise<Uint8Array> => {
    const bytes = blobs.get(digest);
    return bytes ? Promise.resolve(bytes) : Promise.reject(new Error(`no blob ${digest}`));
  };

const joined = async (...from: Parameters<typeof joinArchive>): Promise<Buffer> =>
  Buffer.concat(await collected(joinArchive(...from)));

/** Random, repeated and empty stretches, as memory has them. */
const archives = fc
  .array(fc.record({ seed: fc.nat(5), length: fc.nat(20_000), zero: fc.boolean() }), { maxLength: 6 })
  .map((parts) =>
    Buffer.concat(parts.map(({ seed, length, zero }) => (zero ? Buffer.alloc(length) : randomBytes(length, seed)))),
  );

describe("a stored artifact", () => {
  it("gives any archive back, encrypted or not", async () => {
    const identity = await generateX25519Identity();
    const recipients = [await identityToRecipient(identity)];
    await fc.assert(
      fc.asyncProperty(archives, fc.boolean(), async (archive, encrypted) => {
        const { manifest, config, blobs } = await pack(archive, encrypted ? { encryption: { recipients } } : {});
        const { table, sealer: seals } = await readArtifact(manifest, config.bytes, { identities: [identity] });
        expect(table.archive).toEqual({ digest: sha256(archive), size: archive.length });
        expect((await joined(table, fetchFrom(blobs), { sealer: seals, inFlightBytes: 20_000 })).equals(archive)).toBe(
          true,
        );
        expect(new Set(manifest.layers.map(({ digest }) => digest))).toEqual(new Set(blobs.keys()));
      }),
      { numRuns: 60, seed: 41 },
    );
  });

  it("is the same for the same archive, and shares what another has in common with it", async () => {
    const archive = randomBytes(400_000, 1);
    const first = await pack(archive);
    expect((await pack(archive)).document.digest).toBe(first.document.digest);
    const more = Buffer.concat([archive.subarray(0, 200_192), randomBytes(4096, 9), archive.subarray(200_192)]);
    const fresh = [...(await pack(more)).blobs].filter(([digest]) => !first.blobs.has(digest));
    expect(fresh.length).toBeLessThan(6);
    expect(first.blobs.size).toBeGreaterThan(60);
  });

  it("names equal chunks once, and hands them over once", async () => {
    const { manifest, table } = await pack(Buffer.alloc(200_000));
    expect([table.chunks.length, manifest.layers.length]).toEqual([13, 2]);
  });

  it("says whose it is, and is no engine's image", async () => {
    const { manifest } = await pack(randomBytes(10, 1));
    expect(isStoredArtifact(manifest)).toBe(true);
    expect(isStoredArtifact({ ...manifest, artifactType: "application/other" })).toBe(false);
    expect(manifest.annotations).toMatchObject({
      "fleetwright.dev/checkpoint-container": "app",
      "org.criu.checkpoint.pod.name": "web",
    });
    expect(enginesOf(manifest.annotations)).toEqual([]);
  });

  it("lets the source go when a chunk cannot be put", async () => {
    let closed = false;
    async function* source() {
      try {
        for (let seed = 0; ; seed += 1) yield randomBytes(10_000, seed);
      } finally {
        closed = true;
      }
    }
    const options = { metadata, host: { architecture: "amd64" }, averageBytes: 4096 };
    await expect(packArtifact(source(), options, () => Promise.reject(new Error("full")))).rejects.toThrow("full");
    expect(closed).toBe(true);
  });

  it("runs as many chunks at once as fit, and gives them in order", async () => {
    let [running, most] = [0, 0];
    const finish: (() => void)[] = [];
    async function* starts() {
      for (let index = 0; index < 10; index += 1)
        yield {
          weight: index === 5 ? 100 : 10,
          run: async () => {
            running += 1;
            most = Math.max(most, running);
            // Later ones end first.
            await new Promise<void>((resolve) => void finish.unshift(resolve));
            running -= 1;
            return index;
          },
        };
    }
    const seen: number[] = [];
    const reading = (async () => {
      for await (const index of inOrder(starts(), 30)) seen.push(index);
    })();
    while (seen.length < 10) {
      await new Promise(setImmediate);
      for (const end of finish.splice(0)) end();
    }
    await reading;
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(most).toBe(3);
  });
});

describe("an encrypted artifact", () => {
  const archive = randomBytes(200_000, 3);

  it("has nothing in common with another of the same archive, unless they have one key", async () => {
    const recipients = [await identityToRecipient(await generateX25519Identity())];
    const dataKey = newDataKey();
    const plain = await pack(archive);
    const [one, two, three] = [
      await pack(archive, { encryption: { recipients, dataKey } }),
      await pack(archive, { encryption: { recipients, dataKey } }),
      await pack(archive, { encryption: { recipients } }),
    ];
    expect([...two.blobs.keys()]).toEqual([...one.blobs.keys()]);
    for (const other of [plain, three]) {
      expect([...other.blobs.keys()].filter((digest) => one.blobs.has(digest))).toEqual([]);
      expect(other.table.chunks.map(({ length }) => length)).not.toEqual(one.table.chunks.map(({ length }) => length));
    }
    expect(one.manifest.layers[0]?.mediaType).toBe(artifactTypes.sealedChunk);
  });

  it("says in the open nothing by which known contents could be found", async () => {
    const recipients = [await identityToRecipient(await generateX25519Identity())];
    const { manifest, config, table } = await pack(archive, { encryption: { recipients } });
    const open = JSON.stringify(manifest) + Buffer.from(config.bytes).toString();
    for (const digest of [table.archive.digest, ...table.chunks.map(({ raw }) => raw)])
      expect(open).not.toContain(digest.slice("sha256:".length));
  });

  it("opens for each of its recipients and nobody else", async () => {
    const identities = await Promise.all([1, 2, 3].map(() => generateX25519Identity()));
    const recipients = await Promise.all(identities.slice(0, 2).map(identityToRecipient));
    const { manifest, config } = await pack(archive, { encryption: { recipients } });
    const read = (...with_: readonly string[]) => readArtifact(manifest, config.bytes, { identities: with_ });
    const [first = "", second = "", third = ""] = identities;
    expect((await read(first)).table).toEqual((await read(third, second)).table);
    await expect(read(third)).rejects.toMatchObject({ code: "FW_CHECKPOINT_ENCRYPTION" });
    await expect(read()).rejects.toThrow("no identity was given");
    await expect(read("AGE-SECRET-KEY-1NOKEY")).rejects.toThrow("identities[0]: is no age identity");
    await expect(read("AGE-SECRET-KEY-1NOKEY")).rejects.not.toThrow("NOKEY");
    await expect(pack(archive, { encryption: { recipients: ["age1nobody"] } })).rejects.toThrow('"age1nobody"');
    await expect(pack(archive, { encryption: { recipients: [] } })).rejects.toThrow("name at least one");
  });

  it("does not open where a byte was changed, or what was sealed for another purpose", async () => {
    const seals = sealer(newDataKey());
    const sealed = await seals.seal(Buffer.from("text"), "chunk");
    expect(Buffer.from(await seals.open(sealed, "chunk", "x")).toString()).toBe("text");
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Uint8Array.from(sealed, (byte, index) => (index === at ? byte ^ 1 : byte));
      await expect(seals.open(changed, "chunk", "chunk x")).rejects.toThrow("chunk x: was not sealed by this");
    }
    await expect(seals.open(sealed, "table", "x")).rejects.toMatchObject({ code: "FW_CHECKPOINT_ENCRYPTION" });
    await expect(seals.open(sealed.subarray(0, 40), "chunk", "x")).rejects.toThrow("x: was not sealed");
  });
});

describe("a hostile artifact", () => {
  const archive = randomBytes(40_000, 5);
  const tableOf = async (change: (table: ArchiveTable) => unknown) => {
    const { manifest, table } = await pack(archive);
    const bytes = Buffer.from(JSON.stringify(change(table)));
    const config = { ...manifest.config, digest: sha256(bytes), size: bytes.length };
    return readArtifact({ ...manifest, config }, bytes);
  };
  const withChunk = (index: number, change: Partial<Record<keyof ChunkEntry, unknown>>) => (table: ArchiveTable) => ({
    ...table,
    chunks: table.chunks.map((chunk, at) => (at === index ? { ...chunk, ...change } : chunk)),
  });

  it.each<readonly [string, (table: ArchiveTable) => unknown, string, string]>([
    ["no object", () => 7, "ARTIFACT", "archive.size"],
    [
      "a size that lies",
      (table) => ({ ...table, archive: { ...table.archive, size: 1 } }),
      "ARTIFACT",
      "archive.size: is 1",
    ],
    ["chunks that overlap", withChunk(1, { offset: 1 }), "ARTIFACT", "chunks[1].offset: is 1"],
    ["a gap", withChunk(1, { offset: 39_999 }), "ARTIFACT", "chunks[1].offset"],
    ["a chunk of nothing", withChunk(1, { length: 0 }), "ARTIFACT", "chunks[1].length: is nothing"],
    ["a negative length", withChunk(1, { length: -1 }), "ARTIFACT", "chunks[1].length: -1"],
    ["a huge chunk", withChunk(1, { length: 2 ** 40 }), "LIMIT", "chunks[1].length"],
    ["a chunk stored larger than it can be", withChunk(1, { size: 2 ** 30 }), "LIMIT", "chunks[1].size"],
    ["a digest that is none", withChunk(1, { raw: "sha256:../../etc" }), "ARTIFACT", "chunks[1].raw"],
    [
      "a digest that the manifest lacks",
      withChunk(1, { digest: sha256(archive) }),
      "ARTIFACT",
      "not among the manifest",
    ],
    ["another size than the manifest's", withChunk(1, { size: 1 }), "ARTIFACT", "not among the manifest's layers"],
    [
      "too many chunks",
      () => ({ archive: { digest: "", size: 1 }, chunks: Array.from({ length: 70_000 }) }),
      "LIMIT",
      "70000",
    ],
    ["another encryption", () => ({ encryption: { scheme: "rot13" } }), "ARTIFACT", '"rot13"'],
    ["a broken encryption", () => ({ encryption: null }), "ARTIFACT", "encryption.scheme"],
  ])("with a table of %s is refused", async (_, change, code, message) => {
    const read = tableOf(change);
    await expect(read).rejects.toMatchObject({ code: `FW_CHECKPOINT_${code}` });
    await expect(read).rejects.toThrow(message);
  });

  it("with another table than its manifest names, or none, is refused", async () => {
    const { manifest, config } = await pack(archive);
    await expect(readArtifact(manifest, Buffer.from("{}"))).rejects.toMatchObject({ code: "FW_CHECKPOINT_DIGEST" });
    const other = { ...manifest, artifactType: "application/other" };
    await expect(readArtifact(other, config.bytes)).rejects.toThrow('"application/other" is no stored checkpoint');
    const noJson = Buffer.from("{");
    const lying = { ...manifest, config: { ...manifest.config, digest: sha256(noJson) } };
    await expect(readArtifact(lying, noJson)).rejects.toThrow("is no JSON");
  });

  /** A table of one chunk whose stored bytes are what the test says, and all of whose digests are right. */
  const one = (stored: Uint8Array, length: number, raw: string) => ({
    table: {
      archive: { digest: raw, size: length },
      chunks: [{ digest: sha256(stored), size: stored.length, offset: 0, length, raw }],
    },
    fetch: () => Promise.resolve(stored),
  });

  it("ends at the length that it says, whatever a chunk decompresses to", async () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
    const { table, fetch } = one(bomb, 4096, sha256(Buffer.alloc(4096)));
    const before = process.memoryUsage().rss;
    await expect(joined(table, fetch)).rejects.toMatchObject({ code: "FW_CHECKPOINT_LIMIT" });
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024);
  });

  it.each<readonly [string, Uint8Array, number, string, string]>([
    ["holds less", zstdCompressSync(Buffer.alloc(10)), 11, sha256(Buffer.alloc(11)), "holds 10 bytes"],
    ["holds something else", zstdCompressSync(Buffer.alloc(10)), 10, sha256(Buffer.alloc(11)), "holds sha256:"],
    ["is not compressed", Buffer.alloc(10, 1), 10, sha256(Buffer.alloc(10)), "is no zstd data"],
    ["is truncated", zstdCompressSync(randomBytes(1000, 1)).subarray(0, 500), 1000, sha256(archive), "is no zstd data"],
  ])("whose chunk %s is refused", async (_, stored, length, raw, message) => {
    const { table, fetch } = one(stored, length, raw);
    await expect(joined(table, fetch)).rejects.toThrow(message);
  });

  it("whose chunks come changed, short, long, swapped or not at all is refused before they are given", async () => {
    const { table, blobs } = await pack(archive);
    const [first, second] = table.chunks;
    const other = blobs.get(second?.digest ?? "") ?? Buffer.alloc(0);
    const came = async (change: (bytes: Uint8Array) => Uint8Array) => {
      const given: Uint8Array[] = [];
      const answer = (chunk: ChunkEntry) =>
        fetchFrom(blobs)(chunk).then((bytes) => (chunk === first ? change(bytes) : bytes));
      const reading = (async () => {
        for await (const part of joinArchive(table, answer)) given.push(part);
      })();
      const problem = await reading.then(
        () => "none",
        (error: unknown) => (error as Error).message,
      );
      expect(given).toEqual([]);
      return problem;
    };
    expect(await came((bytes) => Uint8Array.from(bytes, (byte, at) => (at === 9 ? byte ^ 1 : byte)))).toMatch(
      "what came is",
    );
    expect(await came((bytes) => bytes.subarray(1))).toMatch("bytes came, its artifact says");
    expect(await came((bytes) => Buffer.concat([bytes, bytes]))).toMatch("more than the");
    expect(await came(() => other)).toMatch(/more than the|bytes came|what came is/);
    blobs.delete(first?.digest ?? "");
    await expect(joined(table, fetchFrom(blobs))).rejects.toThrow("no blob");
  });

  it("that streams a chunk without end is left at the size that it says", async () => {
    const { table } = await pack(archive);
    let asked = 0;
    const endless = async function* () {
      for (;;) {
        asked += 1;
        yield Buffer.alloc(1000);
      }
    };
    await expect(joined(table, endless)).rejects.toThrow("more than the");
    expect(asked).toBeLessThan(1000);
  });

  it("whose chunks make up another archive than it says is refused at the end", async () => {
    const { table, blobs } = await pack(archive);
    const lying = { ...table, archive: { ...table.archive, digest: sha256(Buffer.from("other")) } };
    await expect(joined(lying, fetchFrom(blobs))).rejects.toThrow("the archive that its chunks make up is sha256:");
  });
});

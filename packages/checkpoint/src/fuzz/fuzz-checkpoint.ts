import { gzipSync, zstdCompressSync } from "node:zlib";
import { FleetwrightError, seededRandom, type Random } from "@fleetwright/kube";
import { openArchive } from "../core/archive/checkpoint-archive.ts";
import { decompressed } from "../core/archive/compression.ts";
import { readMetadata } from "../core/archive/metadata.ts";
import { inMemory } from "../core/archive/tar-reader.ts";
import { tarEnd, tarHeader } from "../core/archive/tar-writer.ts";
import { parseTable } from "../core/artifact/chunk-table.ts";
import { decodeImage, encodeImage } from "../core/criu/image.ts";
import { openImages } from "../core/inspect/image-set.ts";
import { readOpenFiles } from "../core/inspect/open-files.ts";
import { readProcesses } from "../core/inspect/processes.ts";
import { readMounts, readStatistics } from "../core/inspect/summary.ts";
import { madeArchive } from "../core/inspect/testdata/made-checkpoint.ts";
import { parseReference } from "../registry/reference.ts";
import { parseManifest } from "../registry/manifest.ts";
import { liedHeader, mutated } from "./mutations.ts";

/** A case that went wrong. */
interface FuzzFailure {
  readonly case: number;
  readonly kind: string;
  readonly message: string;
}

export interface FuzzResult {
  readonly cases: number;
  readonly failures: readonly FuzzFailure[];
  /** Cases by what became of them: read, or refused with which code. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  /** Of the process, at most. */
  readonly peakResidentBytes: number;
}

/** Nothing that is read may take longer. */
const limitMs = 2_000;
const limitBytes = 1024 * 2 ** 20;

/** Archives of which cases are made: a tree of processes with memory, files, changed files of the root. */
const archiveSeed = madeArchive({
  processes: [
    {
      pid: 1,
      parent: 0,
      command: "sh",
      mappings: [{ from: 0x1000, pages: 3, dumped: { 0: 1, 1: 2 } }],
      files: { 3: "/data" },
    },
    { pid: 7, parent: 1, command: "sleep", mappings: [{ from: 0x8000, pages: 1, dumped: { 0: 9 } }] },
  ],
  rootfs: [],
});
const imageSeeds: readonly Uint8Array[] = [
  encodeImage({ magic: "PSTREE", entries: [{ pid: 1, ppid: 0, pgid: 1, sid: 1, threads: [1, 2, 3] }] }),
  encodeImage({ magic: "FDINFO", entries: [{ id: 1, flags: 0, type: "REG", fd: 3 }] }),
  encodeImage({
    magic: "PAGEMAP",
    entries: [{ pages_id: 1 }, { vaddr: "0x1000", compat_nr_pages: 0, flags: 4, nr_pages: "3" }],
  }),
  encodeImage({ magic: "FS", entries: [{ cwd_id: 1, root_id: 2, umask: 18 }] }),
];
const documentsSeed = {
  "config.dump": '{"id":"a","rootfsImageName":"app:1","runtime":"runc","checkpointedTime":"2026-11-21T00:04:56Z"}',
  "spec.dump":
    '{"annotations":{"io.container.manager":"cri-o","io.kubernetes.cri-o.Metadata":"{\\"name\\":\\"m\\"}"},"mounts":[{"destination":"/data","type":"bind","source":"/x","options":["ro"]}]}',
  "status.dump": '{"metadata":{"name":"a"},"created_at":1}',
  "network.status": '{"net":{"interfaces":{"eth0":{"subnets":[{"ipnet":"10.0.0.2/24"}],"mac_address":"x"}}}}',
} as const;
const tableSeed = Buffer.from(
  JSON.stringify({
    archive: { digest: `sha256:${"a".repeat(64)}`, size: 10 },
    chunks: [{ digest: `sha256:${"b".repeat(64)}`, size: 20, offset: 0, length: 10, raw: `sha256:${"c".repeat(64)}` }],
  }),
);
const manifestSeed = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "x/y", digest: `sha256:${"a".repeat(64)}`, size: 2 },
    layers: [{ mediaType: "x/z", digest: `sha256:${"b".repeat(64)}`, size: 3 }],
    annotations: { a: "b" },
  }),
);
/** Two mebibytes of nothing, which compress to almost nothing. */
const bombs = [gzipSync(Buffer.alloc(2 ** 21)), zstdCompressSync(Buffer.alloc(2 ** 21))];
/** A file that says it has 8 GiB. */
const sparse = Buffer.concat([
  tarHeader({ name: "checkpoint/pages-1.img", kind: "file", size: 2 ** 33 - 1, mode: 0o600 }),
  Buffer.alloc(512),
  tarEnd,
]);

async function readArchive(bytes: Buffer): Promise<void> {
  const archive = await openArchive(inMemory(bytes), { name: "case" });
  for (const name of archive.members.keys())
    if (name.startsWith("/") || name.split("/").includes(".."))
      throw new Error(`a member is called ${JSON.stringify(name)}`);
  const images = openImages(archive.images);
  for (const { pid } of (await readProcesses(images)).slice(0, 8)) await readOpenFiles(images, pid);
  await readMounts(images);
  await readStatistics(images);
  for await (const _ of archive.rootfsChanges()) continue;
}

function readImage(bytes: Buffer): Promise<void> {
  const image = decodeImage(bytes, { name: "case.img" });
  const again = encodeImage(JSON.parse(JSON.stringify(image)) as typeof image);
  if (!Buffer.from(again).equals(bytes)) throw new Error("decoded and encoded, the bytes are others");
  return Promise.resolve();
}

async function unpack(bytes: Buffer): Promise<void> {
  async function* once() {
    yield bytes;
    await Promise.resolve();
  }
  let size = 0;
  for await (const chunk of decompressed(once(), { name: "case", limit: 2 ** 20 })) size += chunk.length;
  if (size > 2 ** 20 + 2 ** 17) throw new Error(`${size} bytes came out, though ${2 ** 20} are the limit`);
}

type Kind = readonly [name: string, weight: number, run: (random: Random) => unknown];

const pick = <T>(random: Random, items: readonly T[]): T => {
  const item = items[Math.floor(random.next() * items.length)];
  if (item === undefined) throw new RangeError("nothing to choose from");
  return item;
};
const parsed = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return bytes.toString("latin1");
  }
};

const kinds: readonly Kind[] = [
  ["image", 50, (random) => readImage(mutated(random, pick(random, imageSeeds)))],
  ["archive bytes", 8, (random) => readArchive(mutated(random, archiveSeed))],
  ["archive header", 12, (random) => readArchive(liedHeader(random, archiveSeed))],
  ["archive cut", 4, (random) => readArchive(archiveSeed.subarray(0, Math.floor(random.next() * archiveSeed.length)))],
  ["archive doubled", 1, () => readArchive(Buffer.concat([archiveSeed.subarray(0, -tarEnd.length), archiveSeed]))],
  ["archive sparse", 1, () => readArchive(sparse)],
  ["compressed", 1, (random) => unpack(mutated(random, pick(random, bombs)))],
  ["bomb", 1, (random) => unpack(pick(random, bombs))],
  [
    "documents",
    10,
    (random) =>
      readMetadata(
        Object.fromEntries(
          Object.entries(documentsSeed).map(([name, text]) => [
            name,
            random.next() < 0.5 ? text : mutated(random, Buffer.from(text)).toString("utf8"),
          ]),
        ),
      ),
  ],
  ["table", 5, (random) => parseTable(parsed(mutated(random, tableSeed)), "case")],
  [
    "manifest",
    5,
    (random) => {
      const bytes = mutated(random, manifestSeed);
      return parseManifest({
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        digest: `sha256:${"0".repeat(64)}`,
        bytes,
      });
    },
  ],
  [
    "reference",
    2,
    (random) => parseReference(mutated(random, Buffer.from("registry.example.com:5000/team/x:tag")).toString("latin1")),
  ],
];
const weights = kinds.reduce((sum, [, weight]) => sum + weight, 0);

/**
 * Reads hostile archives, images and documents, all made from one seed. Each must be read or refused with an error of this package's, quickly and in little memory; what was read of an
 * image must encode to the same bytes.
 *
 * @param onProgress called every 10,000 cases
 */
export async function fuzzCheckpoint(options: {
  readonly seed: number;
  readonly cases: number;
  readonly onProgress?: (done: number) => void;
}): Promise<FuzzResult> {
  const random = seededRandom(options.seed);
  const failures: FuzzFailure[] = [];
  const outcomes: Record<string, number> = {};
  let [slowestMs, peakResidentBytes] = [0, 0];
  for (let index = 0; index < options.cases; index++) {
    let at = random.next() * weights;
    const [kind, , run] = kinds.find(([, weight]) => (at -= weight) < 0) ?? pick(random, kinds);
    const began = performance.now();
    let outcome = "read";
    try {
      await run(random);
    } catch (error) {
      outcome = error instanceof FleetwrightError ? error.code : "crash";
      if (!outcome.startsWith("FW_CHECKPOINT_"))
        failures.push({
          case: index,
          kind,
          message: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
        });
    }
    outcomes[`${kind}: ${outcome}`] = (outcomes[`${kind}: ${outcome}`] ?? 0) + 1;
    const tookMs = performance.now() - began;
    slowestMs = Math.max(slowestMs, tookMs);
    if (tookMs > limitMs) failures.push({ case: index, kind, message: `took ${Math.round(tookMs)} ms` });
    if (index % 1_000 === 0) peakResidentBytes = Math.max(peakResidentBytes, process.memoryUsage.rss());
    if (index % 10_000 === 9_999) options.onProgress?.(index + 1);
  }
  if (peakResidentBytes > limitBytes)
    failures.push({ case: -1, kind: "memory", message: `${peakResidentBytes} bytes were resident` });
  return { cases: options.cases, failures, outcomes, slowestMs, peakResidentBytes };
}

/** One phase in a process of its own, so that its memory is its own: `phase.ts read|pack|hash|artifact FILE`. Last line: `{"gib_per_s":…,"rss_mb":…}` */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import {
  describeArchive,
  imageOf,
  openArchiveFile,
  openImages,
  packArtifact,
  readMemoryMap,
  readProcesses,
  searchMemory,
} from "@fleetwright/checkpoint";

const [phase = "", path = ""] = process.argv.slice(2);
const { size } = await stat(path);

async function hash(): Promise<void> {
  const digest = createHash("sha256");
  const buffer = Buffer.allocUnsafeSlow(256 * 1024);
  await using file = await open(path, "r");
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) break;
    digest.update(buffer.subarray(0, bytesRead));
  }
  digest.digest("hex");
}

/** Index, documents, processes, and a search through all memory, which reads every page. */
async function read(): Promise<void> {
  await using archive = await openArchiveFile(path);
  const images = openImages(archive.images);
  const processes = await readProcesses(images);
  if (processes.length === 0) throw new Error("no process in it");
  let bytes = 0;
  for (const { pid } of processes) {
    for (const { dumpedBytes } of await readMemoryMap(images, pid)) bytes += dumpedBytes;
    const found = await searchMemory(images, pid, Buffer.from("what no memory holds: 6f1b"));
    if (found.length > 0) throw new Error(`found at ${found[0]?.address}`);
  }
  if (bytes < size * 0.9) throw new Error(`only ${bytes} of ${size} bytes were read`);
}

const phases: Readonly<Record<string, () => Promise<unknown>>> = {
  hash,
  read,
  pack: async () => imageOf(await describeArchive(path, { host: { architecture: "amd64" } })),
  artifact: async () => {
    await using archive = await openArchiveFile(path);
    const { metadata } = archive;
    const bytes = createReadStream(path, { highWaterMark: 1024 * 1024 });
    await packArtifact(bytes, { metadata, host: { architecture: "amd64" }, archiveBytes: size }, () =>
      Promise.resolve(),
    );
  },
};
const run = phases[phase];
if (run === undefined) throw new Error(`no phase "${phase}"`);
const began = performance.now();
await run();
const seconds = (performance.now() - began) / 1000;
// Kilobytes, as getrusage(2) has them.
const rss = process.resourceUsage().maxRSS / 1024;
console.log(JSON.stringify({ gib_per_s: Number((size / 2 ** 30 / seconds).toFixed(3)), rss_mb: Math.round(rss) }));

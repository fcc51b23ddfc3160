import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compressionOf, decompressed } from "../core/archive/compression.ts";
import type { Compression } from "../core/archive/compression.ts";
import type { CheckpointMetadata } from "../core/archive/metadata.ts";
import type { ArchiveSizes } from "../core/archive/checkpoint-archive.ts";
import type { HostFacts } from "../core/image/annotations.ts";
import { engineImage } from "../core/image/engine-image.ts";
import type { ArchiveLayer, EngineImage } from "../core/image/engine-image.ts";
import { checkpointError } from "../errors.ts";
import { openArchiveFile } from "./archive-file.ts";

/** What the store knows of an archive. */
export interface StoredCheckpoint {
  /** The file's name, which says nothing that could be relied on. */
  readonly file: string;
  readonly layer: ArchiveLayer;
  readonly metadata: CheckpointMetadata;
  readonly sizes: ArchiveSizes;
  /** Milliseconds since the epoch: tells a file from a later one of the same name. */
  readonly modifiedMs: number;
  /** Of the host where it was described first: the one that it was taken on, unless it was pulled. */
  readonly host: HostFacts;
}

/** A file that is no whole checkpoint (yet): one that is being written is described when it is whole. */
export interface UnreadableFile {
  readonly file: string;
  readonly problem: string;
}

export interface StoreListing {
  readonly checkpoints: readonly StoredCheckpoint[];
  readonly unreadable: readonly UnreadableFile[];
}

/** A folder of archives as the kubelet leaves them, and what was found out about each. */
export interface CheckpointStore {
  readonly directory: string;
  /** Describes what is new, and returns all by name. */
  list(): Promise<StoreListing>;
  /** The engine image of that manifest digest, and the archive's path. */
  image(manifestDigest: string): Promise<{ readonly image: EngineImage; readonly path: string } | undefined>;
  /** The image that has a blob of that digest. */
  blob(digest: string): Promise<{ readonly image: EngineImage; readonly path: string } | undefined>;
  /** Hashes an archive anew. Throws FW_CHECKPOINT_DIGEST when its bytes are not those of this digest. */
  verify(file: string, digest: string): Promise<void>;
}

/** The engine image of a stored archive. */
export const imageOf = ({ metadata, layer, host }: StoredCheckpoint): EngineImage =>
  engineImage({ metadata, layer, host });

/** Below the folder of archives; what is in it can be made anew from them. */
const recordFolder = ".fleetwright";

async function layerOf(path: string, name: string): Promise<ArchiveLayer> {
  const file = await open(path, "r");
  let compression: Compression;
  try {
    const start = Buffer.alloc(6);
    const { bytesRead } = await file.read(start, 0, start.length, 0);
    compression = compressionOf(start.subarray(0, bytesRead), name);
  } finally {
    await file.close();
  }
  const [whole, plain] = [createHash("sha256"), createHash("sha256")];
  let size = 0;
  const bytes = (async function* () {
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
      whole.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  })();
  if (compression === "none") for await (const _ of bytes) continue;
  else for await (const chunk of decompressed(bytes, { name })) plain.update(chunk);
  const digest = `sha256:${whole.digest("hex")}`;
  return { compression, digest, diffId: compression === "none" ? digest : `sha256:${plain.digest("hex")}`, size };
}

/** Opens the store in a folder, which is made if it is not there. */
export async function openStore(directory: string, { host }: { readonly host: HostFacts }): Promise<CheckpointStore> {
  const records = join(directory, recordFolder);
  await mkdir(records, { recursive: true, mode: 0o700 });

  const describe = async (file: string): Promise<StoredCheckpoint> => {
    const path = join(directory, file);
    const before = await stat(path);
    const record = join(records, `${file}.json`);
    const known = await readRecord(record);
    if (known?.modifiedMs === before.mtimeMs && known.layer.size === before.size) return known;
    await using archive = await openArchiveFile(path, { workDirectory: records });
    const layer = await layerOf(path, file);
    const after = await stat(path);
    if (after.mtimeMs !== before.mtimeMs || after.size !== before.size)
      throw checkpointError("FW_CHECKPOINT_ARCHIVE", `${file}: is still being written`);
    const { metadata, sizes } = archive;
    const described: StoredCheckpoint = { file, layer, metadata, sizes, modifiedMs: before.mtimeMs, host };
    await writeFile(`${record}.half`, JSON.stringify(described), { mode: 0o600 });
    await rename(`${record}.half`, record);
    return described;
  };

  const list = async (): Promise<StoreListing> => {
    const checkpoints: StoredCheckpoint[] = [];
    const unreadable: UnreadableFile[] = [];
    const entries = await readdir(directory, { withFileTypes: true });
    const names = new Set(entries.map(({ name }) => name));
    for (const entry of entries) {
      if (!entry.isFile()) continue;
      try {
        checkpoints.push(await describe(entry.name));
      } catch (error) {
        // Gone meanwhile is nothing to tell.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT")
          unreadable.push({ file: entry.name, problem: error instanceof Error ? error.message : String(error) });
      }
    }
    for (const record of await readdir(records))
      if (!names.has(record.replace(/\.json(\.half)?$/, "")))
        await rm(join(records, record), { recursive: true, force: true });
    return { checkpoints, unreadable };
  };

  const find = async (
    matches: (image: EngineImage) => boolean,
  ): Promise<{ readonly image: EngineImage; readonly path: string } | undefined> => {
    const { checkpoints } = await list();
    for (const checkpoint of checkpoints) {
      const image = imageOf(checkpoint);
      if (matches(image)) return { image, path: join(directory, checkpoint.file) };
    }
    return undefined;
  };

  return {
    directory,
    list,
    image: (digest) => find(({ manifest }) => manifest.digest === digest),
    blob: (digest) => find(({ config, layer }) => config.digest === digest || layer.digest === digest),
    async verify(file, digest) {
      const found = await layerOf(join(directory, file), file);
      if (found.digest !== digest)
        throw checkpointError(
          "FW_CHECKPOINT_DIGEST",
          `${file}: is ${found.digest}, not ${digest}: its bytes have changed`,
        );
    },
  };
}

async function readRecord(path: string): Promise<StoredCheckpoint | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as StoredCheckpoint;
  } catch (error) {
    // A record that was not written whole is made anew.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

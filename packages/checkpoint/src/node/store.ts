import { createHash } from "node:crypto";
import { mkdir, open, readFile, readdir, rename, rm, stat, statfs, unlink, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { basename, join } from "node:path";
import { systemClock, type Clock } from "@fleetwright/kube";
import { compressionOf, decompressed } from "../core/archive/compression.ts";
import type { Compression } from "../core/archive/compression.ts";
import type { CheckpointMetadata } from "../core/archive/metadata.ts";
import type { ArchiveSizes } from "../core/archive/checkpoint-archive.ts";
import type { HostFacts } from "../core/image/annotations.ts";
import { engineImage } from "../core/image/engine-image.ts";
import type { ArchiveLayer, EngineImage } from "../core/image/engine-image.ts";
import { openImages } from "../core/inspect/image-set.ts";
import { readArchitecture, readPlugins, readSecurity, readStatistics } from "../core/inspect/summary.ts";
import type { DumpStatistics, SecurityUse } from "../core/inspect/summary.ts";
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
  readonly statistics?: DumpStatistics;
  /** CRIU plugins that took part. */
  readonly plugins: readonly string[];
  /** Absent when no process ran under a profile. */
  readonly security?: SecurityUse;
}

/** A file that is no whole checkpoint (yet): one that is being written is described when it is whole. */
export interface UnreadableFile {
  readonly file: string;
  readonly problem: string;
}

/** Written before an archive's bytes go, and kept as the memory of it. */
export interface Tombstone {
  readonly file: string;
  readonly digest: string;
  readonly modifiedMs: number;
  readonly deletedMs: number;
  /** Who asked for it, and why. */
  readonly reason: string;
}

export interface StoreListing {
  readonly checkpoints: readonly StoredCheckpoint[];
  readonly unreadable: readonly UnreadableFile[];
  readonly tombstones: readonly Tombstone[];
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
  /** The checkpoint with this archive, and the archive's path. */
  find(digest: string): Promise<{ readonly checkpoint: StoredCheckpoint; readonly path: string } | undefined>;
  /** Hashes an archive anew. Throws FW_CHECKPOINT_DIGEST when its bytes are not those of this digest. */
  verify(file: string, digest: string): Promise<void>;
  /**
   * Takes in an archive from elsewhere; nothing stays of one that is not whole. One that is there already is not read again.
   * Throws FW_CHECKPOINT_DISK when it would not fit, FW_CHECKPOINT_DIGEST when the bytes are others.
   */
  receive(archive: ReceivedArchive, bytes: AsyncIterable<Uint8Array>): Promise<StoredCheckpoint>;
  /** Deletes an archive; says whether there was one. What a crash left half-deleted goes with the next look at the store. */
  remove(digest: string, reason: string): Promise<boolean>;
  /** Free and total bytes of the disk that it is on, or of its limit, where that leaves less. */
  disk(): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
}

export interface ReceivedArchive {
  readonly digest: string;
  readonly size: number;
  /** Of the host that it was taken on. */
  readonly host: HostFacts;
}

/** The engine image of a stored archive. */
export const imageOf = ({ metadata, layer, host }: Omit<StoredCheckpoint, "file">): EngineImage =>
  engineImage({ metadata, layer, host });

/** Below the folder of archives; what is in it can be made anew from them. */
const recordFolder = ".fleetwright";

/** The file's bytes through one buffer, which must not be kept: a fresh one for each piece would fill memory faster than it is collected. */
async function* piecesOf(file: FileHandle): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = Buffer.allocUnsafeSlow(256 * 1024);
  for (let position = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function layerOf(path: string, name: string): Promise<ArchiveLayer> {
  await using file = await open(path, "r");
  const start = Buffer.alloc(6);
  const { bytesRead } = await file.read(start, 0, start.length, 0);
  const compression: Compression = compressionOf(start.subarray(0, bytesRead), name);
  const [whole, plain] = [createHash("sha256"), createHash("sha256")];
  let size = 0;
  const hashed = (bytes: Uint8Array): void => {
    whole.update(bytes);
    size += bytes.length;
  };
  if (compression === "none") for await (const bytes of piecesOf(file)) hashed(bytes);
  else {
    async function* copies() {
      for await (const bytes of piecesOf(file)) {
        hashed(bytes);
        yield Buffer.from(bytes);
      }
    }
    for await (const chunk of decompressed(copies(), { name })) plain.update(chunk);
  }
  const digest = `sha256:${whole.digest("hex")}`;
  return { compression, digest, diffId: compression === "none" ? digest : `sha256:${plain.digest("hex")}`, size };
}

/**
 * What there is to know of an archive, which is read once for it.
 *
 * @param options `host`: that it was taken on; `workDirectory`: where a compressed one is unpacked meanwhile
 */
export async function describeArchive(
  path: string,
  options: { readonly host: HostFacts; readonly workDirectory?: string },
): Promise<Omit<StoredCheckpoint, "file">> {
  const { host, ...where } = options;
  const { mtimeMs } = await stat(path);
  await using archive = await openArchiveFile(path, where);
  const images = openImages(archive.images);
  const statistics = await readStatistics(images);
  const { plugins } = await readPlugins(images);
  const security = await readSecurity(images);
  const layer = await layerOf(path, basename(path));
  const { metadata, sizes } = archive;
  // The archive's own word: whoever describes it on another machine makes the same image.
  const architecture = (await readArchitecture(images)) ?? host.architecture;
  return {
    layer,
    metadata,
    sizes,
    modifiedMs: mtimeMs,
    host: { ...host, architecture },
    plugins,
    ...(security && { security }),
    ...(statistics && { statistics }),
  };
}

/** A disk is never filled above this: a node without room evicts its pods. */
const reservedShare = 0.05;
/** Tombstones are remembered for 90 days. */
const tombstoneMs = 90 * 24 * 3_600_000;

/** Hears of archives before anybody else does, and of deletions before the bytes go; what it rejects does not happen. The same may be told twice. */
export interface StoreWitness {
  described(checkpoint: StoredCheckpoint): Promise<void>;
  deleted(tombstone: Tombstone): Promise<void>;
}

export interface StoreOptions {
  readonly witness?: StoreWitness | undefined;
  /** Of this machine, asked for each new archive: an upgrade in between shows. */
  readonly host: () => HostFacts | Promise<HostFacts>;
  readonly clock?: Pick<Clock, "now">;
  /** Bytes that all archives may take together: the store is then as on a disk of that size. @default the disk's */
  readonly limitBytes?: number | undefined;
}

/** Opens the store in a folder, which is made if it is not there. */
export async function openStore(
  directory: string,
  { host, clock = systemClock, witness, limitBytes = Infinity }: StoreOptions,
): Promise<CheckpointStore> {
  const records = join(directory, recordFolder);
  await mkdir(records, { recursive: true, mode: 0o700 });
  // What a crash left half-written, but not what another process writes now.
  for (const name of await readdir(records)) {
    if (!/\.half$|^fleetwright-archive-/.test(name)) continue;
    const left = await stat(join(records, name)).catch(absent);
    if (left && clock.now() - left.mtimeMs > 3_600_000) await rm(join(records, name), { recursive: true, force: true });
  }

  /** Files that the witness has heard of. */
  const told = new Set<string>();
  const lost = ({ file, layer, modifiedMs }: StoredCheckpoint, how: string): Tombstone => ({
    file,
    digest: layer.digest,
    modifiedMs,
    deletedMs: clock.now(),
    reason: `not by this agent: ${how}`,
  });

  const describe = async (file: string, takenOn?: HostFacts): Promise<StoredCheckpoint> => {
    const path = join(directory, file);
    const before = await stat(path);
    const record = join(records, `${file}.json`);
    const known = await readJson<StoredCheckpoint>(record);
    if (known?.modifiedMs === before.mtimeMs && known.layer.size === before.size) {
      // Described before there was a witness: told now, and once only, because a deletion may be underway.
      if (!told.has(file)) await witness?.described(known);
      told.add(file);
      return known;
    }
    const described: StoredCheckpoint = {
      file,
      ...(await describeArchive(path, { host: takenOn ?? (await host()), workDirectory: records })),
    };
    const after = await stat(path);
    if (after.mtimeMs !== before.mtimeMs || after.size !== before.size)
      throw checkpointError("FW_CHECKPOINT_ARCHIVE", `${file}: is still being written`);
    if (known && known.layer.digest !== described.layer.digest)
      await witness?.deleted(lost(known, "other bytes took its place"));
    await witness?.described(described);
    told.add(file);
    await writeJson(record, described);
    return described;
  };
  // Two looks at once would hash the same new archive twice.
  const underway = new Map<string, Promise<StoredCheckpoint>>();
  const described = (file: string, takenOn?: HostFacts): Promise<StoredCheckpoint> => {
    const running = underway.get(file) ?? describe(file, takenOn).finally(() => underway.delete(file));
    underway.set(file, running);
    return running;
  };

  /** Ends what was begun: the archive of a tombstone goes, unless it is another file of that name. */
  const bury = async (tombstone: Tombstone): Promise<void> => {
    const path = join(directory, tombstone.file);
    const found = await stat(path).catch(absent);
    if (found?.mtimeMs === tombstone.modifiedMs) {
      await witness?.deleted(tombstone);
      await unlink(path).catch(absent);
    }
    await rm(join(records, `${tombstone.file}.json`), { force: true });
  };

  const readTombstones = async (): Promise<readonly Tombstone[]> => {
    const tombstones: Tombstone[] = [];
    for (const name of await readdir(records)) {
      if (!name.endsWith(".deleted")) continue;
      const tombstone = await readJson<Tombstone>(join(records, name));
      if (tombstone === undefined) continue;
      if (clock.now() - tombstone.deletedMs > tombstoneMs) await rm(join(records, name), { force: true });
      else tombstones.push(tombstone);
    }
    return tombstones;
  };

  const list = async (): Promise<StoreListing> => {
    const checkpoints: StoredCheckpoint[] = [];
    const unreadable: UnreadableFile[] = [];
    const failed = (file: string, error: unknown): void => {
      unreadable.push({ file, problem: error instanceof Error ? error.message : String(error) });
    };
    const tombstones = await readTombstones();
    for (const tombstone of tombstones) await bury(tombstone).catch((error: unknown) => failed(tombstone.file, error));
    const entries = await readdir(directory, { withFileTypes: true });
    const names = new Set(entries.map(({ name }) => name));
    for (const entry of entries) {
      if (!entry.isFile()) continue;
      try {
        checkpoints.push(await described(entry.name));
      } catch (error) {
        // Gone meanwhile is nothing to tell.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") failed(entry.name, error);
      }
    }
    for (const record of await readdir(records)) {
      const file = record.slice(0, -".json".length);
      if (!record.endsWith(".json") || names.has(file)) continue;
      // One may have come since the folder was read.
      if (await stat(join(directory, file)).catch(absent)) continue;
      try {
        const gone = await readJson<StoredCheckpoint>(join(records, record));
        if (gone) await witness?.deleted(lost(gone, "its file is gone"));
        await rm(join(records, record), { force: true });
      } catch (error) {
        failed(file, error);
      }
    }
    return { checkpoints, unreadable, tombstones };
  };

  const findImage = async (
    matches: (image: EngineImage) => boolean,
  ): Promise<{ readonly image: EngineImage; readonly path: string } | undefined> => {
    const { checkpoints } = await list();
    for (const checkpoint of checkpoints) {
      const image = imageOf(checkpoint);
      if (matches(image)) return { image, path: join(directory, checkpoint.file) };
    }
    return undefined;
  };
  const find: CheckpointStore["find"] = async (digest) => {
    const { checkpoints } = await list();
    const checkpoint = checkpoints.find(({ layer }) => layer.digest === digest);
    return checkpoint && { checkpoint, path: join(directory, checkpoint.file) };
  };
  const disk: CheckpointStore["disk"] = async () => {
    const { bavail, blocks, bsize } = await statfs(directory);
    const own = { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    if (limitBytes >= own.totalBytes) return own;
    // By the files alone, those that are being written among them: describing a large one takes seconds.
    let stored = 0;
    for (const name of await readdir(directory)) {
      const found = await stat(join(directory, name)).catch(absent);
      if (found?.isFile()) stored += found.size;
    }
    return { freeBytes: Math.min(own.freeBytes, Math.max(0, limitBytes - stored)), totalBytes: limitBytes };
  };
  /** Archives that are arriving, by digest. */
  const arriving = new Map<string, Promise<StoredCheckpoint>>();
  const receive = async (archive: ReceivedArchive, bytes: AsyncIterable<Uint8Array>): Promise<StoredCheckpoint> => {
    const { digest, size } = archive;
    const { freeBytes, totalBytes } = await disk();
    if (freeBytes - size < totalBytes * reservedShare)
      throw checkpointError(
        "FW_CHECKPOINT_DISK",
        `${digest}: ${size} bytes do not fit: ${freeBytes} of ${totalBytes} are free in ${directory}, of which a twentieth stays so; prune checkpoints, or give the store a larger disk or limit`,
      );
    const file = `received-${digest.replace("sha256:", "")}.tar`;
    const half = join(records, `${file}.half`);
    const hash = createHash("sha256");
    let received = 0;
    const handle = await open(half, "w", 0o600);
    try {
      for await (const chunk of bytes) {
        received += chunk.length;
        if (received > size) break;
        hash.update(chunk);
        await handle.writeFile(chunk);
      }
      const found = `sha256:${hash.digest("hex")}`;
      if (received !== size || found !== digest)
        throw checkpointError(
          "FW_CHECKPOINT_DIGEST",
          received === size
            ? `${digest}: what came is ${found}`
            : `${digest}: ${received > size ? "more than" : `only ${received} of`} ${size} bytes came`,
        );
      await handle.sync();
      await handle.close();
      await rm(join(records, `${file}.deleted`), { force: true });
      await rename(half, join(directory, file));
    } catch (error) {
      await handle.close().catch(() => undefined);
      await rm(half, { force: true });
      throw error;
    }
    try {
      return await described(file, archive.host);
    } catch (error) {
      await rm(join(directory, file), { force: true });
      throw error;
    }
  };

  return {
    directory,
    list,
    find,
    disk,
    image: (digest) => findImage(({ manifest }) => manifest.digest === digest),
    blob: (digest) => findImage(({ config, layer }) => config.digest === digest || layer.digest === digest),
    async verify(file, digest) {
      const found = await layerOf(join(directory, file), file);
      if (found.digest !== digest)
        throw checkpointError(
          "FW_CHECKPOINT_DIGEST",
          `${file}: is ${found.digest}, not ${digest}: its bytes have changed`,
        );
    },
    async receive(archive, bytes) {
      if (!/^sha256:[0-9a-f]{64}$/.test(archive.digest))
        throw checkpointError("FW_CHECKPOINT_DIGEST", `${JSON.stringify(archive.digest)} is not a digest: sha256:…`);
      const known = (await find(archive.digest))?.checkpoint;
      if (known) return known;
      const running = arriving.get(archive.digest);
      if (running) return running;
      const arrival = receive(archive, bytes).finally(() => arriving.delete(archive.digest));
      arriving.set(archive.digest, arrival);
      return arrival;
    },
    async remove(digest, reason) {
      const found = await find(digest);
      if (found === undefined) return false;
      const { file, modifiedMs } = found.checkpoint;
      const tombstone: Tombstone = { file, digest, modifiedMs, deletedMs: clock.now(), reason };
      await writeJson(join(records, `${file}.deleted`), tombstone);
      await bury(tombstone);
      return true;
    },
  };
}

/** Of something that is gone already. */
function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
  throw error;
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(`${path}.half`, JSON.stringify(value), { mode: 0o600, flush: true });
  await rename(`${path}.half`, path);
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as T;
  } catch (error) {
    // A record that was not written whole is made anew.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

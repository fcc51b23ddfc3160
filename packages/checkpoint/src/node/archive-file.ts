import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { openArchive } from "../core/archive/checkpoint-archive.ts";
import type { CheckpointArchive } from "../core/archive/checkpoint-archive.ts";
import { compressionOf, decompressed } from "../core/archive/compression.ts";
import type { ArchiveLimits, RandomAccess } from "../core/archive/tar-reader.ts";

/** An archive in a file; closing it ends what was opened from it. */
export interface ArchiveFile extends CheckpointArchive {
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface OpenOptions {
  readonly limits?: Partial<ArchiveLimits>;
  /** Where a compressed archive is unpacked for as long as it is open, readable by its owner alone. @default the temporary folder */
  readonly workDirectory?: string;
}

function randomAccess(file: FileHandle, size: number): RandomAccess {
  return {
    size,
    readAt: async (offset, length, into) => {
      const wanted = Math.max(0, Math.min(length, size - offset));
      const bytes = into?.subarray(0, wanted) ?? Buffer.allocUnsafe(wanted);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    },
  };
}

/**
 * Opens a checkpoint archive: tar as the kubelet leaves it, or gzip or zstd as podman exports it (told by the bytes, not by the name).
 * Nothing is left behind when it cannot be opened. Throws FW_CHECKPOINT_ARCHIVE, FW_CHECKPOINT_LIMIT and the system's own errors.
 *
 * @example
 * ```ts
 * await using archive = await openArchiveFile("checkpoint-web_default-server-2026-11-21T00:04:56Z.tar");
 * console.log(archive.metadata.pod, archive.sizes.pages);
 * ```
 */
export async function openArchiveFile(
  path: string,
  { limits = {}, workDirectory = tmpdir() }: OpenOptions = {},
): Promise<ArchiveFile> {
  const name = basename(path);
  let file = await open(path, "r");
  let work: string | undefined;
  const close = async (): Promise<void> => {
    await file.close();
    if (work !== undefined) await rm(work, { recursive: true, force: true });
  };
  try {
    const start = Buffer.alloc(6);
    const { bytesRead } = await file.read(start, 0, start.length, 0);
    if (compressionOf(start.subarray(0, bytesRead), name) !== "none") {
      work = await mkdtemp(join(workDirectory, "fleetwright-archive-"));
      const plain = join(work, "archive.tar");
      await pipeline(
        decompressed(createReadStream(path, { highWaterMark: 1024 * 1024 }), {
          name,
          ...(limits.archiveBytes === undefined ? {} : { limit: limits.archiveBytes }),
        }),
        createWriteStream(plain, { mode: 0o600 }),
      );
      await file.close();
      file = await open(plain, "r");
    }
    const { size } = await file.stat();
    const archive = await openArchive(randomAccess(file, size), { name, limits });
    return { ...archive, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

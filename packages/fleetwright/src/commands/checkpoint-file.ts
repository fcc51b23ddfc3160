import { FleetwrightError } from "@fleetwright/kube";
import { openArchiveFile, openImages, type ArchiveFile, type Images } from "@fleetwright/checkpoint";

/** Opens the archive that a command names, and says in one line why it cannot. */
export async function withArchive<T>(
  path: string,
  use: (archive: ArchiveFile, images: Images) => Promise<T>,
): Promise<T> {
  let archive: ArchiveFile;
  try {
    archive = await openArchiveFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof FleetwrightError || code === undefined) throw error;
    const why =
      code === "ENOENT" ? "there is no such file" : code === "EACCES" ? "only its owner may read it" : String(code);
    throw new FleetwrightError("FW_CHECKPOINT_FILE", `${path}: ${why}; name a checkpoint archive`, { cause: error });
  }
  try {
    return await use(archive, openImages(archive.images));
  } finally {
    await archive.close();
  }
}

/** What could not be read, for standard error: the rest of the answer stands. */
export function problemLines({ missing, problems }: Images): readonly string[] {
  return [
    ...[...missing].map((image) => `fleetwright: ${image} is not in the checkpoint\n`),
    ...problems.map(({ message }) => `fleetwright: ${message}\n`),
  ];
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes for people: at most three digits and a binary unit. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

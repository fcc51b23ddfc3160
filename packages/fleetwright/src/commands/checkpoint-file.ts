import { mkdtemp, readFile, rename, rm, stat } from "node:fs/promises";
import { FleetwrightError } from "@fleetwright/kube";
import {
  hostFacts,
  openArchiveFile,
  openImages,
  type ArchiveFile,
  type HostFacts,
  type Images,
} from "@fleetwright/checkpoint";

/** Does something with a file that a command names; a failure of the file system is said in one line. */
export async function withFile<T>(path: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    const { code = "", syscall } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    const known: Readonly<Record<string, string>> = {
      ENOENT: "there is no such file",
      EACCES: "only its owner may read it",
      EISDIR: "is a folder",
    };
    const why = known[code] ?? `cannot be used (${code})`;
    throw new FleetwrightError("FW_CHECKPOINT_FILE", `${path}: ${why}; name another file`, { cause: error });
  }
}

/** The text of a small file that a command names: a key, a list. */
export const readText = (path: string): Promise<string> => withFile(path, () => readFile(path, "utf8"));

/** Opens the archive that a command names. */
export async function withArchive<T>(
  path: string,
  use: (archive: ArchiveFile, images: Images) => Promise<T>,
): Promise<T> {
  await using archive = await withFile(path, () => openArchiveFile(path));
  return await use(archive, openImages(archive.images));
}

export const archiveArgument = { name: "<file>", description: "the archive" };

/** Whether a file or folder is there. */
export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/**
 * Fills a new folder beside a place and brings what was made there to its name at the end: nobody sees half of it, and a failure leaves nothing.
 *
 * @param make makes it in that folder, and returns the path of what is to have the name
 */
export async function makeWhole(place: string, make: (folder: string) => Promise<string>): Promise<void> {
  await withFile(place, async () => {
    const folder = await mkdtemp(`${place}.half-`);
    try {
      await rename(await make(folder), place);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

/** What an archive's image says of the host where the archive itself does not. */
export const thisMachine = (): HostFacts => ({ architecture: hostFacts().architecture });

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

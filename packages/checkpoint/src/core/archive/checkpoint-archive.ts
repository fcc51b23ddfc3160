import { checkpointError } from "../../errors.ts";
import type { ImageSet } from "../inspect/image-set.ts";
import { decompressed } from "./compression.ts";
import { plainName } from "./member-name.ts";
import { documentBytes, metadataDocuments, readMetadata } from "./metadata.ts";
import type { CheckpointMetadata } from "./metadata.ts";
import type { TarMember } from "./tar-header.ts";
import { indexTar, readTar } from "./tar-reader.ts";
import type { ArchiveLimits, RandomAccess } from "./tar-reader.ts";

/** Where an archive's bytes are. */
export interface ArchiveSizes {
  readonly total: number;
  /** Memory pages. */
  readonly pages: number;
  readonly gpuPages: number;
  /** Changes of the root file system, as stored. */
  readonly rootfsDiff: number;
  readonly otherImages: number;
}

/** A checkpoint archive that is open: an index of its members, what the engine says, and CRIU's images. */
export interface CheckpointArchive {
  readonly name: string;
  /** By plain name (`checkpoint/pstree.img`). */
  readonly members: ReadonlyMap<string, TarMember>;
  readonly metadata: CheckpointMetadata;
  readonly sizes: ArchiveSizes;
  /** CRIU's images by bare name, statistics among them. */
  readonly images: ImageSet;
  /** Data of a file; throws FW_CHECKPOINT_ARCHIVE when there is none of that name. */
  open(member: string): AsyncIterable<Uint8Array>;
  /** Changes of the root file system, decompressed and member by member; nothing when there are none. */
  rootfsChanges(): AsyncIterable<TarMember>;
}

const folder = "checkpoint/";
const chunkBytes = 256 * 1024;

async function* bytesOf(
  source: RandomAccess,
  from: number,
  length: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < length;) {
    const bytes = await source.readAt(from + at, Math.min(chunkBytes, length - at));
    if (bytes.length === 0) return;
    yield bytes;
    at += bytes.length;
  }
}

async function indexed(
  source: RandomAccess,
  name: string,
  limits: Partial<ArchiveLimits>,
): Promise<Map<string, TarMember>> {
  const members = new Map<string, TarMember>();
  for await (const member of indexTar(source, { name, limits })) {
    const plain = plainName(member.name);
    if (plain === "" && member.kind === "directory") continue;
    // What is read by one and restored by another reader must be the same: a second member of a name is a trick.
    if (members.has(plain) && member.kind !== "directory")
      throw checkpointError(
        "FW_CHECKPOINT_ARCHIVE",
        `${name}: ${JSON.stringify(plain)} is there twice: do not trust this archive`,
      );
    members.set(plain, member);
  }
  return members;
}

/** Podman and CRI-O put the statistics beside the folder of images, `criu` itself into it. */
const beside = new Set(["stats-dump", "stats-restore"]);

function imagesOf(name: string, source: RandomAccess, members: ReadonlyMap<string, TarMember>): ImageSet {
  const files = new Map<string, TarMember>();
  for (const [path, member] of members) {
    if (member.kind !== "file") continue;
    if (path.startsWith(folder) && !path.slice(folder.length).includes("/"))
      files.set(path.slice(folder.length), member);
    else if (beside.has(path)) files.set(path, member);
  }
  const find = (image: string): TarMember => {
    const member = files.get(image);
    if (member === undefined)
      throw checkpointError("FW_CHECKPOINT_ARCHIVE", `${name}: no image ${JSON.stringify(image)}`);
    return member;
  };
  return {
    list: () => [...files.keys()],
    read: async (image, limit) => {
      const { offset, size } = find(image);
      if (size > limit)
        throw checkpointError("FW_CHECKPOINT_LIMIT", `${name}: ${image} has ${size} bytes, the limit is ${limit}`);
      return source.readAt(offset, size);
    },
    open: (image) => bytesOf(source, find(image).offset, find(image).size),
    readAt: (image, at, length, into) => {
      const { offset, size } = find(image);
      return source.readAt(offset + at, Math.max(0, Math.min(length, size - at)), into);
    },
  };
}

function sizesOf(total: number, members: ReadonlyMap<string, TarMember>): ArchiveSizes {
  const sum = (matches: (path: string) => boolean): number =>
    [...members].reduce((bytes, [path, member]) => bytes + (matches(path) ? member.size : 0), 0);
  const pages = sum((path) => /^checkpoint\/pages-[^/]*\.img$/.test(path));
  const gpuPages = sum((path) => /^checkpoint\/amdgpu-(drm-)?pages-[^/]*\.img$/.test(path));
  return {
    total,
    pages,
    gpuPages,
    rootfsDiff: sum((path) => path === "rootfs-diff.tar"),
    otherImages: sum((path) => path.startsWith(folder)) - pages - gpuPages,
  };
}

/**
 * Opens an uncompressed archive: reads its headers and the engine's documents, nothing else. Refuses names that leave the folder, members that are there twice,
 * and archives without CRIU's images. Throws FW_CHECKPOINT_ARCHIVE and FW_CHECKPOINT_LIMIT.
 */
export async function openArchive(
  source: RandomAccess,
  { name = "archive", limits = {} }: { readonly name?: string; readonly limits?: Partial<ArchiveLimits> } = {},
): Promise<CheckpointArchive> {
  const members = await indexed(source, name, limits);
  if (![...members.keys()].some((path) => path.startsWith(folder)))
    throw checkpointError("FW_CHECKPOINT_ARCHIVE", `${name}: no ${folder} in it: not a container checkpoint`);
  const file = (path: string): TarMember => {
    const member = members.get(path);
    if (member?.kind !== "file")
      throw checkpointError("FW_CHECKPOINT_ARCHIVE", `${name}: no file ${JSON.stringify(path)} in it`);
    return member;
  };
  const documents: Record<string, string> = {};
  for (const document of metadataDocuments) {
    if (!members.has(document)) continue;
    const { offset, size } = file(document);
    if (size > documentBytes)
      throw checkpointError(
        "FW_CHECKPOINT_LIMIT",
        `${name}: ${document} has ${size} bytes, the limit is ${documentBytes}`,
      );
    documents[document] = Buffer.from(await source.readAt(offset, size)).toString("utf8");
  }
  return {
    name,
    members,
    metadata: readMetadata(documents),
    sizes: sizesOf(source.size, members),
    images: imagesOf(name, source, members),
    open: (path) => bytesOf(source, file(path).offset, file(path).size),
    rootfsChanges: async function* () {
      const member = members.get("rootfs-diff.tar");
      if (member?.kind !== "file") return;
      const diff = `${name}: rootfs-diff.tar`;
      const bytes = decompressed(bytesOf(source, member.offset, member.size), { name: diff });
      for await (const changed of readTar(bytes, { name: diff, limits })) yield changed.member;
    },
  };
}

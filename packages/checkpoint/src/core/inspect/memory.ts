import { checkpointError } from "../../errors.ts";
import { pageIndex, pageSizeOf, stretches } from "../criu/pagemap.ts";
import type { PageHome, PageIndex, Stretch } from "../criu/pagemap.ts";
import type { JsonObject } from "../criu/message-json.ts";
import { bigintOf, numberOf, objectOf, objectsOf, textOf } from "./entry-fields.ts";
import type { Images } from "./image-set.ts";
import { fileTable } from "./open-files.ts";

/** Addresses whose pages are in the images of an object that several processes may have mapped. */
interface SharedArea {
  readonly from: bigint;
  readonly to: bigint;
  /** Of the object, at `from`; its page index counts from the object's start. */
  readonly offset: bigint;
  readonly index: PageIndex;
}

/** A process's memory: which pages the checkpoint has, and where. */
export interface ProcessMemory {
  readonly pid: number;
  /** Of its private pages. */
  readonly index: PageIndex;
  /** By address, never overlapping: shared anonymous memory, System V segments, memfds. */
  readonly shared: readonly SharedArea[];
}

/** criu/include/image.h: VMA_ANON_SHARED, VMA_AREA_SYSVIPC, VMA_AREA_MEMFD. */
const sharedAnonymous = 1 << 8;
const systemV = 1 << 10;
const memoryFile = 1 << 14;

/** The id of the shared object that a mapping shows; `undefined` for private memory and for files on a disk. */
async function sharedObject(images: Images, vma: JsonObject): Promise<string | undefined> {
  const status = numberOf(vma, "status") ?? 0;
  if ((status & (sharedAnonymous | systemV)) !== 0) return textOf(vma, "shmid");
  if ((status & memoryFile) === 0) return undefined;
  const file = (await fileTable(images)).get(numberOf(vma, "shmid") ?? -1);
  const inode = numberOf(objectOf(file, "memfd"), "inode_id");
  const inodes = await images.entries("memfd.img", "MEMFD_INODE", "optional");
  return inodes && inode !== undefined ? memoryFileShmid(inodes, inode) : undefined;
}

// Many mappings may show one object: what is made of an image's entries, which `images` keeps, is made once.
const objectIndexes = new WeakMap<readonly JsonObject[], PageIndex>();
const shmidsByInode = new WeakMap<readonly JsonObject[], ReadonlyMap<number | undefined, string | undefined>>();

function objectIndex(entries: readonly JsonObject[], pageSize: number, name: string): PageIndex {
  let index = objectIndexes.get(entries);
  if (index?.pageSize !== pageSize) objectIndexes.set(entries, (index = pageIndex(entries, { pageSize, name })));
  return index;
}

function memoryFileShmid(inodes: readonly JsonObject[], inode: number): string | undefined {
  let shmids = shmidsByInode.get(inodes);
  if (shmids === undefined) {
    shmids = new Map(inodes.map((entry) => [numberOf(entry, "inode_id"), textOf(entry, "shmid")]));
    shmidsByInode.set(inodes, shmids);
  }
  return shmids.get(inode);
}

async function sharedAreas(images: Images, mm: JsonObject | undefined, pageSize: number): Promise<SharedArea[]> {
  const areas: SharedArea[] = [];
  for (const vma of objectsOf(mm, "vmas")) {
    const id = await sharedObject(images, vma);
    const [from, to] = [bigintOf(vma, "start"), bigintOf(vma, "end")];
    if (id === undefined || !/^\d+$/.test(id) || from === undefined || to === undefined || to <= from) continue;
    const name = `pagemap-shmem-${id}.img`;
    // An object of which nothing was ever written has no images.
    const entries = await images.entries(name, "PAGEMAP", "optional");
    if (entries === undefined) continue;
    try {
      areas.push({ from, to, offset: bigintOf(vma, "pgoff") ?? 0n, index: objectIndex(entries, pageSize, name) });
    } catch (error) {
      images.note(name, error);
    }
  }
  let end = 0n;
  return areas
    .toSorted((a, b) => (a.from < b.from ? -1 : Number(a.from > b.from)))
    .filter(({ from, to }) => {
      if (from < end) return false;
      end = to;
      return true;
    });
}

async function load(images: Images, pid: number): Promise<ProcessMemory | undefined> {
  const name = `pagemap-${pid}.img`;
  const entries = await images.entries(name, "PAGEMAP");
  if (entries === undefined) return undefined;
  const [mm] = (await images.entries(`mm-${pid}.img`, "MM")) ?? [];
  const pageSize = pageSizeOf(mm);
  try {
    return { pid, index: pageIndex(entries, { pageSize, name }), shared: await sharedAreas(images, mm, pageSize) };
  } catch (error) {
    images.note(name, error);
    return undefined;
  }
}

const known = new WeakMap<Images, Map<number, Promise<ProcessMemory | undefined>>>();

/** The page index of a process; `undefined` when the checkpoint has none (a zombie, a missing or a broken image, which is noted). */
export function processMemory(images: Images, pid: number): Promise<ProcessMemory | undefined> {
  let ofImages = known.get(images);
  if (ofImages === undefined) known.set(images, (ofImages = new Map()));
  let memory = ofImages.get(pid);
  if (memory === undefined) ofImages.set(pid, (memory = load(images, pid)));
  return memory;
}

/** A stretch of a process's memory, and the image that has its pages. */
export interface MemoryRun extends Stretch {
  readonly image: string;
}

/** Where the memory of `[from, to)` is, private and shared, in address order and without holes. */
export function* memoryRuns(
  { index, shared }: ProcessMemory,
  from: bigint,
  to: bigint,
): Generator<MemoryRun, void, undefined> {
  const image = `pages-${index.pagesId}.img`;
  function* own(start: bigint, end: bigint): Generator<MemoryRun, void, undefined> {
    for (const stretch of stretches(index, start, end)) yield { ...stretch, image };
  }
  let at = from;
  for (let position = firstBehind(shared, from); at < to; position += 1) {
    const area = shared[position];
    if (area === undefined || area.from >= to) break;
    if (area.from > at) yield* own(at, area.from);
    const start = area.from > at ? area.from : at;
    const end = area.to < to ? area.to : to;
    const shift = area.from - area.offset;
    for (const stretch of stretches(area.index, start - shift, end - shift))
      yield { ...stretch, address: stretch.address + shift, image: `pages-${area.index.pagesId}.img` };
    at = end;
  }
  if (at < to) yield* own(at, to);
}

/** The first area that ends behind an address, by bisection. */
function firstBehind(areas: readonly SharedArea[], address: bigint): number {
  let [low, high] = [0, areas.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((areas[middle]?.to ?? 0n) <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Bytes that are read at once, at most. */
export const partBytes = 1024 * 1024;

/** A part of memory in address order: its bytes, or why the checkpoint does not hold them. */
export type MemoryPart =
  | { readonly address: bigint; readonly bytes: Uint8Array }
  | { readonly address: bigint; readonly length: bigint; readonly absent: Exclude<PageHome, "here"> };

/** Bytes of pages, in `into` where there is one; throws FW_CHECKPOINT_IMAGE when the image is missing or ends before them. */
export async function pageBytes(
  images: Images,
  image: string,
  offset: number,
  length: number,
  into?: Uint8Array,
): Promise<Uint8Array> {
  if (!images.has(image))
    throw checkpointError("FW_CHECKPOINT_IMAGE", `${image}: missing: a pagemap says that it holds pages`);
  const bytes = await images.set.readAt(image, offset, length, into);
  if (bytes.length < length)
    throw checkpointError(
      "FW_CHECKPOINT_IMAGE",
      `${image}: at byte ${offset}: ${length} bytes of pages expected, ${bytes.length} left: the image is truncated`,
    );
  return bytes;
}

/** Memory of a process from `from` to before `to`, as parts of at most a mebibyte of bytes; with `into`, a part is gone once the next is asked for. */
export async function* memoryParts(
  images: Images,
  memory: ProcessMemory,
  from: bigint,
  to: bigint,
  into?: Uint8Array,
): AsyncGenerator<MemoryPart, void, undefined> {
  let hole: { address: bigint; length: bigint; absent: Exclude<PageHome, "here"> } | undefined;
  for (const { address, length, home, image, offset } of memoryRuns(memory, from, to)) {
    if (home === "here") {
      if (hole) yield hole;
      hole = undefined;
      for (let at = 0; at < Number(length); at += partBytes) {
        const bytes = await pageBytes(images, image, offset + at, Math.min(partBytes, Number(length) - at), into);
        yield { address: address + BigInt(at), bytes };
      }
    } else if (hole?.absent === home) hole = { ...hole, length: hole.length + length };
    else {
      if (hole) yield hole;
      hole = { address, length, absent: home };
    }
  }
  if (hole) yield hole;
}

/** The most that {@link memoryRange} fills with zeros, in bytes: more is no memory that a process used. */
const zeroLimit = 2n ** 40n;

/**
 * Raw bytes of an address range, as a stream. What the checkpoint does not hold is an error (FW_CHECKPOINT_IMAGE, naming the first such address) or, with `absent: "zeros"`, zeros, which
 * is what untouched anonymous memory reads as. Zeros in place of pages that are elsewhere (a parent dump, a file) are not what the process saw.
 * With `reuse`, each piece is gone once the next is asked for: less memory, for a reader that is done with one before (`writeFile` is, a stream is not).
 *
 * @example
 * ```ts
 * await pipeline(memoryRange(images, 1, 0x7f0000000000n, 0x7f0000010000n, { absent: "zeros" }), createWriteStream("heap.bin"));
 * ```
 */
export async function* memoryRange(
  images: Images,
  pid: number,
  from: bigint,
  to: bigint,
  { absent = "error", reuse = false }: { readonly absent?: "error" | "zeros"; readonly reuse?: boolean } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const memory = await processMemory(images, pid);
  if (memory === undefined) throw checkpointError("FW_CHECKPOINT_IMAGE", `pagemap-${pid}.img: missing or broken`);
  if (absent === "zeros" && to - from > zeroLimit)
    throw checkpointError("FW_CHECKPOINT_LIMIT", `process ${pid}: ${to - from} bytes are more than ${zeroLimit}`);
  const zeros = new Uint8Array(partBytes);
  for await (const part of memoryParts(images, memory, from, to, reuse ? new Uint8Array(partBytes) : undefined)) {
    if ("bytes" in part) {
      yield part.bytes;
      continue;
    }
    if (absent === "error")
      throw checkpointError(
        "FW_CHECKPOINT_IMAGE",
        `process ${pid}: no page at 0x${part.address.toString(16)} in this checkpoint (${part.absent}): ask for less`,
      );
    for (let left = part.length; left > 0n; left -= BigInt(partBytes))
      yield left < BigInt(partBytes) ? zeros.subarray(0, Number(left)) : zeros;
  }
}

/** Bytes of a short range; `undefined` when the checkpoint does not hold all of them. */
export async function shortRange(
  images: Images,
  memory: ProcessMemory,
  from: bigint,
  to: bigint,
): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = [];
  for await (const part of memoryParts(images, memory, from, to)) {
    if (!("bytes" in part)) return undefined;
    parts.push(part.bytes);
  }
  return Buffer.concat(parts);
}

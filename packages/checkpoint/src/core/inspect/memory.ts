import { checkpointError } from "../../errors.ts";
import { pageIndex, pageSizeOf, stretches } from "../criu/pagemap.ts";
import type { PageHome, PageIndex } from "../criu/pagemap.ts";
import type { Images } from "./image-set.ts";

/** A process's memory: which pages the checkpoint has, and where. */
export interface ProcessMemory {
  readonly pid: number;
  readonly index: PageIndex;
  /** The image of its pages. */
  readonly pages: string;
}

/** The page index of a process; `undefined` when the checkpoint has none (a zombie, a missing or a broken image, which is noted). */
export async function processMemory(images: Images, pid: number): Promise<ProcessMemory | undefined> {
  const name = `pagemap-${pid}.img`;
  const entries = await images.entries(name, "PAGEMAP");
  if (entries === undefined) return undefined;
  const [mm] = (await images.entries(`mm-${pid}.img`, "MM")) ?? [];
  try {
    const index = pageIndex(entries, { pageSize: pageSizeOf(mm), name });
    return { pid, index, pages: `pages-${index.pagesId}.img` };
  } catch (error) {
    images.note(name, error);
    return undefined;
  }
}

/** A part of memory in address order: its bytes, or why the checkpoint does not hold them. */
export type MemoryPart =
  | { readonly address: bigint; readonly bytes: Uint8Array }
  | { readonly address: bigint; readonly length: bigint; readonly absent: Exclude<PageHome, "here"> };

async function bytesAt(images: Images, memory: ProcessMemory, offset: number, length: number): Promise<Uint8Array> {
  if (!images.has(memory.pages))
    throw checkpointError(
      "FW_CHECKPOINT_IMAGE",
      `${memory.pages}: missing: pagemap-${memory.pid}.img says it holds pages`,
    );
  const bytes = await images.set.readAt(memory.pages, offset, length);
  if (bytes.length < length)
    throw checkpointError(
      "FW_CHECKPOINT_IMAGE",
      `${memory.pages}: at byte ${offset}: ${length} bytes of pages expected, ${bytes.length} left: the image is truncated`,
    );
  return bytes;
}

/** Memory of a process from `from` to before `to`, as parts of at most a mebibyte of bytes. */
export async function* memoryParts(
  images: Images,
  memory: ProcessMemory,
  from: bigint,
  to: bigint,
): AsyncGenerator<MemoryPart, void, undefined> {
  let hole: { address: bigint; length: bigint; absent: Exclude<PageHome, "here"> } | undefined;
  // A gap may be most of the address space: it is stepped over in one stride, not by the mebibyte.
  for (const { address, length, home } of runsAndGaps(memory.index, from, to)) {
    if (home === "here") {
      if (hole) yield hole;
      hole = undefined;
      for (const part of stretches(memory.index, address, address + length)) {
        const bytes = await bytesAt(images, memory, part.offset, part.length);
        yield { address: part.address, bytes };
      }
    } else if (hole?.absent === home) hole = { ...hole, length: hole.length + length };
    else {
      if (hole) yield hole;
      hole = { address, length, absent: home };
    }
  }
  if (hole) yield hole;
}

function* runsAndGaps(
  index: PageIndex,
  from: bigint,
  to: bigint,
): Generator<{ address: bigint; length: bigint; home: PageHome }, void, undefined> {
  let at = from;
  for (const run of index.runs) {
    const end = run.address + BigInt(run.pages * index.pageSize);
    if (end <= at) continue;
    if (run.address >= to) break;
    if (run.address > at) yield { address: at, length: run.address - at, home: "nowhere" };
    const start = run.address > at ? run.address : at;
    const stop = end < to ? end : to;
    if (stop > start) yield { address: start, length: stop - start, home: run.home };
    at = stop;
  }
  if (at < to) yield { address: at, length: to - at, home: "nowhere" };
}

/** Raw bytes of an address range, as a stream; throws FW_CHECKPOINT_IMAGE at the first address that the checkpoint does not hold. */
export async function* memoryRange(
  images: Images,
  pid: number,
  from: bigint,
  to: bigint,
): AsyncGenerator<Uint8Array, void, undefined> {
  const memory = await processMemory(images, pid);
  if (memory === undefined) throw checkpointError("FW_CHECKPOINT_IMAGE", `pagemap-${pid}.img: missing or broken`);
  for await (const part of memoryParts(images, memory, from, to)) {
    if (!("bytes" in part))
      throw checkpointError(
        "FW_CHECKPOINT_IMAGE",
        `process ${pid}: no page at 0x${part.address.toString(16)} in this checkpoint (${part.absent}): ask for less`,
      );
    yield part.bytes;
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

import { checkpointError } from "../../errors.ts";
import type { JsonObject } from "./message-json.ts";

/** criu/include/pagemap.h */
const parentFlag = 1;
const lazyFlag = 2;
const presentFlag = 4;

/** Where the bytes of a run of pages are: in this dump's pages image, in the parent dump's, or still with the process (lazy). */
export type PageHome = "here" | "parent" | "lazy" | "nowhere";

export interface PageRun {
  readonly address: bigint;
  readonly pages: number;
  readonly home: PageHome;
  /** Bytes into `pages-<pagesId>.img`; only where `home` is "here". */
  readonly offset: number;
}

export interface PageIndex {
  readonly pagesId: number;
  readonly pageSize: number;
  /** By address, never overlapping. */
  readonly runs: readonly PageRun[];
  /** Bytes that the runs take in the pages image. */
  readonly bytes: number;
}

const number = (entry: JsonObject, field: string): bigint | undefined => {
  const value = entry[field];
  return typeof value === "string" || typeof value === "number" ? BigInt(value) : undefined;
};

/** The most pages of one run: 2^52 bytes of 4 KiB pages, where offsets still are exact numbers. */
const runLimit = 1n << 40n;
const addressLimit = 1n << 64n;

function homeOf(entry: JsonObject): PageHome {
  const given = entry["flags"];
  // Before CRIU 2.7 there were no flags: what was not in the parent was here.
  const flags = typeof given === "number" ? given : Number(number(entry, "flags") ?? presentFlag);
  const inParent = entry["in_parent"] === true;
  if (given === undefined) return inParent ? "parent" : "here";
  if ((flags & presentFlag) !== 0) return "here";
  if (inParent || (flags & parentFlag) !== 0) return "parent";
  return (flags & lazyFlag) === 0 ? "nowhere" : "lazy";
}

/**
 * The index of a pagemap image's entries, head first: one pass, runs found by bisection afterwards. Takes both generations of the page count
 * (`nr_pages`, since CRIU 4.2, else `compat_nr_pages`). Throws FW_CHECKPOINT_IMAGE when runs overlap, go backwards or leave the address space.
 */
export function pageIndex(
  entries: readonly JsonObject[],
  { pageSize, name = "pagemap" }: { readonly pageSize: number; readonly name?: string },
): PageIndex {
  const [head, ...rest] = entries;
  const pagesId = head && number(head, "pages_id");
  if (pagesId === undefined) throw checkpointError("FW_CHECKPOINT_IMAGE", `${name}: entries[0]: no pages_id`);
  const runs: PageRun[] = [];
  let offset = 0;
  let end = 0n;
  for (const [index, entry] of rest.entries()) {
    const where = `${name}: entries[${index + 1}]`;
    const address = number(entry, "vaddr");
    const pages = number(entry, "nr_pages") ?? number(entry, "compat_nr_pages");
    if (address === undefined || pages === undefined)
      throw checkpointError("FW_CHECKPOINT_IMAGE", `${where}: no vaddr or no page count`);
    if (pages < 0n || pages > runLimit || address + pages * BigInt(pageSize) > addressLimit)
      throw checkpointError("FW_CHECKPOINT_IMAGE", `${where}: ${pages} pages from 0x${address.toString(16)}: too many`);
    if (address < end || address % BigInt(pageSize) !== 0n)
      throw checkpointError(
        "FW_CHECKPOINT_IMAGE",
        `${where}: 0x${address.toString(16)} is within the run before it, or not a multiple of the page size ${pageSize}`,
      );
    end = address + pages * BigInt(pageSize);
    const home = homeOf(entry);
    runs.push({ address, pages: Number(pages), home, offset: home === "here" ? offset : 0 });
    if (home === "here") offset += Number(pages) * pageSize;
    if (!Number.isSafeInteger(offset))
      throw checkpointError("FW_CHECKPOINT_IMAGE", `${where}: more bytes than a file has`);
  }
  return { pagesId: Number(pagesId), pageSize, runs, bytes: offset };
}

/** The run that holds an address, by bisection, and else the first one behind it; its position in `runs`. */
export function runAt(index: PageIndex, address: bigint): number {
  let low = 0;
  let high = index.runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const run = index.runs[middle];
    if (run !== undefined && run.address + BigInt(run.pages * index.pageSize) <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A stretch of addresses and where its bytes are; gaps between runs are "nowhere". */
export interface Stretch {
  readonly address: bigint;
  readonly length: bigint;
  readonly home: PageHome;
  /** Bytes into the pages image; only where `home` is "here". */
  readonly offset: number;
}

/** The stretches of `[from, to)`, in order and without holes. A gap may be most of the address space: it is one stretch. */
export function* stretches(index: PageIndex, from: bigint, to: bigint): Generator<Stretch, void, undefined> {
  let at = from;
  for (let position = runAt(index, from); at < to; position += 1) {
    const run = index.runs[position];
    const start = run === undefined || run.address > to ? to : run.address;
    if (at < start) yield { address: at, length: start - at, home: "nowhere", offset: 0 };
    if (run === undefined) return;
    if (at < start) at = start;
    const runEnd = run.address + BigInt(run.pages * index.pageSize);
    const end = runEnd < to ? runEnd : to;
    if (at >= end) continue;
    const offset = run.home === "here" ? run.offset + Number(at - run.address) : 0;
    yield { address: at, length: end - at, home: run.home, offset };
    at = end;
  }
}

/** AT_PAGESZ of the auxiliary vector. */
const pageSizeTag = 6n;

/** The page size of a process, from its auxiliary vector in `mm_entry`; 4096 when that says none that a page can have. */
export function pageSizeOf(mm: JsonObject | undefined): number {
  const vector = mm?.["mm_saved_auxv"];
  if (!Array.isArray(vector)) return 4096;
  for (let at = 0; at + 1 < vector.length; at += 2) {
    if (BigInt(vector[at] as string) !== pageSizeTag) continue;
    const size = Number(vector[at + 1]);
    return [4096, 8192, 16384, 32768, 65536].includes(size) ? size : 4096;
  }
  return 4096;
}

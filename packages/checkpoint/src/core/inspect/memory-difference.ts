import { bigintOf } from "./entry-fields.ts";
import type { Images } from "./image-set.ts";
import { memoryRuns, pageBytes, partBytes, processMemory } from "./memory.ts";
import type { MemoryRun, ProcessMemory } from "./memory.ts";
import { readMemoryMap } from "./memory-map.ts";
import type { Mapping } from "./memory-map.ts";

/** Numbers of pages. What neither checkpoint holds (untouched memory, unchanged files) is not counted. */
interface PageCounts {
  readonly equal: number;
  readonly changed: number;
  readonly onlyBefore: number;
  readonly onlyAfter: number;
  /** In a parent dump or still with the process: not known without them. */
  readonly unknown: number;
}

/** Pages in a row with the same fate. */
interface PageRange {
  /** Hexadecimal, in `after`; where only `before` has them, in `before`. */
  readonly from: string;
  readonly to: string;
  readonly change: "changed" | "onlyBefore" | "onlyAfter";
}

/** A mapping, or a part of one where only one of the checkpoints has it mapped. */
export interface MappingDifference extends Pick<Mapping, "from" | "to" | "access" | "name"> {
  readonly mappedIn: "both" | "before" | "after";
  readonly pages: PageCounts;
  readonly ranges: readonly PageRange[];
}

export interface MemoryDifference {
  readonly pageSize: number;
  /** `name`: the process began anew between the two, at other addresses; mappings are compared by their names and from their starts on. */
  readonly matchedBy: "address" | "name";
  readonly pages: PageCounts;
  /** Mappings with a page that is not equal, and those that only one has. */
  readonly mappings: readonly MappingDifference[];
  /** Ranges that are not listed because there were more than `ranges`. */
  readonly rangesLeftOut: number;
}

interface Area {
  readonly from: bigint;
  readonly to: bigint;
  readonly mapping: Mapping;
}

/** The same stretch in both address spaces; without a start it is not mapped there. */
interface Segment {
  readonly mapping: Mapping;
  readonly before?: bigint;
  readonly after?: bigint;
  readonly length: bigint;
}

type Counts = { -readonly [Key in keyof PageCounts]: number };

const nothing = (): Counts => ({ equal: 0, changed: 0, onlyBefore: 0, onlyAfter: 0, unknown: 0 });
const hex = (address: bigint): string => `0x${address.toString(16)}`;

/** By address, without the overlaps that no kernel has. */
function areasOf(mappings: readonly Mapping[], pageSize: number): readonly Area[] {
  const size = BigInt(pageSize);
  let end = 0n;
  return mappings
    .map((mapping) => ({ from: BigInt(mapping.from), to: BigInt(mapping.to), mapping }))
    .toSorted((a, b) => (a.from < b.from ? -1 : Number(a.from > b.from)))
    .filter(({ from, to }) => {
      if (from < end || to <= from || from % size !== 0n || to % size !== 0n) return false;
      end = to;
      return true;
    });
}

function* segmentsByAddress(before: readonly Area[], after: readonly Area[]): Generator<Segment, void, undefined> {
  let [left, right] = [0, 0];
  let at = 0n;
  for (;;) {
    const [was, is] = [before[left], after[right]];
    if (was === undefined && is === undefined) return;
    if (was !== undefined && was.to <= at) left += 1;
    else if (is !== undefined && is.to <= at) right += 1;
    else {
      const starts = [was, is].map((area) => (area === undefined || area.from > at ? area?.from : at));
      const [wasFrom, isFrom] = starts;
      const from = wasFrom === undefined || (isFrom !== undefined && isFrom < wasFrom) ? (isFrom ?? at) : wasFrom;
      const inBefore = was !== undefined && wasFrom === from;
      const inAfter = is !== undefined && isFrom === from;
      const ends = [inBefore ? was.to : wasFrom, inAfter ? is.to : isFrom].filter((end) => end !== undefined);
      const to = ends.reduce((least, end) => (end < least ? end : least));
      const mapping = inAfter ? is.mapping : was?.mapping;
      if (mapping !== undefined)
        yield {
          mapping,
          length: to - from,
          ...(inBefore ? { before: from } : {}),
          ...(inAfter ? { after: from } : {}),
        };
      at = to;
    }
  }
}

function* segmentsByName(before: readonly Area[], after: readonly Area[]): Generator<Segment, void, undefined> {
  const key = ({ mapping: { name, access } }: Area): string => `${access} ${name}`;
  const left = Map.groupBy(before, key);
  const used = new Map<string, number>();
  const paired = new Set<Area>();
  for (const is of after) {
    const name = key(is);
    const position = used.get(name) ?? 0;
    used.set(name, position + 1);
    const was = left.get(name)?.[position];
    const sizes = [was ? was.to - was.from : 0n, is.to - is.from] as const;
    const common = sizes[0] < sizes[1] ? sizes[0] : sizes[1];
    if (was && common > 0n) {
      paired.add(was);
      yield { mapping: is.mapping, before: was.from, after: is.from, length: common };
      if (sizes[0] > common) yield { mapping: was.mapping, before: was.from + common, length: sizes[0] - common };
    }
    if (sizes[1] > common) yield { mapping: is.mapping, after: is.from + common, length: sizes[1] - common };
  }
  for (const was of before)
    if (!paired.has(was)) yield { mapping: was.mapping, before: was.from, length: was.to - was.from };
}

type Place = Pick<MemoryRun, "home" | "image" | "offset" | "length">;

/** Where each side's pages are, piece by piece; offsets count from the segment's start. */
function* together(
  { before, after, length }: Segment,
  memories: readonly [ProcessMemory, ProcessMemory],
): Generator<
  { readonly at: bigint; readonly length: bigint; readonly was: Place; readonly is: Place },
  void,
  undefined
> {
  const absent: Place = { home: "nowhere", image: "", offset: 0, length };
  const runs = [before, after].map((start, side) => {
    const memory = memories[side];
    return start === undefined || memory === undefined ? [absent].values() : memoryRuns(memory, start, start + length);
  });
  const next = (side: number): Place => runs[side]?.next().value ?? absent;
  let [was, is] = [next(0), next(1)];
  for (let at = 0n; at < length;) {
    const step = was.length < is.length ? was.length : is.length;
    yield { at, length: step, was, is };
    at += step;
    const rest = (place: Place, side: number): Place =>
      place.length === step
        ? next(side)
        : { ...place, length: place.length - step, offset: place.home === "here" ? place.offset + Number(step) : 0 };
    if (at < length) [was, is] = [rest(was, 0), rest(is, 1)];
  }
}

const isElsewhere = ({ home }: Place): boolean => home === "parent" || home === "lazy";

/** A process of one of the checkpoints. */
export interface ProcessOf {
  readonly images: Images;
  readonly pid: number;
}

/** Pages in a row of a segment and what became of them. */
interface Finding {
  readonly kind: keyof PageCounts;
  readonly at: bigint;
  readonly pages: number;
}

async function* findings(
  segment: Segment,
  sides: readonly [ProcessOf, ProcessOf],
  memories: readonly [ProcessMemory, ProcessMemory],
  buffers: readonly [Uint8Array, Uint8Array],
): AsyncGenerator<Finding, void, undefined> {
  const { pageSize } = memories[0].index;
  for (const { at, length, was, is } of together(segment, memories)) {
    const pages = Number(length / BigInt(pageSize));
    if (isElsewhere(was) || isElsewhere(is)) yield { kind: "unknown", at, pages };
    else if (was.home === "here" && is.home === "here")
      for (let done = 0; done < Number(length); done += partBytes) {
        const bytes = Math.min(partBytes, Number(length) - done);
        const old = await pageBytes(sides[0].images, was.image, was.offset + done, bytes, buffers[0]);
        const now = await pageBytes(sides[1].images, is.image, is.offset + done, bytes, buffers[1]);
        for (const { same, from, count } of comparePages(old, now, pageSize))
          yield { kind: same ? "equal" : "changed", at: at + BigInt(done + from), pages: count };
      }
    else if (was.home === "here") yield { kind: "onlyBefore", at, pages };
    else if (is.home === "here") yield { kind: "onlyAfter", at, pages };
  }
}

/**
 * Compares the pages of a process in two checkpoints: in address order, a mebibyte of each at a time. `undefined` when they cannot be compared, which is noted in the images.
 *
 * @throws FW_CHECKPOINT_IMAGE when pages are missing that a pagemap says are there
 */
export async function differMemory(
  before: ProcessOf,
  after: ProcessOf,
  { ranges: rangeLimit = 1000 }: { readonly ranges?: number } = {},
): Promise<MemoryDifference | undefined> {
  const was = await processMemory(before.images, before.pid);
  const is = await processMemory(after.images, after.pid);
  if (was === undefined || is === undefined) return undefined;
  const { pageSize } = was.index;
  if (is.index.pageSize !== pageSize) {
    const message = `pages of ${is.index.pageSize} bytes are not compared with pages of ${pageSize}`;
    after.images.note(`pagemap-${after.pid}.img`, new Error(message));
    return undefined;
  }
  const areas = [
    areasOf(await readMemoryMap(before.images, before.pid), pageSize),
    areasOf(await readMemoryMap(after.images, after.pid), pageSize),
  ] as const;
  const matchedBy = (await hasSamePlaces(before, after)) ? "address" : "name";
  const buffers = [new Uint8Array(partBytes), new Uint8Array(partBytes)] as const;
  const total = nothing();
  const mappings: MappingDifference[] = [];
  let listed = 0;
  let rangesLeftOut = 0;
  for (const segment of matchedBy === "address" ? segmentsByAddress(...areas) : segmentsByName(...areas)) {
    const counts = nothing();
    const ranges: { from: bigint; to: bigint; change: PageRange["change"] }[] = [];
    const start = segment.after ?? segment.before ?? 0n;
    for await (const { kind, at, pages } of findings(segment, [before, after], [was, is], buffers)) {
      counts[kind] += pages;
      total[kind] += pages;
      if (kind === "equal" || kind === "unknown") continue;
      const from = start + at;
      const to = from + BigInt(pages * pageSize);
      const last = ranges.at(-1);
      if (last?.change === kind && last.to === from) last.to = to;
      else if (listed === rangeLimit) rangesLeftOut += 1;
      else {
        ranges.push({ from, to, change: kind });
        listed += 1;
      }
    }
    const mappedIn = segment.before === undefined ? "after" : segment.after === undefined ? "before" : "both";
    if (mappedIn === "both" && counts.changed + counts.onlyBefore + counts.onlyAfter + counts.unknown === 0) continue;
    const { access, name } = segment.mapping;
    mappings.push({
      from: hex(start),
      to: hex(start + segment.length),
      access,
      name,
      mappedIn,
      pages: counts,
      ranges: ranges.map(({ from, to, change }) => ({ from: hex(from), to: hex(to), change })),
    });
  }
  return { pageSize, matchedBy, pages: total, mappings, rangesLeftOut };
}

/** Pages in a row that are all equal or all not; `from` counts bytes. */
function* comparePages(
  old: Uint8Array,
  now: Uint8Array,
  pageSize: number,
): Generator<{ readonly same: boolean; readonly from: number; readonly count: number }, void, undefined> {
  if (Buffer.compare(old, now) === 0) {
    yield { same: true, from: 0, count: old.length / pageSize };
    return;
  }
  for (let from = 0; from < old.length; from += pageSize) {
    const same = Buffer.compare(old.subarray(from, from + pageSize), now.subarray(from, from + pageSize)) === 0;
    yield { same, from, count: 1 };
  }
}

/** The kernel chooses these by chance at a start: they are the same only for the same run of a program. */
async function hasSamePlaces(before: ProcessOf, after: ProcessOf): Promise<boolean> {
  const [[was], [is]] = [
    (await before.images.entries(`mm-${before.pid}.img`, "MM")) ?? [],
    (await after.images.entries(`mm-${after.pid}.img`, "MM")) ?? [],
  ];
  return ["mm_start_stack", "mm_arg_start", "mm_start_code"].every(
    (name) => bigintOf(was, name) === bigintOf(is, name),
  );
}

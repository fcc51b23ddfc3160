import { bigintOf, numberOf, objectOf, objectsOf, textOf } from "./entry-fields.ts";
import type { Images } from "./image-set.ts";
import { memoryRuns, processMemory } from "./memory.ts";
import { fileTable } from "./open-files.ts";

/** A mapping of a process, as in /proc/PID/maps. */
export interface Mapping {
  /** Hexadecimal, as crit writes addresses. */
  readonly from: string;
  readonly to: string;
  /** `rwxp` as in /proc: the last letter is `s` for shared mappings. */
  readonly access: string;
  /** A path, or `[heap]`, `[stack]`, `[vdso]`, `[vvar]`, `[vsyscall]`, `[shared]`, or `""` for private anonymous memory. */
  readonly name: string;
  readonly bytes: number;
  /** Of these, how many the checkpoint holds. Read-only pages of files are not dumped. */
  readonly dumpedBytes: number;
}

/** criu/include/image.h VMA_AREA_*, in the order in which they name a mapping. */
const areas: readonly (readonly [flag: number, name: string])[] = [
  [1 << 5, "[heap]"],
  [1 << 1, "[stack]"],
  [1 << 3, "[vdso]"],
  [1 << 12, "[vvar]"],
  [1 << 2, "[vsyscall]"],
  [1 << 13, "[aio]"],
  [1 << 11, "[socket]"],
  [1 << 10, "[sysv]"],
  [1 << 8, "[shared]"],
];
const fileBacked = (1 << 6) | (1 << 7) | (1 << 14);
/** mmap's MAP_GROWSDOWN marks a stack where CRIU does not. */
const growsDown = 0x100;
const shared = 1;

/** The memory map of a process; empty when the checkpoint does not say. */
export async function readMemoryMap(images: Images, pid: number): Promise<readonly Mapping[]> {
  const [mm] = (await images.entries(`mm-${pid}.img`, "MM")) ?? [];
  const files = await fileTable(images);
  const memory = await processMemory(images, pid);
  return objectsOf(mm, "vmas").map((vma) => {
    const from = bigintOf(vma, "start") ?? 0n;
    const to = bigintOf(vma, "end") ?? from;
    const protection = numberOf(vma, "prot") ?? 0;
    const flags = numberOf(vma, "flags") ?? 0;
    const status = numberOf(vma, "status") ?? 0;
    let dumped = 0n;
    for (const { home, length } of memory ? memoryRuns(memory, from, to) : []) if (home === "here") dumped += length;
    const area = areas.find(([flag]) => (status & flag) !== 0)?.[1];
    const file = (status & fileBacked) === 0 ? undefined : files.get(numberOf(vma, "shmid") ?? -1);
    const path = textOf(objectOf(file, "reg") ?? objectOf(file, "memfd"), "name");
    return {
      from: `0x${from.toString(16)}`,
      to: `0x${to.toString(16)}`,
      access: `${protection & 1 ? "r" : "-"}${protection & 2 ? "w" : "-"}${protection & 4 ? "x" : "-"}${flags & shared ? "s" : "p"}`,
      name: path ?? area ?? ((flags & growsDown) !== 0 ? "[stack]" : ""),
      bytes: Number(to - from),
      dumpedBytes: Number(dumped),
    };
  });
}

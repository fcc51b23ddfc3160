import { gzipSync } from "node:zlib";
import { openArchive } from "../../archive/checkpoint-archive.ts";
import type { CheckpointArchive } from "../../archive/checkpoint-archive.ts";
import { inMemory } from "../../archive/tar-reader.ts";
import { tarEnd, tarHeader, tarPadding } from "../../archive/tar-writer.ts";
import type { TarEntry } from "../../archive/tar-writer.ts";
import { encodeImage } from "../../criu/image.ts";

export const page = 4096;

/** One page that holds a number, so that pages differ where tests want them to. */
const pageOf = (value: number): Buffer => Buffer.alloc(page, value);

export interface MadeMapping {
  readonly from: number;
  readonly pages: number;
  /** Contents of pages by their position in the mapping; the others are not dumped. */
  readonly dumped?: Readonly<Record<number, number>>;
  /** criu/include/image.h: 0x201 is private anonymous memory. */
  readonly status?: number;
  /** Of a shared object, with the pages of it. */
  readonly shared?: { readonly id: number; readonly offset?: number };
}

export interface MadeProcess {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
  readonly mappings?: readonly MadeMapping[];
  /** Where its stack begins: another for another run. */
  readonly stack?: number;
  /** Paths by descriptor. */
  readonly files?: Readonly<Record<number, string>>;
}

export interface MadeCheckpoint {
  readonly processes?: readonly MadeProcess[];
  /** Pages of shared objects by id and position. */
  readonly sharedObjects?: Readonly<Record<number, Readonly<Record<number, number>>>>;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly rootfs?: readonly (readonly [TarEntry, string])[];
  readonly more?: Readonly<Record<string, string | Uint8Array>>;
  readonly members?: readonly TarEntry[];
}

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };

const tar = (members: readonly (readonly [TarEntry, string | Uint8Array])[]): Buffer =>
  Buffer.concat([
    ...members.flatMap(([entry, content]) => {
      const data = Buffer.from(content);
      return [tarHeader({ ...entry, size: data.length }), data, tarPadding(data.length)];
    }),
    tarEnd,
  ]);

export const file = (name: string, mode = 0o600): TarEntry => ({ name, kind: "file", size: 0, mode });

function pagemap(pagesId: number, pages: readonly (readonly [address: number, value: number])[]) {
  const entries = pages.map(([address]) => ({
    vaddr: `0x${address.toString(16)}`,
    compat_nr_pages: 0,
    nr_pages: "1",
    flags: 4,
  }));
  return {
    map: encodeImage({ magic: "PAGEMAP", entries: [{ pages_id: pagesId }, ...entries] }),
    pages: Buffer.concat(pages.map(([, value]) => pageOf(value))),
  };
}

function processImages({ pid, command, mappings = [], stack = 0x7000, files = {} }: MadeProcess, fileIds: Map<string, number>) {
  const own = pagemap(
    pid,
    mappings.flatMap(({ from, dumped = {}, shared }) =>
      shared ? [] : Object.entries(dumped).map(([at, value]) => [from + Number(at) * page, value] as const),
    ),
  );
  const zero = ["start_code", "end_code", "start_data", "end_data", "start_brk", "brk", "arg_start", "arg_end", "env_start", "env_end"];
  return {
    [`checkpoint/core-${pid}.img`]: encodeImage({
      magic: "CORE",
      entries: [{ mtype: "X86_64", tc: { task_state: 1, exit_code: 0, personality: 0, flags: 0, blk_sigset: "0", comm: command } }],
    }),
    [`checkpoint/mm-${pid}.img`]: encodeImage({
      magic: "MM",
      entries: [
        {
          ...Object.fromEntries(zero.map((name) => [`mm_${name}`, "0x0"])),
          mm_start_stack: `0x${stack.toString(16)}`,
          exe_file_id: 1,
          vmas: mappings.map(({ from, pages, status = 0x201, shared }) => ({
            start: `0x${from.toString(16)}`,
            end: `0x${(from + pages * page).toString(16)}`,
            pgoff: String(shared?.offset ?? 0),
            shmid: String(shared?.id ?? 0),
            prot: 3,
            flags: shared ? 0x21 : 0x22,
            status,
            fd: "-1",
          })),
        },
      ],
    }),
    [`checkpoint/pagemap-${pid}.img`]: own.map,
    [`checkpoint/pages-${pid}.img`]: own.pages,
    [`checkpoint/ids-${pid}.img`]: encodeImage({
      magic: "IDS",
      entries: [{ vm_id: pid, files_id: pid, fs_id: pid, sighand_id: pid }],
    }),
    [`checkpoint/fdinfo-${pid}.img`]: encodeImage({
      magic: "FDINFO",
      entries: Object.entries(files).map(([fd, path]) => {
        const id = fileIds.get(path) ?? fileIds.size + 1;
        fileIds.set(path, id);
        return { id, flags: 0, type: "REG", fd: Number(fd) };
      }),
    }),
  };
}

/** The bytes of an archive as containerd would write it, of the processes that a test wants. */
export function madeArchive(of: MadeCheckpoint): Buffer {
  const { processes = [], sharedObjects = {}, spec = {}, config = {}, rootfs, more = {}, members = [] } = of;
  const fileIds = new Map<string, number>();
  const contents: Record<string, string | Uint8Array> = {
    "config.dump": JSON.stringify({ rootfsImageName: "app:1", runtime: "runc", ...config }),
    "spec.dump": JSON.stringify({ annotations: { "io.kubernetes.cri.container-name": "app" }, ...spec }),
    "checkpoint/pstree.img": encodeImage({
      magic: "PSTREE",
      entries: processes.map(({ pid, parent }) => ({ pid, ppid: parent, pgid: pid, sid: pid, threads: [pid] })),
    }),
  };
  for (const process of processes) Object.assign(contents, processImages(process, fileIds));
  for (const [id, pages] of Object.entries(sharedObjects)) {
    const made = pagemap(1000 + Number(id), Object.entries(pages).map(([at, value]) => [Number(at) * page, value] as const));
    contents[`checkpoint/pagemap-shmem-${id}.img`] = made.map;
    contents[`checkpoint/pages-${1000 + Number(id)}.img`] = made.pages;
  }
  contents["checkpoint/files.img"] = encodeImage({
    magic: "FILES",
    entries: [...fileIds].map(([name, id]) => ({ type: "REG", id, reg: { id, flags: 0, pos: "0", fown, name } })),
  });
  if (rootfs) contents["rootfs-diff.tar"] = gzipSync(tar(rootfs));
  Object.assign(contents, more);
  return tar([
    ...Object.entries(contents).map(([name, content]) => [file(name), content] as const),
    ...members.map((entry) => [entry, ""] as const),
  ]);
}

/** Opens {@link madeArchive}. */
export function madeCheckpoint(of: MadeCheckpoint): Promise<CheckpointArchive> {
  return openArchive(inMemory(madeArchive(of)));
}

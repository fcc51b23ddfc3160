import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tarEnd, tarHeader, tarPadding } from "../core/archive/tar-writer.ts";
import { encodeImage } from "../core/criu/image.ts";
import { openImages } from "../core/inspect/image-set.ts";
import { readOpenFiles } from "../core/inspect/open-files.ts";
import { readProcesses } from "../core/inspect/processes.ts";
import { openArchiveFile } from "./archive-file.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleetwright-archives-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };

/** A process of one page that holds its command line, and a pipe and a file that it has open. */
const members: Readonly<Record<string, string | Uint8Array>> = {
  "config.dump": JSON.stringify({ id: "1", rootfsImageName: "app:1", runtime: "runc" }),
  "spec.dump": JSON.stringify({
    annotations: {
      "io.kubernetes.cri.container-name": "app",
      "io.kubernetes.cri.sandbox-name": "web",
      "io.kubernetes.cri.sandbox-namespace": "shop",
    },
  }),
  "checkpoint/pstree.img": encodeImage({
    magic: "PSTREE",
    entries: [
      { pid: 1, ppid: 0, pgid: 1, sid: 1, threads: [1, 5] },
      { pid: 9, ppid: 1, pgid: 1, sid: 1, threads: [9] },
    ],
  }),
  "checkpoint/mm-1.img": encodeImage({
    magic: "MM",
    entries: [
      {
        ...Object.fromEntries(
          ["start_code", "end_code", "start_data", "end_data", "start_stack", "start_brk", "brk"].map((name) => [
            `mm_${name}`,
            "0x0",
          ]),
        ),
        mm_arg_start: "0x10000",
        mm_arg_end: "0x10008",
        mm_env_start: "0x10008",
        mm_env_end: "0x1000c",
        exe_file_id: 1,
      },
    ],
  }),
  "checkpoint/pagemap-1.img": encodeImage({
    magic: "PAGEMAP",
    entries: [{ pages_id: 1 }, { vaddr: "0x10000", compat_nr_pages: 0, nr_pages: "1", flags: 4 }],
  }),
  "checkpoint/pages-1.img": Buffer.concat([Buffer.from("app\0-v\0\0A=1\0"), Buffer.alloc(4096 - 12)]),
  "checkpoint/ids-1.img": encodeImage({ magic: "IDS", entries: [{ vm_id: 1, files_id: 2, fs_id: 1, sighand_id: 1 }] }),
  "checkpoint/fdinfo-2.img": encodeImage({
    magic: "FDINFO",
    entries: [
      { id: 2, flags: 0, type: "PIPE", fd: 1 },
      { id: 1, flags: 0, type: "REG", fd: 0 },
      { id: 77, flags: 0, type: "REG", fd: 3 },
    ],
  }),
  "checkpoint/files.img": encodeImage({
    magic: "FILES",
    entries: [
      { type: "REG", id: 1, reg: { id: 1, flags: 0, pos: "12", fown, name: "/data/log" } },
      { type: "PIPE", id: 2, pipe: { id: 2, pipe_id: 7, flags: "0x1", fown } },
    ],
  }),
};

const tar = (entries: readonly (readonly [string, string | Uint8Array])[]): Buffer =>
  Buffer.concat([
    ...entries.flatMap(([name, content]) => {
      const data = Buffer.from(content);
      return [tarHeader({ name, kind: "file", size: data.length, mode: 0o600 }), data, tarPadding(data.length)];
    }),
    tarEnd,
  ]);

async function stored(bytes: Uint8Array): Promise<string> {
  const path = join(folder, "archive.tar");
  await writeFile(path, bytes);
  return path;
}

describe("an archive in a file", () => {
  it.each([
    ["plain", (bytes: Buffer) => bytes],
    ["gzip", (bytes: Buffer) => gzipSync(bytes)],
    ["zstd", (bytes: Buffer) => zstdCompressSync(bytes)],
  ] as const)("opens %s, and leaves nothing behind", async (_, compress) => {
    const path = await stored(compress(tar(Object.entries(members))));
    {
      await using archive = await openArchiveFile(path, { workDirectory: folder });
      expect(archive.metadata).toMatchObject({ engine: "containerd", container: "app", pod: "web", namespace: "shop" });
      expect(archive.sizes.pages).toBe(4096);
      const [process] = await readProcesses(openImages(archive.images), { environments: true });
      expect(process).toMatchObject({ pid: 1, threads: [1, 5], commandLine: ["app", "-v"], environment: ["A=1"] });
    }
    expect(await readdir(folder)).toEqual(["archive.tar"]);
  });

  it("shows what it can of a checkpoint with holes, and says what is missing", async () => {
    await using archive = await openArchiveFile(await stored(tar(Object.entries(members))));
    const images = openImages(archive.images);
    const [, child] = await readProcesses(images);
    expect(child).toMatchObject({ pid: 9, parent: 1, state: "unknown", memoryBytes: 0 });
    expect([...images.missing].toSorted()).toEqual(["core-1.img", "core-9.img", "mm-9.img", "pagemap-9.img"]);
    expect(
      (await readOpenFiles(images, 1)).map(({ fd, path, position, pipe }) => [fd, path ?? pipe, position]),
    ).toEqual([
      [0, "/data/log", 12],
      [1, 7, undefined],
    ]);
    expect(images.problems).toEqual([{ image: "files.img", message: "no file 77, which process 1 has open as 3" }]);
  });

  it.each<readonly [string, readonly (readonly [string, string | Uint8Array])[], string]>([
    ["a member twice", [...Object.entries(members), ["./config.dump", "{}"]], '"config.dump" is there twice'],
    ["a way out", [...Object.entries(members), ["checkpoint/../../etc/cron.d/x", ""]], "leads out of its folder"],
    ["no images", [["config.dump", "{}"]], "no checkpoint/ in it"],
    ["no spec.dump", Object.entries(members).filter(([name]) => name !== "spec.dump"), "spec.dump is missing"],
  ])("refuses one with %s", async (_, entries, message) => {
    await expect(openArchiveFile(await stored(tar(entries)))).rejects.toThrow(message);
  });

  it("leaves nothing behind when a compressed one is broken", async () => {
    const path = await stored(gzipSync(tar(Object.entries(members))).subarray(0, 300));
    await expect(openArchiveFile(path, { workDirectory: folder })).rejects.toThrow("broken or truncated gzip data");
    expect(await readdir(folder)).toEqual(["archive.tar"]);
  });
});

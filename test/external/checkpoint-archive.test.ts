import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import {
  openArchiveFile,
  openImages,
  readMemoryMap,
  readOpenFiles,
  readPlugins,
  readProcesses,
  readStatistics,
  searchMemory,
} from "@fleetwright/checkpoint";

const path = fileURLToPath(
  new URL("../../../shared/fixtures/checkpoint-archives/containerd-2.3.7-busybox-counter.tar.gz", import.meta.url),
);
const missing = "no fixtures beside the checkout";

// What crit 4.2.1 (`x … ps`, `x … fds`) and checkpointctl 1.6.0 (`inspect --all`) say of the same archive.

it("says whose checkpoint it is, from what containerd wrote", async (context) => {
  if (!existsSync(path)) return context.skip(missing);
  await using archive = await openArchiveFile(path);
  expect(archive.metadata).toMatchObject({
    engine: "containerd",
    container: "c",
    pod: "counter",
    namespace: "default",
    image: "localhost/busybox:1",
    runtime: "io.containerd.runc.v2",
    restarts: 0,
  });
  expect(archive.sizes).toMatchObject({ pages: 139_264, rootfsDiff: 246, gpuPages: 0 });
});

it("finds processes, command lines and environments where crit and checkpointctl find them", async (context) => {
  if (!existsSync(path)) return context.skip(missing);
  await using archive = await openArchiveFile(path);
  const images = openImages(archive.images);
  const processes = await readProcesses(images, { environments: true });
  expect(
    processes.map(({ pid, parent, command, state, threads }) => ({ pid, parent, command, state, threads })),
  ).toEqual([
    { pid: 1, parent: 0, command: "sh", state: "alive", threads: [1] },
    { pid: 38, parent: 1, command: "busybox", state: "alive", threads: [38] },
  ]);
  expect(processes[0]?.commandLine?.slice(0, 2)).toEqual(["/bin/sh", "-c"]);
  expect(processes[1]?.commandLine).toEqual(["/bin/busybox", "sleep", "1"]);
  expect(processes[0]?.environment).toContain("HOSTNAME=counter");
  expect(processes[1]?.environment).toContain("SHLVL=1");
  expect(processes.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0)).toBe(archive.sizes.pages);
  expect([images.problems, [...images.missing]]).toEqual([[], []]);
});

it("finds the open files that crit finds", async (context) => {
  if (!existsSync(path)) return context.skip(missing);
  await using archive = await openArchiveFile(path);
  const files = await readOpenFiles(openImages(archive.images), 38);
  expect(files.map(({ fd, path: name, pipe }) => `${fd} ${name ?? pipe}`)).toEqual([
    "cwd /",
    "root /",
    "0 /dev/null",
    "1 121603",
    "2 121604",
  ]);
});

it("maps memory, and every page that was dumped is in it", async (context) => {
  if (!existsSync(path)) return context.skip(missing);
  await using archive = await openArchiveFile(path);
  const map = await readMemoryMap(openImages(archive.images), 1);
  expect(map.map(({ access, name }) => `${access} ${name}`)).toEqual([
    "r--p /bin/sh",
    "r-xp /bin/sh",
    "r--p /bin/sh",
    "r--p /bin/sh",
    "rw-p /bin/sh",
    "rw-p ",
    "rw-p [heap]",
    "r--p [vvar]",
    "r-xp [vdso]",
    "rw-p [stack]",
    "--xp [vsyscall]",
  ]);
  expect(map.reduce((sum, { dumpedBytes }) => sum + dumpedBytes, 0)).toBe(73_728);
});

it("searches memory as a scan of the pages does", async (context) => {
  if (!existsSync(path)) return context.skip(missing);
  await using archive = await openArchiveFile(path);
  const pages = Buffer.from(await archive.images.read("pages-1.img", 1 << 20)).toString("latin1");
  const images = openImages(archive.images);
  const found = await searchMemory(images, 1, Buffer.from("HOSTNAME=counter"));
  expect(found.length).toBe(pages.split("HOSTNAME=counter").length - 1);
  expect(await searchMemory(images, 1, /HOSTNAME=[a-z]+/)).toEqual(found);
  expect(await searchMemory(images, 1, Buffer.from("no such text"))).toEqual([]);
});

it("reads CRIU's measurements and the changes of the root file system", async (context) => {
  if (!existsSync(path)) return context.skip(missing);
  await using archive = await openArchiveFile(path);
  const images = openImages(archive.images);
  expect(await readStatistics(images)).toMatchObject({
    freezingMicroseconds: 678,
    frozenMicroseconds: 118_170,
    pagesWritten: 34,
  });
  expect(await readPlugins(images)).toEqual({ plugins: [], amdgpuImages: [] });
  const changes: string[] = [];
  for await (const { name } of archive.rootfsChanges()) changes.push(name);
  expect(changes).toContain("etc/hostname");
});

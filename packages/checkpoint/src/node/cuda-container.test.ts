import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage, encodeImage, type CriuImage } from "../core/criu/image.ts";
import { openImages } from "../core/inspect/image-set.ts";
import { readPlugins, readStatistics } from "../core/inspect/summary.ts";
import { verifyRestore } from "../core/inspect/verify-restore.ts";
import { lintCheckpoint } from "../core/lint/lint-checkpoint.ts";
import { gpuUseOf } from "../core/verdict/gpu.ts";
import { judgeRestore } from "../core/verdict/restore.ts";
import { openArchiveFile } from "./archive-file.ts";
import type { ArchiveFile } from "./archive-file.ts";
import { readLiveContainer, summarizeContainer } from "./containers.ts";
import { leavesLocked, unlockCuda } from "./cuda-locks.ts";
import { parseGpuMemory } from "./nvidia.ts";
import process from "./testdata/cuda-process.json" with { type: "json" };

/**
 * Recorded on an H200 (driver 580.159.04) with containerd 2.3.7, runc 1.5.2 and CRIU 4.2.1 with its CUDA plugin: a program with 64 MiB of cudaMalloc that counts in them, its devices and
 * driver files by CDI. `cuda-archive.tar.gz` is its checkpoint without pages and log; `cuda-process.json` is what /proc said of it once it was restored in a new container.
 */
let archive: ArchiveFile;
let proc = "";
beforeAll(async () => {
  archive = await openArchiveFile(join(import.meta.dirname, "testdata/cuda-archive.tar.gz"));
  proc = await mkdtemp(join(tmpdir(), "fleetwright-cuda-"));
  const folder = join(proc, String(process.hostPid));
  await mkdir(join(folder, "fd"), { recursive: true });
  for (const [name, text] of Object.entries(process.files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text, "latin1");
  }
  for (const [fd, target] of Object.entries(process.links)) await symlink(target, join(folder, "fd", fd));
});
afterAll(async () => {
  await archive.close();
  await rm(proc, { recursive: true, force: true });
});

describe("a CUDA program in a container", () => {
  it("has images that are written back to the byte", async () => {
    const isImage = (name: string): boolean => name.endsWith(".img") && !name.endsWith(".tar.gz.img");
    const names = archive.images.list().filter(isImage);
    expect(names.length).toBe(23);
    const differing = [];
    for (const name of names) {
      const bytes = Buffer.from(await archive.images.read(name, 2 ** 20));
      const again = encodeImage(JSON.parse(JSON.stringify(decodeImage(bytes, { name }))) as CriuImage, { name });
      if (!bytes.equals(again)) differing.push(name);
    }
    expect(differing).toEqual([]);
  });

  it("tells of its plugin, its freeze and the driver's files", async () => {
    const images = openImages(archive.images);
    expect((await readPlugins(images)).plugins).toEqual(["cuda_plugin"]);
    expect((await readStatistics(images))?.frozenMicroseconds).toBeGreaterThan(500_000);
    const libraries = archive.metadata.mounts.map(({ destination }) => destination.split("/").at(-1));
    expect(libraries).toContain("libcuda.so.580.159.04");
  });

  it("may be restored for a pod that asks for a GPU, on a node with the same driver and all that CRIU needs", () => {
    const host = {
      architecture: "amd64",
      gpuModels: ["NVIDIA H200"],
      nvidiaDriver: "580.159.04",
      cpuFeatures: ["fpu"],
    };
    const codes = (limits: Record<string, string>) =>
      judgeRestore({
        nodeName: "node-1",
        engine: "containerd://2.3.7",
        restoreSwitch: true,
        host: { ...host, criuVersion: "4.2.1", missingCudaTools: [] },
        source: { metadata: archive.metadata, host, plugins: ["cuda_plugin"], sizeBytes: 1 },
        spec: { containers: [{ name: "main", image: "counter:1", resources: { limits } }] },
      }).map(({ code }) => code);
    expect(codes({ "nvidia.com/gpu": "1" })).toEqual([]);
    expect(new Set(codes({ memory: "1Gi" }))).toEqual(new Set(["MountNotCovered"]));
  });

  it("is no danger to lint because of the driver's files", async () => {
    const findings = await lintCheckpoint(archive);
    expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
    expect(findings.map(({ code }) => code)).toContain("DriverMount");
  });

  it("is unlocked where a dump that failed left it locked", async () => {
    // As CRIU 4.2.1 wrote it of a program with managed memory, which stood still until it was unlocked.
    const errors = [
      "Error (cuda_plugin.c:397): cuda_plugin: CHECKPOINT_DEVICES failed with error 801",
      "Error (cuda_plugin.c:510): cuda_plugin: RESUME_DEVICES RESTORE failed with error 401",
    ];
    expect([leavesLocked(errors), leavesLocked(errors.slice(0, 1))]).toEqual([true, false]);
    const calls: string[] = [];
    const answering =
      (state: string) =>
      async (...words: readonly string[]) => {
        calls.push(words.join(" "));
        return Promise.resolve(words[0] === "--get-state" ? `${state}\n` : "");
      };
    const pid = process.hostPid;
    const locked = await unlockCuda(process.id, { proc, run: answering("locked") });
    expect(locked).toEqual({ unlocked: [pid], stillLocked: [] });
    const running = await unlockCuda(process.id, { proc, run: answering("running") });
    expect(running).toEqual({ unlocked: [], stillLocked: [] });
    expect(calls).toEqual([`--get-state --pid ${pid}`, `--action unlock --pid ${pid}`, `--get-state --pid ${pid}`]);
    const failing = () => Promise.reject(new Error("no such program"));
    expect(await unlockCuda(process.id, { proc, run: failing })).toEqual({ unlocked: [], stillLocked: [pid] });
  });

  it("is what it was once it is restored, and stands still when it has no GPU", async () => {
    const gpuMemory = async () => parseGpuMemory(`${process.hostPid}, 582\n`);
    const live = await readLiveContainer(process.id, { proc, gpuMemory });
    expect(gpuUseOf(live.processes)).toEqual({
      managedBytes: 0,
      usesMps: false,
      usesMig: false,
      deviceBytes: 582 * 2 ** 20,
    });
    expect(summarizeContainer(live).processes[0]?.openKinds).toContain("/dev/nvidia0");
    const images = openImages(archive.images);
    expect(await verifyRestore(images, { processes: live.processes, listening: [] })).toEqual([]);
    // As it was found where cuda-checkpoint was missing.
    for (const [fd, target] of Object.entries(process.links))
      if (target.startsWith("/dev/nvidia")) await rm(join(proc, String(process.hostPid), "fd", fd));
    const { processes } = await readLiveContainer(process.id, { proc });
    expect(await verifyRestore(images, { processes, listening: [] })).toMatchObject([{ subject: "gpu" }]);
  });
});

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { missingCudaTools, readNvidiaNode } from "./nvidia.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleetwright-nvidia-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const gpu = (model: string): string => `Model: \t\t ${model}\nIRQ:   \t\t 0\nGPU UUID: \t GPU-91b975bb\n`;

describe("a node's NVIDIA driver", () => {
  it.each([
    // As seen with an H200.
    ["NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (nixbld@)  \n", "580.159.04"],
    ["NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54  Tue Feb 20 21:47:42 UTC 2024\n", "550.54"],
  ])("is read from %j", async (text, expected) => {
    await mkdir(join(folder, "driver/nvidia"), { recursive: true });
    await writeFile(join(folder, "driver/nvidia/version"), text);
    expect(await readNvidiaNode(folder)).toEqual({ nvidiaDriver: expected, gpuModels: [] });
    for (const [place, model] of [
      ["0000:00:06.0", "NVIDIA H200"],
      ["0000:00:07.0", "NVIDIA A30"],
    ] as const) {
      await mkdir(join(folder, "driver/nvidia/gpus", place), { recursive: true });
      await writeFile(join(folder, "driver/nvidia/gpus", place, "information"), gpu(model));
    }
    expect(await readNvidiaNode(folder)).toMatchObject({ gpuModels: ["NVIDIA H200", "NVIDIA A30"] });
  });

  it("is absent where there is none", async () => {
    expect(await readNvidiaNode(folder)).toEqual({});
  });
});

it("names what CRIU would not find for GPUs", async () => {
  const path = `/nowhere:${folder}`;
  expect(await missingCudaTools(folder, path)).toEqual(["cuda_plugin.so", "cuda-checkpoint"]);
  await writeFile(join(folder, "cuda-checkpoint"), "");
  expect(await missingCudaTools(folder, path)).toEqual(["cuda_plugin.so"]);
  await writeFile(join(folder, "cuda_plugin.so"), "");
  expect(await missingCudaTools(folder, path)).toEqual([]);
});

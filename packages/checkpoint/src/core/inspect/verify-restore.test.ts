import { describe, expect, it } from "vitest";
import { fakeImages } from "./fake-images.ts";
import { verifyRestore } from "./verify-restore.ts";
import type { RestoredProcess } from "./verify-restore.ts";

const saved = [
  { pid: 1, ppid: 0, comm: "sh", stack: "0x7000" },
  { pid: 7, ppid: 1, comm: "worker", stack: "0x8000" },
];
const live = (pid: number, command: string, stackStart: string): RestoredProcess => ({
  pid,
  command,
  stackStart,
  argumentsStart: "0x2000",
  openFiles: [],
});
const verify = (...processes: readonly RestoredProcess[]) =>
  verifyRestore(fakeImages(saved), { processes, listening: [] });

describe("the verifier", () => {
  it("finds nothing in what was restored", async () => {
    expect(await verify(live(1, "sh", "0x7000"), live(7, "worker", "0x8000"))).toEqual([]);
  });
  it("says no to a CUDA program without its GPU", async () => {
    const cuda = fakeImages(saved, ["cuda_plugin"]);
    const processes = [live(1, "sh", "0x7000"), live(7, "worker", "0x8000")];
    const withGpu = processes.map((process) => (process.pid === 7 ? { ...process, gpu: {} } : process));
    expect(await verifyRestore(cuda, { processes: withGpu, listening: [] })).toEqual([]);
    expect(await verifyRestore(cuda, { processes, listening: [] })).toEqual([
      { subject: "gpu", message: expect.stringContaining("they stand still") as string },
    ]);
  });
  it("does not mind a shell's child that was replaced by another of its kind", async () => {
    expect(await verify(live(1, "sh", "0x7000"), live(9, "worker", "0x9000"))).toEqual([]);
  });
  it.each([
    ["a start from anew", [live(1, "sh", "0x7100"), live(7, "worker", "0x8000")], "memory", "it began anew"],
    ["another program", [live(1, "httpd", "0x7000"), live(7, "worker", "0x8000")], "processes", 'is "httpd"'],
    ["a program that is gone", [live(1, "sh", "0x7000")], "processes", '"worker" in the checkpoint, is not there'],
    ["nothing at all", [], "processes", "is not there"],
  ] as const)("says no to %s", async (_, processes, subject, message) => {
    expect(await verify(...processes)).toContainEqual({ subject, message: expect.stringContaining(message) as string });
  });
});

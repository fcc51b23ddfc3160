import { describe, expect, it } from "vitest";
import { encodeImage } from "../criu/image.ts";
import type { JsonObject } from "../criu/message-json.ts";
import { openImages } from "./image-set.ts";
import type { Images } from "./image-set.ts";
import { verifyRestore } from "./verify-restore.ts";
import type { RestoredProcess } from "./verify-restore.ts";

const encode = (magic: string, entry: JsonObject): Uint8Array =>
  encodeImage({ magic, entries: [entry] } as Parameters<typeof encodeImage>[0]);
function images(
  processes: readonly { readonly pid: number; readonly ppid: number; readonly comm: string; readonly stack: string }[],
  plugins: readonly string[] = [],
): Images {
  const files = new Map<string, Uint8Array>([
    [
      "pstree.img",
      encodeImage({
        magic: "PSTREE",
        entries: processes.map(({ pid, ppid }) => ({ pid, ppid, pgid: pid, sid: pid, threads: [pid] })),
      } as Parameters<typeof encodeImage>[0]),
    ],
  ]);
  if (plugins.length > 0) {
    const inventory = { img_version: 2, plugins_entry: { plugins }, root_cg_set: 1 } as unknown;
    files.set("inventory.img", encode("INVENTORY", inventory as JsonObject));
  }
  for (const { pid, comm, stack } of processes) {
    const core = {
      mtype: "X86_64",
      tc: { task_state: 1, exit_code: 0, personality: 0, flags: 0, blk_sigset: "0x0", comm },
    };
    files.set(`core-${pid}.img`, encode("CORE", core as JsonObject));
    const zeros = Object.fromEntries(
      ["start_code", "end_code", "start_data", "end_data", "start_brk", "brk", "arg_end", "env_start", "env_end"].map(
        (name) => [`mm_${name}`, "0x0"],
      ),
    );
    files.set(
      `mm-${pid}.img`,
      encode("MM", { ...zeros, mm_start_stack: stack, mm_arg_start: "0x2000", exe_file_id: 1 } as JsonObject),
    );
  }
  return openImages({
    list: () => [...files.keys()],
    read: (name) => Promise.resolve(files.get(name) ?? new Uint8Array()),
    async *open(name) {
      yield files.get(name) ?? new Uint8Array();
      await Promise.resolve();
    },
    readAt: (name, offset, length) =>
      Promise.resolve((files.get(name) ?? new Uint8Array()).subarray(offset, offset + length)),
  });
}
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
const verify = (...processes: readonly RestoredProcess[]) => verifyRestore(images(saved), { processes, listening: [] });

describe("the verifier", () => {
  it("finds nothing in what was restored", async () => {
    expect(await verify(live(1, "sh", "0x7000"), live(7, "worker", "0x8000"))).toEqual([]);
  });
  it("says no to a CUDA program without its GPU", async () => {
    const cuda = images(saved, ["cuda_plugin"]);
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

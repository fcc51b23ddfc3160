import { encodeImage } from "../criu/image.ts";
import type { JsonObject } from "../criu/message-json.ts";
import { openImages } from "./image-set.ts";
import type { Images } from "./image-set.ts";

const encode = (magic: string, entry: JsonObject): Uint8Array =>
  encodeImage({ magic, entries: [entry] } as Parameters<typeof encodeImage>[0]);

interface FakeProcess {
  readonly pid: number;
  readonly ppid: number;
  readonly comm: string;
  /** Where its stack begins. */
  readonly stack: string;
}

/** For tests: CRIU's images of processes, as far as verifying reads them. */
export function fakeImages(processes: readonly FakeProcess[], plugins: readonly string[] = []): Images {
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

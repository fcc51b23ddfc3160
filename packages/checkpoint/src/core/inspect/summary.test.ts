import { describe, expect, it } from "vitest";
import { encodeImage } from "../criu/image.ts";
import { openImages } from "./image-set.ts";
import { readArchitecture } from "./summary.ts";
import { madeCheckpoint } from "./testdata/made-checkpoint.ts";

describe("the architecture of a checkpoint", () => {
  const process = { pid: 1, parent: 0, command: "app" };
  const task = { task_state: 1, exit_code: 0, personality: 0, flags: 0, blk_sigset: "0", comm: "app" };
  const core = (mtype: string) => ({
    "checkpoint/core-1.img": encodeImage({ magic: "CORE", entries: [{ mtype, tc: task }] }),
  });

  it.each([
    ["amd64", { processes: [process] }],
    ["arm64", { processes: [process], more: core("AARCH64") }],
    [undefined, { processes: [process], more: core("UNKNOWN") }],
    [undefined, { processes: [process], more: { "checkpoint/core-1.img": "broken" } }],
    [undefined, {}],
  ])("is %s where its processes say so", async (expected, of) => {
    expect(await readArchitecture(openImages((await madeCheckpoint(of)).images))).toBe(expected);
  });
});

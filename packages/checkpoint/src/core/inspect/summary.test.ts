import { describe, expect, it } from "vitest";
import { encodeImage } from "../criu/image.ts";
import { openImages } from "./image-set.ts";
import { readArchitecture, readSecurity } from "./summary.ts";
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

describe("the security module of a checkpoint", () => {
  const archive = async (lsmtype: string, profile?: string) => {
    const creds = Object.fromEntries(
      ["uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid", "secbits"].map((id) => [id, 0]),
    );
    const capabilities = { cap_inh: [0], cap_prm: [0], cap_eff: [0], cap_bnd: [0], groups: [] };
    const core = {
      mtype: "X86_64",
      thread_core: {
        futex_rla: "0",
        futex_rla_len: 0,
        creds: { ...creds, ...capabilities, ...(profile === undefined ? {} : { lsm_profile: profile }) },
      },
    };
    const checkpoint = await madeCheckpoint({
      processes: [{ pid: 1, parent: 0, command: "app" }],
      more: {
        "checkpoint/inventory.img": encodeImage({ magic: "INVENTORY", entries: [{ img_version: 2, lsmtype }] }),
        "checkpoint/core-1.img": encodeImage({ magic: "CORE", entries: [core] }),
      },
    });
    return readSecurity(openImages(checkpoint.images));
  };

  it("is what a process ran under, and nothing where none ran under a profile", async () => {
    expect(await archive("APPARMOR", "web (enforce)")).toEqual({ module: "apparmor", profiles: ["web (enforce)"] });
    expect(await archive("SELINUX", "system_u:system_r:container_t:s0")).toMatchObject({ module: "selinux" });
    expect(await archive("APPARMOR")).toBeUndefined();
    expect(await archive("NO_LSM", "left over")).toBeUndefined();
  });
});

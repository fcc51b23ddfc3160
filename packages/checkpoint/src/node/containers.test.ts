import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { gpuUseOf } from "../core/verdict/gpu.ts";
import { readLiveContainer, summarizeContainer } from "./containers.ts";
import { parseGpuMemory } from "./nvidia.ts";

const id = "ab".repeat(32);
let proc = "";
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), "fleetwright-proc-"));
});
afterEach(() => rm(proc, { recursive: true, force: true }));

async function add(
  pid: number,
  of: {
    readonly cgroup: string;
    readonly comm?: string;
    readonly cmdline?: string;
    readonly state?: string;
    readonly links?: Readonly<Record<string, string>>;
    readonly maps?: string;
    readonly environ?: string;
  },
): Promise<void> {
  const folder = join(proc, String(pid));
  await mkdir(join(folder, "fd"), { recursive: true });
  await mkdir(join(folder, "net"));
  const { cgroup, comm = "app", cmdline = "app\0", state = "S", links = {}, maps = "", environ = "" } = of;
  const numbers = Array.from({ length: 48 }, (_, index) => String(index + 4));
  const files = {
    cgroup: `0::${cgroup}\n`,
    comm: `${comm}\n`,
    cmdline,
    maps,
    environ,
    stat: `${pid} (${comm}) ${state} 1 ${numbers.slice(1).join(" ")}\n`,
    status: `Name:\t${comm}\nNSpid:\t${pid}\t${pid - 100}\nVmRSS:\t  2048 kB\n`,
    "net/tcp":
      "  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A\n   1: 0100007F:1F90 0200007F:0050 01\n",
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  for (const [fd, target] of Object.entries(links)) await symlink(target, join(folder, "fd", fd));
}

describe("what runs of a container", () => {
  it("is found by its control group, whatever the processes call themselves", async () => {
    await add(101, {
      cgroup: `/kubepods/pod1/cri-containerd-${id}.scope`,
      comm: "a) S (b",
      links: { 0: "/secret/file", 3: "anon_inode:[io_uring]", 4: "/dev/fuse" },
    });
    await add(102, { cgroup: `/kubepods/pod1/${id}`, state: "Z" });
    await add(103, { cgroup: "/kubepods/pod2/other" });
    const container = await readLiveContainer(id, { proc });
    expect(container).toMatchObject({
      residentBytes: 2 ** 21,
      checkpointing: false,
      processes: [
        { hostPid: 101, pid: 1, parentHostPid: 1, command: "a) S (b", stackStart: "0x1c", argumentsStart: "0x30" },
      ],
    });
    expect(container.tcp.map(({ state }) => state)).toEqual(["listen", "established"]);
    expect(summarizeContainer(container).processes).toMatchObject([
      { openKinds: ["anon_inode:[io_uring]", "/dev/fuse"] },
    ]);
    expect(JSON.stringify(summarizeContainer(container))).not.toContain("/secret/file");
  });

  it("tells how it uses GPUs", async () => {
    const cgroup = `/kubepods/pod1/cri-containerd-${id}.scope`;
    // As a program of CUDA 13 was seen with driver 580, and with 256 MiB of cudaMallocManaged.
    const plain = [
      "204a00000-204c00000 rw-s 204a00000 00:06 144                             /dev/nvidia-uvm",
      "7fd54c000000-7fd54c400000 rw-s 00000000 00:06 143                        /dev/nvidiactl",
      "",
    ].join("\n");
    const managed = `${plain}7fd55e000000-7fd56e000000 rw-s 7fd55e000000 00:06 144                    /dev/nvidia-uvm\n`;
    const links = { 3: "/dev/nvidia0", 4: "/dev/nvidiactl", 5: "/dev/nvidia-caps/nvidia-cap2" };
    await add(101, { cgroup });
    await add(102, { cgroup, links, maps: plain, environ: "SECRET=1\0PATH=/bin\0" });
    await add(103, {
      cgroup,
      links: { ...links, 6: "/dev/nvidia-caps/nvidia-cap12" },
      maps: managed,
      environ: "CUDA_MPS_PIPE_DIRECTORY=/mps\0",
    });
    const gpuMemory = async () => parseGpuMemory("102, 1542\n103, 518\n103, 2\n104, [N/A]\n999, 7\n");
    const live = await readLiveContainer(id, { proc, gpuMemory });
    expect(live.processes.map(({ gpu }) => gpu)).toEqual([
      undefined,
      { managedBytes: 0, usesMps: false, usesMig: false, deviceBytes: 1542 * 2 ** 20 },
      { managedBytes: 2 ** 28, usesMps: true, usesMig: true, deviceBytes: 520 * 2 ** 20 },
    ]);
    expect(gpuUseOf(live.processes)).toEqual({
      managedBytes: 2 ** 28,
      usesMps: true,
      usesMig: true,
      deviceBytes: 2062 * 2 ** 20,
    });
    expect(JSON.stringify(summarizeContainer(live))).not.toMatch(/SECRET/);
  });

  it("says that its runtime dumps it", async () => {
    await add(200, {
      cgroup: "/system/containerd",
      comm: "runc",
      cmdline: ["runc", "--root", "/run", "checkpoint", "--leave-running", id, ""].join("\0"),
    });
    expect(await readLiveContainer(id, { proc })).toMatchObject({ checkpointing: true, processes: [] });
    expect(await readLiveContainer("cd".repeat(32), { proc })).toMatchObject({ checkpointing: false });
  });
});

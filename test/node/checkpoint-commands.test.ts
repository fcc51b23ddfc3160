import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  checkpoints,
  decodeImage,
  encodeImage,
  openArchiveFile,
  openImages,
  readOpenFiles,
  readProcesses,
} from "@fleetwright/checkpoint";
import { Jobs, Pods } from "@fleetwright/kube";
import { eventually } from "../e2e/eventually.ts";
import { startCheckpointCluster } from "./checkpoint-cluster.ts";
import type { CheckpointCluster } from "./checkpoint-cluster.ts";
import { canonical, critDecode, isRaw } from "./crit.ts";

let lab: CheckpointCluster;
beforeAll(async () => {
  lab = await startCheckpointCluster(2);
  await lab.runPod("shell", "localhost/busybox:1", "node-2", ["/bin/sleep", "100000"]);
});
afterAll(() => lab?.stop());
const namespace = "default";

const succeed = async (...args: readonly string[]): Promise<string> => {
  const { code, stdout, stderr } = await lab.fleetwright("checkpoint", ...args);
  expect({ args, code, stderr: code === 0 ? "" : stderr + stdout }).toEqual({ args, code: 0, stderr: "" });
  return stdout;
};
const logOf = async (pod: string): Promise<readonly number[]> =>
  (await lab.kubectl("exec", pod, "--", "cat", "/tmp/count")).trim().split("\n").map(Number);
const upTo = (length: number): readonly number[] => Array.from({ length }, (_, index) => index + 1);
/** A shell that counts into a file, and says so. */
const counting = [
  "/bin/sh",
  "-c",
  "mkdir -p /tmp; i=0; while true; do i=$((i+1)); echo $i >> /tmp/count; echo $i; sleep 1; done",
];

describe("the commands", () => {
  it("create, list, pin and prune", async () => {
    await lab.runPod("counter", "localhost/busybox:1", "node-1", counting);
    await succeed("create", "counter", "--name", "one");
    await succeed("create", "counter", "--name", "two");
    await succeed("create", "counter", "--name", "three");
    expect(await succeed("list", "--pod", "counter")).toMatch(
      /^NAME +POD +NODE +PHASE[^\n]*\nthree +counter +node-1 +Completed/,
    );
    await succeed("pin", "one", "--owner", "audit");
    expect(await succeed("prune", "--keep-last", "1", "--dry-run")).toMatch(/two +would be deleted +no rule keeps it/);
    expect(await succeed("prune", "--keep-last", "1")).toMatch(/one +kept +pinned by audit/);
    await eventually(
      "the pruned one is gone",
      () => lab.client.list(checkpoints, { namespace }),
      ({ items }) => items.length === 2,
    );
    const failed = await lab.fleetwright("checkpoint", "create", "nobody");
    expect(failed.code).toBe(1);
    expect(failed.stdout).toContain("error PodGone");
  });

  it("move a shell: its file and its counting go on, on the other node, under its name; the source has stopped first", async () => {
    const before = (await logOf("counter")).length;
    await succeed("move", "counter", "--node", "node-2");
    const pod = await lab.client.get(Pods, { namespace, name: "counter" });
    expect(pod.spec?.nodeName).toBe("node-2");
    const lines = await eventually(
      "it counts on",
      () => logOf("counter"),
      (list) => list.length > before,
    );
    expect(lines).toEqual(upTo(lines.length));
  });

  it("rehearse leaves nothing", async () => {
    await succeed("rehearse", "pod/counter");
    const pods = await eventually(
      "the scratch pod is gone",
      () => lab.kubectl("get", "pods", "-o", "name"),
      (text) => !text.includes("rehearsal"),
    );
    expect(pods).toContain("pod/counter");
  });

  it("pause and resume a Job: its pod goes, its work comes back in the next one", async () => {
    const template = {
      spec: {
        restartPolicy: "Never",
        terminationGracePeriodSeconds: 1,
        containers: [
          { name: "main", image: "localhost/busybox:1", imagePullPolicy: "IfNotPresent", command: counting },
        ],
      },
    };
    await lab.apply({ apiVersion: "batch/v1", kind: "Job", metadata: { name: "long" }, spec: { template } });
    const podOf = async (): Promise<string> =>
      (
        await lab.kubectl(
          "get",
          "pods",
          "-l",
          "job-name=long",
          "--field-selector=status.phase=Running",
          "-o",
          "jsonpath={.items[*].metadata.name}",
        )
      ).trim();
    const first = await eventually("the Job's pod runs", podOf);
    const saved = (
      await eventually(
        "it counts",
        () => logOf(first).catch(() => []),
        (list) => list.length >= 2,
      )
    ).length;
    await succeed("pause", "job/long");
    await eventually("its pod is gone", podOf, (name) => name === "");
    expect((await lab.client.get(Jobs, { namespace, name: "long" })).spec?.suspend).toBe(true);
    await succeed("resume", "job/long", "--accept-risks");
    const second = await podOf();
    expect(second).not.toBe(first);
    const lines = await logOf(second);
    expect(lines).toEqual(upTo(lines.length));
    expect(lines.length).toBeGreaterThanOrEqual(saved);
  });
});

describe("real archives", () => {
  it("are read as checkpointctl and crit read them, and every image is the same bytes after JSON", async () => {
    await lab.runPod("server", "localhost/counter-server:1", "node-1");
    await succeed("create", "server", "--name", "archive");
    const paths: string[] = [];
    for (const { checkpointDirectory } of lab.cluster.nodes)
      for (const name of await readdir(checkpointDirectory).catch(() => []))
        if (name.endsWith(".tar")) paths.push(join(checkpointDirectory, name));
    expect(paths.length).toBeGreaterThanOrEqual(3);
    let images = 0;
    for (const path of paths) {
      const { stdout } = await promisify(execFile)(lab.cluster.programs.programs.checkpointctl, [
        "inspect",
        path,
        "--format=json",
        "--ps-tree",
        "--files",
        "--stats",
      ]);
      const [theirs] = JSON.parse(stdout) as readonly [
        {
          readonly checkpoint_size: { readonly memory_pages_size?: number; readonly memory_pages?: number };
          readonly process_tree: TheirProcess;
          readonly file_descriptors: readonly { readonly pid: number; readonly open_files?: readonly unknown[] }[];
        },
      ];
      await using archive = await openArchiveFile(path);
      const set = openImages(archive.images);
      const ours = (await readProcesses(set, { commandLines: false })).map(({ pid, command }) => ({ pid, command }));
      expect(ours.toSorted(byPid)).toEqual(flat(theirs.process_tree).toSorted(byPid));
      for (const { pid, open_files: open = [] } of theirs.file_descriptors)
        expect((await readOpenFiles(set, pid)).filter(({ fd }) => typeof fd === "number").length).toBe(
          open.filter((file) => /\s\d+$|^\d+$/.test(String((file as { fd: unknown }).fd))).length,
        );
      const read = [];
      for (const name of archive.images.list().filter((each) => !isRaw(each)))
        read.push({ name, bytes: await archive.images.read(name, 64 * 2 ** 20) });
      for (const { name, bytes } of read) {
        const json = JSON.stringify(decodeImage(bytes, { name }));
        const again = Buffer.from(encodeImage(JSON.parse(json) as Parameters<typeof encodeImage>[0]));
        expect({ name, isEqual: again.equals(bytes) }).toEqual({ name, isEqual: true });
      }
      // CRIU's own tool takes a second for ten images.
      const judged = images < 60 ? read : [];
      expect(judged.map((image) => canonical(decodeImage(image.bytes, image)))).toEqual(await critDecode(judged));
      images += read.length;
    }
    expect(images).toBeGreaterThan(50);
    const [path = ""] = paths;
    await using archive = await openArchiveFile(path);
    const inventory = decodeImage(await archive.images.read("inventory.img", 2 ** 20), { name: "inventory.img" });
    const changed = JSON.parse(
      JSON.stringify(inventory).replace(/"img_version":\d+/, '"img_version":7'),
    ) as typeof inventory;
    expect(JSON.stringify(decodeImage(encodeImage(changed), { name: "inventory.img" }))).toContain('"img_version":7');
  });
});

interface TheirProcess {
  readonly pid: number;
  readonly command: string;
  readonly children?: readonly TheirProcess[];
}
const flat = ({
  pid,
  command,
  children = [],
}: TheirProcess): readonly { readonly pid: number; readonly command: string }[] => [
  { pid, command },
  ...children.flatMap(flat),
];
const byPid = (a: { readonly pid: number }, b: { readonly pid: number }): number => a.pid - b.pid;

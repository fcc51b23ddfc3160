import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeImage, encodeImage, openArchiveFile, openImages, readProcesses } from "@fleetwright/checkpoint";
import { nodeDirectory } from "@fleetwright/lab";
import { canonical, critDecode, isRaw } from "./crit.ts";

const podman = join(nodeDirectory(), "podman");
let work = "";

describe("podman's archives", () => {
  beforeAll(async () => {
    work = await mkdtemp(join(tmpdir(), "fleetwright-podman-"));
    await copyFile(join(nodeDirectory(), "debian", "bin", "busybox"), join(work, "busybox"));
    const script = join(import.meta.dirname, "podman-archives.sh");
    await promisify(execFile)("unshare", [
      "--mount",
      "--net",
      "--pid",
      "--fork",
      "--propagation",
      "private",
      "bash",
      script,
      podman,
      work,
    ]);
  });
  afterAll(() => rm(work, { recursive: true, force: true }));

  it.each(["none.tar", "gzip.tar.gz", "zstd.tar.zst"])(
    "%s is read, and every image is the same bytes after JSON",
    async (name) => {
      await using archive = await openArchiveFile(join(work, name));
      expect(archive.metadata).toMatchObject({
        engine: "podman",
        container: "counter",
        runtime: "crun",
        image: "localhost/busybox:1",
      });
      const processes = await readProcesses(openImages(archive.images));
      expect(processes.map(({ command, state }) => ({ command, state }))).toEqual([
        { command: "sh", state: "alive" },
        { command: "sleep", state: "alive" },
      ]);
      const images = [];
      for (const image of archive.images.list().filter((each) => !isRaw(each)))
        images.push({ name: image, bytes: await archive.images.read(image, 64 * 2 ** 20) });
      expect(images.length).toBeGreaterThan(15);
      for (const { name: image, bytes } of images) {
        const again = encodeImage(
          JSON.parse(JSON.stringify(decodeImage(bytes, { name: image }))) as Parameters<typeof encodeImage>[0],
        );
        expect({ image, isEqual: Buffer.from(again).equals(bytes) }).toEqual({ image, isEqual: true });
      }
      // The images of all three are of one kind: one of them is enough for a tool that takes a second for ten.
      const judged = name === "none.tar" ? images : [];
      expect(judged.map((image) => canonical(decodeImage(image.bytes, image)))).toEqual(await critDecode(judged));
    },
  );
});

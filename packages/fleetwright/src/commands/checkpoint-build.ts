import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { describeArchive, imageLayout, imageOf, layoutTar, type LayoutFile } from "@fleetwright/checkpoint";
import { FleetwrightError } from "@fleetwright/kube";
import { defineCommand, outputOption } from "../command.ts";
import { formatOutput } from "../output.ts";
import { archiveArgument, exists, makeWhole, thisMachine, withFile } from "./checkpoint-file.ts";

/** The archive's bytes once more, which must be those that were described. */
async function* sameBytes(path: string, digest: string): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    yield chunk;
  }
  if (`sha256:${hash.digest("hex")}` !== digest)
    throw new FleetwrightError(
      "FW_CHECKPOINT_DIGEST",
      `${path}: changed while it was read; try again once it is whole`,
    );
}

const writeTo = (path: string, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> =>
  pipeline(bytes, createWriteStream(path, { mode: 0o600 }), { signal });

async function writeFolder(folder: string, files: readonly LayoutFile[], signal: AbortSignal): Promise<string> {
  for (const { name, open } of files) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeTo(path, open(), signal);
  }
  return folder;
}

/** `fleetwright checkpoint build FILE PLACE` */
export const checkpointBuildCommand = defineCommand({
  name: "checkpoint build",
  summary: "Make of an archive the image that containerd, CRI-O and podman restore, as an OCI layout",
  details: "The same archive gives the same bytes. Nothing of it is run.",
  arguments: [
    archiveArgument,
    {
      name: "<place>",
      description: "where the layout goes, which must not exist: a folder, or a file that ends in .tar",
    },
  ],
  options: { output: outputOption },
  async run(context, { output }, [file = "", place = ""]) {
    const image = imageOf(await withFile(file, () => describeArchive(file, { host: thisMachine() })));
    const files = imageLayout(image, () => sameBytes(file, image.layer.digest));
    if (await exists(place))
      throw new FleetwrightError("FW_CHECKPOINT_FILE", `${place}: is there already; name another place`);
    await makeWhole(place, async (folder) => {
      if (!place.endsWith(".tar")) return writeFolder(join(folder, "image"), files, context.signal);
      const tar = join(folder, "image.tar");
      await writeTo(tar, layoutTar(files), context.signal);
      return tar;
    });
    const { digest } = image.manifest;
    context.stdout(formatOutput(output, { place, digest }, () => `${place}: ${digest}\n`));
  },
});

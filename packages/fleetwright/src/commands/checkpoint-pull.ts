import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseReference, readPublicKey, remoteArchive, resolveImage, verifyImage } from "@fleetwright/checkpoint";
import { defineCommand, text } from "../command.ts";
import { makeWhole, readText, sizeText } from "./checkpoint-file.ts";
import { readIdentities, referenceArgument, remoteOptions, withRegistry } from "./checkpoint-remote.ts";

/** `fleetwright checkpoint pull REFERENCE FILE` */
export const checkpointPullCommand = defineCommand({
  name: "checkpoint pull",
  summary: "Fetch an archive from a registry, in whichever form it is there",
  arguments: [referenceArgument, { name: "<file>", description: "where the archive goes" }],
  options: {
    ...remoteOptions,
    key: text("--key <file>", "public key, PEM, of whom it must be signed (default: nobody)"),
  },
  async run(context, options, [name = "", file = ""]) {
    const source = parseReference(name);
    const { signal } = context;
    const identities = await readIdentities(options.ageIdentity);
    const key = options.key === "" ? undefined : readPublicKey(await readText(options.key), options.key);
    const { digest, size } = await withRegistry(context, source, options, async (client) => {
      const image = await resolveImage(client, source, { signal });
      if (key) await verifyImage(client, image.reference, key);
      const remote = await remoteArchive(client, image, { identities, signal });
      await makeWhole(file, async (folder) => {
        const archive = join(folder, "archive.tar");
        await pipeline(remote.bytes(), createWriteStream(archive, { mode: 0o600 }), { signal });
        return archive;
      });
      return remote;
    });
    context.stdout(`${file}: ${digest}, ${sizeText(size)}\n`);
  },
});

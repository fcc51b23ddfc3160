import { describeArchive, parseReference, pushCheckpoint, readPrivateKey } from "@fleetwright/checkpoint";
import { defineCommand, outputOption, text } from "../command.ts";
import { formatOutput } from "../output.ts";
import { registryOptions } from "../registry-options.ts";
import { archiveArgument, readText, sizeText, thisMachine, withFile } from "./checkpoint-file.ts";
import { referenceArgument, withRegistry } from "./checkpoint-remote.ts";

/** `fleetwright checkpoint push FILE REFERENCE` */
export const checkpointPushCommand = defineCommand({
  name: "checkpoint push",
  summary: "Push an archive to a registry, in chunks that later ones share, or as an image that engines restore",
  details: "Credentials are those of docker's configuration.",
  arguments: [archiveArgument, referenceArgument],
  options: {
    output: outputOption,
    ...registryOptions,
    form: {
      ...text("--form <form>", "Artifact: in chunks; EngineImage: what engines restore by themselves", "Artifact"),
      choices: ["Artifact", "EngineImage"],
    },
    recipients: text("--recipients <keys>", "age public keys that an artifact is encrypted to, with commas between"),
    signingKey: text(
      "--sign-key <file>",
      "private key, PEM, that it is signed with as cosign does; its password is in COSIGN_PASSWORD",
    ),
  },
  async run(context, options, [file = "", name = ""]) {
    const target = parseReference(name);
    const { form, recipients, signingKey: place, output } = options;
    const password = context.env["COSIGN_PASSWORD"];
    const signingKey = place === "" ? undefined : await readPrivateKey(await readText(place), { place, password });
    const pushed = await withFile(file, async () => {
      const checkpoint = await describeArchive(file, { host: thisMachine() });
      return withRegistry(context, target, options, (client) =>
        pushCheckpoint(
          client,
          target,
          { checkpoint, path: file },
          {
            form: form === "EngineImage" ? "EngineImage" : "Artifact",
            signingKey,
            signal: context.signal,
            ...(recipients !== "" && { recipients: recipients.split(",") }),
          },
        ),
      );
    });
    context.stdout(
      formatOutput(
        output,
        pushed,
        () => `${pushed.reference}: ${sizeText(pushed.sentBytes)} sent, ${sizeText(pushed.keptBytes)} were there\n`,
      ),
    );
  },
});

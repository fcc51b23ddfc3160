import { createWriteStream } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import {
  describeArchive,
  dockerCredentials,
  hostFacts,
  imageOf,
  openRegistry,
  parseReference,
  pushCheckpoint,
  readPrivateKey,
  readPublicKey,
  remoteArchive,
  resolveImage,
  verifyEvidence,
  verifyImage,
  type EvidenceHead,
  type EvidenceRecord,
  type ImageReference,
  type RegistryClient,
} from "@fleetwright/checkpoint";
import { FleetwrightError } from "@fleetwright/kube";
import { defineCommand, outputOption, text } from "../command.ts";
import { formatOutput } from "../output.ts";
import { readRegistryOptions, registryOptions } from "../registry-options.ts";
import { sizeText } from "./checkpoint-file.ts";

async function withRegistry<T>(
  reference: ImageReference,
  options: { readonly plainRegistries: string; readonly registryCa: string },
  work: (client: RegistryClient) => Promise<T>,
): Promise<T> {
  const { plainRegistries, registryAuthority } = await readRegistryOptions(options);
  const client = openRegistry({
    registry: reference.registry,
    credentials: dockerCredentials(),
    ...(plainRegistries.includes(reference.registry) && { plainHttp: true }),
    ...(registryAuthority && { ca: registryAuthority }),
  });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** An image of an archive says for which architecture it is; the archive itself does not. */
const machine = () => ({ architecture: hostFacts().architecture });

const archiveArgument = { name: "<file>", description: "the archive" };
const referenceArgument = { name: "<reference>", description: "registry/repository:tag, or with a digest" };

async function readNamed(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new FleetwrightError("FW_CHECKPOINT_FILE", `${path}: cannot be read (${(error as Error).message})`, {
      cause: error,
    });
  }
}

/** `fleetwright checkpoint build FILE FOLDER` */
export const checkpointBuildCommand = defineCommand({
  name: "checkpoint build",
  summary: "Make of an archive the image that containerd, CRI-O and podman restore, as an OCI layout",
  details: "The same archive gives the same digest. Nothing of it is run.",
  arguments: [archiveArgument, { name: "<folder>", description: "where the layout goes; it must not exist" }],
  options: { output: outputOption },
  async run(context, { output }, [file = "", folder = ""]) {
    const { manifest, config, layer } = imageOf(await describeArchive(file, { host: machine() }));
    const blobs = join(folder, "blobs", "sha256");
    const blob = (digest: string): string => join(blobs, digest.replace("sha256:", ""));
    await mkdir(folder);
    try {
      await mkdir(blobs, { recursive: true });
      await writeFile(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
      for (const { digest, bytes } of [manifest, config]) await writeFile(blob(digest), bytes, { mode: 0o600 });
      await copyFile(file, blob(layer.digest));
      const descriptor = { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length };
      // Engines look for their markers on the index as well.
      const { annotations } = JSON.parse(Buffer.from(manifest.bytes).toString("utf8")) as {
        readonly annotations: object;
      };
      await writeFile(
        join(folder, "index.json"),
        JSON.stringify({
          schemaVersion: 2,
          mediaType: "application/vnd.oci.image.index.v1+json",
          manifests: [descriptor],
          annotations,
        }),
      );
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    context.stdout(formatOutput(output, { folder, digest: manifest.digest }, () => `${folder}: ${manifest.digest}\n`));
  },
});

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
    signingKey: text("--sign-key <file>", "private key, PEM, that it is signed with as cosign does"),
  },
  async run(context, options, [file = "", name = ""]) {
    const target = parseReference(name);
    const { form, recipients, signingKey, output } = options;
    const key =
      signingKey === "" ? undefined : await readPrivateKey(await readNamed(signingKey), { place: signingKey });
    const checkpoint = await describeArchive(file, { host: machine() });
    const pushed = await withRegistry(target, options, (client) =>
      pushCheckpoint(
        client,
        target,
        { checkpoint, path: file },
        {
          form: form === "EngineImage" ? "EngineImage" : "Artifact",
          signingKey: key,
          signal: context.signal,
          ...(recipients !== "" && { recipients: recipients.split(",") }),
        },
      ),
    );
    context.stdout(
      formatOutput(
        output,
        pushed,
        () => `${pushed.reference}: ${sizeText(pushed.sentBytes)} sent, ${sizeText(pushed.keptBytes)} were there\n`,
      ),
    );
  },
});

/** `fleetwright checkpoint pull REFERENCE FILE` */
export const checkpointPullCommand = defineCommand({
  name: "checkpoint pull",
  summary: "Fetch an archive from a registry, in whichever form it is there",
  arguments: [referenceArgument, { name: "<file>", description: "where the archive goes" }],
  options: {
    ...registryOptions,
    ageIdentity: text("--age-identity <file>", "file of age identities that an encrypted artifact is opened with"),
  },
  async run(context, options, [name = "", file = ""]) {
    const source = parseReference(name);
    const { signal } = context;
    const lines = options.ageIdentity === "" ? [] : (await readFile(options.ageIdentity, "utf8")).split("\n");
    const identities = lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
    const { digest, size } = await withRegistry(source, options, async (client) => {
      const remote = await remoteArchive(client, await resolveImage(client, source, { signal }), {
        identities,
        signal,
      });
      const half = `${file}.half`;
      try {
        await pipeline(remote.bytes(), createWriteStream(half, { mode: 0o600 }), { signal });
        await rename(half, file);
      } catch (error) {
        await rm(half, { force: true });
        throw error;
      }
      return remote;
    });
    context.stdout(`${file}: ${digest}, ${sizeText(size)}\n`);
  },
});

/** `fleetwright checkpoint verify FILE|REFERENCE` */
export const checkpointVerifyCommand = defineCommand({
  name: "checkpoint verify",
  summary:
    "Hold an archive against a digest, a checkpoint in a registry against a signature, or a node's chain of evidence against its key",
  arguments: [
    {
      name: "<what>",
      description:
        "an archive with --digest, registry/repository@sha256:… with --key, or a node's evidence.jsonl with --evidence-key",
    },
  ],
  options: {
    ...registryOptions,
    digest: text("--digest <digest>", "sha256:… that the archive's bytes must have, as a Checkpoint's status says"),
    evidenceKey: text("--evidence-key <file>", "public key, PEM, of a node's chain of evidence"),
    head: text("--head <file>", "head of that chain that was kept elsewhere (default: evidence-head.json beside it)"),
    key: text("--key <file>", "public key, PEM, of whom the signature must be"),
  },
  async run(context, options, [what = ""]) {
    const { digest, key, evidenceKey } = options;
    if ([digest, key, evidenceKey].filter((value) => value !== "").length !== 1)
      throw new FleetwrightError(
        "FW_CHECKPOINT_VERIFY",
        "say what to verify: --digest for an archive, --key for a checkpoint in a registry, --evidence-key for a chain of evidence",
      );
    if (evidenceKey !== "") {
      const lines = (await readNamed(what)).split("\n").filter((line) => line !== "");
      const records = lines.map((line, index) => {
        try {
          return JSON.parse(line) as EvidenceRecord;
        } catch (error) {
          throw new FleetwrightError("FW_CHECKPOINT_EVIDENCE", `${what}: line ${index + 1} is no record`, {
            cause: error,
          });
        }
      });
      const head = await readFile(
        options.head === "" ? join(dirname(what), "evidence-head.json") : options.head,
        "utf8",
      ).catch(() => undefined);
      const publicKey = readPublicKey(await readNamed(evidenceKey), evidenceKey);
      const problems = verifyEvidence(
        records,
        head === undefined ? undefined : (JSON.parse(head) as EvidenceHead),
        publicKey,
      );
      for (const { reason, message } of problems) context.stdout(`${reason}: ${message}\n`);
      if (problems.length === 0) context.stdout(`${what}: ${records.length} records, whole\n`);
      return problems.length === 0 ? 0 : 1;
    }
    if (digest !== "") {
      const { layer } = await describeArchive(what, { host: machine() });
      context.stdout(
        layer.digest === digest ? `${what}: is ${digest}\n` : `${what}: is ${layer.digest}, not ${digest}\n`,
      );
      return layer.digest === digest ? 0 : 1;
    }
    const reference = parseReference(what);
    const publicKey = readPublicKey(await readNamed(key), key);
    return withRegistry(reference, options, async (client) => {
      const { reference: resolved } = await resolveImage(client, reference, { signal: context.signal });
      const signatures = await verifyImage(client, resolved, publicKey);
      for (const { signedName } of signatures) context.stdout(`${what}: signed as ${signedName}\n`);
      if (signatures.length > 0) return 0;
      context.stdout(`${what}: not signed by the owner of ${key}\n`);
      return 1;
    });
  },
});

import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import {
  isStoredArtifact,
  lintCheckpoint,
  lintImageAlone,
  lintUnreadable,
  openArchiveFile,
  parseReference,
  remoteArchive,
  resolveImage,
  type LintedImage,
  type LintExpectations,
  type LintFinding,
  type RegistryClient,
  type ResolvedImage,
} from "@fleetwright/checkpoint";
import { FleetwrightError } from "@fleetwright/kube";
import { defineCommand, outputOption, text, type CommandContext } from "../command.ts";
import { formatOutput } from "../output.ts";
import { exists, withFile } from "./checkpoint-file.ts";
import { readIdentities, remoteOptions, withRegistry } from "./checkpoint-remote.ts";

/** `fleetwright checkpoint lint FILE|REFERENCE` */
export const checkpointLintCommand = defineCommand({
  name: "checkpoint lint",
  summary:
    "Look at a checkpoint that somebody else made, before it is restored: attacks on engines, rights on the host, what it says of itself",
  details:
    "Exits with 1 when there are errors. docs/checkpoint-lint.md lists the codes. That nothing is found does not make it safe.",
  arguments: [{ name: "<what>", description: "an archive, or registry/repository:tag" }],
  options: {
    output: outputOption,
    namespace: text("--namespace <name>", "where it is to be restored"),
    pod: text("--pod <name>", "pod that it must be of"),
    container: text("--container <name>", "container that it must be of"),
    image: text("--image <reference>", "image that the container must be of"),
    mounts: text("--mounts <paths>", "mounts of the new pod's container, with commas between"),
    engine: {
      ...text("--engine <engine>", "engine that is to restore it, whose marker the image must have"),
      choices: ["containerd", "cri-o", "podman"],
    },
    ...remoteOptions,
  },
  async run(context, options, [what = ""]) {
    const { output, mounts, engine, namespace, pod, container, image } = options;
    const named = Object.fromEntries(
      Object.entries({ namespace, pod, container, image, engine }).filter(([, value]) => value !== ""),
    );
    const expected: LintExpectations = { ...named, ...(mounts !== "" && { mounts: mounts.split(",") }) };
    const findings = (await exists(what))
      ? await withFile(what, () => lintFile(what, expected))
      : await lintRemote(context, what, options, expected);
    const lines = findings.map(
      ({ severity, code, place, message, action }) => `${severity} ${code}: ${place}: ${message}\n    → ${action}\n`,
    );
    context.stdout(formatOutput(output, findings, () => lines.join("") || "nothing found\n"));
    return findings.some(({ severity }) => severity === "error") ? 1 : 0;
  },
});

async function lintFile(
  path: string,
  expected: LintExpectations,
  image?: LintedImage,
): Promise<readonly LintFinding[]> {
  try {
    await using archive = await openArchiveFile(path);
    return await lintCheckpoint(archive, { expected, ...(image && { image }) });
  } catch (error) {
    return lintUnreadable(error);
  }
}

/** Fetches what a registry holds, whoever made it, and looks at the image and the archive in it. */
async function lintRemote(
  context: CommandContext,
  what: string,
  options: { readonly plainRegistries: string; readonly registryCa: string; readonly ageIdentity: string },
  expected: LintExpectations,
): Promise<readonly LintFinding[]> {
  // A file's name that was mistyped is no reference to complain about.
  if (!/^[^/]*[.:][^/]*\/|^localhost\//.test(what) || /^\.{0,2}\//.test(what))
    throw new FleetwrightError(
      "FW_CHECKPOINT_FILE",
      `${what}: there is no such file; name an archive, or a checkpoint in a registry as registry.example.com/team/web:1`,
    );
  const source = parseReference(what);
  const { signal } = context;
  const identities = await readIdentities(options.ageIdentity);
  return withRegistry(context, source, options, async (client) => {
    const image = await resolveImage(client, source, { signal });
    const { annotations, layers } = image.manifest;
    if (isStoredArtifact(image.manifest)) {
      const { bytes } = await remoteArchive(client, image, { identities, signal });
      return lintBytes(bytes(), signal, expected, { annotations, layers: layers.length, form: "Artifact" });
    }
    const linted = { annotations, layers: layers.length, labels: await labelsOf(client, image, signal) };
    const [layer] = layers;
    if (layer === undefined || layers.length > 1) return lintImageAlone(linted, expected);
    return lintBytes(client.getBlob(source.repository, layer, signal), signal, expected, linted);
  });
}

/** Looks at an archive that is not to be kept. */
async function lintBytes(
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  expected: LintExpectations,
  image: LintedImage,
): Promise<readonly LintFinding[]> {
  const folder = await mkdtemp(join(tmpdir(), "fleetwright-lint-"));
  try {
    const path = join(folder, "archive.tar");
    await pipeline(bytes, createWriteStream(path, { mode: 0o600 }), { signal });
    return await lintFile(path, expected, image);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** An image's configuration has some kilobytes. */
const maxConfigBytes = 4 * 1024 * 1024;

async function labelsOf(
  client: RegistryClient,
  { reference, manifest }: ResolvedImage,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const { config } = manifest;
  if (config.size > maxConfigBytes)
    throw new FleetwrightError(
      "FW_CHECKPOINT_LIMIT",
      `${config.digest}: a configuration of ${config.size} bytes, the limit is ${maxConfigBytes}: do not trust this image`,
    );
  const parts: Uint8Array[] = [];
  for await (const part of client.getBlob(reference.repository, config, signal)) parts.push(part);
  try {
    const value = JSON.parse(Buffer.concat(parts).toString("utf8")) as {
      readonly config?: { readonly Labels?: Readonly<Record<string, string>> | null } | null;
    } | null;
    return value?.config?.Labels ?? {};
  } catch {
    // No engine would read it either.
    return {};
  }
}

import { createHash } from "node:crypto";
import { checkpointError } from "../../errors.ts";
import type { CheckpointMetadata } from "../archive/metadata.ts";
import { checkpointAnnotations } from "../image/annotations.ts";
import type { HostFacts } from "../image/annotations.ts";
import { mediaTypes } from "../image/engine-image.ts";
import type { ImageDocument } from "../image/engine-image.ts";
import { parseTable } from "./chunk-table.ts";
import type { ArchiveTable } from "./chunk-table.ts";
import { cutArchive } from "./cut-archive.ts";
import type { CutOptions, StoredChunk } from "./cut-archive.ts";
import { newDataKey, sealer, unwrapDataKey, wrapDataKey } from "./data-key.ts";
import type { Sealer } from "./data-key.ts";

/** By these a registry's clients tell a stored artifact from an image. */
export const artifactTypes = {
  artifact: "application/vnd.fleetwright.checkpoint.v1",
  table: "application/vnd.fleetwright.checkpoint.chunks.v1+json",
  chunk: "application/vnd.fleetwright.checkpoint.chunk.v1+zstd",
  sealedChunk: "application/vnd.fleetwright.checkpoint.chunk.v1+zstd+encrypted",
} as const;

/** A checkpoint as registries keep it: documents; the chunks were given away as they were made. */
export interface StoredArtifact {
  readonly manifest: ImageDocument;
  readonly config: ImageDocument;
  readonly table: ArchiveTable;
}

export interface Encryption {
  /** Who may read it: `age1…`. */
  readonly recipients: readonly string[];
  /** Of 32 bytes: artifacts of one key share chunks, and show that they do. @default a new key for each artifact */
  readonly dataKey?: Uint8Array;
}

export interface PackOptions extends Omit<CutOptions, "sealer"> {
  readonly metadata: CheckpointMetadata;
  readonly host: HostFacts;
  readonly encryption?: Encryption | undefined;
}

/** Registries take manifests of 4 MiB (distribution-spec 1.1). */
const manifestBytes = 4 * 1024 * 1024;
/** Of a table: what 65,536 chunks take, sealed. */
const tableBytes = 32 * 1024 * 1024;
const scheme = "age+aes256gcm.v1";

/** The container's name: not under the key that containerd looks for, because no engine restores an artifact. */
const containerAnnotation = "fleetwright.dev/checkpoint-container";

function document(mediaType: string, value: unknown): ImageDocument {
  const bytes = Buffer.from(JSON.stringify(value));
  return { mediaType, bytes, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
}

/** What is said of a checkpoint in the open, encrypted or not: whose it is and what it needs; nothing of its contents. No engine's marker is among it. */
function annotationsOf(metadata: CheckpointMetadata, host: HostFacts): Readonly<Record<string, string>> {
  return {
    ...Object.fromEntries(
      Object.entries(checkpointAnnotations(metadata, host)).filter(
        ([key]) =>
          (key.startsWith("org.criu.checkpoint.") && key !== "org.criu.checkpoint.container.name") ||
          key.startsWith("fleetwright.dev/"),
      ),
    ),
    [containerAnnotation]: metadata.container,
  };
}

/**
 * Packs an archive as an artifact, handing each chunk to `put` once, in order; the documents come last, so that a registry never has an artifact whose chunks it lacks.
 * Without encryption the same archive gives the same artifact. Encrypted, a new key makes everything differ; what stays in the open are the annotations, the number of chunks and their sizes.
 *
 * @throws FW_CHECKPOINT_LIMIT, FW_CHECKPOINT_ENCRYPTION, and what the source and `put` throw
 * @example
 * ```ts
 * const { manifest, config } = await packArtifact(createReadStream(path), { metadata, host, archiveBytes }, (chunk) =>
 *   client.putBlob(repository, bytesSource(chunk.digest, chunk.bytes)),
 * );
 * ```
 */
export async function packArtifact(
  source: AsyncIterable<Uint8Array>,
  { metadata, host, encryption, ...options }: PackOptions,
  put: (chunk: StoredChunk) => Promise<unknown>,
): Promise<StoredArtifact> {
  const dataKey = encryption ? (encryption.dataKey ?? newDataKey()) : undefined;
  const wrapped = dataKey && encryption ? await wrapDataKey(dataKey, encryption.recipients) : undefined;
  const seals = dataKey && sealer(dataKey);
  const mediaType = seals ? artifactTypes.sealedChunk : artifactTypes.chunk;
  const layers = new Map<string, { readonly mediaType: string; readonly digest: string; readonly size: number }>();
  const ended: { table?: ArchiveTable } = {};
  async function* chunks() {
    ended.table = yield* cutArchive(source, { ...options, sealer: seals });
  }
  for await (const chunk of chunks()) {
    const { digest, size } = chunk;
    if (layers.has(digest)) continue;
    layers.set(digest, { mediaType, digest, size });
    await put(chunk);
  }
  const { table } = ended;
  if (table === undefined) throw new Error("the chunks ended without a table");
  const config = document(
    artifactTypes.table,
    seals && wrapped
      ? {
          encryption: {
            scheme,
            key: Buffer.from(wrapped).toString("base64"),
            table: Buffer.from(await seals.seal(Buffer.from(JSON.stringify(table)), "table")).toString("base64"),
          },
        }
      : table,
  );
  const manifest = document(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: artifactTypes.artifact,
    config: { mediaType: config.mediaType, digest: config.digest, size: config.bytes.length },
    layers: [...layers.values()],
    annotations: annotationsOf(metadata, host),
  });
  if (manifest.bytes.length > manifestBytes)
    throw checkpointError(
      "FW_CHECKPOINT_LIMIT",
      `the manifest of ${layers.size} chunks has ${manifest.bytes.length} bytes, registries take ${manifestBytes}: use a larger average size of chunks`,
    );
  return { manifest, config, table };
}

/** What of a manifest says that it is a stored artifact. */
interface ArtifactManifest {
  readonly artifactType?: string;
  readonly config: { readonly mediaType: string; readonly digest: string; readonly size: number };
  readonly layers: readonly { readonly digest: string; readonly size: number }[];
}

/** Whether a manifest is of a stored artifact, and not of an engine image or something else. */
export const isStoredArtifact = ({ artifactType, config }: Omit<ArtifactManifest, "layers">): boolean =>
  artifactType === artifactTypes.artifact && config.mediaType === artifactTypes.table;

const malformed = (message: string, cause?: unknown) =>
  checkpointError("FW_CHECKPOINT_ARTIFACT", `${message}: do not trust this artifact`, cause);

function jsonOf(bytes: Uint8Array, place: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw malformed(`${place}: is no JSON: ${(error as Error).message}`, error);
  }
}

/**
 * Reads a stored artifact's table, and opens it with one of `identities` when it is encrypted. The table is held against itself and against the manifest, so that
 * {@link joinArchive} asks for nothing that the manifest does not name.
 *
 * @param config bytes of the blob that the manifest's `config` names
 * @throws FW_CHECKPOINT_ARTIFACT, FW_CHECKPOINT_DIGEST, FW_CHECKPOINT_LIMIT, FW_CHECKPOINT_ENCRYPTION
 */
export async function readArtifact(
  manifest: ArtifactManifest,
  config: Uint8Array,
  { identities = [] }: { readonly identities?: readonly string[] } = {},
): Promise<{ readonly table: ArchiveTable; readonly sealer?: Sealer }> {
  const place = `table ${manifest.config.digest}`;
  if (!isStoredArtifact(manifest))
    throw checkpointError(
      "FW_CHECKPOINT_ARTIFACT",
      `${JSON.stringify((manifest.artifactType ?? manifest.config.mediaType).slice(0, 100))} is no stored checkpoint (${artifactTypes.artifact}): name another image`,
    );
  if (config.length > tableBytes)
    throw checkpointError("FW_CHECKPOINT_LIMIT", `${place}: ${config.length} bytes, the limit is ${tableBytes}`);
  const digest = `sha256:${createHash("sha256").update(config).digest("hex")}`;
  if (digest !== manifest.config.digest)
    throw checkpointError("FW_CHECKPOINT_DIGEST", `${place}: what came is ${digest}: do not trust this artifact`);
  let value = jsonOf(config, place);
  const encryption = (value as { encryption?: Readonly<Record<string, unknown>> } | null)?.encryption;
  let seals: Sealer | undefined;
  if (encryption !== undefined) {
    const { scheme: found, key, table } = encryption ?? {};
    if (found !== scheme || typeof key !== "string" || typeof table !== "string")
      throw malformed(`${place}: encryption.scheme is ${JSON.stringify(found)?.slice(0, 100)}, not "${scheme}"`);
    seals = sealer(await unwrapDataKey(Buffer.from(key, "base64"), identities));
    value = jsonOf(await seals.open(Buffer.from(table, "base64"), "table", place), place);
  }
  const table = parseTable(value, place);
  const layers = new Map(manifest.layers.map((layer) => [layer.digest, layer.size]));
  for (const [index, chunk] of table.chunks.entries())
    if (layers.get(chunk.digest) !== chunk.size)
      throw malformed(
        `${place}: chunks[${index}]: ${chunk.digest} of ${chunk.size} bytes is not among the manifest's layers`,
      );
  return { table, ...(seals ? { sealer: seals } : {}) };
}

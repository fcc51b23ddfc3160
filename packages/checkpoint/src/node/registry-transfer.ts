import { createReadStream } from "node:fs";
import type { KeyObject } from "node:crypto";
import { joinArchive } from "../core/artifact/join-archive.ts";
import { isStoredArtifact, packArtifact, readArtifact } from "../core/artifact/stored-artifact.ts";
import { hostAnnotation } from "../core/image/annotations.ts";
import type { HostFacts } from "../core/image/annotations.ts";
import { checkpointError } from "../errors.ts";
import { bytesSource, fileSource } from "../registry/blob-upload.ts";
import type { RegistryClient } from "../registry/client.ts";
import type { ResolvedImage } from "../registry/image-pull.ts";
import { pushImage } from "../registry/image-push.ts";
import { formatReference } from "../registry/reference.ts";
import type { ImageReference } from "../registry/reference.ts";
import { signImage } from "../registry/signature.ts";
import { imageOf } from "./store.ts";
import type { StoredCheckpoint } from "./store.ts";

/** An archive in a file, described. */
interface FileOfArchive {
  readonly checkpoint: Omit<StoredCheckpoint, "file">;
  readonly path: string;
}

export interface PushedCheckpoint {
  /** `registry/repository@sha256:…` */
  readonly reference: string;
  readonly sentBytes: number;
  /** Of what the registry had already. */
  readonly keptBytes: number;
}

export interface CheckpointPushOptions {
  /** `Artifact`: in chunks, so that what repeats is stored once. `EngineImage`: what engines restore from by themselves. */
  readonly form: "Artifact" | "EngineImage";
  /** age public keys that an artifact is encrypted to. */
  readonly recipients?: readonly string[] | undefined;
  readonly signingKey?: KeyObject | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Pushes an archive in either form; the manifest comes last, so that nobody sees half of it. */
export async function pushCheckpoint(
  client: RegistryClient,
  target: ImageReference,
  archive: FileOfArchive,
  { form, recipients, signingKey, signal }: CheckpointPushOptions,
): Promise<PushedCheckpoint> {
  const push = async () => {
    if (form === "Artifact") return pushArtifact(client, target, archive, recipients, signal);
    const { manifest, config, layer } = imageOf(archive.checkpoint);
    const blobs = [bytesSource(config.digest, config.bytes), fileSource(archive.path, layer)];
    const { reference, ...bytes } = await pushImage(client, { manifest, blobs }, target, { signal });
    return { digest: reference.digest, ...bytes };
  };
  const { digest, sentBytes, keptBytes } = await push();
  const { tag: _, ...byDigest } = { ...target, digest };
  if (signingKey !== undefined) await signImage(client, byDigest, signingKey);
  return { reference: formatReference(byDigest), sentBytes, keptBytes };
}

async function pushArtifact(
  client: RegistryClient,
  target: ImageReference,
  { checkpoint, path }: FileOfArchive,
  recipients: readonly string[] | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly digest: string; readonly sentBytes: number; readonly keptBytes: number }> {
  const { metadata, host, layer } = checkpoint;
  let [sentBytes, keptBytes] = [0, 0];
  const put = async (digest: string, bytes: Uint8Array): Promise<void> => {
    const outcome = await client.putBlob(target.repository, bytesSource(digest, bytes), signal ? { signal } : {});
    if (outcome === "sent") sentBytes += bytes.length;
    else keptBytes += bytes.length;
  };
  const { manifest, config, table } = await packArtifact(
    createReadStream(path, { highWaterMark: 256 * 1024 }),
    { metadata, host, archiveBytes: layer.size, ...(recipients && { encryption: { recipients } }) },
    (chunk) => put(chunk.digest, chunk.bytes),
  );
  if (table.archive.digest !== layer.digest)
    throw checkpointError(
      "FW_CHECKPOINT_DIGEST",
      `${path}: is ${table.archive.digest}, not ${layer.digest}: its bytes have changed`,
    );
  await put(config.digest, config.bytes);
  await client.putManifest(target.repository, target.tag ?? manifest.digest, manifest, signal);
  return { digest: manifest.digest, sentBytes, keptBytes };
}

async function whole(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of bytes) parts.push(part);
  return Buffer.concat(parts);
}

/** An archive that a registry holds, not fetched yet. */
export interface RemoteArchive {
  readonly digest: string;
  readonly size: number;
  /** Of the host that it was taken on. */
  readonly host: HostFacts;
  /** Throws at its end when the bytes are others: nothing of them may be used before. */
  bytes(): AsyncIterable<Uint8Array>;
}

/**
 * Finds the archive in what a registry holds, in either form; an encrypted table is opened with one of the identities.
 *
 * @throws FW_CHECKPOINT_ARTIFACT when it is no checkpoint of ours
 */
export async function remoteArchive(
  client: RegistryClient,
  { reference, manifest }: ResolvedImage,
  {
    identities = [],
    signal,
  }: { readonly identities?: readonly string[]; readonly signal?: AbortSignal | undefined } = {},
): Promise<RemoteArchive> {
  const refuse = (why: string) =>
    checkpointError(
      "FW_CHECKPOINT_ARTIFACT",
      `${formatReference(reference)} is no checkpoint of Fleetwright's: ${why}; an engine's own image is restored by naming it in a pod`,
    );
  const text = manifest.annotations[hostAnnotation];
  if (text === undefined) throw refuse(`it has no annotation ${hostAnnotation}`);
  let host: HostFacts;
  try {
    host = JSON.parse(text) as HostFacts;
  } catch {
    throw refuse(`its annotation ${hostAnnotation} is no JSON`);
  }
  if (isStoredArtifact(manifest)) {
    const config = await whole(client.getBlob(reference.repository, manifest.config, signal));
    const { table, sealer } = await readArtifact(manifest, config, { identities });
    const fetch = (chunk: { readonly digest: string; readonly size: number }) =>
      client.getBlob(reference.repository, chunk, signal);
    return { ...table.archive, host, bytes: () => joinArchive(table, fetch, { sealer }) };
  }
  const [layer, more] = manifest.layers;
  if (layer === undefined || more !== undefined) throw refuse(`it has ${manifest.layers.length} layers, not one`);
  return {
    digest: layer.digest,
    size: layer.size,
    host,
    bytes: () => client.getBlob(reference.repository, layer, signal),
  };
}

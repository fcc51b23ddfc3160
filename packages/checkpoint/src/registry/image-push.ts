import type { ImageDocument } from "../core/image/engine-image.ts";
import type { BlobSource, UploadOutcome } from "./blob-upload.ts";
import type { RegistryClient } from "./client.ts";
import { formatReference } from "./reference.ts";
import type { ImageReference } from "./reference.ts";
import { checkpointError } from "../errors.ts";
import { parseManifest } from "./manifest.ts";
import { inParallel } from "./parallel.ts";

/** An image or artifact that is pushed. */
export interface ImageSource {
  readonly manifest: ImageDocument;
  /** Every blob that the manifest names, the configuration among them. */
  readonly blobs: readonly BlobSource[];
}

export interface PushOptions {
  /** Blobs at once. @default 4 */
  readonly parallel?: number;
  /** Larger blobs are sent in parts of this size. @default 64 MiB */
  readonly chunkBytes?: number;
  /** A repository of the same registry that may have blobs already. */
  readonly mountFrom?: string;
  /** Called after each blob. */
  readonly onBlob?: (blob: BlobSource, outcome: UploadOutcome) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What a push did. */
export interface PushedImage {
  /** By digest, whatever tag it has as well. */
  readonly reference: ImageReference & { readonly digest: string };
  readonly sentBytes: number;
  /** Of blobs that the registry had already. */
  readonly keptBytes: number;
}

/**
 * Pushes an image: its blobs, then its manifest, so that nobody sees half of it. A push that failed goes on where it was when it is made again, because blobs that are there are not sent.
 *
 * @throws RegistryError; FleetwrightError `FW_CHECKPOINT_REFERENCE`, `FW_CHECKPOINT_DIGEST`
 */
export async function pushImage(
  client: RegistryClient,
  source: ImageSource,
  reference: ImageReference,
  { parallel = 4, onBlob, signal, ...upload }: PushOptions = {},
): Promise<PushedImage> {
  const { manifest, blobs } = source;
  const { repository, tag } = reference;
  if (reference.registry !== client.registry || (reference.digest ?? manifest.digest) !== manifest.digest)
    throw checkpointError(
      "FW_CHECKPOINT_REFERENCE",
      `${formatReference(reference)}: the image is ${manifest.digest}, and goes to ${client.registry}; name it so`,
    );
  const parsed = parseManifest(manifest);
  const named = parsed.kind === "image" ? [parsed.config, ...parsed.layers] : [];
  const given = new Map(blobs.map((blob) => [blob.digest, blob]));
  for (const { digest } of named)
    if (!given.has(digest))
      throw checkpointError(
        "FW_CHECKPOINT_DIGEST",
        `${manifest.digest}: names ${digest}, which is not among its blobs`,
      );

  let [sentBytes, keptBytes] = [0, 0];
  await inParallel([...given.values()], parallel, signal, async (blob, blobSignal) => {
    const outcome = await client.putBlob(repository, blob, { ...upload, signal: blobSignal });
    if (outcome === "sent") sentBytes += blob.size;
    else keptBytes += blob.size;
    onBlob?.(blob, outcome);
  });
  await client.putManifest(repository, tag ?? manifest.digest, manifest, signal);
  return { reference: { ...reference, digest: manifest.digest }, sentBytes, keptBytes };
}

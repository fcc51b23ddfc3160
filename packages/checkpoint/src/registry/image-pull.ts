import type { ImageDocument } from "../core/image/engine-image.ts";
import { checkpointError } from "../errors.ts";
import type { RegistryClient } from "./client.ts";
import { parseManifest } from "./manifest.ts";
import type { Descriptor, ImageManifest } from "./manifest.ts";
import { inParallel } from "./parallel.ts";
import { formatReference } from "./reference.ts";
import type { ImageReference } from "./reference.ts";
import { quoted, RegistryError } from "./registry-error.ts";

/** What takes a pulled image's blobs. */
export interface ImageSink {
  /** Whether this blob need not come. @default it must */
  has?(blob: Descriptor): Promise<boolean>;
  /** Takes a blob. Its bytes throw at their end when they are not those of the descriptor: nothing of them may be used before. */
  write(blob: Descriptor, bytes: AsyncIterable<Uint8Array>): Promise<void>;
}

/** Which manifest of an index is meant. */
export interface ImageChoice {
  /** As Go names it: `amd64`, `arm64`; the system is `linux`. */
  readonly architecture?: string;
  /** Of an artifact: its `artifactType`, or its configuration's media type. */
  readonly artifactType?: string;
}

export interface ResolvedImage {
  /** By digest: what it is from now on, wherever the tag goes. */
  readonly reference: ImageReference & { readonly digest: string };
  readonly document: ImageDocument;
  readonly manifest: ImageManifest;
}

/**
 * Finds an image's manifest; of an index, the one that is meant, or the only one.
 *
 * @throws RegistryError; FleetwrightError `FW_CHECKPOINT_REFERENCE`
 */
export async function resolveImage(
  client: RegistryClient,
  reference: ImageReference,
  { choice = {}, signal }: { readonly choice?: ImageChoice; readonly signal?: AbortSignal | undefined } = {},
): Promise<ResolvedImage> {
  const { repository } = reference;
  const resolved = (document: ImageDocument, manifest: ImageManifest): ResolvedImage => ({
    reference: { ...reference, digest: document.digest },
    document,
    manifest,
  });
  const named = reference.digest ?? reference.tag;
  if (named === undefined)
    throw checkpointError(
      "FW_CHECKPOINT_REFERENCE",
      `${formatReference(reference)}: names neither tag nor digest; add one`,
    );
  const first = await client.getManifest(repository, named, signal);
  const top = parseManifest(first);
  if (top.kind === "image") return resolved(first, top);
  const fits = ({ platform, artifactType }: Descriptor): boolean =>
    (choice.architecture === undefined ||
      platform === undefined ||
      (platform.os === "linux" && platform.architecture === choice.architecture)) &&
    (choice.artifactType === undefined || artifactType === choice.artifactType);
  const fitting = top.manifests.filter(fits);
  const [chosen] = fitting;
  if (chosen === undefined || fitting.length > 1) {
    const listed = top.manifests
      .slice(0, 20)
      .map(({ digest, platform, artifactType }) =>
        quoted(`${digest} ${platform ? `${platform.os}/${platform.architecture}` : (artifactType ?? "")}`),
      );
    throw new RegistryError(
      "FW_CHECKPOINT_REGISTRY_NOT_FOUND",
      `${formatReference(reference)}: is a list in which ${fitting.length} manifests fit (${listed.join(", ")}); name one by its digest`,
    );
  }
  const document = await client.getManifest(repository, chosen.digest, signal);
  const manifest = parseManifest(document);
  if (manifest.kind === "index")
    throw new RegistryError(
      "FW_CHECKPOINT_REGISTRY_UNSUPPORTED",
      `${formatReference(reference)}: is a list of lists, which is not read; name an image by its digest`,
    );
  return resolved(document, manifest);
}

/**
 * Pulls an image into a sink: the configuration first, then the layers. Nothing is to be used before this has returned.
 *
 * @throws RegistryError, and what the sink throws
 */
export async function pullImage(
  client: RegistryClient,
  reference: ImageReference,
  sink: ImageSink,
  {
    parallel = 4,
    ...options
  }: {
    readonly choice?: ImageChoice;
    /** Layers at once. @default 4 */
    readonly parallel?: number;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<ResolvedImage> {
  const image = await resolveImage(client, reference, options);
  const take = async (blob: Descriptor, signal: AbortSignal | undefined): Promise<void> => {
    if (await sink.has?.(blob)) return;
    const bytes = client.getBlob(reference.repository, blob, signal);
    try {
      await sink.write(blob, bytes);
    } finally {
      // A sink that left early lets the connection go.
      await bytes.return();
    }
  };
  await take(image.manifest.config, options.signal);
  // The same layer may be named twice.
  const layers = new Map(image.manifest.layers.map((layer) => [layer.digest, layer]));
  await inParallel([...layers.values()], parallel, options.signal, take);
  return image;
}

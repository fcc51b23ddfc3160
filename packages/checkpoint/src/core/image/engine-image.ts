import { createHash } from "node:crypto";
import type { Compression } from "../archive/compression.ts";
import type { CheckpointMetadata } from "../archive/metadata.ts";
import { checkpointAnnotations } from "./annotations.ts";
import type { HostFacts } from "./annotations.ts";

/** OCI image-spec 1.1. Docker's own types have no annotations: an image of those loses its marker. */
export const mediaTypes = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: {
    none: "application/vnd.oci.image.layer.v1.tar",
    gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
    zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  },
} as const;

/** The archive as a layer: its bytes as they lie, so that nothing is copied and the same archive has the same digest. */
export interface ArchiveLayer {
  readonly compression: Compression;
  /** `sha256:…` of the bytes. */
  readonly digest: string;
  /** `sha256:…` of the decompressed bytes. */
  readonly diffId: string;
  readonly size: number;
}

/** A document of an image, and its digest. */
export interface ImageDocument {
  readonly mediaType: string;
  readonly digest: string;
  readonly bytes: Uint8Array;
}

/** The image that containerd, CRI-O and podman restore a container from. */
export interface EngineImage {
  readonly manifest: ImageDocument;
  readonly config: ImageDocument;
  readonly layer: ArchiveLayer & { readonly mediaType: string };
}

function document(mediaType: string, value: unknown): ImageDocument {
  const bytes = Buffer.from(JSON.stringify(value));
  return { mediaType, bytes, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
}

/**
 * The engine image of an archive: `FROM scratch`, one layer, every engine's markers on the manifest. The same archive from the same host gives the same bytes.
 *
 * @example
 * ```ts
 * const { manifest } = engineImage({ metadata, layer, host: { architecture: "amd64" } });
 * const reference = `localhost:5780/checkpoint@${manifest.digest}`;
 * ```
 */
export function engineImage({
  metadata,
  layer,
  host,
}: {
  readonly metadata: CheckpointMetadata;
  readonly layer: ArchiveLayer;
  readonly host: HostFacts;
}): EngineImage {
  const mediaType = mediaTypes.layer[layer.compression];
  const config = document(mediaTypes.config, {
    ...(metadata.checkpointedAt === undefined ? {} : { created: metadata.checkpointedAt }),
    architecture: host.architecture,
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: [layer.diffId] },
  });
  const manifest = document(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: { mediaType: mediaTypes.config, digest: config.digest, size: config.bytes.length },
    layers: [{ mediaType, digest: layer.digest, size: layer.size }],
    annotations: checkpointAnnotations(metadata, host),
  });
  return { manifest, config, layer: { ...layer, mediaType } };
}

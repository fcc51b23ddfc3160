import { tarEnd, tarHeader, tarPadding } from "../archive/tar-writer.ts";
import type { EngineImage } from "./engine-image.ts";

/** A file of an OCI image layout. */
export interface LayoutFile {
  /** `blobs/sha256/…` */
  readonly name: string;
  readonly size: number;
  open(): AsyncIterable<Uint8Array>;
}

const blobName = (digest: string): string => `blobs/${digest.replace(":", "/")}`;

/**
 * An engine image as an OCI image layout (image-spec 1.1, image-layout.md), in the order in which a reader wants it: documents first. The same image gives the same bytes.
 *
 * @param archive opens the layer's bytes
 */
export function imageLayout(
  { manifest, config, layer }: EngineImage,
  archive: () => AsyncIterable<Uint8Array>,
): readonly LayoutFile[] {
  const whole = (name: string, bytes: Uint8Array): LayoutFile => ({
    name,
    size: bytes.length,
    open: async function* () {
      yield bytes;
    },
  });
  const { annotations } = JSON.parse(Buffer.from(manifest.bytes).toString("utf8")) as { readonly annotations: object };
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length }],
    // containerd looks for its marker on whichever of the two an image's name leads to.
    annotations,
  };
  return [
    whole("oci-layout", Buffer.from('{"imageLayoutVersion":"1.0.0"}')),
    whole("index.json", Buffer.from(JSON.stringify(index))),
    whole(blobName(manifest.digest), manifest.bytes),
    whole(blobName(config.digest), config.bytes),
    { name: blobName(layer.digest), size: layer.size, open: archive },
  ];
}

/** A layout as one tar archive, which `podman load`, `ctr images import` and `skopeo` (`oci-archive:`) read. */
export async function* layoutTar(files: readonly LayoutFile[]): AsyncGenerator<Uint8Array, void, undefined> {
  const folders = new Set<string>();
  for (const { name, size, open } of files) {
    for (let slash = name.indexOf("/"); slash !== -1; slash = name.indexOf("/", slash + 1)) {
      const folder = name.slice(0, slash + 1);
      if (folders.has(folder)) continue;
      folders.add(folder);
      yield tarHeader({ name: folder, kind: "directory", size: 0, mode: 0o755 });
    }
    yield tarHeader({ name, kind: "file", size, mode: 0o600 });
    yield* open();
    yield tarPadding(size);
  }
  yield tarEnd;
}

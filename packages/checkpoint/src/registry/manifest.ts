import { createHash } from "node:crypto";
import type { ImageDocument } from "../core/image/engine-image.ts";
import { isDigest } from "./reference.ts";
import { quoted, RegistryError, registryLies } from "./registry-error.ts";

/** Names something in a registry by its content (OCI image-spec 1.1, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
}

/** An image or artifact: a configuration and layers. */
export interface ImageManifest {
  readonly kind: "image";
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Several manifests, of which one is meant. */
export interface ImageIndex {
  readonly kind: "index";
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations: Readonly<Record<string, string>>;
}

export const indexMediaType = "application/vnd.oci.image.index.v1+json";

/** What we read. Docker's types are the same in all that matters here, but have no annotations. */
const kinds: Readonly<Record<string, "image" | "index">> = {
  "application/vnd.oci.image.manifest.v1+json": "image",
  "application/vnd.docker.distribution.manifest.v2+json": "image",
  [indexMediaType]: "index",
  "application/vnd.docker.distribution.manifest.list.v2+json": "index",
};

export const manifestMediaTypes: readonly string[] = Object.keys(kinds);

/** Manifests are at most this large: what registries accept (distribution-spec 1.1, "Pushing Manifests"). */
export const maxManifestBytes = 4 * 1024 * 1024;

/** `sha256:…` of some bytes. */
export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** A document with its digest, from what it says. */
export function jsonDocument(mediaType: string, value: unknown): ImageDocument {
  const bytes = Buffer.from(JSON.stringify(value));
  return { mediaType, bytes, digest: digestOf(bytes) };
}

export const descriptorOf = ({ mediaType, digest, bytes }: ImageDocument): Descriptor => ({
  mediaType,
  digest,
  size: bytes.length,
});

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const textsOf = (value: unknown): Readonly<Record<string, string>> =>
  isFields(value)
    ? Object.fromEntries(
        Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
      )
    : {};

/**
 * Reads a manifest or index.
 *
 * @throws RegistryError `FW_CHECKPOINT_REGISTRY_UNSUPPORTED` for other documents, `FW_CHECKPOINT_REGISTRY_LIES` for what is malformed
 */
export function parseManifest({ mediaType, digest, bytes }: ImageDocument): ImageManifest | ImageIndex {
  const kind = kinds[mediaType];
  if (kind === undefined)
    throw new RegistryError(
      "FW_CHECKPOINT_REGISTRY_UNSUPPORTED",
      `${digest}: is ${JSON.stringify(quoted(mediaType))}, which is not read: push it as ${manifestMediaTypes[0]}`,
    );
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    value = undefined;
  }
  const malformed = (problem: string): Error => registryLies(`${digest}: is no ${mediaType}: ${problem}`);
  if (!isFields(value)) throw malformed("it is not a JSON object");
  // Read as one kind here and as another there (CVE-2021-41190).
  if (value["mediaType"] !== undefined && value["mediaType"] !== mediaType)
    throw malformed(`it says that it is ${JSON.stringify(value["mediaType"]).slice(0, 100)}`);
  if (value["manifests"] !== undefined && (value["layers"] !== undefined || value["config"] !== undefined))
    throw malformed("it has both layers and manifests");

  const descriptor = (entry: unknown, place: string): Descriptor => {
    if (!isFields(entry)) throw malformed(`${place} is no descriptor`);
    const { mediaType: type, digest: of, size, artifactType, platform } = entry;
    if (typeof type !== "string") throw malformed(`${place}.mediaType is missing`);
    if (typeof of !== "string" || !isDigest(of))
      throw malformed(`${place}.digest is ${JSON.stringify(of)?.slice(0, 100)}, not sha256:…`);
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0)
      throw malformed(`${place}.size is ${JSON.stringify(size)?.slice(0, 100)}`);
    const { os, architecture, variant } = isFields(platform) ? platform : {};
    return {
      mediaType: type,
      digest: of,
      size,
      ...(typeof artifactType === "string" ? { artifactType } : {}),
      ...(entry["annotations"] === undefined ? {} : { annotations: textsOf(entry["annotations"]) }),
      ...(typeof os === "string" && typeof architecture === "string"
        ? { platform: { os, architecture, ...(typeof variant === "string" ? { variant } : {}) } }
        : {}),
    };
  };
  const list = (name: string): readonly Descriptor[] => {
    const entries = value[name];
    if (!Array.isArray(entries)) throw malformed(`${name} is no list`);
    return entries.map((entry, index) => descriptor(entry, `${name}[${index}]`));
  };
  const common = {
    annotations: textsOf(value["annotations"]),
    ...(typeof value["artifactType"] === "string" ? { artifactType: value["artifactType"] } : {}),
    ...(value["subject"] == null ? {} : { subject: descriptor(value["subject"], "subject") }),
  };
  return kind === "index"
    ? { kind, manifests: list("manifests"), ...common }
    : { kind, config: descriptor(value["config"], "config"), layers: list("layers"), ...common };
}

import { sign, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { checkpointError } from "../errors.ts";
import { mediaTypes } from "../core/image/engine-image.ts";
import type { ImageDocument } from "../core/image/engine-image.ts";
import { bytesSource } from "./blob-upload.ts";
import type { RegistryClient } from "./client.ts";
import { descriptorOf, digestOf, jsonDocument, parseManifest } from "./manifest.ts";
import type { Descriptor } from "./manifest.ts";
import { formatReference } from "./reference.ts";
import type { ImageReference } from "./reference.ts";
import { isNotInRegistry } from "./registry-error.ts";

/** Of a payload that was signed (cosign, specs/SIGNATURE_SPEC.md). */
export const signatureMediaType = "application/vnd.dev.cosign.simplesigning.v1+json";
const signatureAnnotation = "dev.cosignproject.cosign/signature";
const payloadType = "cosign container image signature";

/** A payload is a few hundred bytes. */
const maxPayloadBytes = 64 * 1024;

/** More are not looked at: each is a call. */
const maxSignatures = 256;

type SignedImage = ImageReference & { readonly digest: string };

/** The tag under which an image's signatures are. */
export const signatureTag = (digest: string): string => `${digest.replace(":", "-")}.sig`;

/** A signature that holds. */
export interface ImageSignature {
  /** What the image was called by whoever signed it: kept as it is when an image is copied elsewhere. */
  readonly signedName: string;
  /** What the signer added (`cosign sign -a`). */
  readonly optional: Readonly<Record<string, unknown>>;
}

/** The signatures that an image has, whoever made them. */
async function signaturesOf(
  client: RegistryClient,
  { repository, digest }: SignedImage,
): Promise<readonly Descriptor[]> {
  let document: ImageDocument;
  try {
    document = await client.getManifest(repository, signatureTag(digest));
  } catch (error) {
    if (isNotInRegistry(error)) return [];
    throw error;
  }
  const manifest = parseManifest(document);
  return manifest.kind === "image" ? manifest.layers : [];
}

/**
 * Signs an image by its digest, as `cosign sign --key` does in its format of signature tags. Earlier signatures stay; signing twice with one key adds a second one.
 *
 * @throws RegistryError
 */
export async function signImage(client: RegistryClient, image: SignedImage, privateKey: KeyObject): Promise<void> {
  const { registry, repository, digest } = image;
  const payload = Buffer.from(
    JSON.stringify({
      critical: {
        identity: { "docker-reference": `${registry}/${repository}` },
        image: { "docker-manifest-digest": digest },
        type: payloadType,
      },
      optional: null,
    }),
  );
  const layer: Descriptor = {
    mediaType: signatureMediaType,
    digest: digestOf(payload),
    size: payload.length,
    annotations: { [signatureAnnotation]: sign("sha256", payload, privateKey).toString("base64") },
  };
  const layers = [...(await signaturesOf(client, image)), layer];
  const config = jsonDocument(mediaTypes.config, {
    architecture: "",
    os: "",
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map((each) => each.digest) },
  });
  const manifest = jsonDocument(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: descriptorOf(config),
    layers,
  });
  await client.putBlob(repository, bytesSource(layer.digest, payload));
  await client.putBlob(repository, bytesSource(config.digest, config.bytes));
  await client.putManifest(repository, signatureTag(digest), manifest);
}

interface Payload {
  readonly critical?: {
    readonly identity?: { readonly "docker-reference"?: unknown };
    readonly image?: { readonly "docker-manifest-digest"?: unknown };
    readonly type?: unknown;
  };
  readonly optional?: Readonly<Record<string, unknown>> | null;
}

/** A key may sign other things than images: what is no JSON claims nothing. */
function claimsOf(payload: Buffer): Payload {
  try {
    const value: unknown = JSON.parse(payload.toString("utf8"));
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** What a signature says, if it is by that key and about that image; otherwise why not. */
async function held(
  client: RegistryClient,
  { repository, digest }: SignedImage,
  layer: Descriptor,
  publicKey: KeyObject,
): Promise<ImageSignature | string> {
  const signature = layer.annotations?.[signatureAnnotation];
  if (layer.mediaType !== signatureMediaType || signature === undefined) return "is no signature";
  if (layer.size > maxPayloadBytes) return `has a payload of ${layer.size} bytes`;
  const chunks: Uint8Array[] = [];
  for await (const chunk of client.getBlob(repository, layer)) chunks.push(chunk);
  const payload = Buffer.concat(chunks);
  if (!verify("sha256", payload, publicKey, Buffer.from(signature, "base64"))) return "is by another key";
  // Only now is any of it to be believed.
  const { critical, optional } = claimsOf(payload);
  if (critical?.type !== payloadType) return `is for ${JSON.stringify(critical?.type)}`;
  if (critical.image?.["docker-manifest-digest"] !== digest)
    return `is for ${JSON.stringify(critical.image?.["docker-manifest-digest"])}`;
  const signedName = critical.identity?.["docker-reference"];
  return { signedName: typeof signedName === "string" ? signedName : "", optional: optional ?? {} };
}

/**
 * Holds an image against a public key: at least one of its signatures must be by that key and for its digest.
 *
 * @throws FleetwrightError `FW_CHECKPOINT_SIGNATURE`, RegistryError
 */
export async function verifyImage(
  client: RegistryClient,
  image: SignedImage,
  publicKey: KeyObject,
): Promise<readonly ImageSignature[]> {
  const layers = await signaturesOf(client, image);
  const found: ImageSignature[] = [];
  const problems = new Map<string, number>();
  for (const layer of layers.slice(0, maxSignatures)) {
    const result = await held(client, image, layer, publicKey);
    if (typeof result !== "string") found.push(result);
    else problems.set(result, (problems.get(result) ?? 0) + 1);
  }
  if (found.length > 0) return found;
  const why = [...problems].map(([problem, count]) => `${count} ${problem}`).join(", ");
  throw checkpointError(
    "FW_CHECKPOINT_SIGNATURE",
    `${formatReference(image)}: ${layers.length === 0 ? "is not signed" : `none of its signatures holds: ${why}`}; do not restore it, or name the key that it was signed with`,
  );
}

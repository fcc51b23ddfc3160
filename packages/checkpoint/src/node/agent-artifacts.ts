import { createReadStream } from "node:fs";
import { joinArchive } from "../core/artifact/join-archive.ts";
import { isStoredArtifact, packArtifact, readArtifact } from "../core/artifact/stored-artifact.ts";
import { checkpointError } from "../errors.ts";
import { openRegistry } from "../registry/client.ts";
import type { RegistryClient } from "../registry/client.ts";
import { bytesSource, fileSource } from "../registry/blob-upload.ts";
import type { RegistryCredential } from "../registry/docker-config.ts";
import { resolveImage } from "../registry/image-pull.ts";
import type { ResolvedImage } from "../registry/image-pull.ts";
import { pushImage } from "../registry/image-push.ts";
import { parseReference, formatReference } from "../registry/reference.ts";
import type { ImageReference } from "../registry/reference.ts";
import { readPrivateKey } from "../registry/signing-key.ts";
import { signImage } from "../registry/signature.ts";
import { hostAnnotation } from "../core/image/annotations.ts";
import type { HostFacts } from "../core/image/annotations.ts";
import { AgentRefusal } from "./agent-service.ts";
import type { AgentRoute } from "./agent-service.ts";
import { imageOf } from "./store.ts";
import type { CheckpointStore, StoredCheckpoint } from "./store.ts";

/** What the manager sends along for a registry. */
interface RegistryAccess {
  /** `registry/repository:tag`, or with a digest. */
  readonly reference: string;
  readonly credential?: RegistryCredential;
  /** PEM. */
  readonly signingKey?: string;
  /** What must come out of it. */
  readonly digest?: string;
  /** `Artifact`: in chunks, so that what repeats is stored once. @default EngineImage, which engines restore from by themselves */
  readonly form?: "Artifact" | "EngineImage";
  /** age public keys that an artifact is encrypted to. */
  readonly recipients?: readonly string[];
}

export interface AgentArtifactsOptions {
  readonly store: CheckpointStore;
  /** Registries that speak HTTP without TLS beside those on loopback: `host:port`. */
  readonly plainRegistries: readonly string[];
  /** PEM, trusted beside the machine's authorities. */
  readonly registryAuthority?: string;
  /** age identities (`AGE-SECRET-KEY-1…`) that encrypted artifacts are opened with; read anew for each. */
  readonly identities?: () => Promise<readonly string[]>;
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

function accessOf(body: Readonly<Record<string, unknown>>): RegistryAccess {
  const [reference, signingKey, digest] = ["reference", "signingKey", "digest"].map((key) => textOf(body[key]));
  if (reference === undefined) throw new AgentRefusal(400, "BadRequest", "the body names no reference");
  const credential = body["credential"] as RegistryCredential | undefined;
  const recipients = body["recipients"];
  return {
    reference,
    ...(credential && { credential }),
    ...(signingKey && { signingKey }),
    ...(digest && { digest }),
    ...(body["form"] === "Artifact" && { form: "Artifact" as const }),
    ...(Array.isArray(recipients) && { recipients: recipients.filter((each) => typeof each === "string") }),
  };
}

/** Pushes an archive as an artifact, chunk by chunk; the manifest comes last. @returns the manifest's digest */
async function pushArtifact(
  client: RegistryClient,
  target: ImageReference,
  { checkpoint, path }: { readonly checkpoint: StoredCheckpoint; readonly path: string },
  recipients: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<{ readonly digest: string; readonly sentBytes: number; readonly keptBytes: number }> {
  const { metadata, host, layer } = checkpoint;
  let [sentBytes, keptBytes] = [0, 0];
  const put = async (digest: string, bytes: Uint8Array): Promise<void> => {
    const outcome = await client.putBlob(target.repository, bytesSource(digest, bytes), { signal });
    if (outcome === "sent") sentBytes += bytes.length;
    else keptBytes += bytes.length;
  };
  const { manifest, config, table } = await packArtifact(
    createReadStream(path, { highWaterMark: 1024 * 1024 }),
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

/** Fetches what a manifest holds into the store. @returns the archive's digest */
async function fetchArchive(
  client: RegistryClient,
  { reference, manifest }: ResolvedImage,
  access: RegistryAccess,
  { store, identities }: AgentArtifactsOptions,
  signal: AbortSignal,
): Promise<string> {
  const host = manifest.annotations[hostAnnotation];
  const refuse = (why: string) => new AgentRefusal(422, "NoCheckpoint", `${access.reference} is no checkpoint: ${why}`);
  if (host === undefined) throw refuse(`it has no annotation ${hostAnnotation}`);
  const held = (digest: string): string => {
    if (access.digest !== undefined && digest !== access.digest)
      throw new AgentRefusal(
        422,
        "FW_CHECKPOINT_DIGEST",
        `${access.reference} holds archive ${digest}, not ${access.digest}`,
      );
    return digest;
  };
  const takenOn = JSON.parse(host) as HostFacts;
  if (isStoredArtifact(manifest)) {
    const config = await whole(client.getBlob(reference.repository, manifest.config, signal));
    const { table, sealer } = await readArtifact(manifest, config, { identities: (await identities?.()) ?? [] });
    const { digest, size } = table.archive;
    held(digest);
    if (!(await store.find(digest))) {
      const bytes = joinArchive(table, (chunk) => client.getBlob(reference.repository, chunk, signal), { sealer });
      await store.receive({ digest, size, host: takenOn }, bytes);
    }
    return digest;
  }
  const [layer, more] = manifest.layers;
  if (layer === undefined || more !== undefined) throw refuse(`it has ${manifest.layers.length} layers, not one`);
  held(layer.digest);
  if (!(await store.find(layer.digest))) {
    const { digest, size } = layer;
    await store.receive({ digest, size, host: takenOn }, client.getBlob(reference.repository, layer, signal));
  }
  return layer.digest;
}

/** Pushes from the store and pulls into it: the bytes never pass through the manager. */
export function artifactRoutes(options: AgentArtifactsOptions): readonly AgentRoute[] {
  const { store, plainRegistries, registryAuthority } = options;
  const connect = (reference: ImageReference, { credential }: RegistryAccess): RegistryClient =>
    openRegistry({
      registry: reference.registry,
      credentials: () => Promise.resolve(credential),
      ...(plainRegistries.includes(reference.registry) && { plainHttp: true }),
      ...(registryAuthority && { ca: registryAuthority }),
    });
  return [
    {
      method: "POST",
      path: /^\/v1\/checkpoints\/(sha256:[0-9a-f]{64})\/push$/,
      right: "manage",
      async handle({ parts: [digest = ""], json, signal }) {
        const access = accessOf(await json());
        const found = await store.find(digest);
        if (!found) throw new AgentRefusal(404, "NotFound", `no checkpoint ${digest} in ${store.directory}`);
        const target = parseReference(access.reference);
        const client = connect(target, access);
        try {
          const push = async () => {
            if (access.form === "Artifact") return pushArtifact(client, target, found, access.recipients, signal);
            const { manifest, config, layer } = imageOf(found.checkpoint);
            const blobs = [bytesSource(config.digest, config.bytes), fileSource(found.path, layer)];
            const { reference, sentBytes, keptBytes } = await pushImage(client, { manifest, blobs }, target, {
              signal,
            });
            return { digest: reference.digest, sentBytes, keptBytes };
          };
          const { digest: pushed, ...bytes } = await push();
          const { tag: _, ...byDigest } = { ...target, digest: pushed };
          if (access.signingKey !== undefined)
            await signImage(client, byDigest, await readPrivateKey(access.signingKey));
          return { reference: formatReference(byDigest), ...bytes };
        } finally {
          await client.close();
        }
      },
    },
    {
      method: "POST",
      path: /^\/v1\/pull$/,
      right: "manage",
      async handle({ json, signal }) {
        const access = accessOf(await json());
        const source = parseReference(access.reference);
        const client = connect(source, access);
        try {
          const digest = await fetchArchive(
            client,
            await resolveImage(client, source, { signal }),
            access,
            options,
            signal,
          );
          const found = await store.find(digest);
          if (!found) throw new Error(`${digest} was deleted while it arrived`);
          return { ...found.checkpoint, image: imageOf(found.checkpoint).manifest.digest };
        } finally {
          await client.close();
        }
      },
    },
  ];
}

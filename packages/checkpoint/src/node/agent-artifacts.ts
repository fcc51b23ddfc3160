import { openRegistry } from "../registry/client.ts";
import type { RegistryClient } from "../registry/client.ts";
import { bytesSource, fileSource } from "../registry/blob-upload.ts";
import type { RegistryCredential } from "../registry/docker-config.ts";
import { pullImage, resolveImage } from "../registry/image-pull.ts";
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
import type { CheckpointStore } from "./store.ts";

/** What the manager sends along for a registry. */
interface RegistryAccess {
  /** `registry/repository:tag`, or with a digest. */
  readonly reference: string;
  readonly credential?: RegistryCredential;
  /** PEM. */
  readonly signingKey?: string;
  /** What must come out of it. */
  readonly digest?: string;
}

export interface AgentArtifactsOptions {
  readonly store: CheckpointStore;
  /** Registries that speak HTTP without TLS beside those on loopback: `host:port`. */
  readonly plainRegistries: readonly string[];
  /** PEM, trusted beside the machine's authorities. */
  readonly registryAuthority?: string;
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

function accessOf(body: Readonly<Record<string, unknown>>): RegistryAccess {
  const [reference, signingKey, digest] = ["reference", "signingKey", "digest"].map((key) => textOf(body[key]));
  if (reference === undefined) throw new AgentRefusal(400, "BadRequest", "the body names no reference");
  const credential = body["credential"] as RegistryCredential | undefined;
  return { reference, ...(credential && { credential }), ...(signingKey && { signingKey }), ...(digest && { digest }) };
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
          const { manifest, config, layer } = imageOf(found.checkpoint);
          const blobs = [bytesSource(config.digest, config.bytes), fileSource(found.path, layer)];
          const pushed = await pushImage(client, { manifest, blobs }, target, { signal });
          if (access.signingKey !== undefined)
            await signImage(client, pushed.reference, await readPrivateKey(access.signingKey));
          const { tag: _, ...byDigest } = pushed.reference;
          return { reference: formatReference(byDigest), sentBytes: pushed.sentBytes, keptBytes: pushed.keptBytes };
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
          const { manifest } = await resolveImage(client, source, { signal });
          const [layer, more] = manifest.layers;
          const host = manifest.annotations[hostAnnotation];
          if (layer === undefined || more !== undefined || host === undefined)
            throw new AgentRefusal(
              422,
              "NoCheckpoint",
              `${access.reference} is no checkpoint: ${host === undefined ? `it has no annotation ${hostAnnotation}` : `it has ${manifest.layers.length} layers, not one`}`,
            );
          if (access.digest !== undefined && layer.digest !== access.digest)
            throw new AgentRefusal(
              422,
              "FW_CHECKPOINT_DIGEST",
              `${access.reference} holds archive ${layer.digest}, not ${access.digest}`,
            );
          const known = await store.find(layer.digest);
          if (!known)
            await pullImage(
              client,
              source,
              {
                has: (blob) => Promise.resolve(blob.digest !== layer.digest),
                async write(blob, bytes) {
                  await store.receive(
                    { digest: blob.digest, size: blob.size, host: JSON.parse(host) as HostFacts },
                    bytes,
                  );
                },
              },
              { signal },
            );
          const found = await store.find(layer.digest);
          if (!found) throw new Error(`${layer.digest} was deleted while it arrived`);
          return { ...found.checkpoint, image: imageOf(found.checkpoint).manifest.digest };
        } finally {
          await client.close();
        }
      },
    },
  ];
}

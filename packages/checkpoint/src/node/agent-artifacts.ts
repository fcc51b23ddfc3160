import { openRegistry } from "../registry/client.ts";
import type { RegistryClient } from "../registry/client.ts";
import type { RegistryCredential } from "../registry/docker-config.ts";
import { resolveImage } from "../registry/image-pull.ts";
import { parseReference } from "../registry/reference.ts";
import type { ImageReference } from "../registry/reference.ts";
import { readPrivateKey } from "../registry/signing-key.ts";
import { AgentRefusal } from "./agent-service.ts";
import type { AgentRoute } from "./agent-service.ts";
import type { Engine } from "./engine.ts";
import { imageOf } from "./store.ts";
import { pushCheckpoint, remoteArchive } from "./registry-transfer.ts";
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
  readonly engine: Pick<Engine, "hasImage">;
}

/** A registry that does not answer in this time is not reached. */
const findMs = 10_000;

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

/** Pushes from the store and pulls into it: the bytes never pass through the manager. */
export function artifactRoutes(options: AgentArtifactsOptions): readonly AgentRoute[] {
  const { store, plainRegistries, registryAuthority } = options;
  const connect = (reference: ImageReference, { credential }: RegistryAccess, tries?: number): RegistryClient =>
    openRegistry({
      registry: reference.registry,
      credentials: () => Promise.resolve(credential),
      ...(plainRegistries.includes(reference.registry) && { plainHttp: true }),
      ...(registryAuthority && { ca: registryAuthority }),
      ...(tries !== undefined && { retries: { tries } }),
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
          const { form = "EngineImage", recipients } = access;
          const signingKey = access.signingKey === undefined ? undefined : await readPrivateKey(access.signingKey);
          return await pushCheckpoint(client, target, found, { form, recipients, signingKey, signal });
        } finally {
          await client.close();
        }
      },
    },
    {
      method: "POST",
      path: /^\/v1\/images\/find$/,
      right: "manage",
      async handle({ json, signal }) {
        const { names } = await json();
        const [first, ...others] = Array.isArray(names) ? names.filter((each) => typeof each === "string") : [];
        if (first === undefined) throw new AgentRefusal(400, "BadRequest", "the body names no image");
        const onNode = await options.engine.hasImage(first, signal);
        if (onNode) return { onNode };
        // One that was never pulled has its bare digest for a name.
        const reference = [first, ...others].find((name) => !name.startsWith("sha256:")) ?? first;
        try {
          // Engines have another name for Docker Hub than its registry has.
          const wanted = parseReference(reference.replace(/^docker\.io\//, "registry-1.docker.io/"));
          const client = connect(wanted, { reference }, 1);
          try {
            const limit = AbortSignal.any([signal, AbortSignal.timeout(findMs)]);
            await client.getManifest(wanted.repository, wanted.digest ?? wanted.tag ?? "latest", limit);
            return { onNode };
          } finally {
            await client.close();
          }
        } catch (error) {
          signal.throwIfAborted();
          return { onNode, problem: error instanceof Error ? error.message : String(error) };
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
          const identities = (await options.identities?.()) ?? [];
          const { bytes, ...remote } = await remoteArchive(client, await resolveImage(client, source, { signal }), {
            identities,
            signal,
          });
          const { digest } = remote;
          if (access.digest !== undefined && digest !== access.digest)
            throw new AgentRefusal(
              422,
              "FW_CHECKPOINT_DIGEST",
              `${access.reference} holds archive ${digest}, not ${access.digest}`,
            );
          if (!(await store.find(digest))) await store.receive(remote, bytes());
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

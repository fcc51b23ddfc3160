import { isNotFound, Secrets, type Client } from "@fleetwright/kube";
import { checkpointError } from "../errors.ts";
import { openRegistry } from "../registry/client.ts";
import { secretCredentials } from "../registry/docker-config.ts";
import type { RegistryCredential } from "../registry/docker-config.ts";
import { parseReference } from "../registry/reference.ts";
import { isNotInRegistry } from "../registry/registry-error.ts";
import type { Artifacts } from "./artifacts.ts";
import type { CheckpointObject } from "./resources.ts";

export interface RegistryArtifactsOptions {
  readonly client: Client;
  /** Registries that speak HTTP without TLS: `host:port`. */
  readonly plainRegistries: readonly string[];
  /** PEM, trusted beside the machine's authorities. */
  readonly registryAuthority?: string;
  /** PEM of the key that what is pushed is signed with. @default nothing is signed */
  readonly signingKey?: string;
}

/** At most what a tag may have (distribution-spec 1.1). */
const maxTagLength = 128;

function tagOf({ metadata }: CheckpointObject, container: string): string {
  const readable = `${metadata.namespace}.${metadata.name}.${container}`;
  return readable.length <= maxTagLength ? readable : `${metadata.uid}.${container}`;
}

/** Artifacts by way of the nodes' agents; deleting is done from here. */
export function registryArtifacts(options: RegistryArtifactsOptions): Artifacts {
  const { client, plainRegistries, registryAuthority, signingKey } = options;
  const credentialFor = async (
    checkpoint: CheckpointObject,
    reference: string,
    signal: AbortSignal,
  ): Promise<RegistryCredential | undefined> => {
    const { namespace = "" } = checkpoint.metadata;
    const name = checkpoint.spec.destination?.secretName;
    if (name === undefined) return undefined;
    const place = `Secret "${namespace}/${name}"`;
    let text: string | undefined;
    try {
      const secret = await client.get(Secrets, { namespace, name }, { signal });
      text = secret.data?.[".dockerconfigjson"];
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw checkpointError(
        "FW_CHECKPOINT_CREDENTIALS",
        `${place} of spec.destination.secretName does not exist; create it with kubectl create secret docker-registry`,
      );
    }
    if (text === undefined)
      throw checkpointError(
        "FW_CHECKPOINT_CREDENTIALS",
        `${place} holds no .dockerconfigjson; create it with kubectl create secret docker-registry`,
      );
    const { registry, repository } = parseReference(reference);
    return secretCredentials(Buffer.from(text, "base64").toString("utf8"), place)(registry, repository);
  };
  const access = async (checkpoint: CheckpointObject, reference: string, signal: AbortSignal) => {
    const credential = await credentialFor(checkpoint, reference, signal);
    return { reference, ...(credential && { credential }) };
  };
  return {
    async push(agent, checkpoint, container, digest, destination, signal) {
      const target = await access(checkpoint, `${destination.repository}:${tagOf(checkpoint, container)}`, signal);
      const { form = "Artifact", recipients } = destination;
      const how = { form, ...(recipients && { recipients }), ...(signingKey && { signingKey }) };
      return (await agent.push(digest, { ...target, ...how }, signal)).reference;
    },
    async pull(agent, checkpoint, artifact, digest, signal) {
      return agent.pull({ ...(await access(checkpoint, artifact, signal)), digest }, signal);
    },
    async remove(checkpoint, container, artifact, signal) {
      // Who was killed between a push and its record has left the tag.
      const pushed = artifact ?? `${checkpoint.spec.destination?.repository}:${tagOf(checkpoint, container)}`;
      const reference = parseReference(pushed);
      const { credential } = await access(checkpoint, pushed, signal);
      const registry = openRegistry({
        registry: reference.registry,
        credentials: () => Promise.resolve(credential),
        ...(plainRegistries.includes(reference.registry) && { plainHttp: true }),
        ...(registryAuthority && { ca: registryAuthority }),
      });
      try {
        const digest =
          reference.digest ?? (await registry.getManifest(reference.repository, reference.tag ?? "", signal)).digest;
        await registry.deleteManifest(reference.repository, digest, signal);
      } catch (error) {
        if (!isNotInRegistry(error)) throw error;
      } finally {
        await registry.close();
      }
    },
  };
}

import { dockerCredentials, openRegistry, type ImageReference, type RegistryClient } from "@fleetwright/checkpoint";
import { text, type CommandContext } from "../command.ts";
import { readRegistryOptions, registryOptions } from "../registry-options.ts";
import { readText } from "./checkpoint-file.ts";

export const referenceArgument = { name: "<reference>", description: "registry/repository:tag, or with a digest" };

/** Options of commands that fetch from registries. */
export const remoteOptions = {
  ...registryOptions,
  ageIdentity: text("--age-identity <file>", "file of age identities that an encrypted artifact is opened with"),
};

/** Works with the registry of a reference, as whom docker's configuration says. */
export async function withRegistry<T>(
  context: CommandContext,
  { registry }: ImageReference,
  options: { readonly plainRegistries: string; readonly registryCa: string },
  work: (client: RegistryClient) => Promise<T>,
): Promise<T> {
  const { plainRegistries, registryAuthority } = await readRegistryOptions(options);
  const client = openRegistry({
    registry,
    credentials: dockerCredentials({ environment: context.env }),
    ...(plainRegistries.includes(registry) && { plainHttp: true }),
    ...(registryAuthority && { ca: registryAuthority }),
  });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** age-keygen's format: a key a line, comments with `#`. `""`: none. */
export async function readIdentities(path: string): Promise<readonly string[]> {
  const lines = path === "" ? [] : (await readText(path)).split("\n");
  return lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
}

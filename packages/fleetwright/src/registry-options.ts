import { readFile } from "node:fs/promises";
import { text } from "./command.ts";

/** How a program speaks with registries; the same for manager, agent and commands. */
export const registryOptions = {
  plainRegistries: text(
    "--plain-registries <addresses>",
    "registries without TLS beside those on loopback, as host:port with commas between; passwords and memory go to them in the clear",
  ),
  registryCa: text("--registry-ca <file>", "certificate authority of registries, trusted beside the machine's"),
};

export async function readRegistryOptions(options: {
  readonly plainRegistries: string;
  readonly registryCa: string;
}): Promise<{ readonly plainRegistries: readonly string[]; readonly registryAuthority?: string }> {
  return {
    plainRegistries: options.plainRegistries.split(",").filter((address) => address !== ""),
    ...(options.registryCa === "" ? {} : { registryAuthority: await readFile(options.registryCa, "utf8") }),
  };
}

import { writeFile } from "node:fs/promises";
import { formatKubeconfig, type KeyPair } from "@fleetwright/kube";

export interface KubeconfigFileParts {
  /** Name of the cluster, the user and the context. */
  readonly name: string;
  readonly server: string;
  readonly caCertificate: string;
  readonly credentials: KeyPair;
}

/** Writes a kubeconfig that only its owner can read. */
export async function writeKubeconfig(path: string, parts: KubeconfigFileParts): Promise<string> {
  const { name, server, caCertificate, credentials } = parts;
  const text = formatKubeconfig({ name, userName: name, server, caCertificate, clientCertificate: credentials });
  await writeFile(path, text, { mode: 0o600 });
  return text;
}

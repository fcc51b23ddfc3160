import { writeFile } from "node:fs/promises";
import type { KeyPair } from "@fleetwright/kube";

export interface KubeconfigParts {
  /** Name of the cluster, the user and the context. */
  readonly name: string;
  readonly server: string;
  readonly caCertificate: string;
  readonly credentials: KeyPair;
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A kubeconfig with everything in it: no other file is needed to use it. */
function kubeconfigText(parts: KubeconfigParts): string {
  const name = JSON.stringify(parts.name);
  return `apiVersion: v1
kind: Config
clusters:
- name: ${name}
  cluster:
    server: ${JSON.stringify(parts.server)}
    certificate-authority-data: ${base64(parts.caCertificate)}
users:
- name: ${name}
  user:
    client-certificate-data: ${base64(parts.credentials.certificate)}
    client-key-data: ${base64(parts.credentials.key)}
contexts:
- name: ${name}
  context:
    cluster: ${name}
    user: ${name}
current-context: ${name}
`;
}

/** Writes a kubeconfig that only its owner can read. */
export async function writeKubeconfig(path: string, parts: KubeconfigParts): Promise<string> {
  const text = kubeconfigText(parts);
  await writeFile(path, text, { mode: 0o600 });
  return text;
}

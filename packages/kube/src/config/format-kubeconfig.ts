import { stringify } from "yaml";
import type { KeyPair } from "../core/certificate-authority.ts";

export interface KubeconfigParts {
  /** Name of the cluster and of the context. */
  readonly name: string;
  readonly server: string;
  /** PEM. Absent: the machine's authorities. */
  readonly caCertificate?: string | undefined;
  readonly tlsServerName?: string | undefined;
  readonly userName: string;
  readonly clientCertificate?: KeyPair | undefined;
  readonly token?: string | undefined;
  /** @default none: kubectl takes `default` */
  readonly namespace?: string | undefined;
}

/**
 * The text of a kubeconfig with one context, certificates inside. It holds secrets: write it with mode 0600.
 *
 * @example
 * writeFileSync(path, formatKubeconfig({ name: "lab", server, caCertificate, userName: "admin", token }), { mode: 0o600 });
 */
export function formatKubeconfig(parts: KubeconfigParts): string {
  const base64 = (pem: string | undefined): string | undefined =>
    pem === undefined ? undefined : Buffer.from(pem, "utf8").toString("base64");
  return stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      "current-context": parts.name,
      clusters: [
        {
          name: parts.name,
          cluster: {
            server: parts.server,
            "certificate-authority-data": base64(parts.caCertificate),
            "tls-server-name": parts.tlsServerName,
          },
        },
      ],
      users: [
        {
          name: parts.userName,
          user: {
            "client-certificate-data": base64(parts.clientCertificate?.certificate),
            "client-key-data": base64(parts.clientCertificate?.key),
            token: parts.token,
          },
        },
      ],
      contexts: [
        {
          name: parts.name,
          context: { cluster: parts.name, user: parts.userName, namespace: parts.namespace },
        },
      ],
    },
    { lineWidth: 0 },
  );
}

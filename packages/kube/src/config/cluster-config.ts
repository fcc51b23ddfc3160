import type { Impersonation } from "../client/client.ts";
import type { ExecConfig } from "./kubeconfig.ts";

/** Text that stands in the configuration or in a file that may change. */
export type TextSource =
  | { readonly kind: "data"; readonly text: string }
  | { readonly kind: "file"; readonly path: string };

/** How we prove who we are. */
export type Identity =
  | { readonly kind: "anonymous" }
  /** `file`, when given, is read again each minute and wins over `token`. */
  | { readonly kind: "token"; readonly token?: string; readonly file?: string }
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  | { readonly kind: "exec"; readonly exec: ExecConfig; readonly clusterInfo?: Readonly<Record<string, unknown>> };

/** One server and one identity: what a context of a kubeconfig, or a pod's service account, comes down to. */
export interface ClusterConfig {
  /** Where it comes from, for errors: `kubeconfig "/home/me/.kube/config" context "prod"`. */
  readonly source: string;
  readonly server: string;
  /** `default` when nothing says otherwise. */
  readonly namespace: string;
  readonly ca?: TextSource;
  readonly tlsServerName?: string;
  readonly insecureSkipTlsVerify?: boolean;
  /** `proxy-url`, else by environment. */
  readonly proxyUrl?: string;
  readonly disableCompression?: boolean;
  readonly identity: Identity;
  /** May go along with any identity. */
  readonly clientCertificate?: { readonly cert: TextSource; readonly key: TextSource };
  readonly impersonate?: Impersonation;
}

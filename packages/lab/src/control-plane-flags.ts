import { join } from "node:path";
import type { Flags } from "./component.ts";
import { serviceAddressRange } from "./control-plane-files.ts";
import type { ControlPlaneFiles } from "./control-plane-files.ts";

/** One rule of `audit.k8s.io/v1` Policy. */
export interface AuditRule {
  readonly level: "None" | "Metadata" | "Request" | "RequestResponse";
  readonly users?: readonly string[];
  readonly userGroups?: readonly string[];
  readonly verbs?: readonly string[];
  readonly resources?: readonly { readonly group?: string; readonly resources?: readonly string[] }[];
  readonly namespaces?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly omitStages?: readonly string[];
}

/** Writes with their bodies, nothing else. */
export const auditWrites: readonly AuditRule[] = [
  {
    level: "Request",
    verbs: ["create", "update", "patch", "delete", "deletecollection"],
    omitStages: ["RequestReceived"],
  },
  { level: "None" },
];

/** The policy file, as JSON (which is YAML). */
export const auditPolicyText = (rules: readonly AuditRule[]): string =>
  JSON.stringify({ apiVersion: "audit.k8s.io/v1", kind: "Policy", rules }, undefined, 2);

export function etcdFlags(directory: string, clientPort: number, peerPort: number): Flags {
  const client = `http://127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  return {
    "data-dir": join(directory, "etcd"),
    "listen-client-urls": client,
    "advertise-client-urls": client,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": `default=${peer}`,
    // The data is thrown away: nothing here has to outlive a power cut.
    "unsafe-no-fsync": true,
    "quota-backend-bytes": 8 * 2 ** 30,
    "log-level": "warn",
  };
}

export function apiServerFlags(
  files: ControlPlaneFiles,
  directory: string,
  ports: { readonly apiServer: number; readonly etcd: number },
  address: string,
): Flags {
  return {
    "etcd-servers": `http://127.0.0.1:${ports.etcd}`,
    "bind-address": address,
    "secure-port": ports.apiServer,
    "advertise-address": address,
    // Endpoints refuse loopback addresses: without this the server complains for ever.
    "endpoint-reconciler-type": "none",
    "cert-dir": join(directory, "apiserver"),
    "tls-cert-file": files.servingCertificatePath,
    "tls-private-key-file": files.servingKeyPath,
    "client-ca-file": files.caCertificatePath,
    "service-account-issuer": "https://kubernetes.default.svc",
    "service-account-key-file": files.serviceAccountPublicKeyPath,
    "service-account-signing-key-file": files.serviceAccountKeyPath,
    "service-cluster-ip-range": serviceAddressRange,
    "authorization-mode": ["Node", "RBAC"],
    "enable-admission-plugins": ["NodeRestriction"],
    "allow-privileged": true,
    "kubelet-client-certificate": files.kubeletClientCertificatePath,
    "kubelet-client-key": files.kubeletClientKeyPath,
    "kubelet-certificate-authority": files.caCertificatePath,
    // There is no DNS that would know a node's name.
    "kubelet-preferred-address-types": "InternalIP",
  };
}

/** Their own client limits (50 and 20 a second by default) would be all that a benchmark measures. */
const clientRate: Flags = { "kube-api-qps": 5000, "kube-api-burst": 10_000 };

export function controllerManagerFlags(files: ControlPlaneFiles, kubeconfigPath: string): Flags {
  return {
    ...clientRate,
    kubeconfig: kubeconfigPath,
    "leader-elect": false,
    // No port of its own: its health shows in what it does.
    "secure-port": 0,
    "service-account-private-key-file": files.serviceAccountKeyPath,
    "root-ca-file": files.caCertificatePath,
    "use-service-account-credentials": true,
    "cluster-signing-cert-file": files.caCertificatePath,
    "cluster-signing-key-file": files.caKeyPath,
    "service-cluster-ip-range": serviceAddressRange,
  };
}

export function schedulerFlags(kubeconfigPath: string): Flags {
  return { ...clientRate, kubeconfig: kubeconfigPath, "leader-elect": false, "secure-port": 0 };
}

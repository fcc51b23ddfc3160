import { generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCertificateAuthority } from "@fleetwright/kube";
import type { CertificateAuthority, Clock, KeyPair } from "@fleetwright/kube";

/** Where the throw-away certificates and keys of a control plane are. All paths are absolute. */
export interface ControlPlaneFiles {
  /** The folder with all of them. */
  readonly directory: string;
  readonly authority: CertificateAuthority;
  readonly caCertificatePath: string;
  readonly caKeyPath: string;
  readonly servingCertificatePath: string;
  readonly servingKeyPath: string;
  readonly serviceAccountKeyPath: string;
  readonly serviceAccountPublicKeyPath: string;
  readonly admin: KeyPair;
  readonly controllerManager: KeyPair;
  readonly scheduler: KeyPair;
  /** Who the API server is to kubelets: user `kube-apiserver-kubelet-client`, which has the rights that RBAC gives it. */
  readonly kubeletClientCertificatePath: string;
  readonly kubeletClientKeyPath: string;
}

/** The address range of Services; its first address is `kubernetes.default`. */
export const serviceAddressRange = "10.96.0.0/16";

/** Makes the certificates of a control plane in `directory`. They are valid for a week: a lab is not kept. */
export async function writeControlPlaneFiles(
  directory: string,
  clock: Clock,
  address: string,
): Promise<ControlPlaneFiles> {
  const folder = join(directory, "certificates");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const notAfter = clock.now() + 7 * 24 * 3600_000;
  const authority = await createCertificateAuthority({ clock, commonName: "fleetwright-lab", notAfter });
  const [serving, admin, controllerManager, scheduler, kubeletClient] = await Promise.all([
    authority.issue({
      usage: "server",
      commonName: "kube-apiserver",
      hosts: [
        ...new Set(["127.0.0.1", address]),
        "::1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "10.96.0.1",
      ],
    }),
    authority.issue({ usage: "client", commonName: "admin", organizations: ["system:masters"] }),
    authority.issue({ usage: "client", commonName: "system:kube-controller-manager" }),
    authority.issue({ usage: "client", commonName: "system:kube-scheduler" }),
    authority.issue({ usage: "client", commonName: "kube-apiserver-kubelet-client" }),
  ]);
  const serviceAccounts = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const put = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  };
  const [
    caCertificatePath,
    caKeyPath,
    servingCertificatePath,
    servingKeyPath,
    serviceAccountKeyPath,
    serviceAccountPublicKeyPath,
    kubeletClientCertificatePath,
    kubeletClientKeyPath,
  ] = await Promise.all([
    put("ca.crt", authority.certificate),
    put("ca.key", authority.key),
    put("apiserver.crt", serving.certificate),
    put("apiserver.key", serving.key),
    put("service-accounts.key", serviceAccounts.privateKey.export({ type: "sec1", format: "pem" }).toString()),
    put("service-accounts.pub", serviceAccounts.publicKey.export({ type: "spki", format: "pem" }).toString()),
    put("kubelet-client.crt", kubeletClient.certificate),
    put("kubelet-client.key", kubeletClient.key),
  ]);
  return {
    directory: folder,
    authority,
    caCertificatePath,
    caKeyPath,
    servingCertificatePath,
    servingKeyPath,
    serviceAccountKeyPath,
    serviceAccountPublicKeyPath,
    admin,
    controllerManager,
    scheduler,
    kubeletClientCertificatePath,
    kubeletClientKeyPath,
  };
}

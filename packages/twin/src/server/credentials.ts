import { generateKeyPairSync } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCertificateAuthority, loadCertificateAuthority } from "@fleetwright/kube";
import type { CertificateAuthority, Clock, KeyPair } from "@fleetwright/kube";

/** What the server proves itself with, and signs others by. */
export interface ServerCredentials {
  readonly authority: CertificateAuthority;
  readonly serving: KeyPair;
  /** PEM, P-256: signs service account tokens. */
  readonly serviceAccountKey: string;
}

const tenYearsMs = 10 * 365 * 24 * 3600_000;

const servingHosts = (host: string, serviceAddress: string): readonly string[] => [
  ...new Set([
    "127.0.0.1",
    "::1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    serviceAddress,
    host,
  ]),
];

const newServiceAccountKey = (): string =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "sec1", format: "pem" }).toString();

async function kept(path: string, make: () => string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    const text = make();
    await writeFile(path, text, { mode: 0o600 });
    return text;
  }
}

/** Those of a directory, made when they are not there: a kubeconfig stays good when the server starts again. */
export async function loadCredentials(options: {
  readonly clock: Clock;
  readonly host: string;
  readonly serviceAddress: string;
  /** Absent: new ones that nobody keeps. */
  readonly directory?: string;
}): Promise<ServerCredentials> {
  const { clock, directory } = options;
  const fresh = await createCertificateAuthority({
    clock,
    commonName: "fleetwright-twin",
    notAfter: clock.now() + tenYearsMs,
  });
  let authority = fresh;
  let serviceAccountKey: string;
  if (directory === undefined) serviceAccountKey = newServiceAccountKey();
  else {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const certificate = await kept(join(directory, "ca.crt"), () => fresh.certificate);
    const key = await kept(join(directory, "ca.key"), () => fresh.key);
    authority = await loadCertificateAuthority(clock, { certificate, key });
    serviceAccountKey = await kept(join(directory, "service-accounts.key"), newServiceAccountKey);
  }
  const serving = await authority.issue({
    usage: "server",
    commonName: "kube-apiserver",
    hosts: servingHosts(options.host, options.serviceAddress),
  });
  return { authority, serving, serviceAccountKey };
}

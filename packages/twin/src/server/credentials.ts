import { generateKeyPairSync } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
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
    await writeWhole(path, text);
    return text;
  }
}

/** A process that is killed here leaves the old file or the new one, never half of it. */
async function writeWhole(path: string, text: string): Promise<void> {
  const part = `${path}.${process.pid}.part`;
  await writeFile(part, text, { mode: 0o600, flush: true });
  await rename(part, path);
}

/** The certificate is written last: where there is one, its key is there, too. */
async function keptPair(directory: string, fresh: KeyPair): Promise<KeyPair> {
  const [certificatePath, keyPath] = [join(directory, "ca.crt"), join(directory, "ca.key")];
  try {
    return { certificate: await readFile(certificatePath, "utf8"), key: await readFile(keyPath, "utf8") };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    await writeWhole(keyPath, fresh.key);
    await writeWhole(certificatePath, fresh.certificate);
    return fresh;
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
    authority = await loadCertificateAuthority(clock, await keptPair(directory, fresh));
    serviceAccountKey = await kept(join(directory, "service-accounts.key"), newServiceAccountKey);
  }
  const serving = await authority.issue({
    usage: "server",
    commonName: "kube-apiserver",
    hosts: servingHosts(options.host, options.serviceAddress),
  });
  return { authority, serving, serviceAccountKey };
}

// @peculiar/x509 resolves its algorithms through tsyringe, which needs this polyfill loaded before it.
import "reflect-metadata";
import { createPrivateKey, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { Extension } from "@peculiar/x509";
import type { Clock } from "./clock.ts";

/** ECDSA, not RSA: a handshake costs the API server a tenth, and keys are made in a millisecond. */
const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256" } as const;
const signingAlgorithm = { name: "ECDSA", hash: "SHA-256" } as const;

/** Clocks of two machines differ: a certificate that is valid only from now on is refused by the one behind. */
const defaultBackdateMs = 5 * 60_000;
const dayMs = 24 * 3600_000;

/** A certificate and its private key, both PEM (the key as PKCS#8). */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** What a certificate says and how long it holds. */
export interface CertificateRequest {
  /** `server`: TLS server; `client`: TLS client; `both`. */
  readonly usage: "server" | "client" | "both";
  /** The user name, where Kubernetes reads a client certificate. */
  readonly commonName: string;
  /** The groups, where Kubernetes reads a client certificate. */
  readonly organizations?: readonly string[];
  /** DNS names and IP addresses a server answers for. Go ignores the common name: a server needs at least one. */
  readonly hosts?: readonly string[];
  /** Milliseconds since the epoch. @default five minutes ago */
  readonly notBefore?: number;
  /** Milliseconds since the epoch. @default a year from now; never later than the CA's own end */
  readonly notAfter?: number;
}

/** Signs certificates with an ECDSA P-256 key. */
export interface CertificateAuthority extends KeyPair {
  /** When its own certificate ends, in milliseconds since the epoch. */
  readonly notAfter: number;
  issue(request: CertificateRequest): Promise<KeyPair>;
}

export interface AuthorityOptions {
  readonly clock: Clock;
  readonly commonName: string;
  /** Milliseconds since the epoch. @default five minutes ago */
  readonly notBefore?: number;
  /** Milliseconds since the epoch. @default ten years from now */
  readonly notAfter?: number;
}

/**
 * A new self-signed CA.
 *
 * @example
 * const authority = await createCertificateAuthority({ clock: systemClock, commonName: "test-ca" });
 * const server = await authority.issue({ usage: "server", commonName: "webhook", hosts: ["localhost", "127.0.0.1"] });
 */
export async function createCertificateAuthority(options: AuthorityOptions): Promise<CertificateAuthority> {
  const keys = await webcrypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
  const now = options.clock.now();
  const name = [{ CN: [options.commonName] }];
  const certificate = await X509CertificateGenerator.create({
    subject: name,
    issuer: name,
    notBefore: new Date(options.notBefore ?? now - defaultBackdateMs),
    notAfter: new Date(options.notAfter ?? now + 3650 * dayMs),
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return authorityOf(options.clock, certificate, keys.privateKey, await keyPemOf(keys.privateKey));
}

/**
 * A CA that was made earlier, from its PEM texts.
 *
 * @throws TypeError or an OpenSSL error when a text is not a P-256 certificate or key
 */
export async function loadCertificateAuthority(clock: Clock, pair: KeyPair): Promise<CertificateAuthority> {
  const der = createPrivateKey(pair.key).export({ type: "pkcs8", format: "der" });
  const key = await webcrypto.subtle.importKey("pkcs8", der, keyAlgorithm, true, ["sign"]);
  return authorityOf(clock, new X509Certificate(pair.certificate), key, pair.key);
}

function authorityOf(
  clock: Clock,
  certificate: X509Certificate,
  signingKey: webcrypto.CryptoKey,
  keyPem: string,
): CertificateAuthority {
  return {
    certificate: pemText(certificate),
    key: keyPem,
    notAfter: certificate.notAfter.getTime(),
    async issue(request) {
      const keys = await webcrypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
      const now = clock.now();
      const notAfter = Math.min(request.notAfter ?? now + 365 * dayMs, certificate.notAfter.getTime());
      const issued = await X509CertificateGenerator.create({
        // One RDN per organization, in Go's order: groups first, the user name last.
        subject: [...(request.organizations ?? []).map((group) => ({ O: [group] })), { CN: [request.commonName] }],
        issuer: certificate.subjectName.toJSON(),
        notBefore: new Date(request.notBefore ?? now - defaultBackdateMs),
        notAfter: new Date(notAfter),
        publicKey: keys.publicKey,
        signingKey,
        signingAlgorithm,
        extensions: await leafExtensions(request, certificate, keys.publicKey),
      });
      return { certificate: pemText(issued), key: await keyPemOf(keys.privateKey) };
    },
  };
}

async function leafExtensions(
  request: CertificateRequest,
  issuer: X509Certificate,
  publicKey: webcrypto.CryptoKey,
): Promise<Extension[]> {
  const usages: ExtendedKeyUsage[] = [];
  if (request.usage !== "client") usages.push(ExtendedKeyUsage.serverAuth);
  if (request.usage !== "server") usages.push(ExtendedKeyUsage.clientAuth);
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension(usages),
    await SubjectKeyIdentifierExtension.create(publicKey),
    await AuthorityKeyIdentifierExtension.create(issuer),
  ];
  const hosts = request.hosts ?? [];
  if (hosts.length > 0)
    extensions.push(
      new SubjectAlternativeNameExtension(hosts.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value }))),
    );
  return extensions;
}

const pemText = (certificate: X509Certificate): string => `${certificate.toString("pem").trim()}\n`;

async function keyPemOf(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();
}

import type { TLSSocket } from "node:tls";
import type { Call } from "../machinery/request.ts";

/** What a connection's client certificate says. */
export type ClientIdentity =
  | { readonly kind: "none" }
  /** Not signed by the CA, expired, or not for clients. */
  | { readonly kind: "untrusted" }
  | {
      readonly kind: "verified";
      readonly certificate: NonNullable<Call["clientCertificate"]>;
      /** Connections outlive certificates. */
      readonly notAfterMs: number;
    };

const listOf = (value: string | string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === "string" ? [value] : value;

/** Read once for a connection, after its handshake. Go takes the last of several common names. */
export function clientIdentity(socket: TLSSocket): ClientIdentity {
  const peer = socket.getPeerX509Certificate();
  if (peer === undefined) return { kind: "none" };
  if (!socket.authorized) return { kind: "untrusted" };
  const { subject } = socket.getPeerCertificate();
  return {
    kind: "verified",
    certificate: {
      commonName: listOf(subject.CN).at(-1) ?? "",
      organizations: listOf(subject.O),
      fingerprint: peer.fingerprint256.replaceAll(":", "").toLowerCase(),
    },
    notAfterMs: Date.parse(peer.validTo),
  };
}

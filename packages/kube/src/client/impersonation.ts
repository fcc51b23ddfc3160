import type { Impersonation } from "./client.ts";

/** The `Impersonate-*` headers; groups and extra values repeat the header. Rule: client-go `transport/round_trippers.go`. */
export function impersonationHeaders(impersonation: Impersonation): Record<string, string | readonly string[]> {
  const headers: Record<string, string | readonly string[]> = { "impersonate-user": encodeValue(impersonation.user) };
  if (impersonation.uid) headers["impersonate-uid"] = encodeValue(impersonation.uid);
  if (impersonation.groups && impersonation.groups.length > 0) {
    headers["impersonate-group"] = impersonation.groups.map(encodeValue);
  }
  for (const [key, values] of Object.entries(impersonation.extra ?? {})) {
    headers[`impersonate-extra-${encodeKey(key)}`] = values.map(encodeValue);
  }
  return headers;
}

/** Header values are bytes; Go's server reads them as UTF-8. */
const encodeValue = (value: string): string => Buffer.from(value, "utf8").toString("latin1");

/** Percent-encodes what a header's name cannot hold, and `%` itself; the server decodes it. */
const encodeKey = (key: string): string =>
  [...Buffer.from(key, "utf8")]
    .map((byte) => {
      const char = String.fromCharCode(byte);
      return /[A-Za-z0-9!#$&'*+\-.^_`|~]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");

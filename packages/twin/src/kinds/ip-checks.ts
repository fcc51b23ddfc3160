import { isIPv6 } from "node:net";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";

/** An IP address as a number, with how it was written. */
export interface IpAddress {
  /** An IPv4 address in an IPv6 address's clothes (`::ffff:1.2.3.4`) counts as IPv4, as in Go. */
  readonly family: 4 | 6;
  readonly value: bigint;
  readonly mapped: boolean;
  readonly leadingZeros: boolean;
}

/** An address and how many of its bits are the network's. */
export interface IpRange {
  readonly address: IpAddress;
  readonly prefixLength: number;
  readonly leadingZeros: boolean;
}

const mappedPrefix = 0xffffn << 32n;

/** Reads an address as k8s.io/utils/net's `ParseIPSloppy` does: zeros may lead an octet. */
export function parseIp(text: string): IpAddress | undefined {
  const octets = ipv4Octets(text);
  if (octets !== undefined) {
    const value = octets.reduce((sum, octet) => sum * 256n + BigInt(octet), 0n);
    return { family: 4, value, mapped: false, leadingZeros: /(^|\.)0[0-9]/.test(text) };
  }
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const value = ipv6Value(text);
  return value >> 32n === 0xffffn
    ? { family: 4, value: value - mappedPrefix, mapped: true, leadingZeros: false }
    : { family: 6, value, mapped: false, leadingZeros: false };
}

function ipv4Octets(text: string): readonly number[] | undefined {
  if (!/^[0-9]+(\.[0-9]+){3}$/.test(text) || text.length > 64) return undefined;
  const octets = text.split(".").map(Number);
  return octets.every((octet) => octet <= 255) ? octets : undefined;
}

function ipv6Value(text: string): bigint {
  const dotted = /^(.*:)([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)$/.exec(text);
  let plain = text;
  if (dotted) {
    const [, head = "", tail = ""] = dotted;
    const [a = 0, b = 0, c = 0, d = 0] = tail.split(".").map(Number);
    plain = `${head}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  }
  const [left = "", right] = plain.split("::");
  const groups = (part: string): readonly string[] => (part === "" ? [] : part.split(":"));
  const before = groups(left);
  const after = right === undefined ? [] : groups(right);
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  return [...before, ...zeros, ...after].reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n);
}

/** As Go prints it: RFC 5952, and IPv4 for what is IPv4 at heart. */
export function ipText({ family, value }: Pick<IpAddress, "family" | "value">): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => (value >> BigInt(112 - index * 16)) & 0xffffn);
  let start = -1;
  let length = 1;
  for (let index = 0; index < 8; index++) {
    let end = index;
    while (end < 8 && groups[end] === 0n) end++;
    if (end - index > length) [start, length] = [index, end - index];
    if (end > index) index = end;
  }
  const hex = (part: readonly bigint[]): string => part.map((group) => group.toString(16)).join(":");
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/** Reads `address/bits` as `ParseCIDRSloppy` does. */
export function parseCidr(text: string): IpRange | undefined {
  const slash = text.lastIndexOf("/");
  const bits = text.slice(slash + 1);
  if (slash < 0 || !/^[0-9]{1,9}$/.test(bits)) return undefined;
  const address = parseIp(text.slice(0, slash));
  if (address === undefined) return undefined;
  const written = Number(bits);
  const width = address.family === 6 || address.mapped ? 128 : 32;
  if (written > width) return undefined;
  return {
    address,
    prefixLength: address.mapped ? Math.max(0, written - 96) : written,
    leadingZeros: address.leadingZeros || /^0[0-9]/.test(bits),
  };
}

/** The network's first address. */
export function networkOf({ address, prefixLength }: Pick<IpRange, "address" | "prefixLength">): bigint {
  const host = BigInt((address.family === 4 ? 32 : 128) - prefixLength);
  return (address.value >> host) << host;
}

/** The range as Go's `IPNet.String` prints it. */
export const cidrText = (range: IpRange): string =>
  `${ipText({ family: range.address.family, value: networkOf(range) })}/${range.prefixLength}`;

/** Whether an address is of a range. */
export function rangeHolds(range: IpRange, address: IpAddress): boolean {
  return (
    range.address.family === address.family &&
    networkOf({ address, prefixLength: range.prefixLength }) === networkOf(range)
  );
}

/** `IsValidIPForLegacyField` with strict validation: odd spellings are refused unless the old object has them. */
export function legacyIpErrors(field: string, text: string, kept: readonly string[] = []): FieldError[] {
  if (kept.includes(text)) return [];
  const address = parseIp(text);
  if (address === undefined) {
    return [fieldErrors.invalid(field, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")];
  }
  if (address.leadingZeros) return [fieldErrors.invalid(field, text, "must not have leading 0s")];
  if (address.mapped) return [fieldErrors.invalid(field, text, "must not be an IPv4-mapped IPv6 address")];
  return [];
}

/** `IsValidIP`: the canonical form only. */
export function ipErrors(field: string, text: string): FieldError[] {
  const errors = legacyIpErrors(field, text);
  const address = parseIp(text);
  if (errors.length > 0 || address === undefined || ipText(address) === text) return errors;
  return [fieldErrors.invalid(field, text, `must be in canonical form (${JSON.stringify(ipText(address))})`)];
}

/** `IsValidCIDRForLegacyField` with strict validation. */
export function legacyCidrErrors(field: string, text: string, kept: readonly string[] = []): FieldError[] {
  if (kept.includes(text)) return [];
  const range = parseCidr(text);
  if (range === undefined) {
    return [fieldErrors.invalid(field, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")];
  }
  if (range.leadingZeros) return [fieldErrors.invalid(field, text, "must not have leading 0s in IP or prefix length")];
  if (range.address.mapped) return [fieldErrors.invalid(field, text, "must not have an IPv4-mapped IPv6 address")];
  if (networkOf(range) !== range.address.value) {
    return [fieldErrors.invalid(field, text, "must not have bits set beyond the prefix length")];
  }
  return [];
}

/** `IsValidCIDR`: the canonical form only. */
export function cidrErrors(field: string, text: string): FieldError[] {
  const errors = legacyCidrErrors(field, text);
  const range = parseCidr(text);
  if (errors.length > 0 || range === undefined || cidrText(range) === text) return errors;
  return [fieldErrors.invalid(field, text, `must be in canonical form (${JSON.stringify(cidrText(range))})`)];
}

/** `ValidateEndpointIP`: addresses that no endpoint can have. */
export function endpointIpErrors(field: string, text: string): FieldError[] {
  const address = parseIp(text);
  if (address === undefined) return [fieldErrors.invalid(field, text, "must be a valid IP address")];
  const { family, value } = address;
  const within = (cidr: string): boolean => {
    const range = parseCidr(cidr);
    return range !== undefined && rangeHolds(range, address);
  };
  const errors: FieldError[] = [];
  if (value === 0n) errors.push(fieldErrors.invalid(field, text, `may not be unspecified (${text})`));
  if (within(family === 4 ? "127.0.0.0/8" : "::1/128")) {
    errors.push(fieldErrors.invalid(field, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)"));
  }
  if (within(family === 4 ? "169.254.0.0/16" : "fe80::/10")) {
    errors.push(fieldErrors.invalid(field, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"));
  }
  // Go masks an IPv6 multicast address's second byte: any ff_2:: is link-local.
  if (family === 4 ? within("224.0.0.0/24") : value >> 120n === 0xffn && ((value >> 112n) & 15n) === 2n) {
    errors.push(
      fieldErrors.invalid(field, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    );
  }
  return errors;
}

/** `GetWarningsForIP`. */
export function ipWarnings(field: string, text: string): string[] {
  const address = parseIp(text);
  if (address === undefined) return [];
  const canonical = ipText(address);
  if (address.leadingZeros || address.mapped) {
    return [`${field}: non-standard IP address ${JSON.stringify(text)} is invalid: use ${JSON.stringify(canonical)}`];
  }
  return address.family === 6 && canonical !== text
    ? [
        `${field}: IPv6 address ${JSON.stringify(text)} should be in RFC 5952 canonical format (${JSON.stringify(canonical)})`,
      ]
    : [];
}

/** `GetWarningsForCIDR`. */
export function cidrWarnings(field: string, text: string): string[] {
  const range = parseCidr(text);
  if (range === undefined) return [];
  const quoted = JSON.stringify(text);
  const canonical = JSON.stringify(cidrText(range));
  const warnings: string[] = [];
  if (networkOf(range) !== range.address.value) {
    const single = JSON.stringify(`${ipText(range.address)}/${range.address.family === 4 ? 32 : 128}`);
    warnings.push(`${field}: CIDR value ${quoted} is ambiguous in this context (should be ${canonical} or ${single}?)`);
  }
  if (range.leadingZeros || range.address.mapped) {
    warnings.push(`${field}: non-standard CIDR value ${quoted} is invalid: use ${canonical}`);
  }
  if (warnings.length === 0 && range.address.family === 6 && canonical !== quoted) {
    warnings.push(`${field}: IPv6 CIDR value ${quoted} should be in RFC 5952 canonical format (${canonical})`);
  }
  return warnings;
}

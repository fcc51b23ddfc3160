import {
  dnsLabelProblems,
  dnsSubdomainProblems,
  labelKeyProblems,
  labelValueProblems,
  parseQuantity,
  Quantity,
} from "@fleetwright/kube";
import {
  cidrText,
  ipText,
  networkOf,
  parseCidr,
  parseIp,
  rangeHolds,
  type IpAddress,
  type IpRange,
} from "../kinds/ip-checks.ts";
import type { Library } from "./declarations.ts";
import { parseTimestamp } from "./time-values.ts";
import { EvaluationFailure, LiteralMap, none, OpaqueValue, OptionalValue, type Value } from "./values.ts";

/** Throws are how parts of the server say no; expressions want to know whether. */
function succeeds(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch (error) {
    if (error instanceof EvaluationFailure) return false;
    throw error;
  }
}

type QuantityValue = OpaqueValue<Quantity>;
const quantityValue = (quantity: Quantity): QuantityValue => new OpaqueValue("kubernetes.Quantity", quantity);

function quantity(text: string): QuantityValue {
  try {
    return quantityValue(parseQuantity(text));
  } catch (error) {
    // kube's text has the value before Kubernetes' own words.
    const reason = /^quantity .*?: (.*); write one/s.exec(error instanceof Error ? error.message : "")?.[1];
    throw new EvaluationFailure(
      reason ?? "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
  }
}

const isWhole = (value: Quantity): boolean =>
  value.cmp(Quantity.of(value.value())) === 0 && BigInt.asIntN(64, value.value()) === value.value();

const quantityLibrary: Library = {
  quantity: [["string_to_quantity", "(string) kubernetes.Quantity", quantity]],
  isQuantity: [["is_quantity_string", "(string) bool", (text: string) => succeeds(() => quantity(text))]],
  sign: [["quantity_sign", "(kubernetes.Quantity) int", ({ value }: QuantityValue) => BigInt(value.sign)]],
  isGreaterThan: [
    [
      "quantity_is_greater_than",
      ".(kubernetes.Quantity, kubernetes.Quantity) bool",
      (left: QuantityValue, right: QuantityValue) => left.value.cmp(right.value) > 0,
    ],
  ],
  isLessThan: [
    [
      "quantity_is_less_than",
      ".(kubernetes.Quantity, kubernetes.Quantity) bool",
      (left: QuantityValue, right: QuantityValue) => left.value.cmp(right.value) < 0,
    ],
  ],
  compareTo: [
    [
      "quantity_compare_to",
      ".(kubernetes.Quantity, kubernetes.Quantity) int",
      (left: QuantityValue, right: QuantityValue) => BigInt(left.value.cmp(right.value)),
    ],
  ],
  asApproximateFloat: [
    [
      "quantity_get_float",
      ".(kubernetes.Quantity) double",
      ({ value }: QuantityValue) => Number(value.coefficient) * 10 ** value.exponent,
    ],
  ],
  asInteger: [
    [
      "quantity_get_int",
      ".(kubernetes.Quantity) int",
      ({ value }: QuantityValue) => {
        if (!isWhole(value)) throw new EvaluationFailure("cannot convert value to integer");
        return value.value();
      },
    ],
  ],
  isInteger: [["quantity_is_integer", ".(kubernetes.Quantity) bool", ({ value }: QuantityValue) => isWhole(value)]],
  add: [
    [
      "quantity_add",
      ".(kubernetes.Quantity, kubernetes.Quantity) kubernetes.Quantity",
      (left: QuantityValue, right: QuantityValue) => quantityValue(left.value.add(right.value)),
    ],
    [
      "quantity_add_int",
      ".(kubernetes.Quantity, int) kubernetes.Quantity",
      (left: QuantityValue, right: bigint) => quantityValue(left.value.add(Quantity.of(right))),
    ],
  ],
  sub: [
    [
      "quantity_sub",
      ".(kubernetes.Quantity, kubernetes.Quantity) kubernetes.Quantity",
      (left: QuantityValue, right: QuantityValue) => quantityValue(left.value.sub(right.value)),
    ],
    [
      "quantity_sub_int",
      ".(kubernetes.Quantity, int) kubernetes.Quantity",
      (left: QuantityValue, right: bigint) => quantityValue(left.value.sub(Quantity.of(right))),
    ],
  ],
};

/** Sizes are what costs are counted with: bytes of the address. */
class Ip {
  readonly address: IpAddress;
  constructor(address: IpAddress) {
    this.address = address;
  }
  get size(): number {
    return this.address.family === 4 ? 4 : 16;
  }
  equals(other: unknown): boolean {
    return (
      other instanceof Ip && other.address.family === this.address.family && other.address.value === this.address.value
    );
  }
}
class Cidr {
  readonly range: IpRange;
  constructor(range: IpRange) {
    this.range = range;
  }
  get size(): number {
    return Math.ceil(this.range.prefixLength / 8);
  }
  equals(other: unknown): boolean {
    return (
      other instanceof Cidr &&
      other.range.address.family === this.range.address.family &&
      other.range.address.value === this.range.address.value &&
      other.range.prefixLength === this.range.prefixLength
    );
  }
}
type IpValue = OpaqueValue<Ip>;
type CidrValue = OpaqueValue<Cidr>;
const ipValue = (address: IpAddress): IpValue => new OpaqueValue("net.IP", new Ip(address));
const cidrValue = (range: IpRange): CidrValue => new OpaqueValue("net.CIDR", new Cidr(range));

function ip(text: string): IpValue {
  const address = parseIp(text);
  if (address === undefined || address.leadingZeros) {
    throw new EvaluationFailure(
      `IP Address "${text}" parse error during conversion from string: ParseAddr("${text}"): unable to parse IP`,
    );
  }
  if (address.mapped) {
    throw new EvaluationFailure(`IPv4-mapped IPv6 address "${text}" is not allowed`);
  }
  return ipValue(address);
}

function cidr(text: string): CidrValue {
  const range = parseCidr(text);
  if (range === undefined || range.leadingZeros) {
    throw new EvaluationFailure(
      `network address parse error during conversion from string: netip.ParsePrefix("${text}"): no valid prefix`,
    );
  }
  if (range.address.mapped) throw new EvaluationFailure(`IPv4-mapped IPv6 address "${text}" is not allowed`);
  return cidrValue(range);
}

const inside =
  (...ranges: string[]) =>
  ({ value: { address } }: IpValue): boolean =>
    ranges.some((text) => {
      const range = parseCidr(text);
      return range !== undefined && rangeHolds(range, address);
    });
const isUnspecified = ({ value: { address } }: IpValue): boolean => address.value === 0n;
const isLoopback = inside("127.0.0.0/8", "::1/128");
const isLinkLocalUnicast = inside("169.254.0.0/16", "fe80::/10");
const isMulticast = inside("224.0.0.0/4", "ff00::/8");
const isBroadcast = inside("255.255.255.255/32");

const holdsIp = ({ value }: CidrValue, other: IpValue): boolean => rangeHolds(value.range, other.value.address);
const holdsCidr = ({ value: { range } }: CidrValue, { value: { range: other } }: CidrValue): boolean =>
  range.prefixLength <= other.prefixLength && rangeHolds(range, other.address);

const networkLibrary: Library = {
  ip: [
    ["string_to_ip", "(string) net.IP", ip],
    ["cidr_ip", ".(net.CIDR) net.IP", ({ value }: CidrValue) => ipValue(value.range.address)],
  ],
  isIP: [["is_ip", "(string) bool", (text: string) => succeeds(() => ip(text))]],
  family: [["ip_family", ".(net.IP) int", ({ value }: IpValue) => BigInt(value.address.family)]],
  "ip.isCanonical": [["ip_is_canonical", "(string) bool", (text: string) => ipText(ip(text).value.address) === text]],
  isUnspecified: [["ip_is_unspecified", ".(net.IP) bool", isUnspecified]],
  isLoopback: [["ip_is_loopback", ".(net.IP) bool", isLoopback]],
  isLinkLocalMulticast: [["ip_is_link_local_multicast", ".(net.IP) bool", inside("224.0.0.0/24", "ff02::/16")]],
  isLinkLocalUnicast: [["ip_is_link_local_unicast", ".(net.IP) bool", isLinkLocalUnicast]],
  isGlobalUnicast: [
    [
      "ip_is_global_unicast",
      ".(net.IP) bool",
      (value: IpValue) =>
        !isUnspecified(value) &&
        !isLoopback(value) &&
        !isMulticast(value) &&
        !isLinkLocalUnicast(value) &&
        !isBroadcast(value),
    ],
  ],
  string: [
    ["ip_to_string", "(net.IP) string", ({ value }: IpValue) => ipText(value.address)],
    [
      "cidr_to_string",
      "(net.CIDR) string",
      ({ value: { range } }: CidrValue) => `${ipText(range.address)}/${range.prefixLength}`,
    ],
  ],
  cidr: [["string_to_cidr", "(string) net.CIDR", cidr]],
  isCIDR: [["is_cidr", "(string) bool", (text: string) => succeeds(() => cidr(text))]],
  containsIP: [
    [
      "cidr_contains_ip_string",
      ".(net.CIDR, string) bool",
      (range: CidrValue, text: string) => holdsIp(range, ip(text)),
    ],
    ["cidr_contains_ip_ip", ".(net.CIDR, net.IP) bool", holdsIp],
  ],
  containsCIDR: [
    [
      "cidr_contains_cidr_string",
      ".(net.CIDR, string) bool",
      (range: CidrValue, text: string) => holdsCidr(range, cidr(text)),
    ],
    ["cidr_contains_cidr", ".(net.CIDR, net.CIDR) bool", holdsCidr],
  ],
  prefixLength: [["cidr_prefix_length", ".(net.CIDR) int", ({ value }: CidrValue) => BigInt(value.range.prefixLength)]],
  masked: [
    [
      "cidr_masked",
      ".(net.CIDR) net.CIDR",
      ({ value: { range } }: CidrValue) =>
        cidr(cidrText({ ...range, address: { ...range.address, value: networkOf(range) } })),
    ],
  ],
};

type UrlValue = OpaqueValue<UrlParts>;
interface UrlParts {
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
}

/** Go's `url.ParseRequestURI` with what the library asks in addition: an absolute URL or path. */
function url(text: string): UrlValue {
  const match = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):(?:\/\/([^/?]*))?)?([^?]*)(?:\?(.*))?$/s.exec(text);
  const refuse = (reason: string) =>
    new EvaluationFailure(`URL parse error during conversion from string: parse ${JSON.stringify(text)}: ${reason}`);
  // oxlint-disable-next-line no-control-regex
  if (match === null || /[\u0000-\u001f\u007f]/.test(text)) throw refuse("net/url: invalid control character in URL");
  const [, scheme, host, path = "", query = ""] = match;
  if (text === "") throw refuse("empty url");
  if (scheme === undefined && !path.startsWith("/")) throw refuse("invalid URI for request");
  if (scheme !== undefined && host === undefined && !path.startsWith("/")) throw refuse("invalid URI for request");
  if (/%(?![0-9a-fA-F]{2})/.test(path))
    throw refuse(`invalid URL escape ${JSON.stringify(/%.{0,2}/.exec(path)?.[0] ?? "%")}`);
  const port = /:([^\]:]*)$/.exec(host ?? "")?.[1];
  if (port !== undefined && !/^\d*$/.test(port)) throw refuse(`invalid port ":${port}" after host`);
  if (host !== undefined && /[ <>"]/.test(host)) throw refuse("invalid character in host name");
  const value: UrlParts = { scheme: (scheme ?? "").toLowerCase(), host: host?.replace(/^.*@/, "") ?? "", path, query };
  return new OpaqueValue(
    "kubernetes.URL",
    Object.assign(value, { equals: (other: unknown) => JSON.stringify(other) === JSON.stringify(value) }),
  );
}

const hostName = (host: string): string => /^\[(.*)\]/.exec(host)?.[1] ?? host.replace(/:\d*$/, "");

const urlLibrary: Library = {
  url: [["string_to_url", "(string) kubernetes.URL", url]],
  isURL: [["is_url_string", "(string) bool", (text: string) => succeeds(() => url(text))]],
  getScheme: [["url_get_scheme", ".(kubernetes.URL) string", ({ value }: UrlValue) => value.scheme]],
  getHost: [["url_get_host", ".(kubernetes.URL) string", ({ value }: UrlValue) => value.host]],
  getHostname: [["url_get_hostname", ".(kubernetes.URL) string", ({ value }: UrlValue) => hostName(value.host)]],
  getPort: [
    ["url_get_port", ".(kubernetes.URL) string", ({ value }: UrlValue) => /:(\d*)$/.exec(value.host)?.[1] ?? ""],
  ],
  getEscapedPath: [["url_get_escaped_path", ".(kubernetes.URL) string", ({ value }: UrlValue) => value.path]],
  getQuery: [
    [
      "url_get_query",
      ".(kubernetes.URL) map(string, list(string))",
      ({ value }: UrlValue) => {
        const query = new URLSearchParams(value.query);
        return new LiteralMap([...new Set(query.keys())].map((key) => [key, query.getAll(key)]));
      },
    ],
  ],
};

/** github.com/blang/semver, whose build metadata does not order. */
class Semver {
  readonly numbers: readonly bigint[];
  readonly prerelease: readonly string[];
  constructor(numbers: readonly bigint[], prerelease: readonly string[]) {
    this.numbers = numbers;
    this.prerelease = prerelease;
  }
  compare(other: Semver): number {
    for (const [at, number] of this.numbers.entries()) {
      const theirs = other.numbers[at] ?? 0n;
      if (number !== theirs) return number < theirs ? -1 : 1;
    }
    if (this.prerelease.length === 0 || other.prerelease.length === 0) {
      return Math.sign(other.prerelease.length - this.prerelease.length);
    }
    for (let at = 0; ; at += 1) {
      const [mine, theirs] = [this.prerelease[at], other.prerelease[at]];
      if (mine === undefined || theirs === undefined) return mine === theirs ? 0 : mine === undefined ? -1 : 1;
      if (mine === theirs) continue;
      const [mineIsNumber, theirsIsNumber] = [/^\d+$/.test(mine), /^\d+$/.test(theirs)];
      if (mineIsNumber !== theirsIsNumber) return mineIsNumber ? -1 : 1;
      if (mineIsNumber) return BigInt(mine) < BigInt(theirs) ? -1 : 1;
      return mine < theirs ? -1 : 1;
    }
  }
  equals(other: unknown): boolean {
    return other instanceof Semver && this.compare(other) === 0;
  }
}
type SemverValue = OpaqueValue<Semver>;
const semverPattern =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

function semver(text: string, normalize = false): SemverValue {
  const match = semverPattern.exec(normalize ? normalized(text) : text);
  const prerelease = match?.[4]?.split(".") ?? [];
  if (match === null || prerelease.some((part) => /^0\d+$/.test(part))) {
    const reason = /^\d+(?:\.\d+)?$/.test(text)
      ? "No Major.Minor.Patch elements found"
      : `Invalid character(s) found in major number ${JSON.stringify(text)}`;
    throw new EvaluationFailure(reason);
  }
  return new OpaqueValue(
    "kubernetes.Semver",
    new Semver(
      match.slice(1, 4).map((part) => BigInt(part)),
      prerelease,
    ),
  );
}

/** Without a leading `v`, missing parts and leading zeros. */
function normalized(text: string): string {
  const trimmed = text.replace(/^v/, "");
  const match = /^([^-+]*)(.*)$/s.exec(trimmed);
  const numbers = (match?.[1] ?? "").split(".").map((part) => part.replace(/^0+(?=\d)/, ""));
  while (numbers.length < 3) numbers.push("0");
  return numbers.join(".") + (match?.[2] ?? "");
}

const semverLibrary: Library = {
  semver: [
    ["string_to_semver", "(string) kubernetes.Semver", semver],
    ["string_bool_to_semver", "(string, bool) kubernetes.Semver", semver],
  ],
  isSemver: [
    ["is_semver_string", "(string) bool", (text: string) => succeeds(() => semver(text))],
    [
      "is_semver_string_bool",
      "(string, bool) bool",
      (text: string, normalize: boolean) => succeeds(() => semver(text, normalize)),
    ],
  ],
  isGreaterThan: [
    [
      "semver_is_greater_than",
      ".(kubernetes.Semver, kubernetes.Semver) bool",
      (left: SemverValue, right: SemverValue) => left.value.compare(right.value) > 0,
    ],
  ],
  isLessThan: [
    [
      "semver_is_less_than",
      ".(kubernetes.Semver, kubernetes.Semver) bool",
      (left: SemverValue, right: SemverValue) => left.value.compare(right.value) < 0,
    ],
  ],
  compareTo: [
    [
      "semver_compare_to",
      ".(kubernetes.Semver, kubernetes.Semver) int",
      (left: SemverValue, right: SemverValue) => BigInt(left.value.compare(right.value)),
    ],
  ],
  ...Object.fromEntries(
    ["major", "minor", "patch"].map((name, at) => [
      name,
      [[`semver_${name}`, ".(kubernetes.Semver) int", ({ value }: SemverValue) => value.numbers[at] ?? 0n]] as const,
    ]),
  ),
};

interface Format {
  readonly maximumRegexSize: number;
  problems(text: string): readonly string[];
}
const unless =
  (test: (text: string) => boolean, problem: string) =>
  (text: string): readonly string[] =>
    test(text) ? [] : [problem];
/** A name that something will be appended to may end in what a whole name may not. */
const prefixOf =
  (problems: (text: string) => readonly string[]) =>
  (text: string): readonly string[] =>
    problems(text.endsWith("-") && text.length > 1 ? `${text.slice(0, -2)}a` : text);
const dns1035LabelProblems = unless(
  (text) => /^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(text) && text.length <= 63,
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
);

const formats: Readonly<Record<string, Format>> = {
  dns1123Label: { maximumRegexSize: 30, problems: dnsLabelProblems },
  dns1123Subdomain: { maximumRegexSize: 60, problems: dnsSubdomainProblems },
  dns1035Label: { maximumRegexSize: 30, problems: dns1035LabelProblems },
  qualifiedName: { maximumRegexSize: 60, problems: labelKeyProblems },
  dns1123LabelPrefix: { maximumRegexSize: 30, problems: prefixOf(dnsLabelProblems) },
  dns1123SubdomainPrefix: { maximumRegexSize: 60, problems: prefixOf(dnsSubdomainProblems) },
  dns1035LabelPrefix: { maximumRegexSize: 30, problems: prefixOf(dns1035LabelProblems) },
  labelValue: { maximumRegexSize: 40, problems: labelValueProblems },
  uri: {
    maximumRegexSize: 1000,
    problems: (text) => (succeeds(() => url(text)) ? [] : [`parse ${JSON.stringify(text)}: invalid URI for request`]),
  },
  uuid: {
    maximumRegexSize: 81,
    problems: unless(
      (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text),
      "does not match the UUID format",
    ),
  },
  byte: {
    maximumRegexSize: 84,
    problems: unless(
      (text) => /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text),
      "invalid base64",
    ),
  },
  date: {
    maximumRegexSize: 103,
    problems: unless((text) => succeeds(() => parseTimestamp(`${text}T00:00:00Z`)), "invalid date"),
  },
  datetime: {
    maximumRegexSize: 103,
    problems: unless((text) => succeeds(() => parseTimestamp(text)), "invalid datetime"),
  },
};
const formatValues = new Map(
  Object.entries(formats).map(([name, format]) => [name, new OpaqueValue("kubernetes.NamedFormat", format)]),
);

const formatLibrary: Library = {
  ...Object.fromEntries(
    [...formatValues].map(([name, value]) => [
      `format.${name}`,
      [[`format.${name}`, "() kubernetes.NamedFormat", () => value]] as const,
    ]),
  ),
  "format.named": [
    [
      "format-named",
      "(string) optional(kubernetes.NamedFormat)",
      (name: string) => {
        const format = formatValues.get(name);
        return format === undefined ? none : new OptionalValue(format);
      },
    ],
  ],
  validate: [
    [
      "format-validate",
      ".(kubernetes.NamedFormat, string) optional(list(string))",
      ({ value }: OpaqueValue<Format>, text: string) => {
        const problems: readonly Value[] = value.problems(text);
        return problems.length === 0 ? none : new OptionalValue(problems);
      },
    ],
  ],
};

/** apiserver/pkg/cel/library: quantities, addresses, URLs, versions and formats. */
export const kubernetesLibraries: readonly Library[] = [
  quantityLibrary,
  networkLibrary,
  urlLibrary,
  semverLibrary,
  formatLibrary,
];

import { Services, ServiceCIDRs, type Random, type Service } from "@fleetwright/kube";
import type { RequestContext, ServerAccess } from "../machinery/request.ts";
import { fieldErrors, refusals, type FieldError } from "../machinery/status-error.ts";
import {
  cidrText,
  ipText,
  networkOf,
  parseCidr,
  parseIp,
  rangeHolds,
  type IpAddress,
  type IpRange,
} from "./ip-checks.ts";
import { fillFamilies, type ClusterFamilies } from "./service-families.ts";
import {
  clusterIpsOf,
  familiesOf,
  isHeadless,
  needsClusterIp,
  needsHealthCheck,
  needsNodePort,
  portsOf,
  specOf,
  typeOf,
  type ReadonlyService,
  type ServiceDraft,
} from "./service-fields.ts";

/** kube-apiserver's `--service-node-port-range`. */
const nodePortRange = { first: 30_000, last: 32_767 };
/** kube-apiserver's `--service-cluster-ip-range` where no ServiceCIDR says otherwise. */
const defaultCidr = "10.0.0.0/24";
/** Random tries before the range is searched from its start. */
const randomTries = 32;
/** A search through a range of IPv6 addresses would never end; nobody fills one. */
const longestSearch = 65_536;

/** Who holds an address or a port: a claim counts as long as that Service says the same. */
interface Claims {
  readonly ips: Map<string, string>;
  readonly ports: Map<number, string>;
}

const claimsOfServer = new WeakMap<object, Claims>();

const keyOfService = ({ metadata }: ReadonlyService): string => `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;

function claim(claims: Claims, service: ReadonlyService): void {
  const key = keyOfService(service);
  for (const ip of clusterIpsOf(service)) {
    const address = parseIp(ip);
    if (address) claims.ips.set(ipText(address), key);
  }
  for (const port of nodePortsOf(service)) claims.ports.set(port, key);
}

function nodePortsOf(service: ReadonlyService): number[] {
  const { healthCheckNodePort = 0 } = specOf(service);
  return [...portsOf(service).map(({ nodePort = 0 }) => nodePort), healthCheckNodePort].filter((port) => port !== 0);
}

function claimsOf(server: ServerAccess): Claims {
  const known = claimsOfServer.get(server.objects);
  if (known) {
    // The server writes this one by itself.
    const kubernetes = server.objects.get(Services, { namespace: "default", name: "kubernetes" });
    if (kubernetes) claim(known, kubernetes);
    return known;
  }
  const claims: Claims = { ips: new Map(), ports: new Map() };
  for (const service of server.objects.list(Services)) claim(claims, service);
  claimsOfServer.set(server.objects, claims);
  return claims;
}

/** A claim of a Service that is gone, or that has given it back, is none. */
function holder(server: ServerAccess, key: string | undefined, holds: (service: Service) => boolean): boolean {
  if (key === undefined) return false;
  const slash = key.indexOf("/");
  const service = server.objects.get(Services, { namespace: key.slice(0, slash), name: key.slice(slash + 1) });
  return service !== undefined && holds(service);
}

function ipTaken(server: ServerAccess, claims: Claims, ip: string, self: string): boolean {
  const key = claims.ips.get(ip);
  return key !== self && holder(server, key, (service) => clusterIpsOf(service).includes(ip));
}

function portTaken(server: ServerAccess, claims: Claims, port: number): boolean {
  return holder(server, claims.ports.get(port), (service) => nodePortsOf(service).includes(port));
}

/** The ranges that addresses come from: those of ServiceCIDR objects, the first family is the cluster's. */
function rangesOf(server: ServerAccess): readonly [IpRange, ...IpRange[]] {
  const texts = server.objects
    .list(ServiceCIDRs)
    .toSorted(({ metadata: left }, { metadata: right }) =>
      left.name === "kubernetes" ? -1 : right.name === "kubernetes" ? 1 : 0,
    )
    .flatMap(({ metadata, spec }) => (metadata.deletionTimestamp === undefined ? (spec?.cidrs ?? []) : []));
  const [first, ...rest] = [...texts, ...(texts.length === 0 ? [defaultCidr] : [])].flatMap((text) => {
    const range = parseCidr(text);
    return range ? [range] : [];
  });
  if (first === undefined) throw refusals.internal("no ServiceCIDR holds a range: create one with spec.cidrs");
  return [first, ...rest];
}

const familyName = (range: IpRange): string => (range.address.family === 6 ? "IPv6" : "IPv4");

/** The first addresses are for those who ask for one (KEP-3070): the random ones come from behind them. */
function freeIp(
  ranges: readonly IpRange[],
  random: Random,
  taken: (ip: string) => boolean,
): { readonly ip: string } | undefined {
  for (const range of ranges) {
    const { family } = range.address;
    const bits = BigInt((family === 4 ? 32 : 128) - range.prefixLength);
    // Neither the network's own address nor IPv4's broadcast address.
    const count = (1n << bits) - (family === 4 ? 2n : 1n);
    if (count < 1n) continue;
    const size = Number(count > BigInt(Number.MAX_SAFE_INTEGER) ? BigInt(Number.MAX_SAFE_INTEGER) : count);
    const reserved = Math.min(size, size < 16 ? 0 : Math.min(256, Math.max(16, Math.floor(size / 16))));
    const text = (offset: number): string => ipText({ family, value: networkOf(range) + 1n + BigInt(offset) });
    for (let attempt = 0; attempt < randomTries && size > reserved; attempt++) {
      const ip = text(reserved + Math.floor(random.next() * (size - reserved)));
      if (!taken(ip)) return { ip };
    }
    for (let step = 0; step < Math.min(size, longestSearch); step++) {
      const ip = text((reserved + step) % size);
      if (!taken(ip)) return { ip };
    }
  }
  return undefined;
}

/**
 * Gives a Service what must be unique in the cluster: addresses from the ServiceCIDRs, node ports from 30000 to 32767
 * (pkg/registry/core/service/storage/alloc.go). Throws 422 when what it asks for is taken.
 */
export function allocate(
  service: ServiceDraft,
  old: ReadonlyService | undefined,
  server: ServerAccess,
  context: RequestContext,
): void {
  const refuse = (...errors: readonly FieldError[]): void => {
    if (errors.length > 0) {
      throw refusals.invalid({ group: "", resource: "Service" }, service.metadata.name ?? "", errors);
    }
  };
  const ranges = rangesOf(server);
  const families = [...new Set(ranges.map(familyName))];
  const cluster: ClusterFamilies = [families[0] ?? "IPv4", ...families.slice(1)];
  refuse(...fillFamilies(service, old, cluster));
  const claims = claimsOf(server);
  const { dryRun } = context;
  allocateIps(service, old, { server, ranges, claims, refuse, dryRun });
  allocatePorts(service, old, { server, claims, refuse, dryRun });
  if (!dryRun) claim(claims, service);
}

interface Allocation {
  readonly server: ServerAccess;
  readonly claims: Claims;
  /** Upstream then takes what is asked for unseen, and invents the rest. */
  readonly dryRun: boolean;
  refuse(...errors: readonly FieldError[]): void;
}

function allocateIps(
  service: ServiceDraft,
  old: ReadonlyService | undefined,
  { server, ranges, claims, refuse, dryRun }: Allocation & { readonly ranges: readonly IpRange[] },
): void {
  if (!needsClusterIp(service) || isHeadless(service)) return;
  const spec = (service.spec ??= {});
  const self = keyOfService(service);
  const field = "spec.clusterIPs";
  const ips = [...clusterIpsOf(service)];
  const kept = old ? clusterIpsOf(old) : [];
  const mine = new Set<string>();
  for (const [index, family] of familiesOf(service).entries()) {
    const ofFamily = ranges.filter((range) => familyName(range) === family);
    const wanted = ips[index] ?? "";
    const [range] = ofFamily;
    if (wanted === "" && dryRun && range) {
      ips[index] = ipText({ family: range.address.family, value: networkOf(range) });
      continue;
    }
    if (wanted === "") {
      const free = freeIp(ofFamily, server.random, (ip) => mine.has(ip) || ipTaken(server, claims, ip, ""));
      if (free === undefined) {
        throw refusals.internal(
          `failed to allocate a serviceIP for Service ${JSON.stringify(service.metadata.name ?? "")}: range is full`,
        );
      }
      ips[index] = free.ip;
      mine.add(free.ip);
      continue;
    }
    if (kept.includes(wanted)) continue;
    const reason = dryRun
      ? ipDryRunRefusal(wanted, ofFamily)
      : ipRefusal(wanted, ofFamily, (ip) => ipTaken(server, claims, ip, old ? self : ""));
    if (reason !== "") {
      refuse(fieldErrors.invalid(field, clusterIpsOf(service), `failed to allocate IP ${wanted}: ${reason}`));
    }
  }
  spec.clusterIPs = ips;
  const [first = ""] = ips;
  spec.clusterIP = first;
}

const elsewhere = "the provided network does not match the current range";
const outOfRange = (address: IpAddress, range: IpRange): string =>
  `the provided IP (${ipText(address)}) is not in the valid range. The range of valid IPs is ${cidrText(range)}`;

function ipDryRunRefusal(text: string, ranges: readonly IpRange[]): string {
  const address = parseIp(text);
  const [first] = ranges;
  return address && first && !ranges.some((range) => rangeHolds(range, address)) ? outOfRange(address, first) : "";
}

function ipRefusal(text: string, ranges: readonly IpRange[], taken: (ip: string) => boolean): string {
  const address = parseIp(text);
  const range = address && ranges.find((candidate) => rangeHolds(candidate, address));
  if (address === undefined || range === undefined) return elsewhere;
  const last = networkOf(range) + (1n << BigInt((address.family === 4 ? 32 : 128) - range.prefixLength)) - 1n;
  if (address.value === networkOf(range) || (address.family === 4 && address.value === last)) return elsewhere;
  return taken(ipText(address)) ? "provided IP is already allocated" : "";
}

function allocatePorts(
  service: ServiceDraft,
  old: ReadonlyService | undefined,
  { server, claims, refuse, dryRun }: Allocation,
): void {
  const spec = (service.spec ??= {});
  const kept = new Set(old && needsNodePort(old) ? nodePortsOf(old) : []);
  const mine = new Set<number>();
  const problem = (port: number): string => {
    if (dryRun) return mine.has(port) ? "provided port is already allocated" : "";
    const { first, last } = nodePortRange;
    if (port < first || port > last) {
      return `provided port is not in the valid range. The range of valid ports is ${first}-${last}`;
    }
    return mine.has(port) || portTaken(server, claims, port) ? "provided port is already allocated" : "";
  };
  const next = (): number => {
    if (dryRun) {
      // Upstream's made-up one: nothing is promised.
      const port = Math.max(32_768, ...mine) + 1;
      mine.add(port);
      return port;
    }
    const size = nodePortRange.last - nodePortRange.first + 1;
    const start = Math.floor(server.random.next() * size);
    for (let step = 0; step < size; step++) {
      const port = nodePortRange.first + ((start + step) % size);
      if (problem(port) === "") {
        mine.add(port);
        return port;
      }
    }
    throw refusals.internal("failed to allocate a nodePort: range is full");
  };
  if (needsNodePort(service)) {
    const automatic = typeOf(service) === "NodePort" || spec.allocateLoadBalancerNodePorts !== false;
    // TCP and UDP on one port share a node port.
    const wanted = new Map<number, number>();
    for (const { port, nodePort = 0 } of spec.ports ?? []) {
      if (nodePort !== 0 && !wanted.has(port)) wanted.set(port, nodePort);
    }
    const given = new Map<number, number>();
    for (const [index, port] of (spec.ports ?? []).entries()) {
      const asked = port.nodePort ?? 0;
      if (asked === 0 && !automatic) continue;
      const shared = given.get(port.port);
      const chosen = asked === 0 ? (shared ?? wanted.get(port.port)) : asked;
      if (chosen === undefined) port.nodePort = next();
      else {
        port.nodePort = chosen;
        const reason = kept.has(chosen) || shared === chosen ? "" : problem(chosen);
        if (reason !== "") refuse(fieldErrors.invalid(`spec.ports[${index}].nodePort`, chosen, reason));
        mine.add(chosen);
      }
      if (shared === undefined) given.set(port.port, port.nodePort);
    }
  }
  if (!needsHealthCheck(service) || (old && needsHealthCheck(old))) return;
  const asked = spec.healthCheckNodePort ?? 0;
  if (asked === 0) {
    spec.healthCheckNodePort = next();
    return;
  }
  const reason = problem(asked);
  if (reason !== "") {
    throw refusals.internal(`failed to allocate requested HealthCheck NodePort ${asked}: ${reason}`);
  }
}

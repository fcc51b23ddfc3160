import {
  jsonEqual,
  labelValueProblems,
  type DiscoveryEndpointPort,
  type Endpoint,
  type EndpointAddress,
  type EndpointHints,
  type EndpointPort,
  type Endpoints,
  type EndpointSlice,
  type Json,
} from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { endpointIpErrors, ipErrors, ipWarnings, legacyIpErrors, parseIp } from "./ip-checks.ts";
import { dns1123LabelProblems, dns1123SubdomainProblems } from "./name-checks.ts";
import {
  dnsLabelErrors,
  immutableErrors,
  invalidFor,
  labelsErrors,
  oneOf,
  portErrors,
  qualifiedNameErrors,
  textOf,
} from "./value-checks.ts";

const protocols = ["SCTP", "TCP", "UDP"];
const unchanged = (now: unknown, before: unknown): boolean => jsonEqual((now ?? []) as Json, (before ?? []) as Json);

function addressErrors(address: EndpointAddress, field: string): FieldError[] {
  const { hostname = "", nodeName } = address;
  const ip = textOf(address.ip);
  return [
    ...legacyIpErrors(`${field}.ip`, ip),
    ...(hostname === "" ? [] : dnsLabelErrors(`${field}.hostname`, hostname)),
    ...(nodeName === undefined ? [] : invalidFor(`${field}.nodeName`, nodeName, dns1123SubdomainProblems(nodeName))),
    ...endpointIpErrors(`${field}.ip`, ip),
  ];
}

function endpointPortErrors(port: EndpointPort, nameRequired: boolean, field: string): FieldError[] {
  const { name = "", appProtocol } = port;
  return [
    ...(name === ""
      ? nameRequired
        ? [fieldErrors.required(`${field}.name`)]
        : []
      : dnsLabelErrors(`${field}.name`, name)),
    ...portErrors(`${field}.port`, port.port ?? 0),
    ...oneOf(`${field}.protocol`, port.protocol ?? "", protocols),
    ...(appProtocol === undefined ? [] : qualifiedNameErrors(`${field}.appProtocol`, appProtocol)),
  ];
}

function subsetErrors(endpoints: Endpoints): FieldError[] {
  return (endpoints.subsets ?? []).flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }, index) => {
    const field = `subsets[${index}]`;
    return [
      ...(addresses.length === 0 && notReadyAddresses.length === 0
        ? [fieldErrors.required(field, "must specify `addresses` or `notReadyAddresses`")]
        : []),
      ...addresses.flatMap((address, part) => addressErrors(address, `${field}.addresses[${part}]`)),
      ...notReadyAddresses.flatMap((address, part) => addressErrors(address, `${field}.notReadyAddresses[${part}]`)),
      ...ports.flatMap((port, part) => endpointPortErrors(port, ports.length > 1, `${field}.ports[${part}]`)),
    ];
  });
}

/** pkg/registry/core/endpoint. */
export const endpointsStrategy = defineStrategy<Endpoints>({
  allowCreateOnUpdate: true,
  defaults(endpoints) {
    for (const subset of endpoints.subsets ?? []) for (const port of subset.ports ?? []) port.protocol ||= "TCP";
  },
  validate: subsetErrors,
  // What older servers took stays as long as nobody touches it.
  validateUpdate: (endpoints, old) => (unchanged(endpoints.subsets, old.subsets) ? [] : subsetErrors(endpoints)),
  warnings(endpoints) {
    if (endpoints.metadata.labels?.["endpoints.kubernetes.io/managed-by"] === "endpoint-controller") return [];
    return (endpoints.subsets ?? []).flatMap((subset, index) =>
      (["addresses", "notReadyAddresses"] as const).flatMap((part) =>
        (subset[part] ?? []).flatMap(({ ip }, position) => ipWarnings(`subsets[${index}].${part}[${position}].ip`, ip)),
      ),
    );
  },
});

const maxEndpoints = 1000;
const maxAddresses = 100;
const maxPorts = 20_000;
const maxHints = 8;
const maxTopologyLabels = 16;

function sliceAddressErrors(addresses: readonly string[], type: string, field: string): FieldError[] {
  return addresses.flatMap((address, index) => {
    const at = `${field}[${index}]`;
    if (type === "FQDN") return fullyQualifiedErrors(address, at);
    if (type !== "IPv4" && type !== "IPv6") return [];
    const errors = type === "IPv4" ? legacyIpErrors(at, address) : ipErrors(at, address);
    if (errors.length > 0) return errors;
    const family = parseIp(address)?.family === 6 ? "IPv6" : "IPv4";
    return [
      ...(family === type ? [] : [fieldErrors.invalid(field, address, `must be an ${type} address`)]),
      ...endpointIpErrors(at, address),
    ];
  });
}

/** `IsFullyQualifiedDomainName`. */
function fullyQualifiedErrors(text: string, field: string): FieldError[] {
  if (text === "") return [fieldErrors.required(field)];
  const name = text.replace(/\.$/, "");
  const problems = dns1123SubdomainProblems(name);
  if (problems.length > 0) return [fieldErrors.invalid(field, name, problems.join(","))];
  const labels = name.split(".");
  if (labels.length < 2) {
    return [fieldErrors.invalid(field, name, "should be a domain with at least two segments separated by dots")];
  }
  for (const label of labels) {
    const wrong = dns1123LabelProblems(label);
    if (wrong.length > 0) return [fieldErrors.invalid(field, label, wrong.join(","))];
  }
  return [];
}

function hintErrors(hints: EndpointHints, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const part of ["forZones", "forNodes"] as const) {
    const list = hints[part] ?? [];
    if (list.length > maxHints) return [...errors, fieldErrors.tooMany(`${field}.${part}`, list.length, maxHints)];
    const names = new Set<string>();
    for (const [index, { name }] of list.entries()) {
      const at = `${field}.${part}[${index}].name`;
      if (names.has(name)) errors.push(fieldErrors.duplicate(at, name));
      names.add(name);
      errors.push(
        ...invalidFor(at, name, part === "forZones" ? labelValueProblems(name) : dns1123SubdomainProblems(name)),
      );
    }
  }
  return errors;
}

function sliceEndpointErrors(endpoints: readonly Endpoint[], type: string): FieldError[] {
  if (endpoints.length > maxEndpoints) return [fieldErrors.tooMany("endpoints", endpoints.length, maxEndpoints)];
  return endpoints.flatMap((endpoint, index) => {
    const field = `endpoints[${index}]`;
    const addresses = endpoint.addresses ?? [];
    const { nodeName, hostname, hints, deprecatedTopology = {} } = endpoint;
    const errors: FieldError[] = [];
    if (addresses.length === 0) {
      errors.push(fieldErrors.required(`${field}.addresses`, "must contain at least 1 address"));
    } else if (addresses.length > maxAddresses) {
      errors.push(fieldErrors.tooMany(`${field}.addresses`, addresses.length, maxAddresses));
    }
    errors.push(...sliceAddressErrors(addresses, type, `${field}.addresses`));
    if (nodeName !== undefined) {
      errors.push(...invalidFor(`${field}.nodeName`, nodeName, dns1123SubdomainProblems(nodeName)));
    }
    const labels = Object.keys(deprecatedTopology).length;
    if (labels > maxTopologyLabels) {
      errors.push(fieldErrors.tooMany(`${field}.deprecatedTopology`, labels, maxTopologyLabels));
    }
    errors.push(...labelsErrors(deprecatedTopology, `${field}.deprecatedTopology`));
    if (hostname !== undefined) errors.push(...dnsLabelErrors(`${field}.hostname`, hostname));
    if (hints) errors.push(...hintErrors(hints, `${field}.hints`));
    return errors;
  });
}

function slicePortErrors(ports: readonly DiscoveryEndpointPort[]): FieldError[] {
  if (ports.length > maxPorts) return [fieldErrors.tooMany("ports", ports.length, maxPorts)];
  const names = new Set<string>();
  return ports.flatMap(({ name = "", protocol, appProtocol }, index) => {
    const field = `ports[${index}]`;
    const errors = name === "" ? [] : dnsLabelErrors(`${field}.name`, name);
    if (names.has(name)) errors.push(fieldErrors.duplicate(`${field}.name`, name));
    names.add(name);
    if (protocol === undefined) errors.push(fieldErrors.required(`${field}.protocol`));
    else if (!protocols.includes(protocol)) {
      errors.push(fieldErrors.notSupported(`${field}.protocol`, protocol, protocols));
    }
    if (appProtocol !== undefined) errors.push(...qualifiedNameErrors(`${field}.appProtocol`, appProtocol));
    return errors;
  });
}

function sliceErrors(slice: EndpointSlice, old: EndpointSlice | undefined): FieldError[] {
  const type = textOf(slice.addressType);
  const errors = [...oneOf("addressType", type, ["FQDN", "IPv4", "IPv6"]), ...slicePortErrors(slice.ports ?? [])];
  if (old === undefined || !unchanged(slice.endpoints, old.endpoints)) {
    errors.push(...sliceEndpointErrors(slice.endpoints ?? [], type));
  }
  return errors;
}

const sliceControllers: ReadonlySet<string | undefined> = new Set([
  "endpointslice-controller.k8s.io",
  "endpointslicemirroring-controller.k8s.io",
]);

/** pkg/registry/discovery/endpointslice. Its labels count for the generation, too. */
export const endpointSliceStrategy = defineStrategy<EndpointSlice>({
  defaults(slice) {
    for (const port of slice.ports ?? []) {
      port.name ??= "";
      port.protocol ??= "TCP";
    }
  },
  prepareForCreate(slice) {
    slice.metadata.generation = 1;
    for (const endpoint of slice.endpoints ?? []) delete endpoint.deprecatedTopology;
  },
  prepareForUpdate(slice, old) {
    const content = ({ addressType, endpoints = [], ports = [], metadata: { labels = {} } }: EndpointSlice): Json =>
      [addressType, endpoints, ports, labels] as unknown as Json;
    if (!jsonEqual(content(slice), content(old))) {
      slice.metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
    if (unchanged(slice.endpoints, old.endpoints)) return;
    for (const endpoint of slice.endpoints ?? []) delete endpoint.deprecatedTopology;
  },
  validate: (slice) => sliceErrors(slice, undefined),
  validateUpdate: (slice, old) => [
    ...sliceErrors(slice, old),
    ...immutableErrors("addressType", slice.addressType, old.addressType),
  ],
  warnings(slice, old) {
    const warnings: string[] = [];
    if (old === undefined && slice.addressType === "FQDN") {
      warnings.push("spec.addressType: FQDN endpoints are deprecated");
    }
    if (sliceControllers.has(slice.metadata.labels?.["endpointslice.kubernetes.io/managed-by"])) return warnings;
    for (const [index, { addresses }] of (slice.endpoints ?? []).entries()) {
      for (const [part, address] of (addresses ?? []).entries()) {
        warnings.push(...ipWarnings(`endpoints[${index}].addresses[${part}]`, address));
      }
    }
    return warnings;
  },
});

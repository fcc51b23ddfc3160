import type {
  IPAddress,
  IPBlock,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  ServiceCIDR,
} from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import {
  cidrErrors,
  cidrWarnings,
  ipErrors,
  legacyCidrErrors,
  parseCidr,
  rangeHolds,
  type IpRange,
} from "./ip-checks.ts";
import { keepMetadata } from "./metadata.ts";
import { dns1123SubdomainProblems, pathSegmentProblems, portNameProblems } from "./name-checks.ts";
import { immutableErrors, invalidFor, labelSelectorErrors, portErrors, textOf } from "./value-checks.ts";

const protocols = ["TCP", "UDP", "SCTP"];

function policyPortErrors(port: NetworkPolicyPort, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (port.protocol !== undefined && !protocols.includes(port.protocol)) {
    errors.push(fieldErrors.notSupported(`${field}.protocol`, port.protocol, protocols));
  }
  const { endPort } = port;
  const refuseEnd = (value: number, detail: string): void => {
    errors.push(fieldErrors.invalid(`${field}.endPort`, value, detail));
  };
  if (port.port === undefined) {
    if (endPort !== undefined) refuseEnd(endPort, "may not be specified when `port` is not specified");
  } else if (typeof port.port === "number") {
    errors.push(...portErrors(`${field}.port`, port.port));
    if (endPort !== undefined) {
      // The value is upstream's mistake: the port's, not the end's.
      if (endPort < port.port) refuseEnd(port.port, "must be greater than or equal to `port`");
      errors.push(...portErrors(`${field}.endPort`, endPort));
    }
  } else {
    if (endPort !== undefined) refuseEnd(endPort, "may not be specified when `port` is non-numeric");
    errors.push(...invalidFor(`${field}.port`, port.port, portNameProblems(port.port)));
  }
  return errors;
}

const isStrictSubset = (part: IpRange, whole: IpRange): boolean =>
  rangeHolds(whole, part.address) && whole.prefixLength < part.prefixLength;

function ipBlockErrors(block: IPBlock, field: string, kept: readonly string[]): FieldError[] {
  const cidr = textOf(block.cidr);
  if (cidr === "") return [fieldErrors.required(`${field}.cidr`)];
  const errors = legacyCidrErrors(`${field}.cidr`, cidr, kept);
  const range = parseCidr(cidr);
  if (range === undefined) return errors;
  for (const [index, except] of (block.except ?? []).entries()) {
    const at = `${field}.except[${index}]`;
    errors.push(...legacyCidrErrors(at, except, kept));
    const part = parseCidr(except);
    if (part && !isStrictSubset(part, range)) {
      errors.push(fieldErrors.invalid(at, except, "must be a strict subset of `cidr`"));
    }
  }
  return errors;
}

function peerErrors(peer: NetworkPolicyPeer, field: string, kept: readonly string[]): FieldError[] {
  const errors = [
    ...labelSelectorErrors(`${field}.podSelector`, peer.podSelector),
    ...labelSelectorErrors(`${field}.namespaceSelector`, peer.namespaceSelector),
    ...(peer.ipBlock ? ipBlockErrors(peer.ipBlock, `${field}.ipBlock`, kept) : []),
  ];
  const selects = peer.podSelector !== undefined || peer.namespaceSelector !== undefined;
  if (!selects && peer.ipBlock === undefined) errors.push(fieldErrors.required(field, "must specify a peer"));
  else if (selects && peer.ipBlock !== undefined) {
    errors.push(fieldErrors.forbidden(field, "may not specify both ipBlock and another peer"));
  }
  return errors;
}

/** Every rule of a policy with its peers, in upstream's order. */
function rulesOf(policy: NetworkPolicy) {
  const { ingress = [], egress = [] } = policy.spec ?? {};
  return [
    ...ingress.map((rule, index) => ({
      field: `spec.ingress[${index}]`,
      side: "from",
      ports: rule.ports,
      peers: rule.from,
    })),
    ...egress.map((rule, index) => ({ field: `spec.egress[${index}]`, side: "to", ports: rule.ports, peers: rule.to })),
  ];
}

function policyErrors(policy: NetworkPolicy, kept: readonly string[]): FieldError[] {
  const errors = labelSelectorErrors("spec.podSelector", policy.spec?.podSelector);
  for (const { field, side, ports = [], peers = [] } of rulesOf(policy)) {
    for (const [index, port] of ports.entries()) errors.push(...policyPortErrors(port, `${field}.ports[${index}]`));
    for (const [index, peer] of peers.entries()) errors.push(...peerErrors(peer, `${field}.${side}[${index}]`, kept));
  }
  const types = policy.spec?.policyTypes ?? [];
  if (types.length > 2) {
    errors.push(fieldErrors.invalid("spec.policyTypes", types, "may not specify more than two policyTypes"));
    return errors;
  }
  for (const [index, type] of types.entries()) {
    if (type !== "Ingress" && type !== "Egress") {
      errors.push(fieldErrors.notSupported(`spec.policyTypes[${index}]`, type, ["Ingress", "Egress"]));
    }
  }
  return errors;
}

const blocksOf = (policy: NetworkPolicy): string[] =>
  rulesOf(policy).flatMap(({ peers = [] }) =>
    peers.flatMap(({ ipBlock }) => (ipBlock ? [ipBlock.cidr, ...(ipBlock.except ?? [])] : [])),
  );

/** pkg/registry/networking/networkpolicy. */
export const networkPolicyStrategy = defineStrategy<NetworkPolicy>({
  hasGeneration: true,
  defaults(policy) {
    const spec = (policy.spec ??= {});
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) {
      for (const port of rule.ports ?? []) port.protocol ??= "TCP";
    }
    if ((spec.policyTypes ?? []).length > 0) return;
    spec.policyTypes = (spec.egress ?? []).length > 0 ? ["Ingress", "Egress"] : ["Ingress"];
  },
  validate: (policy) => policyErrors(policy, []),
  validateUpdate: (policy, old) => policyErrors(policy, blocksOf(old)),
  warnings: (policy) =>
    rulesOf(policy).flatMap(({ field, side, peers = [] }) =>
      peers.flatMap(({ ipBlock }, index) => {
        if (ipBlock === undefined) return [];
        const at = `${field}.${side}[${index}].ipBlock`;
        return [
          ...cidrWarnings(`${at}.cidr`, ipBlock.cidr),
          ...(ipBlock.except ?? []).flatMap((except, part) => cidrWarnings(`${at}.except[${part}]`, except)),
        ];
      }),
    ),
});

/** pkg/registry/networking/ipaddress: an object for each address that a Service holds. */
export const ipAddressStrategy = defineStrategy<IPAddress>({
  nameProblems: (name) => ipErrors("", name).map(({ message }) => message.replace(/^Invalid value: "[^"]*": /, "")),
  // `spec.parentRef` is required, and decoding does not insist.
  validate: (address) => parentErrors((address.spec as Partial<IPAddress["spec"]> | undefined)?.parentRef),
  validateUpdate: (address, old) => immutableErrors("spec.parentRef", goParent(address), goParent(old)),
});

/** The struct without JSON names, as Go prints it. */
const goParent = ({ spec }: IPAddress): object => ({
  Group: spec.parentRef.group ?? "",
  Resource: spec.parentRef.resource,
  Namespace: spec.parentRef.namespace ?? "",
  Name: spec.parentRef.name,
});

function parentErrors(parent: IPAddress["spec"]["parentRef"] | undefined): FieldError[] {
  const field = "spec.parentRef";
  if (parent === undefined) return [fieldErrors.required(field)];
  const { group = "", namespace = "" } = parent;
  const errors = group === "" ? [] : invalidFor(`${field}.group`, group, dns1123SubdomainProblems(group));
  for (const part of ["resource", "name"] as const) {
    const value = textOf(parent[part]);
    if (value === "") errors.push(fieldErrors.required(`${field}.${part}`));
    else errors.push(...invalidFor(`${field}.${part}`, value, pathSegmentProblems(value, false)));
  }
  if (namespace !== "") {
    errors.push(...invalidFor(`${field}.namespace`, namespace, pathSegmentProblems(namespace, false)));
  }
  return errors;
}

function serviceCidrErrors(config: ServiceCIDR): FieldError[] {
  const field = "spec.cidrs";
  const cidrs = config.spec?.cidrs ?? [];
  if (cidrs.length === 0) return [fieldErrors.required(field, "at least one CIDR required")];
  if (cidrs.length > 2) return [fieldErrors.invalid(field, { CIDRs: cidrs }, "may only hold up to 2 values")];
  const errors = cidrs.flatMap((cidr, index) => cidrErrors(`${field}[${index}]`, cidr));
  const [first, second] = cidrs.map((cidr) => parseCidr(cidr)?.address.family);
  if (cidrs.length === 2 && first !== undefined && first === second) {
    errors.push(
      fieldErrors.invalid(
        field,
        cidrs,
        "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
      ),
    );
  }
  return errors;
}

/** pkg/registry/networking/servicecidr. */
export const serviceCidrStrategy = defineStrategy<ServiceCIDR>({
  hasStatus: true,
  prepareForStatusUpdate: (config, old) => keepMetadata(config.metadata, old.metadata),
  validate: serviceCidrErrors,
  validateUpdate(config, old) {
    const before = old.spec?.cidrs ?? [];
    const now = config.spec?.cidrs ?? [];
    const fixed = before.flatMap((cidr, index) =>
      now[index] === cidr ? [] : [fieldErrors.invalid(`spec.cidrs[${index}]`, now[index], "field is immutable")],
    );
    if (before.length === now.length) return fixed;
    if (before.length === 1 && now.length === 2) return [...fixed, ...serviceCidrErrors(config)];
    return [fieldErrors.invalid("spec.cidrs", now, "field is immutable")];
  },
  validateStatusUpdate: () => [],
});

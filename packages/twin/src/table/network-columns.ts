import { isIPv6 } from "node:net";
import type {
  EndpointSlice,
  Endpoints,
  Ingress,
  IngressClass,
  IPAddress,
  NetworkPolicy,
  Service,
  ServiceCIDR,
} from "@fleetwright/kube";
import type { TableColumn } from "../machinery/kind.ts";
import { firstThree, labelsText, selectorText } from "./cells.ts";
import { ageColumn, formatted, nameColumn, text, wide } from "./column.ts";

type Ingresses = readonly { readonly ip?: string; readonly hostname?: string }[] | undefined;

const loadBalancers = (ingress: Ingresses): string =>
  [...new Set((ingress ?? []).map(({ ip, hostname }) => ip || hostname || "").filter((address) => address !== ""))]
    .toSorted()
    .join(",");

function externalAddress({ spec, status }: Service): string {
  const addresses = spec?.externalIPs ?? [];
  switch (spec?.type) {
    case "ClusterIP":
    case "NodePort":
      return addresses.length > 0 ? addresses.join(",") : "<none>";
    case "LoadBalancer": {
      const balancers = loadBalancers(status?.loadBalancer?.ingress);
      return [...(balancers === "" ? [] : [balancers]), ...addresses].join(",") || "<pending>";
    }
    case "ExternalName":
      return spec.externalName ?? "";
    default:
      return "<unknown>";
  }
}

const portsText = ({ spec }: Service): string =>
  (spec?.ports ?? [])
    .map(({ port, nodePort = 0, protocol }) =>
      nodePort > 0 ? `${port}:${nodePort}/${protocol ?? ""}` : `${port}/${protocol ?? ""}`,
    )
    .join(",") || "<none>";

/** Counts addresses of ports, not addresses. */
function endpointsText({ subsets = [] }: Endpoints): string {
  if (subsets.length === 0) return "<none>";
  const all = subsets.flatMap(({ addresses = [], ports = [] }) =>
    ports.length === 0
      ? addresses.map(({ ip }) => ip)
      : ports.flatMap(({ port }) => addresses.map(({ ip }) => (isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`))),
  );
  const first = all.slice(0, 3).join(",");
  return all.length > 3 ? `${first} + ${all.length - 3} more...` : first;
}

function hostsText({ spec }: Ingress): string {
  const rules = spec?.rules ?? [];
  const hosts: string[] = [];
  let more = false;
  for (const { host = "" } of rules) {
    if (hosts.length === 3) more = true;
    if (!more && host !== "") hosts.push(host);
  }
  if (hosts.length === 0) return "*";
  return more ? `${hosts.join(",")} + ${rules.length - 3} more...` : hosts.join(",");
}

function parametersText({ spec }: IngressClass): string {
  const parameters = spec?.parameters;
  if (parameters === undefined) return "<none>";
  return `${parameters.kind}${parameters.apiGroup === undefined ? "" : `.${parameters.apiGroup}`}/${parameters.name}`;
}

function parentText({ spec }: IPAddress): string {
  const parent = spec?.parentRef;
  if (parent === undefined) return "<none>";
  const { group = "", resource, namespace = "", name } = parent;
  const kind = (group === "" ? resource : `${resource}.${group}`).toLowerCase();
  return [kind, ...(namespace === "" ? [] : [namespace]), name].join("/");
}

/** Services and what is behind and before them. */
export const networkColumns: Readonly<Record<string, readonly TableColumn[]>> = {
  "/Service": [
    nameColumn,
    text<Service>("Type", "How the service is exposed.", ({ spec }) => spec?.type ?? ""),
    text<Service>("Cluster-IP", "Address inside of the cluster.", ({ spec }) => spec?.clusterIPs?.[0] ?? "<none>"),
    text<Service>("External-IP", "Addresses outside of the cluster.", externalAddress),
    text<Service>("Port(s)", "Ports, with those on nodes.", portsText),
    ageColumn,
    wide<Service>("Selector", "Labels of the pods behind it.", ({ spec }) => labelsText(spec?.selector)),
  ],
  "/Endpoints": [
    nameColumn,
    text<Endpoints>("Endpoints", "Addresses and ports behind the service.", endpointsText),
    ageColumn,
  ],
  "discovery.k8s.io/EndpointSlice": [
    nameColumn,
    text<EndpointSlice>("AddressType", "Kind of the addresses.", ({ addressType }) => addressType),
    text<EndpointSlice>("Ports", "Ports of every endpoint.", ({ ports }) =>
      firstThree((ports ?? []).map(({ port, name }) => (port === undefined ? (name ?? "*") : String(port)))),
    ),
    text<EndpointSlice>("Endpoints", "Addresses of the endpoints.", ({ endpoints }) =>
      firstThree((endpoints ?? []).flatMap(({ addresses }) => addresses)),
    ),
    ageColumn,
  ],
  "networking.k8s.io/Ingress": [
    nameColumn,
    text<Ingress>("Class", "Class that serves it.", ({ spec }) => spec?.ingressClassName ?? "<none>"),
    text<Ingress>("Hosts", "Hosts that requests are matched with.", hostsText),
    text<Ingress>("Address", "Addresses of its load balancers.", ({ status }) =>
      loadBalancers(status?.loadBalancer?.ingress),
    ),
    text<Ingress>("Ports", "Ports that are open.", ({ spec }) => ((spec?.tls ?? []).length > 0 ? "80, 443" : "80")),
    ageColumn,
  ],
  "networking.k8s.io/IngressClass": [
    formatted<IngressClass>("Name", "Name of the object.", ({ metadata }) =>
      metadata.annotations?.["ingressclass.kubernetes.io/is-default-class"] === "true"
        ? `${metadata.name} (default)`
        : (metadata.name ?? ""),
    ),
    text<IngressClass>("Controller", "Controller that handles the class.", ({ spec }) => spec?.controller ?? ""),
    text<IngressClass>("Parameters", "Object with more settings.", parametersText),
    ageColumn,
  ],
  "networking.k8s.io/NetworkPolicy": [
    nameColumn,
    text<NetworkPolicy>("Pod-Selector", "Labels of the pods that it is for.", ({ spec }) =>
      selectorText(spec?.podSelector ?? {}),
    ),
    ageColumn,
  ],
  "networking.k8s.io/ServiceCIDR": [
    nameColumn,
    text<ServiceCIDR>("CIDRs", "Ranges of cluster addresses.", ({ spec }) => (spec?.cidrs ?? []).join(",")),
    ageColumn,
  ],
  "networking.k8s.io/IPAddress": [
    nameColumn,
    text<IPAddress>("ParentRef", "Object that holds the address.", parentText),
  ],
};

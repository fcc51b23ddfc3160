import type { KindCase } from "./kind-case.ts";

const labels = { app: "x" };
const group = (name: string, version = "v1"): string => `/apis/${name}/${version}`;

export const networkKinds: readonly KindCase[] = [
  {
    root: group("networking.k8s.io"),
    plural: "ingresses",
    kind: "Ingress",
    namespaced: true,
    content: () => ({ spec: { defaultBackend: { service: { name: "x", port: { number: 80 } } } } }),
    invalid: { spec: { rules: [{ host: "*.*.example" }] } },
    change: { spec: { ingressClassName: "other" } },
    status: { loadBalancer: {} },
  },
  {
    root: group("networking.k8s.io"),
    plural: "ingressclasses",
    kind: "IngressClass",
    namespaced: false,
    content: () => ({ spec: { controller: "example.com/ingress" } }),
    invalid: { spec: { controller: "none" } },
    change: { metadata: { annotations: { b: "2" } } },
  },
  {
    root: group("networking.k8s.io"),
    plural: "networkpolicies",
    kind: "NetworkPolicy",
    namespaced: true,
    content: () => ({ spec: { podSelector: {} } }),
    invalid: { spec: { policyTypes: ["Sideways"] } },
    change: { spec: { podSelector: { matchLabels: labels } } },
  },
  {
    root: group("networking.k8s.io"),
    plural: "servicecidrs",
    kind: "ServiceCIDR",
    namespaced: false,
    content: () => ({ spec: { cidrs: ["192.168.77.0/24"] } }),
    invalid: { spec: { cidrs: ["192.168.77.1/24"] } },
    change: { metadata: { annotations: { b: "2" } } },
    status: { conditions: [] },
  },
  {
    root: group("discovery.k8s.io"),
    plural: "endpointslices",
    kind: "EndpointSlice",
    namespaced: true,
    content: () => ({ addressType: "IPv4", endpoints: [{ addresses: ["10.1.2.3"] }], ports: [{ port: 80 }] }),
    invalid: { addressType: "IPv5" },
    change: { ports: [{ name: "x", port: 81, protocol: "TCP" }] },
  },
  {
    root: group("coordination.k8s.io"),
    plural: "leases",
    kind: "Lease",
    namespaced: true,
    content: () => ({ spec: { holderIdentity: "me", leaseDurationSeconds: 15 } }),
    invalid: { spec: { leaseDurationSeconds: -1 } },
    change: { spec: { holderIdentity: "you" } },
  },
];

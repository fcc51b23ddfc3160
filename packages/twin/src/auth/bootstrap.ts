import {
  APIServices,
  apiVersionOf,
  ClusterRoleBindings,
  ClusterRoles,
  ConfigMaps,
  FlowSchemas,
  Namespaces,
  PriorityClasses,
  PriorityLevelConfigurations,
  RoleBindings,
  Roles,
  ServiceCIDRs,
  Services,
  type ClusterRole,
  type KubeObject,
  type Resource,
} from "@fleetwright/kube";
import recorded from "./generated/bootstrap-objects.json" with { type: "json" };
import { aggregateRules } from "./rules.ts";

export interface BootstrapObject {
  readonly resource: Resource;
  readonly object: KubeObject;
}

export interface BootstrapOptions {
  /** PEM of the authority that signs client certificates; published in `kube-system`. */
  readonly clientCertificateAuthority?: string;
  /** Where cluster IPs come from. @default "10.96.0.0/16" */
  readonly serviceCidr?: string;
  /** The port that clients reach this server at. @default 6443 */
  readonly port?: number;
  readonly nowMs: number;
}

const resources: readonly Resource[] = [
  Namespaces,
  PriorityClasses,
  ClusterRoles,
  ClusterRoleBindings,
  Roles,
  RoleBindings,
  PriorityLevelConfigurations,
  FlowSchemas,
  APIServices,
];

function condition(type: string, status: string, reason: string, message: string, nowMs: number): object {
  const lastTransitionTime = new Date(nowMs).toISOString().replace(/\.\d+Z$/, "Z");
  return { type, status, lastTransitionTime, reason, message };
}

/** What an APIService says of a group version that this server serves itself. */
export const localAvailable = (nowMs: number): object =>
  condition("Available", "True", "Local", "Local APIServices are always available", nowMs);

/** What the server's own controllers say about what they made. */
function withStatus(object: KubeObject & { readonly kind: string }, nowMs: number): KubeObject {
  const status = (value: object): KubeObject => ({ ...object, status: value }) as KubeObject;
  switch (object.kind) {
    case "Namespace":
      return status({ phase: "Active" });
    case "FlowSchema": {
      const level = (object as { spec?: { priorityLevelConfiguration?: { name?: string } } }).spec
        ?.priorityLevelConfiguration?.name;
      const message = `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(level)} and it exists`;
      return status({ conditions: [condition("Dangling", "False", "Found", message, nowMs)] });
    }
    case "PriorityLevelConfiguration":
      return status({});
    case "APIService":
      return status({ conditions: [localAvailable(nowMs)] });
    default:
      return object;
  }
}

/** The first address of a range after the network's own, as IPv4 text. */
function firstAddress(cidr: string): string {
  const [address = ""] = cidr.split("/");
  const parts = address.split(".").map(Number);
  return [...parts.slice(0, -1), (parts.at(-1) ?? 0) + 1].join(".");
}

/**
 * What is there before the first client comes, in the order of creation: system namespaces, priority classes, default
 * roles and bindings (aggregated ones filled), flow schemas, the `kubernetes` Service.
 */
export function bootstrapObjects(options: BootstrapOptions): readonly BootstrapObject[] {
  const { nowMs, serviceCidr = "10.96.0.0/16", port = 6443 } = options;
  const objects = recorded as unknown as readonly (KubeObject & { readonly kind: string })[];
  const roles = objects.filter(({ kind }) => kind === "ClusterRole") as unknown as readonly ClusterRole[];
  const resolved = new Map(roles.map((role) => [role.metadata.name, role]));
  // `admin` gathers `edit`, which gathers `view`: each round fills one level.
  for (let changed = true; changed;) {
    changed = false;
    for (const role of roles.map((original) => resolved.get(original.metadata.name) ?? original)) {
      const rules = aggregateRules(role, [...resolved.values()]);
      if (rules === undefined || JSON.stringify(rules) === JSON.stringify(role.rules)) continue;
      resolved.set(role.metadata.name, { ...role, rules });
      changed = true;
    }
  }

  const all: BootstrapObject[] = [];
  for (const resource of resources) {
    for (const object of objects) {
      if (object.kind !== resource.kind) continue;
      const role = resource === ClusterRoles ? resolved.get(object.metadata.name) : undefined;
      all.push({ resource, object: role ?? withStatus(object, nowMs) });
    }
  }
  const add = <T extends KubeObject>(resource: Resource<T>, object: object): void =>
    void all.push({
      resource,
      object: { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object } as KubeObject,
    });
  if (options.clientCertificateAuthority !== undefined) {
    add(ConfigMaps, {
      metadata: { name: "extension-apiserver-authentication", namespace: "kube-system" },
      data: { "client-ca-file": options.clientCertificateAuthority },
    });
  }
  add(ConfigMaps, {
    metadata: { name: "kube-apiserver-legacy-service-account-token-tracking", namespace: "kube-system" },
    data: { since: new Date(nowMs).toISOString().slice(0, 10) },
  });
  add(ServiceCIDRs, {
    metadata: { name: "kubernetes", finalizers: ["networking.k8s.io/service-cidr-finalizer"] },
    spec: { cidrs: [serviceCidr] },
    status: { conditions: [condition("Ready", "True", "", "Kubernetes default Service CIDR is ready", nowMs)] },
  });
  const clusterIP = firstAddress(serviceCidr);
  add(Services, {
    metadata: {
      name: "kubernetes",
      namespace: "default",
      labels: { component: "apiserver", provider: "kubernetes" },
    },
    spec: {
      ports: [{ name: "https", protocol: "TCP", port: 443, targetPort: port }],
      clusterIP,
      clusterIPs: [clusterIP],
      type: "ClusterIP",
      sessionAffinity: "None",
      ipFamilies: ["IPv4"],
      ipFamilyPolicy: "SingleStack",
      internalTrafficPolicy: "Cluster",
    },
    status: { loadBalancer: {} },
  });
  return all;
}

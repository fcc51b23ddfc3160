import {
  matchesLabels,
  parseQuantity,
  Quantity,
  selectorOf,
  type Container,
  type KubeObject,
  type PersistentVolumeClaim,
  type Pod,
  type ResourceQuota,
  type Service,
} from "@fleetwright/kube";
import { addAmounts, hasPodResources, isBestEffort, podResources, type Amounts } from "./pod-resources.ts";

/** What of a pod a quota may count besides extended resources and huge pages. */
const podNames: ReadonlySet<string> = new Set([
  "count/pods",
  "cpu",
  "memory",
  "ephemeral-storage",
  "requests.cpu",
  "requests.memory",
  "requests.ephemeral-storage",
  "limits.cpu",
  "limits.memory",
  "limits.ephemeral-storage",
  "pods",
]);

/** Every container must say these when a quota counts them. */
const requiredNames = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];

/** Objects that have a name of their own in quotas besides `count/`. */
const legacyNames: ReadonlySet<string> = new Set(["configmaps", "resourcequotas", "replicationcontrollers", "secrets"]);

const claimSuffix = ".storageclass.storage.k8s.io/";
const one = Quantity.of(1);

/** `requests.nvidia.com/gpu`: a resource with a domain that is not Kubernetes' own. */
function isExtended(name: string): boolean {
  if (!name.startsWith("requests.")) return false;
  const resource = name.slice("requests.".length);
  return resource.includes("/") && (!/(^|\.)kubernetes\.io\//.test(resource) || resource.startsWith("deviceclass."));
}

/** Which of a quota's resources an object of this kind can use. */
export function quotaNames(resource: string, names: readonly string[]): string[] {
  switch (resource) {
    case "pods":
      return names.filter(
        (name) =>
          podNames.has(name) ||
          name.startsWith("hugepages-") ||
          name.startsWith("requests.hugepages-") ||
          isExtended(name),
      );
    case "services":
      return names.filter((name) =>
        ["count/services", "services", "services.nodeports", "services.loadbalancers"].includes(name),
      );
    case "persistentvolumeclaims":
      return names.filter(
        (name) =>
          ["count/persistentvolumeclaims", "persistentvolumeclaims", "requests.storage"].includes(name) ||
          name.endsWith(`${claimSuffix}requests.storage`) ||
          name.endsWith(`${claimSuffix}persistentvolumeclaims`),
      );
    default:
      return names.filter((name) => name === `count/${resource}` || (legacyNames.has(resource) && name === resource));
  }
}

function computeUsage(requests: Amounts, limits: Amounts): Amounts {
  const usage: Amounts = new Map([["pods", one]]);
  for (const [name, amount] of requests) {
    if (["cpu", "memory", "ephemeral-storage"].includes(name) || name.startsWith("hugepages-")) {
      usage.set(name, amount);
      usage.set(`requests.${name}`, amount);
    } else if (name.includes("/")) usage.set(`requests.${name}`, amount);
  }
  for (const [name, amount] of limits) {
    if (["cpu", "memory", "ephemeral-storage"].includes(name)) usage.set(`limits.${name}`, amount);
  }
  return usage;
}

/** Ended pods, and those that should be gone, use nothing but their place in storage. */
function isCharged({ metadata, status }: Pod, nowMs: number): boolean {
  if (status?.phase === "Failed" || status?.phase === "Succeeded") return false;
  const { deletionTimestamp, deletionGracePeriodSeconds } = metadata as KubeObject["metadata"] & {
    readonly deletionGracePeriodSeconds?: number;
  };
  return (
    deletionTimestamp === undefined ||
    deletionGracePeriodSeconds === undefined ||
    nowMs <= Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000
  );
}

function serviceUsage({ spec }: Service): Amounts {
  const type = spec?.type ?? "ClusterIP";
  const ports = spec?.ports ?? [];
  const noNodePorts = type === "LoadBalancer" && spec?.allocateLoadBalancerNodePorts === false;
  const nodePorts =
    type === "NodePort" || type === "LoadBalancer"
      ? noNodePorts
        ? ports.filter(({ nodePort = 0 }) => nodePort !== 0).length
        : ports.length
      : 0;
  return new Map([
    ["count/services", one],
    ["services", one],
    ["services.nodeports", Quantity.of(nodePorts)],
    ["services.loadbalancers", Quantity.of(type === "LoadBalancer" ? 1 : 0)],
  ]);
}

function claimUsage({ metadata, spec, status }: PersistentVolumeClaim): Amounts {
  const usage: Amounts = new Map([
    ["count/persistentvolumeclaims", one],
    ["persistentvolumeclaims", one],
  ]);
  const className = metadata.annotations?.["volume.beta.kubernetes.io/storage-class"] ?? spec?.storageClassName ?? "";
  if (className !== "") usage.set(`${className}${claimSuffix}persistentvolumeclaims`, one);
  const asked = spec?.resources?.requests?.["storage"];
  const allocated = status?.allocatedResources?.["storage"];
  const sizes = [asked, allocated].flatMap((text) => (text === undefined ? [] : [parseQuantity(text)]));
  const [first, second] = sizes;
  if (first !== undefined) {
    const size = second !== undefined && second.cmp(first) > 0 ? second : first;
    usage.set("requests.storage", size);
    if (className !== "") usage.set(`${className}${claimSuffix}requests.storage`, size);
  }
  return usage;
}

/** What one object uses (pkg/quota/v1/evaluator/core). `resource` is `pods`, `deployments.apps`. */
export function objectUsage(resource: string, object: KubeObject, nowMs: number): Amounts {
  switch (resource) {
    case "pods": {
      const usage: Amounts = new Map([["count/pods", one]]);
      const pod: Pod = object as Pod;
      if (isCharged(pod, nowMs)) {
        addAmounts(usage, computeUsage(podResources(pod, "requests"), podResources(pod, "limits")));
      }
      return usage;
    }
    case "services":
      return serviceUsage(object as Service);
    case "persistentvolumeclaims":
      return claimUsage(object as PersistentVolumeClaim);
    default:
      return new Map([[`count/${resource}`, one], ...(legacyNames.has(resource) ? ([[resource, one]] as const) : [])]);
  }
}

/** What each container must say because a quota counts it: `limits.cpu for: a,b; requests.cpu for: a`. */
export function missingContainerResources(names: readonly string[], pod: Pod): string | undefined {
  if (hasPodResources(pod)) return undefined;
  const required = requiredNames.filter((name) => names.includes(name));
  const missing = new Map<string, Set<string>>();
  const parse = (texts: Readonly<Record<string, string>> | undefined): Amounts =>
    new Map(Object.entries(texts ?? {}).map(([name, text]) => [name, parseQuantity(text)]));
  for (const container of [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])] as Container[]) {
    const said = computeUsage(parse(container.resources?.requests), parse(container.resources?.limits));
    for (const name of required) {
      if (said.has(name)) continue;
      const containers = missing.get(name) ?? new Set<string>();
      missing.set(name, containers.add(container.name));
    }
  }
  if (missing.size === 0) return undefined;
  return [...missing]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, containers]) => `${name} for: ${[...containers].toSorted().join(",")}`)
    .join("; ");
}

type PodAffinityTerm = { readonly namespaces?: readonly string[]; readonly namespaceSelector?: unknown };

function hasCrossNamespaceAffinity(pod: Pod): boolean {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  return [podAffinity, podAntiAffinity].some((affinity) =>
    [
      ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
      ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
        ({ podAffinityTerm }) => podAffinityTerm,
      ),
    ].some(
      ({ namespaces = [], namespaceSelector }: PodAffinityTerm) =>
        namespaces.length > 0 || namespaceSelector !== undefined,
    ),
  );
}

interface ScopeTerm {
  readonly scopeName: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

function scopeMatches({ scopeName, operator, values = [] }: ScopeTerm, resource: string, object: KubeObject): boolean {
  if (resource === "persistentvolumeclaims" && scopeName === "VolumeAttributesClass") {
    const names = [(object as PersistentVolumeClaim).spec?.volumeAttributesClassName ?? ""].filter(
      (name) => name !== "",
    );
    return valueMatches(names[0], scopeName, operator, values);
  }
  if (resource !== "pods") return false;
  const pod: Pod = object as Pod;
  const terminating = (pod.spec?.activeDeadlineSeconds ?? -1) >= 0;
  switch (scopeName) {
    case "Terminating":
      return terminating;
    case "NotTerminating":
      return !terminating;
    case "BestEffort":
      return isBestEffort(pod);
    case "NotBestEffort":
      return !isBestEffort(pod);
    case "PriorityClass":
      return valueMatches(pod.spec?.priorityClassName, scopeName, operator, values);
    case "CrossNamespacePodAffinity":
      return hasCrossNamespaceAffinity(pod);
    default:
      return false;
  }
}

function valueMatches(value: string | undefined, key: string, operator: string, values: readonly string[]): boolean {
  const has = value !== undefined && value !== "";
  if (operator === "Exists") return has;
  const selector = selectorOf({ matchExpressions: [{ key, operator: operator as "In", values: [...values] }] });
  return matchesLabels(selector, has ? { [key]: value } : {});
}

/** Whether a quota counts this object, by its scopes and by what it limits. */
export function quotaMatches(quota: ResourceQuota, resource: string, object: KubeObject): boolean {
  const hard = quota.status?.hard ?? quota.spec?.hard ?? {};
  if (quotaNames(resource, Object.keys(hard)).length === 0) return false;
  const scopes: readonly ScopeTerm[] = [
    ...(quota.spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: "Exists" })),
    ...(quota.spec?.scopeSelector?.matchExpressions ?? []),
  ];
  return scopes.every((scope) => scopeMatches(scope, resource, object));
}

/**
 * What a namespace's objects use of a quota, for its status: every resource of `spec.hard`, with 0 for none
 * (pkg/quota/v1 `CalculateUsage`).
 *
 * @param objects those of the quota's namespace by resource: `pods`, `deployments.apps`
 */
export function quotaUsage(
  quota: ResourceQuota,
  objects: (resource: string) => readonly KubeObject[],
  nowMs: number,
): Readonly<Record<string, string>> {
  const names = Object.keys(quota.spec?.hard ?? {});
  const counted = { ...quota, status: { hard: quota.spec?.hard ?? {} } };
  const resources = new Set<string>(["pods", "services", "persistentvolumeclaims"]);
  for (const name of names) {
    if (name.startsWith("count/")) resources.add(name.slice("count/".length));
    else if (legacyNames.has(name)) resources.add(name);
  }
  const used: Amounts = new Map(names.map((name) => [name, Quantity.zero]));
  for (const resource of resources) {
    const own = new Set(quotaNames(resource, names));
    if (own.size === 0) continue;
    for (const object of objects(resource)) {
      if (!quotaMatches(counted, resource, object)) continue;
      const usage = objectUsage(resource, object, nowMs);
      addAmounts(used, new Map([...usage].filter(([name]) => own.has(name))));
    }
  }
  return Object.fromEntries([...used].map(([name, amount]) => [name, amount.toString()]));
}

import type { Service, ServicePort } from "@fleetwright/kube";
import { jsonEqual, type Json } from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";

/** A Service on its way through a request. */
export type ServiceDraft = Mutable<Service>;
export type ReadonlyService = Readonly<Service>;

const nothing: Readonly<NonNullable<Service["spec"]>> = {};

/** The spec, empty when there is none. */
export const specOf = (service: ReadonlyService): Readonly<NonNullable<Service["spec"]>> => service.spec ?? nothing;

export const typeOf = (service: ReadonlyService): string => specOf(service).type ?? "";
export const clusterIpsOf = (service: ReadonlyService): readonly string[] => specOf(service).clusterIPs ?? [];
export const familiesOf = (service: ReadonlyService): readonly string[] => specOf(service).ipFamilies ?? [];
export const portsOf = (service: ReadonlyService): readonly ServicePort[] => specOf(service).ports ?? [];
export const hasSelector = (service: ReadonlyService): boolean =>
  Object.keys(specOf(service).selector ?? {}).length > 0;

export const isHeadless = (service: ReadonlyService): boolean =>
  clusterIpsOf(service).length === 1 && clusterIpsOf(service)[0] === "None";
export const needsClusterIp = (service: ReadonlyService): boolean => typeOf(service) !== "ExternalName";
export const needsNodePort = (service: ReadonlyService): boolean =>
  typeOf(service) === "NodePort" || typeOf(service) === "LoadBalancer";
export const needsHealthCheck = (service: ReadonlyService): boolean =>
  typeOf(service) === "LoadBalancer" && specOf(service).externalTrafficPolicy === "Local";
/** From outside of the cluster. */
export const isExternallyAccessible = (service: ReadonlyService): boolean =>
  needsNodePort(service) || (typeOf(service) === "ClusterIP" && (specOf(service).externalIPs ?? []).length > 0);

const same = (left: unknown, right: unknown): boolean => jsonEqual((left ?? null) as Json, (right ?? null) as Json);

export const sameClusterIps = (old: ReadonlyService, service: ReadonlyService): boolean =>
  (specOf(old).clusterIP ?? "") === (specOf(service).clusterIP ?? "") && same(clusterIpsOf(old), clusterIpsOf(service));
export const sameFamilies = (old: ReadonlyService, service: ReadonlyService): boolean =>
  same(familiesOf(old), familiesOf(service));

/** `SetDefaults_Service` (pkg/apis/core/v1/defaults.go). */
export function defaultService(service: ServiceDraft): void {
  const spec = (service.spec ??= {});
  spec.sessionAffinity ||= "None";
  if (spec.sessionAffinity === "None") delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === "ClientIP" && spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined) {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: 10_800 } };
  }
  spec.type ||= "ClusterIP";
  for (const port of spec.ports ?? []) {
    port.protocol ||= "TCP";
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === "") port.targetPort = port.port;
  }
  if (isExternallyAccessible(service)) spec.externalTrafficPolicy ||= "Cluster";
  if (spec.type === "NodePort" || spec.type === "LoadBalancer" || spec.type === "ClusterIP") {
    spec.internalTrafficPolicy ??= "Cluster";
  }
  if (spec.type !== "LoadBalancer") return;
  spec.allocateLoadBalancerNodePorts ??= true;
  for (const ingress of service.status?.loadBalancer?.ingress ?? []) {
    if ((ingress.ip ?? "") !== "") ingress.ipMode ??= "VIP";
  }
}

/** `normalizeClusterIPs`: clients set the one address or the list; the other follows. */
export function normalizeClusterIps(service: ServiceDraft, old: ReadonlyService | undefined): void {
  const spec = (service.spec ??= {});
  const now = spec.clusterIP ?? "";
  if (old === undefined) {
    if (now !== "" && clusterIpsOf(service).length === 0) spec.clusterIPs = [now];
    return;
  }
  const before = specOf(old).clusterIP ?? "";
  if (before === now) {
    if (clusterIpsOf(old).length > 0 && clusterIpsOf(service).length === 0) spec.clusterIPs = [...clusterIpsOf(old)];
    return;
  }
  if (!same(clusterIpsOf(old), clusterIpsOf(service))) return;
  if (now === "") delete spec.clusterIPs;
  else spec.clusterIPs = [now];
}

/** `patchAllocatedValues`: a PUT that leaves out what the server chose keeps it. */
export function keepAllocated(service: ServiceDraft, old: ReadonlyService): void {
  const spec = (service.spec ??= {});
  if (needsClusterIp(old) && needsClusterIp(service)) {
    const { clusterIP } = specOf(old);
    if ((spec.clusterIP ?? "") === "" && clusterIP !== undefined) spec.clusterIP = clusterIP;
    if (clusterIpsOf(service).length === 0 && clusterIpsOf(old).length > 0) spec.clusterIPs = [...clusterIpsOf(old)];
  }
  if (needsNodePort(old) && needsNodePort(service)) {
    const now = new Set(portsOf(service).map(({ nodePort }) => nodePort ?? 0));
    const byName = new Map(portsOf(old).map(({ name = "", nodePort = 0 }) => [name, nodePort]));
    for (const port of spec.ports ?? []) {
      if ((port.nodePort ?? 0) !== 0) continue;
      const before = byName.get(port.name ?? "") ?? 0;
      if (before !== 0 && !now.has(before)) port.nodePort = before;
    }
  }
  if (needsHealthCheck(old) && needsHealthCheck(service)) {
    const { healthCheckNodePort } = specOf(old);
    if ((spec.healthCheckNodePort ?? 0) === 0 && healthCheckNodePort !== undefined) {
      spec.healthCheckNodePort = healthCheckNodePort;
    }
  }
}

/** `dropTypeDependentFields`: what the new type has no use for goes, unless the client changed it as well. */
export function dropTypeDependentFields(service: ServiceDraft, old: ReadonlyService): void {
  const spec = (service.spec ??= {});
  const before = specOf(old);
  if (needsClusterIp(old) && !needsClusterIp(service)) {
    const kept = { ips: sameClusterIps(old, service), families: sameFamilies(old, service) };
    if (kept.ips) {
      delete spec.clusterIP;
      delete spec.clusterIPs;
    }
    if (kept.families) delete spec.ipFamilies;
    if (before.ipFamilyPolicy === spec.ipFamilyPolicy) delete spec.ipFamilyPolicy;
  }
  if (needsNodePort(old) && !needsNodePort(service)) {
    const had = new Set(portsOf(old).map(({ nodePort = 0 }) => nodePort));
    const added = portsOf(service).some(({ nodePort = 0 }) => nodePort !== 0 && !had.has(nodePort));
    if (!added) for (const port of spec.ports ?? []) delete port.nodePort;
  }
  if (needsHealthCheck(old) && !needsHealthCheck(service) && before.healthCheckNodePort === spec.healthCheckNodePort) {
    delete spec.healthCheckNodePort;
  }
  if (typeOf(old) === "LoadBalancer" && typeOf(service) !== "LoadBalancer") {
    if (before.allocateLoadBalancerNodePorts === spec.allocateLoadBalancerNodePorts) {
      delete spec.allocateLoadBalancerNodePorts;
    }
    if (before.loadBalancerClass === spec.loadBalancerClass) delete spec.loadBalancerClass;
  }
  if (
    isExternallyAccessible(old) &&
    !isExternallyAccessible(service) &&
    before.externalTrafficPolicy === spec.externalTrafficPolicy
  ) {
    delete spec.externalTrafficPolicy;
  }
  if (typeOf(service) !== "LoadBalancer") service.status = { ...service.status, loadBalancer: {} };
}

import type { ServicePort } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { endpointIpErrors, legacyCidrErrors, legacyIpErrors, parseIp, ipWarnings, cidrWarnings } from "./ip-checks.ts";
import { dns1123LabelProblems, dns1123SubdomainProblems } from "./name-checks.ts";
import { clusterIpErrors, clusterIpUpdateErrors, familyUpdateErrors } from "./service-families.ts";
import {
  clusterIpsOf,
  familiesOf,
  isExternallyAccessible,
  isHeadless,
  needsHealthCheck,
  portsOf,
  specOf,
  typeOf,
  type ReadonlyService,
} from "./service-fields.ts";
import { labelsErrors, oneOf, portErrors, portOrNameErrors, qualifiedNameErrors } from "./value-checks.ts";

const sourceRangesAnnotation = "service.beta.kubernetes.io/load-balancer-source-ranges";
const hintsAnnotation = "service.kubernetes.io/topology-aware-hints";
const modeAnnotation = "service.kubernetes.io/topology-mode";
const loadBalancerOnly = "may only be used when `type` is 'LoadBalancer'";

/** `validateService`; ports that the server allocates after this are not asked for. */
export function serviceErrors(service: ReadonlyService, old: ReadonlyService | undefined): FieldError[] {
  const spec = specOf(service);
  const type = typeOf(service);
  const ports = portsOf(service);
  const errors: FieldError[] = [];
  const annotations = service.metadata.annotations ?? {};
  const hints = annotations[hintsAnnotation];
  const mode = annotations[modeAnnotation];
  if (hints !== undefined && mode !== undefined && hints !== mode) {
    errors.push(
      fieldErrors.invalid(
        `metadata.annotations[${modeAnnotation}]`,
        mode,
        `must match annotations[${hintsAnnotation}] when both are specified`,
      ),
    );
  }
  if (ports.length === 0 && !isHeadless(service) && type !== "ExternalName") {
    errors.push(fieldErrors.required("spec.ports"));
  }
  if ((type === "LoadBalancer" || type === "NodePort") && isHeadless(service)) {
    errors.push(fieldErrors.invalid("spec.clusterIPs[0]", "None", `may not be set to 'None' for ${type} services`));
  }
  if (type === "ExternalName") errors.push(...externalNameErrors(service));
  const names = new Set<string>();
  for (const [index, port] of ports.entries()) {
    errors.push(...servicePortErrors(port, ports.length > 1, names, `spec.ports[${index}]`));
  }
  errors.push(...labelsErrors(spec.selector, "spec.selector"));
  errors.push(...affinityErrors(service));
  errors.push(...clusterIpErrors(service, old));
  for (const [index, ip] of (spec.externalIPs ?? []).entries()) {
    const field = `spec.externalIPs[${index}]`;
    const problems = legacyIpErrors(field, ip, old ? (specOf(old).externalIPs ?? []) : []);
    errors.push(...(problems.length > 0 ? problems : endpointIpErrors(field, ip)));
  }
  errors.push(...oneOf("spec.type", type, ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]));
  errors.push(...portUseErrors(type, ports, old === undefined), ...sourceRangeErrors(service, old));
  if (spec.allocateLoadBalancerNodePorts !== undefined && type !== "LoadBalancer") {
    errors.push(fieldErrors.forbidden("spec.allocateLoadBalancerNodePorts", loadBalancerOnly));
  }
  errors.push(...loadBalancerClassErrors(service, undefined), ...trafficErrors(service));
  return errors;
}

function externalNameErrors(service: ReadonlyService): FieldError[] {
  const spec = specOf(service);
  const errors: FieldError[] = [];
  const unset = "may not be set for ExternalName services";
  if (clusterIpsOf(service).length > 0) errors.push(fieldErrors.forbidden("spec.clusterIPs", unset));
  if (familiesOf(service).length > 0) errors.push(fieldErrors.forbidden("spec.ipFamilies", unset));
  if (spec.ipFamilyPolicy !== undefined) errors.push(fieldErrors.forbidden("spec.ipFamilyPolicy", unset));
  const name = (spec.externalName ?? "").replace(/\.$/, "");
  if (name === "") errors.push(fieldErrors.required("spec.externalName"));
  else {
    for (const problem of dns1123SubdomainProblems(name)) {
      errors.push(fieldErrors.invalid("spec.externalName", name, problem));
    }
  }
  return errors;
}

function servicePortErrors(port: ServicePort, nameRequired: boolean, names: Set<string>, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { name = "", targetPort = 0 } = port;
  if (name === "") {
    if (nameRequired) errors.push(fieldErrors.required(`${field}.name`));
  } else {
    for (const problem of dns1123LabelProblems(name)) errors.push(fieldErrors.invalid(`${field}.name`, name, problem));
    if (names.has(name)) errors.push(fieldErrors.duplicate(`${field}.name`, name));
    names.add(name);
  }
  errors.push(...portErrors(`${field}.port`, port.port ?? 0));
  errors.push(...oneOf(`${field}.protocol`, port.protocol ?? "", ["SCTP", "TCP", "UDP"]));
  errors.push(...portOrNameErrors(`${field}.targetPort`, targetPort));
  if (port.appProtocol !== undefined) errors.push(...qualifiedNameErrors(`${field}.appProtocol`, port.appProtocol));
  return errors;
}

function affinityErrors(service: ReadonlyService): FieldError[] {
  const { sessionAffinity = "", sessionAffinityConfig } = specOf(service);
  const errors = oneOf("spec.sessionAffinity", sessionAffinity, ["ClientIP", "None"]);
  const field = "spec.sessionAffinityConfig";
  if (sessionAffinity === "ClientIP") {
    const why = "when session affinity type is ClientIP";
    const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds;
    if (sessionAffinityConfig === undefined) errors.push(fieldErrors.required(field, why));
    else if (sessionAffinityConfig.clientIP === undefined) errors.push(fieldErrors.required(`${field}.clientIP`, why));
    else if (seconds === undefined) errors.push(fieldErrors.required(`${field}.clientIP.timeoutSeconds`, why));
    else if (seconds <= 0 || seconds > 86_400) {
      errors.push(
        fieldErrors.invalid(`${field}.clientIP.timeoutSeconds`, seconds, "must be greater than 0 and less than 86400"),
      );
    }
  } else if (sessionAffinity === "None" && sessionAffinityConfig !== undefined) {
    errors.push(fieldErrors.forbidden(field, "must not be set when session affinity is None"));
  }
  return errors;
}

function portUseErrors(type: string, ports: readonly ServicePort[], isNew: boolean): FieldError[] {
  const errors: FieldError[] = [];
  if (type === "ClusterIP") {
    for (const [index, { nodePort = 0 }] of ports.entries()) {
      if (nodePort !== 0) {
        errors.push(
          fieldErrors.forbidden(`spec.ports[${index}].nodePort`, "may not be used when `type` is 'ClusterIP'"),
        );
      }
    }
  }
  const nodePorts = new Set<string>();
  for (const [index, { protocol = "", nodePort = 0 }] of ports.entries()) {
    // A new Service is refused earlier, by the allocation that follows here.
    if (nodePort === 0 || (isNew && type !== "ClusterIP")) continue;
    const key = `${protocol} ${nodePort}`;
    if (nodePorts.has(key)) errors.push(fieldErrors.duplicate(`spec.ports[${index}].nodePort`, nodePort));
    nodePorts.add(key);
  }
  const numbers = new Set<string>();
  for (const [index, { protocol = "", port }] of ports.entries()) {
    const key = `${protocol} ${port}`;
    if (numbers.has(key)) {
      // The struct that upstream compares has no JSON names.
      const value = { Name: "", Protocol: protocol, AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 };
      errors.push(fieldErrors.duplicate(`spec.ports[${index}]`, value));
    }
    numbers.add(key);
  }
  return errors;
}

function sourceRangeErrors(service: ReadonlyService, old: ReadonlyService | undefined): FieldError[] {
  const ranges = specOf(service).loadBalancerSourceRanges ?? [];
  const isLoadBalancer = typeOf(service) === "LoadBalancer";
  const errors: FieldError[] = [];
  if (ranges.length > 0) {
    const field = "spec.LoadBalancerSourceRanges";
    if (!isLoadBalancer) errors.push(fieldErrors.forbidden(field, loadBalancerOnly));
    const kept = old ? (specOf(old).loadBalancerSourceRanges ?? []).map((range) => range.trim()) : [];
    for (const [index, range] of ranges.entries()) {
      errors.push(...legacyCidrErrors(`${field}[${index}]`, range.trim(), kept));
    }
    return errors;
  }
  const annotation = service.metadata.annotations?.[sourceRangesAnnotation];
  if (annotation === undefined) return errors;
  const field = `metadata.annotations[${sourceRangesAnnotation}]`;
  if (!isLoadBalancer) errors.push(fieldErrors.forbidden(field, loadBalancerOnly));
  if (old?.metadata.annotations?.[sourceRangesAnnotation] === annotation || annotation.trim() === "") return errors;
  for (const range of annotation.trim().split(",")) errors.push(...legacyCidrErrors(field, range.trim()));
  return errors;
}

function loadBalancerClassErrors(service: ReadonlyService, old: ReadonlyService | undefined): FieldError[] {
  const field = "spec.loadBalancerClass";
  const { loadBalancerClass } = specOf(service);
  if (typeOf(service) !== "LoadBalancer") {
    return loadBalancerClass === undefined ? [] : [fieldErrors.forbidden(field, loadBalancerOnly)];
  }
  const errors: FieldError[] = [];
  if (old && typeOf(old) === "LoadBalancer" && specOf(old).loadBalancerClass !== loadBalancerClass) {
    errors.push(fieldErrors.invalid(field, loadBalancerClass, "may not change once set"));
  }
  if (loadBalancerClass !== undefined) errors.push(...qualifiedNameErrors(field, loadBalancerClass));
  return errors;
}

function trafficErrors(service: ReadonlyService): FieldError[] {
  const {
    externalTrafficPolicy = "",
    healthCheckNodePort = 0,
    internalTrafficPolicy,
    trafficDistribution,
  } = specOf(service);
  const errors: FieldError[] = [];
  if (isExternallyAccessible(service)) {
    errors.push(...oneOf("spec.externalTrafficPolicy", externalTrafficPolicy, ["Cluster", "Local"]));
  } else if (externalTrafficPolicy !== "") {
    errors.push(
      fieldErrors.invalid(
        "spec.externalTrafficPolicy",
        externalTrafficPolicy,
        "may only be set for externally-accessible services",
      ),
    );
  }
  if (needsHealthCheck(service)) {
    if (healthCheckNodePort !== 0) errors.push(...portErrors("spec.healthCheckNodePort", healthCheckNodePort));
  } else if (healthCheckNodePort !== 0) {
    errors.push(
      fieldErrors.invalid(
        "spec.healthCheckNodePort",
        healthCheckNodePort,
        "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
      ),
    );
  }
  if (internalTrafficPolicy === undefined) {
    if (["ClusterIP", "LoadBalancer", "NodePort"].includes(typeOf(service))) {
      errors.push(fieldErrors.required("spec.internalTrafficPolicy"));
    }
  } else if (internalTrafficPolicy !== "Cluster" && internalTrafficPolicy !== "Local") {
    errors.push(fieldErrors.notSupported("spec.internalTrafficPolicy", internalTrafficPolicy, ["Cluster", "Local"]));
  }
  const distributions = ["PreferClose", "PreferSameZone", "PreferSameNode"];
  if (trafficDistribution !== undefined && !distributions.includes(trafficDistribution)) {
    errors.push(fieldErrors.notSupported("spec.trafficDistribution", trafficDistribution, distributions));
  }
  return errors;
}

/** `ValidateServiceUpdate`. */
export function serviceUpdateErrors(service: ReadonlyService, old: ReadonlyService): FieldError[] {
  const errors = [
    ...clusterIpUpdateErrors(service, old),
    ...familyUpdateErrors(service, old),
    ...loadBalancerClassErrors(service, old),
  ];
  if (
    needsHealthCheck(old) &&
    needsHealthCheck(service) &&
    (specOf(old).healthCheckNodePort ?? 0) !== (specOf(service).healthCheckNodePort ?? 0)
  ) {
    errors.push(fieldErrors.forbidden("spec.healthCheckNodePort", "field is immutable"));
  }
  return [...errors, ...serviceErrors(service, old)];
}

/** `ValidateLoadBalancerStatus`. */
export function serviceStatusErrors(service: ReadonlyService, old: ReadonlyService): FieldError[] {
  const ingresses = service.status?.loadBalancer?.ingress ?? [];
  const field = "status.loadBalancer.ingress";
  if (typeOf(service) !== "LoadBalancer") {
    return ingresses.length === 0
      ? []
      : [fieldErrors.forbidden(field, "may only be used when `spec.type` is 'LoadBalancer'")];
  }
  const kept = (old.status?.loadBalancer?.ingress ?? []).flatMap(({ ip = "" }) => (ip === "" ? [] : [ip]));
  const errors: FieldError[] = [];
  for (const [index, { ip = "", ipMode, hostname = "" }] of ingresses.entries()) {
    const at = `${field}[${index}]`;
    if (ip !== "") errors.push(...legacyIpErrors(`${at}.ip`, ip, kept));
    if (ipMode === undefined) {
      if (ip !== "") errors.push(fieldErrors.required(`${at}.ipMode`, "must be specified when `ip` is set"));
    } else if (ip === "") {
      errors.push(fieldErrors.forbidden(`${at}.ipMode`, "may not be specified when `ip` is not set"));
    } else if (ipMode !== "VIP" && ipMode !== "Proxy") {
      errors.push(fieldErrors.notSupported(`${at}.ipMode`, ipMode, ["Proxy", "VIP"]));
    }
    if (hostname === "") continue;
    for (const problem of dns1123SubdomainProblems(hostname)) {
      errors.push(fieldErrors.invalid(`${at}.hostname`, hostname, problem));
    }
    if (parseIp(hostname)) {
      errors.push(fieldErrors.invalid(`${at}.hostname`, hostname, "must be a DNS name, not an IP address"));
    }
  }
  return errors;
}

/** `GetWarningsForService` (pkg/api/service/warnings.go). */
export function serviceWarnings(service: ReadonlyService): string[] {
  const spec = specOf(service);
  const type = typeOf(service);
  const warnings: string[] = [];
  if (service.metadata.annotations?.[hintsAnnotation] !== undefined) {
    warnings.push(`annotation ${hintsAnnotation} is deprecated, please use ${modeAnnotation} instead`);
  }
  if ((spec.clusterIP ?? "") !== "" && spec.clusterIP !== "None") {
    for (const [index, ip] of clusterIpsOf(service).entries())
      warnings.push(...ipWarnings(`spec.clusterIPs[${index}]`, ip));
  }
  const externalIps = spec.externalIPs ?? [];
  const headless = type === "ClusterIP" && spec.clusterIP === "None";
  if (headless) {
    if ((spec.loadBalancerIP ?? "") !== "") warnings.push("spec.loadBalancerIP is ignored for headless services");
    if (externalIps.length > 0) warnings.push("spec.externalIPs is ignored for headless services");
    if (spec.sessionAffinity !== "None") warnings.push("spec.SessionAffinity is ignored for headless services");
  }
  for (const [index, ip] of externalIps.entries()) warnings.push(...ipWarnings(`spec.externalIPs[${index}]`, ip));
  if (externalIps.length > 0 && !headless && type !== "ExternalName") {
    warnings.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  }
  warnings.push(...ipWarnings("spec.loadBalancerIP", spec.loadBalancerIP ?? ""));
  for (const [index, range] of (spec.loadBalancerSourceRanges ?? []).entries()) {
    warnings.push(...cidrWarnings(`spec.loadBalancerSourceRanges[${index}]`, range));
  }
  if (type === "ExternalName" && externalIps.length > 0) {
    warnings.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  }
  if (type !== "ExternalName" && (spec.externalName ?? "") !== "") {
    warnings.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  }
  if (spec.trafficDistribution === "PreferClose") {
    warnings.push('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"');
  }
  return warnings;
}

import type { Container, Pod, PodSpec, PodTemplateSpec } from "@fleetwright/kube";
import { ipWarnings } from "./ip-checks.ts";
import { quantityOf } from "./value-checks.ts";

/** pkg/api/pod/warnings.go: what is accepted, and probably not meant. */
type Port = NonNullable<Container["ports"]>[number];

const deprecatedLabels: Readonly<Record<string, string>> = {
  "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
  "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
  "app.kubernetes.io/created-by": "deprecated since v1.9",
  "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
  "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
};
const deprecatedAnnotations: Readonly<Record<string, string>> = {
  "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
  "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
  "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
};
const deprecatedVolumes: Readonly<Record<string, string>> = {
  photonPersistentDisk: "deprecated in v1.11, non-functional in v1.16+",
  gitRepo: "deprecated in v1.11, and disabled by default in v1.33+",
  scaleIO: "deprecated in v1.16, non-functional in v1.22+",
  flocker: "deprecated in v1.22, non-functional in v1.25+",
  storageos: "deprecated in v1.22, non-functional in v1.25+",
  quobyte: "deprecated in v1.22, non-functional in v1.25+",
  glusterfs: "deprecated in v1.25, non-functional in v1.26+",
  cephfs: "deprecated in v1.28, non-functional in v1.31+",
  rbd: "deprecated in v1.28, non-functional in v1.31+",
};

/** Every container of a spec with its path, in upstream's order. */
function containersOf(spec: PodSpec, field: string): (readonly [Container, string])[] {
  return [
    ...(spec.initContainers ?? []).map((container, index) => [container, `${field}initContainers[${index}]`] as const),
    ...(spec.containers ?? []).map((container, index) => [container, `${field}containers[${index}]`] as const),
  ];
}

function labelWarnings(spec: PodSpec, field: string): string[] {
  const warnings = Object.keys(spec.nodeSelector ?? {}).flatMap((label) =>
    Object.hasOwn(deprecatedLabels, label) ? [`${field}nodeSelector[${label}]: ${deprecatedLabels[label]}`] : [],
  );
  for (const [index, { topologyKey, labelSelector }] of (spec.topologySpreadConstraints ?? []).entries()) {
    const at = `${field}topologySpreadConstraints[${index}]`;
    if (Object.hasOwn(deprecatedLabels, topologyKey)) {
      warnings.push(`${at}.topologyKey: ${topologyKey} is ${deprecatedLabels[topologyKey]}`);
    }
    if (labelSelector === undefined) {
      warnings.push(`${at}.labelSelector: a null labelSelector results in matching no pod`);
    }
  }
  return warnings;
}

const isFractional = (text: string | undefined): boolean =>
  text !== undefined && quantityOf(text).milliValue() % 1000n !== 0n;

function amountWarnings(amounts: Readonly<Record<string, string>> | undefined, field: string): string[] {
  return ["memory", "ephemeral-storage"].flatMap((name) => {
    const text = amounts?.[name];
    return isFractional(text)
      ? [`${field}[${name}]: fractional byte value ${JSON.stringify(text)} is invalid, must be an integer`]
      : [];
  });
}

function environmentWarnings({ env }: Container, field: string): string[] {
  const seen = new Set<string>();
  return (env ?? []).flatMap(({ name, value = "", valueFrom }, index) => {
    if (!seen.has(name)) {
      seen.add(name);
      return [];
    }
    const reference = `$(${name})`;
    const hides = valueFrom !== undefined || value === reference || !value.includes(reference);
    return hides
      ? [
          `${field}.env[${index}]: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`,
        ]
      : [];
  });
}

function portOverlap(port: Port, other: Port): string | undefined {
  const [ip, otherIp] = [port.hostIP ?? "", other.hostIP ?? ""];
  const [host, otherHost] = [port.hostPort ?? 0, other.hostPort ?? 0];
  if (ip === otherIp && host === otherHost) return "duplicate port definition with";
  if (host === 0 || otherHost === 0) return "overlapping port definition with";
  return host === otherHost && (ip === "") !== (otherIp === "")
    ? "dangerously ambiguous port definition with"
    : undefined;
}

function portWarnings(spec: PodSpec, field: string): string[] {
  const warnings: string[] = [];
  const seen = new Map<string, { readonly at: string; readonly port: Port }[]>();
  const names = new Map<string, string>();
  const nameWarnings: string[] = [];
  for (const [container, path] of containersOf(spec, field)) {
    for (const [index, port] of (container.ports ?? []).entries()) {
      const at = `${path}.ports[${index}]`;
      const key = `${port.containerPort}/${port.protocol ?? ""}`;
      const others = seen.get(key) ?? [];
      for (const other of others) {
        const overlap = portOverlap(port, other.port);
        if (overlap !== undefined) warnings.push(`${at}: ${overlap} ${other.at}`);
      }
      seen.set(key, [...others, { at, port }]);
      if (!port.name) continue;
      const named = names.get(port.name);
      if (named === undefined) names.set(port.name, at);
      else {
        nameWarnings.push(
          `${at}: duplicate port name ${JSON.stringify(port.name)} with ${named}, services and probes that select ports by name will use ${named}`,
        );
      }
    }
  }
  return [...warnings, ...nameWarnings];
}

function listWarnings(spec: PodSpec, field: string): string[] {
  const warnings: string[] = [];
  const duplicates = (values: readonly string[], at: (index: number) => string, what: string): void => {
    const seen = new Set<string>();
    for (const [index, value] of values.entries()) {
      if (seen.has(value)) warnings.push(`${at(index)}: duplicate ${what} ${JSON.stringify(value)}`);
      seen.add(value);
    }
  };
  duplicates(
    (spec.hostAliases ?? []).map(({ ip }) => ip),
    (index) => `${field}hostAliases[${index}].ip`,
    "ip",
  );
  const secrets = (spec.imagePullSecrets ?? []).map(({ name }) => name ?? "");
  duplicates(secrets, (index) => `${field}imagePullSecrets[${index}].name`, "name");
  for (const [index, name] of secrets.entries()) {
    if (name === "") warnings.push(`${field}imagePullSecrets[${index}].name: invalid empty name ""`);
  }
  return warnings;
}

function affinityWarnings(spec: PodSpec, field: string): string[] {
  return (["podAffinity", "podAntiAffinity"] as const).flatMap((part) => {
    const at = `${field}affinity.${part}`;
    const text = "a null labelSelector results in matching no pod";
    return [
      ...(spec.affinity?.[part]?.requiredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((term, index) =>
        term.labelSelector === undefined
          ? [`${at}.requiredDuringSchedulingIgnoredDuringExecution[${index}].labelSelector: ${text}`]
          : [],
      ),
      ...(spec.affinity?.[part]?.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((term, index) =>
        term.podAffinityTerm?.labelSelector === undefined
          ? [`${at}.preferredDuringSchedulingIgnoredDuringExecution[${index}].podAffinityTerm.labelSelector: ${text}`]
          : [],
      ),
    ];
  });
}

function specWarnings(
  spec: PodSpec,
  annotations: Readonly<Record<string, string>>,
  prefix: string,
  old: PodSpec | undefined,
): string[] {
  const field = `${prefix}spec.`;
  const warnings = labelWarnings(spec, field);
  for (const [key, text] of Object.entries(deprecatedAnnotations)) {
    if (Object.hasOwn(annotations, key)) warnings.push(`${prefix}metadata.annotations[${key}]: ${text}`);
  }
  for (const [index, volume] of (spec.volumes ?? []).entries()) {
    for (const [name, text] of Object.entries(deprecatedVolumes)) {
      const path = name === "storageos" ? "storageOS" : name;
      if (Object.hasOwn(volume, name)) warnings.push(`${field}volumes[${index}].${path}: ${text}`);
    }
  }
  warnings.push(...listWarnings(spec, field), ...amountWarnings(spec.overhead, `${field}overhead`));
  for (const [container, at] of containersOf(spec, field)) {
    warnings.push(
      ...amountWarnings(container.resources?.limits, `${at}.resources.limits`),
      ...amountWarnings(container.resources?.requests, `${at}.resources.requests`),
      ...environmentWarnings(container, at),
    );
  }
  warnings.push(...portWarnings(spec, field));
  const grace = spec.terminationGracePeriodSeconds ?? 0;
  if (grace < 0 && (old === undefined || (old.terminationGracePeriodSeconds ?? 0) >= 0)) {
    warnings.push(
      `${field}terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`,
    );
  }
  warnings.push(...affinityWarnings(spec, field));
  for (const [index, server] of (spec.dnsConfig?.nameservers ?? []).entries()) {
    warnings.push(...ipWarnings(`${field}dnsConfig.nameservers[${index}]`, server));
  }
  for (const [index, { ip }] of (spec.hostAliases ?? []).entries()) {
    warnings.push(...ipWarnings(`${field}hostAliases[${index}].ip`, ip));
  }
  return warnings;
}

/** `GetWarningsForPodTemplate`. */
export const templateWarnings = (
  template: PodTemplateSpec | undefined,
  old: PodTemplateSpec | undefined,
  field: string,
): string[] =>
  template?.spec === undefined
    ? []
    : specWarnings(template.spec, template.metadata?.annotations ?? {}, `${field}.`, old?.spec);

/** `GetWarningsForPod`. */
export const podWarnings = (pod: Pod): string[] =>
  pod.spec === undefined ? [] : specWarnings(pod.spec, pod.metadata.annotations ?? {}, "", undefined);

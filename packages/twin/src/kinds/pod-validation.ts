import { parseQuantity, type ObjectMeta, type Pod, type PodSpec, type PodTemplateSpec } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { overheadErrors, podResourcesErrors } from "./container-resources.ts";
import {
  containersErrors,
  ephemeralErrors,
  imageSpaceErrors,
  initContainersErrors,
  type ContainerScope,
} from "./container-validation.ts";
import { legacyIpErrors } from "./ip-checks.ts";
import { dns1123SubdomainProblems, expressionProblem, subdomainName } from "./name-checks.ts";
import { aggregateAmounts } from "./pod-level-resources.ts";
import { affinityErrors, gatesErrors, spreadErrors, tolerationsErrors } from "./pod-scheduling-validation.ts";
import {
  containersWithPaths,
  hostProcessErrors,
  hostUsersErrors,
  operatingSystemErrors,
  podSecurityErrors,
} from "./pod-security-validation.ts";
import { volumesErrors } from "./pod-volumes.ts";
import { dnsLabelErrors, invalidFor, labelsErrors, oneOf } from "./value-checks.ts";

/** pkg/apis/core/validation/validation.go, `ValidatePodSpec` and what calls it; complaints in upstream's order. */
/** Marks the API's picture of a pod that a kubelet runs from a file. */
export const mirrorAnnotation = "kubernetes.io/config.mirror";

function resourceClaimErrors(spec: PodSpec, metadata: ObjectMeta | undefined, field: string): FieldError[] {
  const seen = new Set<string>();
  return (spec.resourceClaims ?? []).flatMap((claim, index) => {
    if (metadata?.annotations?.[mirrorAnnotation] !== undefined) {
      return [fieldErrors.forbidden("", "static pods do not support resource claims")];
    }
    const at = `${field}[${index}]`;
    const { name, resourceClaimName, resourceClaimTemplateName } = claim;
    const errors: FieldError[] = [];
    if (!name) errors.push(fieldErrors.required(`${at}.name`));
    else if (seen.has(name)) errors.push(fieldErrors.duplicate(`${at}.name`, name));
    else errors.push(...dnsLabelErrors(`${at}.name`, name));
    seen.add(name);
    const printed = {
      Name: name ?? "",
      ResourceClaimName: resourceClaimName ?? null,
      ResourceClaimTemplateName: resourceClaimTemplateName ?? null,
    };
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined) {
      errors.push(
        fieldErrors.invalid(
          at,
          printed,
          "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
        ),
      );
    }
    if (resourceClaimName === undefined && resourceClaimTemplateName === undefined) {
      errors.push(
        fieldErrors.invalid(at, printed, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
      );
    }
    for (const part of ["resourceClaimName", "resourceClaimTemplateName"] as const) {
      const value = claim[part];
      if (value !== undefined) errors.push(...invalidFor(`${at}.${part}`, value, subdomainName(value, false)));
    }
    return errors;
  });
}

/** `validatePodResources`: what the pod gets as a whole holds what its containers ask for (KEP-2837). */
function podLevelErrors(spec: PodSpec, claims: readonly string[], field: string): FieldError[] {
  const { resources } = spec;
  if (resources === undefined) return [];
  if (spec.os?.name === "windows") return [fieldErrors.forbidden(field, "may not be set for a windows pod")];
  const errors: FieldError[] = [];
  if (resources.claims !== undefined) {
    errors.push(fieldErrors.forbidden(`${field}.claims`, "claims may not be set for Resources at pod-level"));
  }
  errors.push(...podResourcesErrors(resources, field, claims));
  for (const part of ["requests", "limits"] as const) {
    for (const [name, needed] of aggregateAmounts(spec, part)) {
      const text = resources[part]?.[name];
      if (text === undefined || (part === "limits" && !name.startsWith("hugepages-"))) continue;
      const given = parseQuantity(text);
      if (needed.cmp(given) <= 0) continue;
      errors.push(
        fieldErrors.invalid(
          `${field}.${part}[${name}]`,
          given.toString(),
          `must be greater than or equal to aggregate container ${part} of ${needed.toString()}`,
        ),
      );
    }
  }
  for (const [index, container] of (spec.containers ?? []).entries()) {
    for (const [name, text] of Object.entries(container.resources?.limits ?? {})) {
      const most = resources.limits?.[name];
      if (most === undefined || parseQuantity(text).cmp(parseQuantity(most)) <= 0) continue;
      errors.push(
        fieldErrors.invalid(
          `${field}.containers[${index}][${name}].limits`,
          parseQuantity(text).toString(),
          `must be less than or equal to pod limits of ${parseQuantity(most).toString()}`,
        ),
      );
    }
  }
  return errors;
}

function hostNetworkPortErrors(spec: PodSpec, field: string, isPod: boolean): FieldError[] {
  if (spec.hostNetwork !== true) return [];
  return (spec.containers ?? []).flatMap(({ ports }, index) =>
    (ports ?? []).flatMap(({ hostPort = 0, containerPort }, portIndex) =>
      (isPod || hostPort !== 0) && hostPort !== containerPort
        ? [
            fieldErrors.invalid(
              `${field}.containers[${index}].ports[${portIndex}].hostPort`,
              hostPort,
              "must match `containerPort` when `hostNetwork` is true",
            ),
          ]
        : [],
    ),
  );
}

const underscoredLabel = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const underscoredRule = String.raw`${underscoredLabel}(\.${underscoredLabel})*`;
const underscoredSubdomain = new RegExp(`^${underscoredRule}$`);

function dnsErrors(spec: PodSpec, field: string): FieldError[] {
  const config = spec.dnsConfig;
  const servers = config?.nameservers ?? [];
  if (spec.dnsPolicy === "None") {
    if (config === undefined) {
      return [fieldErrors.required(field, "must provide `dnsConfig` when `dnsPolicy` is None")];
    }
    if (servers.length === 0) {
      return [
        fieldErrors.required(
          `${field}.nameservers`,
          "must provide at least one DNS nameserver when `dnsPolicy` is None",
        ),
      ];
    }
  }
  if (config === undefined) return [];
  const errors: FieldError[] = [];
  if (servers.length > 3) {
    errors.push(fieldErrors.invalid(`${field}.nameservers`, servers, "must not have more than 3 nameservers"));
  }
  errors.push(...servers.flatMap((server, index) => legacyIpErrors(`${field}.nameservers[${index}]`, server)));
  const searches = config.searches ?? [];
  if (searches.length > 32) {
    errors.push(fieldErrors.invalid(`${field}.searches`, searches, "must not have more than 32 search paths"));
  }
  if (Buffer.byteLength(searches.join(" ")) > 2048) {
    errors.push(
      fieldErrors.invalid(
        `${field}.searches`,
        searches,
        "must not have more than 2048 characters (including spaces) in the search list",
      ),
    );
  }
  for (const [index, search] of searches.entries()) {
    const name = search.replace(/\.$/, "");
    if (search === "." || (Buffer.byteLength(name) <= 253 && underscoredSubdomain.test(name))) continue;
    errors.push(
      fieldErrors.invalid(
        `${field}.searches[${index}]`,
        name,
        expressionProblem(
          "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
          underscoredRule,
          "example.com",
        ),
      ),
    );
  }
  for (const [index, { name }] of (config.options ?? []).entries()) {
    if (!name) errors.push(fieldErrors.required(`${field}.options[${index}]`, "must not be empty"));
  }
  return errors;
}

function hostnameErrors(spec: PodSpec, field: string): FieldError[] {
  const name = spec.hostnameOverride;
  if (name === undefined) return [];
  const at = `${field}.hostnameOverride`;
  return [
    ...(spec.setHostnameAsFQDN === true
      ? [fieldErrors.forbidden(at, "may not be specified when setHostnameAsFQDN is true")]
      : []),
    ...(spec.hostNetwork === true ? [fieldErrors.forbidden(at, "may not be specified when hostNetwork is true")] : []),
    ...(Buffer.byteLength(name) > 64 ? [fieldErrors.tooLong(at, 64)] : []),
    ...invalidFor(at, name, dns1123SubdomainProblems(name)),
  ];
}

function fileKeyErrors(spec: PodSpec, field: string): FieldError[] {
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]));
  const groups = [
    ["initContainers", spec.initContainers],
    ["containers", spec.containers],
    ["ephemeralContainers", spec.ephemeralContainers],
  ] as const;
  return groups.flatMap(([part, containers]) =>
    (containers ?? []).flatMap(({ env }, index) =>
      (env ?? []).flatMap(({ valueFrom }, position) => {
        const reference = valueFrom?.fileKeyRef;
        if (reference === undefined) return [];
        const at = `${field}.${part}[${index}].env[${position}].valueFrom.fileKeyRef.volumeName`;
        const volume = volumes.get(reference.volumeName);
        if (volume === undefined) return [fieldErrors.notFound(at, reference.volumeName)];
        return volume.emptyDir
          ? []
          : [fieldErrors.invalid(at, reference.volumeName, "referenced volume must be of type emptyDir")];
      }),
    ),
  );
}

const named = (value: string | undefined, field: string): FieldError[] =>
  value ? invalidFor(field, value, subdomainName(value, false)) : [];

/** `ValidatePodSpec`; metadata is there for pods only. */
function podSpecErrors(spec: PodSpec, field: string, metadata?: ObjectMeta): FieldError[] {
  const isPod = metadata !== undefined;
  const { errors: volumeErrors, valid } = volumesErrors(spec.volumes, metadata, `${field}.volumes`);
  const claims = (spec.resourceClaims ?? []).map(({ name }) => name).filter(Boolean);
  const scope: ContainerScope = { spec, volumes: valid, claims };
  const deadline = spec.activeDeadlineSeconds;
  return [
    ...(spec.terminationGracePeriodSeconds === undefined
      ? [fieldErrors.required(`${field}.terminationGracePeriodSeconds`)]
      : []),
    ...volumeErrors,
    ...resourceClaimErrors(spec, metadata, `${field}.resourceClaims`),
    ...containersErrors(scope, `${field}.containers`),
    ...initContainersErrors(scope, `${field}.initContainers`),
    ...ephemeralErrors(scope, `${field}.ephemeralContainers`),
    ...podLevelErrors(spec, claims, `${field}.resources`),
    ...hostNetworkPortErrors(spec, field, isPod),
    ...oneOf(`${field}.restartPolicy`, spec.restartPolicy ?? "", ["Always", "OnFailure", "Never"]),
    ...oneOf(`${field}.dnsPolicy`, spec.dnsPolicy ?? "", [
      "ClusterFirstWithHostNet",
      "ClusterFirst",
      "Default",
      "None",
    ]),
    ...labelsErrors(spec.nodeSelector, `${field}.nodeSelector`),
    ...podSecurityErrors(spec, `${field}.securityContext`),
    ...affinityErrors(spec.affinity, `${field}.affinity`),
    ...dnsErrors(spec, `${field}.dnsConfig`),
    ...gatesErrors(spec, field),
    ...spreadErrors(spec.topologySpreadConstraints, `${field}.topologySpreadConstraints`),
    ...hostProcessErrors(spec, field),
    ...hostUsersErrors(spec, field),
    ...hostnameErrors(spec, field),
    ...named(spec.serviceAccountName, `${field}.serviceAccountName`),
    ...named(spec.nodeName, `${field}.nodeName`),
    ...(deadline !== undefined && (deadline < 1 || deadline > 2_147_483_647)
      ? [fieldErrors.invalid(`${field}.activeDeadlineSeconds`, deadline, "must be between 1 and 2147483647, inclusive")]
      : []),
    ...(spec.hostname ? dnsLabelErrors(`${field}.hostname`, spec.hostname) : []),
    ...(spec.subdomain ? dnsLabelErrors(`${field}.subdomain`, spec.subdomain) : []),
    ...tolerationsErrors(spec.tolerations, `${field}.tolerations`),
    ...(spec.hostAliases ?? []).flatMap(({ ip, hostnames }, index) => [
      ...legacyIpErrors(`${field}.hostAliases[${index}].ip`, ip ?? ""),
      ...(hostnames ?? []).flatMap((name, position) =>
        invalidFor(`${field}.hostAliases[${index}].hostnames[${position}]`, name, dns1123SubdomainProblems(name)),
      ),
    ]),
    ...named(spec.priorityClassName, `${field}.priorityClassName`),
    ...(spec.runtimeClassName === undefined
      ? []
      : invalidFor(`${field}.runtimeClassName`, spec.runtimeClassName, subdomainName(spec.runtimeClassName, false))),
    ...(spec.preemptionPolicy === undefined
      ? []
      : oneOf(`${field}.preemptionPolicy`, spec.preemptionPolicy, ["PreemptLowerPriority", "Never"])),
    ...(spec.overhead === undefined ? [] : overheadErrors(spec.overhead, `${field}.overhead`)),
    ...operatingSystemErrors(spec, field),
    ...fileKeyErrors(spec, field),
  ];
}

const deletionCost = "controller.kubernetes.io/pod-deletion-cost";
const int32 = (text: string): boolean =>
  /^(?:0|[+-]?[1-9][0-9]*)$/.test(text) && !text.startsWith("+") && Math.abs(Number(text)) <= 2_147_483_648;

/** `ValidatePodSpecificAnnotations`. */
export function annotationErrors(metadata: ObjectMeta | undefined, spec: PodSpec, field: string): FieldError[] {
  const annotations = metadata?.annotations ?? {};
  const errors: FieldError[] = [];
  const mirror = annotations[mirrorAnnotation];
  if (mirror !== undefined && !spec.nodeName) {
    errors.push(
      fieldErrors.invalid(
        `${field}[${mirrorAnnotation}]`,
        mirror,
        "must set spec.nodeName if mirror pod annotation is set",
      ),
    );
  }
  const cost = annotations[deletionCost];
  if (cost !== undefined && !int32(cost)) {
    errors.push(fieldErrors.invalid(`${field}[${deletionCost}]`, cost, "must be a 32bit integer"));
  }
  const appArmor = "container.apparmor.security.beta.kubernetes.io/";
  const names = new Set(containersWithPaths(spec, "").map(([{ name }]) => name));
  for (const [key, value] of Object.entries(annotations)) {
    if (!key.startsWith(appArmor)) continue;
    const container = key.slice(appArmor.length);
    if (!names.has(container)) {
      errors.push(fieldErrors.invalid(`${field}[${key}]`, container, "container not found"));
    }
    if (value !== "" && value !== "runtime/default" && value !== "unconfined" && !value.startsWith("localhost/")) {
      errors.push(
        fieldErrors.invalid(`${field}[${key}]`, value, `invalid AppArmor profile name: ${JSON.stringify(value)}`),
      );
    }
  }
  return errors;
}

/** `ValidatePodTemplateSpec`. */
export function podTemplateErrors(template: PodTemplateSpec, field: string): FieldError[] {
  const spec = template.spec ?? { containers: [] };
  return [
    ...labelsErrors(template.metadata?.labels, `${field}.labels`),
    ...annotationErrors(template.metadata, spec, `${field}.annotations`),
    ...podSpecErrors(spec, `${field}.spec`),
    ...((spec.ephemeralContainers ?? []).length > 0
      ? [fieldErrors.forbidden(`${field}.spec.ephemeralContainers`, "ephemeral containers not allowed in pod template")]
      : []),
  ];
}

/** `ValidatePodCreate`; with the old pod, the part of `ValidatePodUpdate` that says what any pod must be. */
export function podErrors(pod: Pod, old?: Pod): FieldError[] {
  const spec = pod.spec ?? { containers: [] };
  const errors = [
    ...annotationErrors(pod.metadata, spec, "metadata.annotations"),
    ...podSpecErrors(spec, "spec", pod.metadata),
  ];
  if (!spec.serviceAccountName) {
    for (const [index, { projected }] of (spec.volumes ?? []).entries()) {
      for (const [position, { serviceAccountToken }] of (projected?.sources ?? []).entries()) {
        if (serviceAccountToken === undefined) continue;
        errors.push(
          fieldErrors.forbidden(
            `spec.volumes[${index}].projected.sources[${position}].serviceAccountToken`,
            "must not be specified when serviceAccountName is not set",
          ),
        );
      }
    }
  }
  for (const part of ["containers", "initContainers"] as const) {
    for (const [index, container] of (spec[part] ?? []).entries()) {
      errors.push(...imageSpaceErrors(container, `spec.${part}[${index}]`));
    }
  }
  if (old !== undefined) return errors;
  if ((spec.ephemeralContainers ?? []).length > 0) {
    errors.push(fieldErrors.forbidden("spec.ephemeralContainers", "cannot be set on create"));
  }
  if (spec.nodeName && (spec.schedulingGates ?? []).length > 0) {
    errors.push(fieldErrors.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"));
  }
  return errors;
}

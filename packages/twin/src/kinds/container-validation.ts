import type { Container, EphemeralContainer, PodSpec, Volume } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { backstepErrors, environmentErrors, environmentSourceErrors } from "./container-environment.ts";
import { lifecycleErrors } from "./container-probes.ts";
import { containerResourcesErrors } from "./container-resources.ts";
import { portNameProblems } from "./name-checks.ts";
import { containerSecurityErrors } from "./pod-security-validation.ts";
import { descendingPathErrors } from "./pod-volumes.ts";
import { dnsLabelErrors, invalidFor, oneOf, portErrors } from "./value-checks.ts";

/** What the containers of a pod share. */
export interface ContainerScope {
  readonly spec: PodSpec;
  /** The pod's volumes that are well formed, by name. */
  readonly volumes: ReadonlyMap<string, Volume>;
  readonly claims: readonly string[];
}

const protocols = ["SCTP", "TCP", "UDP"];
const restartPolicies = ["Always", "Never", "OnFailure"];
const restartActions = ["Restart", "RestartAllContainers"];

function containerPortErrors(ports: Container["ports"], field: string): FieldError[] {
  const names = new Set<string>();
  return (ports ?? []).flatMap(({ name, containerPort, hostPort, protocol }, index) => {
    const at = `${field}[${index}]`;
    const errors: FieldError[] = [];
    if (name) {
      const problems = portNameProblems(name);
      if (problems.length > 0) errors.push(...invalidFor(`${at}.name`, name, problems));
      else if (names.has(name)) errors.push(fieldErrors.duplicate(`${at}.name`, name));
      else names.add(name);
    }
    errors.push(
      ...(containerPort
        ? portErrors(`${at}.containerPort`, containerPort)
        : [fieldErrors.required(`${at}.containerPort`)]),
      ...(hostPort ? portErrors(`${at}.hostPort`, hostPort) : []),
      ...oneOf(`${at}.protocol`, protocol ?? "", protocols),
    );
    return errors;
  });
}

const propagations = ["Bidirectional", "HostToContainer", "None"];
const readOnlyModes = ["Disabled", "Enabled", "IfPossible"];

function mountErrors(container: Container | EphemeralContainer, scope: ContainerScope, field: string): FieldError[] {
  const devices = container.volumeDevices ?? [];
  const paths = new Set<string>();
  return (container.volumeMounts ?? []).flatMap((mount, index) => {
    const at = `${field}[${index}]`;
    const { name, mountPath, subPath, subPathExpr, mountPropagation, recursiveReadOnly } = mount;
    const errors: FieldError[] = [];
    if (!name) errors.push(fieldErrors.required(`${at}.name`));
    if (!scope.volumes.has(name)) errors.push(fieldErrors.notFound(`${at}.name`, name));
    if (!mountPath) errors.push(fieldErrors.required(`${at}.mountPath`));
    if (paths.has(mountPath)) errors.push(fieldErrors.invalid(`${at}.mountPath`, mountPath, "must be unique"));
    paths.add(mountPath);
    if (devices.some((device) => device.name === name)) {
      errors.push(fieldErrors.invalid(`${at}.name`, name, "must not already exist in volumeDevices"));
    }
    if (devices.some(({ devicePath }) => devicePath === mountPath)) {
      errors.push(
        fieldErrors.invalid(`${at}.mountPath`, mountPath, "must not already exist as a path in volumeDevices"),
      );
    }
    if (subPath) errors.push(...descendingPathErrors(subPath, `${field}.subPath`));
    if (subPathExpr) {
      if (subPath) {
        errors.push(
          fieldErrors.invalid(`${at}.subPathExpr`, subPathExpr, "subPathExpr and subPath are mutually exclusive"),
        );
      }
      errors.push(...descendingPathErrors(subPathExpr, `${field}.subPathExpr`));
    }
    if (mountPropagation !== undefined) {
      const propagationField = `${field}.mountPropagation`;
      if (!propagations.includes(mountPropagation)) {
        errors.push(fieldErrors.notSupported(propagationField, mountPropagation, propagations));
      }
      if (mountPropagation === "Bidirectional" && container.securityContext?.privileged !== true) {
        errors.push(
          fieldErrors.forbidden(
            propagationField,
            "Bidirectional mount propagation is available only to privileged containers",
          ),
        );
      }
    }
    if (recursiveReadOnly === "Enabled" || recursiveReadOnly === "IfPossible") {
      if (mount.readOnly !== true) {
        errors.push(fieldErrors.forbidden(`${field}.recursiveReadOnly`, "may only be specified when readOnly is true"));
      }
      if (mountPropagation !== undefined && mountPropagation !== "None") {
        errors.push(
          fieldErrors.forbidden(
            `${field}.recursiveReadOnly`,
            "may only be specified when mountPropagation is None or not specified",
          ),
        );
      }
    } else if (recursiveReadOnly !== undefined && recursiveReadOnly !== "Disabled") {
      errors.push(fieldErrors.notSupported(`${field}.recursiveReadOnly`, recursiveReadOnly, readOnlyModes));
    }
    return errors;
  });
}

function deviceErrors(container: Container | EphemeralContainer, scope: ContainerScope, field: string): FieldError[] {
  const mounts = container.volumeMounts ?? [];
  const names = new Set<string>();
  const paths = new Set<string>();
  return (container.volumeDevices ?? []).flatMap(({ name, devicePath }, index) => {
    const at = `${field}[${index}]`;
    const volume = scope.volumes.get(name);
    const errors: FieldError[] = [];
    if (!name) errors.push(fieldErrors.required(`${at}.name`));
    if (names.has(name)) errors.push(fieldErrors.invalid(`${at}.name`, name, "must be unique"));
    if (volume === undefined) errors.push(fieldErrors.notFound(`${at}.name`, name));
    else if (!volume.persistentVolumeClaim && !volume.ephemeral) {
      errors.push(
        fieldErrors.invalid(
          `${at}.name`,
          name,
          "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
        ),
      );
    }
    if (!devicePath) errors.push(fieldErrors.required(`${at}.devicePath`));
    if (paths.has(devicePath)) errors.push(fieldErrors.invalid(`${at}.devicePath`, devicePath, "must be unique"));
    if (backstepErrors(devicePath, at).length > 0) {
      errors.push(fieldErrors.invalid(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')"));
    } else paths.add(devicePath);
    if (mounts.some((mount) => mount.name === name)) {
      errors.push(fieldErrors.invalid(`${at}.name`, name, "must not already exist in volumeMounts"));
    }
    if (mounts.some(({ mountPath }) => mountPath === devicePath)) {
      errors.push(
        fieldErrors.invalid(`${at}.devicePath`, devicePath, "must not already exist as a path in volumeMounts"),
      );
    }
    if (name) names.add(name);
    return errors;
  });
}

function resizePolicyErrors(policies: Container["resizePolicy"], field: string, never: boolean): FieldError[] {
  const seen = new Set<string>();
  return (policies ?? []).flatMap(({ resourceName, restartPolicy }, index) => {
    const errors: FieldError[] = [];
    if (seen.has(resourceName)) errors.push(fieldErrors.duplicate(`${field}[${index}]`, resourceName));
    seen.add(resourceName);
    errors.push(
      ...oneOf(field, resourceName ?? "", ["cpu", "memory"]),
      ...oneOf(field, restartPolicy ?? "", ["NotRequired", "RestartContainer"]),
    );
    if (never && restartPolicy !== "NotRequired") {
      errors.push(
        fieldErrors.invalid(field, restartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"),
      );
    }
    return errors;
  });
}

/** `validateContainerCommon`: what containers of every sort must be. */
function commonErrors(container: Container | EphemeralContainer, scope: ContainerScope, field: string): FieldError[] {
  const policy = container.terminationMessagePolicy ?? "";
  return [
    ...(container.name ? dnsLabelErrors(`${field}.name`, container.name) : [fieldErrors.required(`${field}.name`)]),
    ...(container.image ? [] : [fieldErrors.required(`${field}.image`)]),
    ...oneOf(`${field}.terminationMessagePolicy`, policy, ["File", "FallbackToLogsOnError"]),
    ...containerPortErrors(container.ports, `${field}.ports`),
    ...environmentErrors(container.env, `${field}.env`),
    ...environmentSourceErrors(container.envFrom, `${field}.envFrom`),
    ...mountErrors(container, scope, `${field}.volumeMounts`),
    ...deviceErrors(container, scope, `${field}.volumeDevices`),
    ...oneOf(`${field}.imagePullPolicy`, container.imagePullPolicy ?? "", ["Always", "IfNotPresent", "Never"]),
    ...containerResourcesErrors(container.resources, `${field}.resources`, scope.claims),
    ...resizePolicyErrors(container.resizePolicy, `${field}.resizePolicy`, scope.spec.restartPolicy === "Never"),
    ...containerSecurityErrors(container.securityContext, `${field}.securityContext`, scope.spec.hostUsers !== false),
  ];
}

/** `validateContainerRestartPolicy` (KEP-5307). */
function restartErrors({ restartPolicy, restartPolicyRules = [] }: Container, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (restartPolicy === undefined) {
    if (restartPolicyRules.length === 0) return [];
    errors.push(
      fieldErrors.required(`${field}.restartPolicy`, "must specify restartPolicy when restart rules are used"),
    );
  } else if (!restartPolicies.includes(restartPolicy)) {
    errors.push(fieldErrors.notSupported(`${field}.restartPolicy`, restartPolicy, restartPolicies));
  }
  if (restartPolicyRules.length > 20) {
    errors.push(fieldErrors.tooMany(`${field}.restartPolicyRules`, restartPolicyRules.length, 20));
  }
  for (const [index, { action, exitCodes }] of restartPolicyRules.entries()) {
    const at = `${field}.restartPolicyRules[${index}]`;
    if (!restartActions.includes(action)) {
      errors.push(fieldErrors.notSupported(`${at}.action`, action, restartActions));
    }
    if (exitCodes === undefined) {
      errors.push(fieldErrors.required(`${at}.exitCodes`, "must be specified"));
      continue;
    }
    if (exitCodes.operator !== "In" && exitCodes.operator !== "NotIn") {
      errors.push(fieldErrors.notSupported(`${at}.exitCodes.operator`, exitCodes.operator, ["In", "NotIn"]));
    }
    const count = (exitCodes.values ?? []).length;
    if (count > 255) errors.push(fieldErrors.tooMany(`${at}.exitCodes.values`, count, 255));
  }
  return errors;
}

/** `checkHostPortConflicts`. */
function hostPortErrors(containers: readonly Container[], field: string): FieldError[] {
  const taken = new Set<string>();
  return containers.flatMap(({ ports }, index) =>
    (ports ?? []).flatMap(({ hostPort, hostIP = "", protocol = "" }, portIndex) => {
      if (!hostPort) return [];
      const text = `${protocol}/${hostIP}/${hostPort}`;
      if (!taken.has(text)) {
        taken.add(text);
        return [];
      }
      return [fieldErrors.duplicate(`${field}[${index}].ports[${portIndex}].hostPort`, text)];
    }),
  );
}

/** `validateContainers`. */
export function containersErrors(scope: ContainerScope, field: string): FieldError[] {
  const { containers, terminationGracePeriodSeconds } = scope.spec;
  if (containers.length === 0) return [fieldErrors.required(field)];
  const names = new Set<string>();
  const errors = containers.flatMap((container, index) => {
    const at = `${field}[${index}]`;
    const own = commonErrors(container, scope, at);
    if (names.has(container.name)) own.push(fieldErrors.duplicate(`${at}.name`, container.name));
    names.add(container.name);
    own.push(...lifecycleErrors(container, at, terminationGracePeriodSeconds), ...restartErrors(container, at));
    return own;
  });
  return [...errors, ...hostPortErrors(containers, field)];
}

const onlySidecars = ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] as const;

/** `validateInitContainers`. */
export function initContainersErrors(scope: ContainerScope, field: string): FieldError[] {
  const names = new Set((scope.spec.containers ?? []).map(({ name }) => name));
  return (scope.spec.initContainers ?? []).flatMap((container, index) => {
    const at = `${field}[${index}]`;
    const sidecar = container.restartPolicy === "Always";
    const errors = [...commonErrors(container, scope, at), ...restartErrors(container, at)];
    if (names.has(container.name)) errors.push(fieldErrors.duplicate(`${at}.name`, container.name));
    else if (container.name) names.add(container.name);
    // Upstream checks each alone, and says so at the first index.
    errors.push(...hostPortErrors([container], field));
    if (sidecar) errors.push(...lifecycleErrors(container, at, scope.spec.terminationGracePeriodSeconds));
    else {
      for (const name of onlySidecars) {
        if (container[name] === undefined) continue;
        errors.push(
          fieldErrors.forbidden(`${at}.${name}`, "may not be set for init containers without restartPolicy=Always"),
        );
      }
      for (const [policyIndex, { restartPolicy }] of (container.resizePolicy ?? []).entries()) {
        if (restartPolicy !== "RestartContainer") continue;
        errors.push(
          fieldErrors.invalid(
            `${at}.resizePolicy[${policyIndex}].restartPolicy`,
            restartPolicy,
            "must not be set to 'RestartContainer' for non-sidecar initContainers",
          ),
        );
      }
    }
    return errors;
  });
}

/** In the order of Go's struct, which is the order of the complaints. */
const notEphemeral = [
  "ports",
  "resources",
  "resizePolicy",
  "restartPolicy",
  "restartPolicyRules",
  "livenessProbe",
  "readinessProbe",
  "startupProbe",
  "lifecycle",
] as const;

const isSet = (value: unknown): boolean =>
  value !== undefined &&
  value !== null &&
  (typeof value !== "object" || (Array.isArray(value) ? value.length > 0 : Object.keys(value).length > 0));

/** `validateEphemeralContainers`. */
export function ephemeralErrors(scope: ContainerScope, field: string): FieldError[] {
  const { containers, initContainers = [], ephemeralContainers = [] } = scope.spec;
  const others = new Set([...containers, ...initContainers].map(({ name }) => name));
  const names = new Set(others);
  return ephemeralContainers.flatMap((container, index) => {
    const at = `${field}[${index}]`;
    const errors = [...commonErrors(container, scope, at), ...imageSpaceErrors(container, at)];
    if (names.has(container.name)) errors.push(fieldErrors.duplicate(`${at}.name`, container.name));
    names.add(container.name);
    const target = container.targetContainerName;
    if (target && !others.has(target)) {
      errors.push(fieldErrors.notFound(`${at}.targetContainerName`, target));
    }
    const fields = new Map<string, unknown>(Object.entries(container));
    for (const name of notEphemeral) {
      if (!isSet(fields.get(name))) continue;
      errors.push(fieldErrors.forbidden(`${at}.${name}`, "cannot be set for an Ephemeral Container"));
    }
    for (const [mountIndex, mount] of (container.volumeMounts ?? []).entries()) {
      for (const part of ["subPath", "subPathExpr"] as const) {
        if (!mount[part]) continue;
        errors.push(
          fieldErrors.forbidden(
            `${at}.volumeMounts[${mountIndex}].${part}`,
            "cannot be set for an Ephemeral Container",
          ),
        );
      }
    }
    return errors;
  });
}

/** `validateContainerOnlyForPod`: templates may have odd images. */
export const imageSpaceErrors = ({ image = "" }: Pick<Container, "image">, field: string): FieldError[] =>
  image === image.trim()
    ? []
    : [fieldErrors.invalid(`${field}.image`, image, "must not have leading or trailing whitespace")];

import type { Container, PodSpec } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { dns1123SubdomainProblems } from "./name-checks.ts";
import { descendingPathErrors } from "./pod-volumes.ts";
import { invalidFor, oneOf, textOf } from "./value-checks.ts";

type PodContext = NonNullable<PodSpec["securityContext"]>;
type ContainerContext = NonNullable<Container["securityContext"]>;

const largestId = 2_147_483_647;

/** `IsValidUserID` and `IsValidGroupID`. */
const idErrors = (id: number | undefined, field: string): FieldError[] =>
  id === undefined || (id >= 0 && id <= largestId)
    ? []
    : [fieldErrors.invalid(field, id, `must be between 0 and ${largestId}, inclusive`)];

const profileTypes = ["Localhost", "RuntimeDefault", "Unconfined"];

function seccompErrors(profile: PodContext["seccompProfile"], field: string): FieldError[] {
  if (profile === undefined) return [];
  const { localhostProfile } = profile;
  const type = textOf(profile.type);
  const errors: FieldError[] = [];
  if (type === "") errors.push(fieldErrors.required(`${field}.type`, "type is required when seccompProfile is set"));
  else if (!profileTypes.includes(type)) {
    errors.push(fieldErrors.notSupported(`${field}.type`, type, profileTypes));
  }
  const at = `${field}.localhostProfile`;
  if (type === "Localhost") {
    errors.push(
      ...(localhostProfile === undefined
        ? [fieldErrors.required(at, "must be set when seccomp type is Localhost")]
        : descendingPathErrors(localhostProfile, at)),
    );
  } else if (localhostProfile !== undefined) {
    errors.push(
      fieldErrors.invalid(
        at,
        { Type: type, LocalhostProfile: localhostProfile },
        "can only be set when seccomp type is Localhost",
      ),
    );
  }
  return errors;
}

function appArmorErrors(profile: PodContext["appArmorProfile"], field: string): FieldError[] {
  if (profile === undefined) return [];
  const { localhostProfile } = profile;
  const type = textOf(profile.type);
  const at = `${field}.localhostProfile`;
  if (type === "") return [fieldErrors.required(`${field}.type`, "type is required when appArmorProfile is set")];
  if (!profileTypes.includes(type)) return [fieldErrors.notSupported(`${field}.type`, type, profileTypes)];
  if (type !== "Localhost") {
    return localhostProfile === undefined
      ? []
      : [fieldErrors.invalid(at, localhostProfile, "can only be set when AppArmor type is Localhost")];
  }
  if (localhostProfile === undefined) {
    return [fieldErrors.required(at, "must be set when AppArmor type is Localhost")];
  }
  const errors: FieldError[] = [];
  if (localhostProfile.trim() !== localhostProfile) {
    errors.push(fieldErrors.invalid(at, localhostProfile, "must not be padded with whitespace"));
  } else if (localhostProfile === "") {
    errors.push(fieldErrors.required(at, "must be set when AppArmor type is Localhost"));
  }
  if (Buffer.byteLength(localhostProfile) > 4095) errors.push(fieldErrors.tooLong(at, 4095));
  return errors;
}

function windowsErrors(options: PodContext["windowsOptions"], field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { gmsaCredentialSpecName, gmsaCredentialSpec, runAsUserName } = options ?? {};
  if (gmsaCredentialSpecName !== undefined) {
    errors.push(
      ...invalidFor(
        `${field}.gmsaCredentialSpecName`,
        gmsaCredentialSpecName,
        dns1123SubdomainProblems(gmsaCredentialSpecName),
      ),
    );
  }
  if (gmsaCredentialSpec === "") {
    errors.push(fieldErrors.invalid(`${field}.gmsaCredentialSpec`, "", "gmsaCredentialSpec cannot be an empty string"));
  }
  if (runAsUserName === undefined) return errors;
  const refuse = (detail: string): FieldError[] => [
    ...errors,
    fieldErrors.invalid(`${field}.runAsUserName`, runAsUserName, detail),
  ];
  if (runAsUserName === "") return refuse("runAsUserName cannot be an empty string");
  if (/\p{Cc}/u.test(runAsUserName)) return refuse("runAsUserName cannot contain control characters");
  const parts = runAsUserName.split("\\");
  if (parts.length > 2) return refuse("runAsUserName cannot contain more than one backslash");
  const user = parts.at(-1) ?? "";
  if (user === "") return refuse("runAsUserName's User cannot be empty");
  if (Buffer.byteLength(user) > 104) {
    return refuse("runAsUserName's User length must not be longer than 104 characters");
  }
  if (/^[. ]+$/.test(user)) return refuse("runAsUserName's User cannot contain only periods or spaces");
  if (/["/\\:;|=,+*?<>@[\]]/.test(user)) {
    return refuse(`runAsUserName's User cannot contain the following characters: "/\\:;|=,+*?<>@[]`);
  }
  return errors;
}

/** `ValidateSecurityContext`: of a container. */
export function containerSecurityErrors(
  context: ContainerContext | undefined,
  field: string,
  hostUsers: boolean,
): FieldError[] {
  if (context === undefined) return [];
  const errors = [
    ...idErrors(context.runAsUser, `${field}.runAsUser`),
    ...idErrors(context.runAsGroup, `${field}.runAsGroup`),
  ];
  const { procMount } = context;
  if (procMount !== undefined) {
    if (procMount !== "Default" && procMount !== "Unmasked") {
      errors.push(fieldErrors.notSupported(`${field}.procMount`, procMount, ["Default", "Unmasked"]));
    }
    if (hostUsers && procMount === "Unmasked") {
      errors.push(fieldErrors.invalid(`${field}.procMount`, procMount, "`hostUsers` must be false to use `Unmasked`"));
    }
  }
  errors.push(...seccompErrors(context.seccompProfile, `${field}.seccompProfile`));
  if (context.allowPrivilegeEscalation === false) {
    const rule = "cannot set `allowPrivilegeEscalation` to false and";
    if (context.privileged === true) {
      errors.push(fieldErrors.invalid(field, internalContext(context), `${rule} \`privileged\` to true`));
    }
    for (const capability of context.capabilities?.add ?? []) {
      if (capability !== "CAP_SYS_ADMIN") continue;
      errors.push(fieldErrors.invalid(field, internalContext(context), `${rule} \`capabilities.Add\` CAP_SYS_ADMIN`));
    }
  }
  return [
    ...errors,
    ...windowsErrors(context.windowsOptions, `${field}.windowsOptions`),
    ...appArmorErrors(context.appArmorProfile, `${field}.appArmorProfile`),
  ];
}

/** The context as upstream prints it: Go's internal type, every field of it. */
const internalContext = (context: ContainerContext): unknown => ({
  Capabilities:
    context.capabilities === undefined
      ? null
      : { Add: context.capabilities.add ?? null, Drop: context.capabilities.drop ?? null },
  Privileged: context.privileged ?? null,
  SELinuxOptions: context.seLinuxOptions ?? null,
  WindowsOptions: context.windowsOptions ?? null,
  RunAsUser: context.runAsUser ?? null,
  RunAsGroup: context.runAsGroup ?? null,
  RunAsNonRoot: context.runAsNonRoot ?? null,
  ReadOnlyRootFilesystem: context.readOnlyRootFilesystem ?? null,
  AllowPrivilegeEscalation: context.allowPrivilegeEscalation ?? null,
  ProcMount: context.procMount ?? null,
  SeccompProfile: context.seccompProfile ?? null,
  AppArmorProfile: context.appArmorProfile ?? null,
});

const sysctlSegment = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const sysctlName = `^(${sysctlSegment}[\\./])*${sysctlSegment}$`;

function sysctlErrors(spec: PodSpec, context: PodContext, field: string): FieldError[] {
  const seen = new Set<string>();
  return (context.sysctls ?? []).flatMap((sysctl, index) => {
    const name = textOf(sysctl.name);
    const at = `${field}[${index}].name`;
    const errors: FieldError[] = [];
    if (name === "") errors.push(fieldErrors.required(at));
    else if (name.length > 253 || !new RegExp(sysctlName).test(name)) {
      errors.push(fieldErrors.invalid(at, name, `must have at most 253 characters and match regex ${sysctlName}`));
    } else if (seen.has(name)) errors.push(fieldErrors.duplicate(at, name));
    seen.add(name);
    const dotted = name.replaceAll("/", ".");
    if (spec.hostNetwork === true && dotted.startsWith("net.")) {
      errors.push(fieldErrors.invalid(at, name, "may not be specified when 'hostNetwork' is true"));
    } else if (
      spec.hostIPC === true &&
      (/^(?:kernel\.(?:shm|msg)|fs\.mqueue\.)/.test(dotted) || dotted === "kernel.sem")
    ) {
      errors.push(fieldErrors.invalid(at, name, "may not be specified when 'hostIPC' is true"));
    }
    return errors;
  });
}

/** `validatePodSpecSecurityContext`. */
export function podSecurityErrors(spec: PodSpec, field: string): FieldError[] {
  const context = spec.securityContext;
  if (context === undefined) return [];
  const errors = [
    ...idErrors(context.fsGroup, `${field}.fsGroup`),
    ...idErrors(context.runAsUser, `${field}.runAsUser`),
    ...idErrors(context.runAsGroup, `${field}.runAsGroup`),
    ...(context.supplementalGroups ?? []).flatMap((id, index) => idErrors(id, `${field}.supplementalGroups[${index}]`)),
  ];
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    errors.push(
      fieldErrors.invalid(
        `${field}.shareProcessNamespace`,
        true,
        "ShareProcessNamespace and HostPID cannot both be enabled",
      ),
    );
  }
  errors.push(...sysctlErrors(spec, context, `${field}.sysctls`));
  const known: readonly (readonly [string, string | undefined, readonly string[]])[] = [
    ["fsGroupChangePolicy", context.fsGroupChangePolicy, ["Always", "OnRootMismatch"]],
    ["supplementalGroupsPolicy", context.supplementalGroupsPolicy, ["Merge", "Strict"]],
    ["seLinuxChangePolicy", context.seLinuxChangePolicy, ["Recursive"]],
  ];
  const policies = known.flatMap(([name, value, supported]) =>
    value === undefined || supported.includes(value)
      ? []
      : [fieldErrors.notSupported(`${field}.${name}`, value, supported)],
  );
  return [
    ...errors,
    ...policies
      .slice(0, context.fsGroupChangePolicy === undefined ? 0 : 1)
      .filter(({ field: at }) => at.endsWith("fsGroupChangePolicy")),
    ...seccompErrors(context.seccompProfile, `${field}.seccompProfile`),
    ...windowsErrors(context.windowsOptions, `${field}.windowsOptions`),
    ...appArmorErrors(context.appArmorProfile, `${field}.appArmorProfile`),
    ...policies.filter(({ field: at }) => !at.endsWith("fsGroupChangePolicy")),
  ];
}

type AnyContainer = Pick<Container, "name" | "securityContext" | "volumeDevices">;

/** Every container with its path, in upstream's order (`VisitContainersWithPath`). */
export const containersWithPaths = (spec: PodSpec, field: string): (readonly [AnyContainer, string])[] => [
  ...(spec.initContainers ?? []).map((container, index) => [container, `${field}.initContainers[${index}]`] as const),
  ...(spec.containers ?? []).map((container, index) => [container, `${field}.containers[${index}]`] as const),
  ...(spec.ephemeralContainers ?? []).map(
    (container, index) => [container, `${field}.ephemeralContainers[${index}]`] as const,
  ),
];

const podLinuxOnly = ["appArmorProfile", "seLinuxOptions"] as const;
const podLinuxOnlyLater = ["seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls"] as const;
const podLinuxOnlyIds = [
  "runAsUser",
  "runAsGroup",
  "supplementalGroups",
  "supplementalGroupsPolicy",
  "seLinuxChangePolicy",
] as const;
const containerLinuxOnly = [
  "appArmorProfile",
  "seLinuxOptions",
  "seccompProfile",
  "capabilities",
  "readOnlyRootFilesystem",
  "privileged",
  "allowPrivilegeEscalation",
  "procMount",
  "runAsUser",
  "runAsGroup",
] as const;

function windowsPodErrors(spec: PodSpec, field: string): FieldError[] {
  const context = spec.securityContext ?? {};
  const forbid = (at: string): FieldError => fieldErrors.forbidden(at, "cannot be set for a windows pod");
  const ofContext = (names: readonly (keyof PodContext)[]): FieldError[] =>
    names.filter((name) => context[name] !== undefined).map((name) => forbid(`${field}.securityContext.${name}`));
  return [
    ...ofContext(podLinuxOnly),
    ...(spec.hostUsers === undefined ? [] : [forbid(`${field}.hostUsers`)]),
    ...(spec.hostPID === true ? [forbid(`${field}.hostPID`)] : []),
    ...(spec.hostIPC === true ? [forbid(`${field}.hostIPC`)] : []),
    ...ofContext(podLinuxOnlyLater),
    ...(spec.shareProcessNamespace === undefined ? [] : [forbid(`${field}.shareProcessNamespace`)]),
    ...ofContext(podLinuxOnlyIds),
    ...containersWithPaths(spec, field).flatMap(([{ securityContext }, at]) =>
      containerLinuxOnly
        .filter((name) => securityContext?.[name] !== undefined)
        .map((name) => forbid(`${at}.securityContext.${name}`)),
    ),
  ];
}

/** What an operating system forbids (`validateOS`, `validateLinux`, `validateWindows`). */
export function operatingSystemErrors(spec: PodSpec, field: string): FieldError[] {
  if (spec.os === undefined) return [];
  const name = spec.os.name ?? "";
  if (name === "") return oneOf(`${field}.os.name`, "", []);
  if (name === "windows") return windowsPodErrors(spec, field);
  if (name !== "linux") return [fieldErrors.notSupported(`${field}.os`, name, ["linux", "windows"])];
  const detail = "windows options cannot be set for a linux pod";
  return [
    ...(spec.securityContext?.windowsOptions === undefined
      ? []
      : [fieldErrors.forbidden(`${field}.securityContext.windowsOptions`, detail)]),
    ...containersWithPaths(spec, field).flatMap(([{ securityContext }, at]) =>
      securityContext?.windowsOptions === undefined
        ? []
        : [fieldErrors.forbidden(`${at}.securityContext.windowsOptions`, detail)],
    ),
  ];
}

/** `validateWindowsHostProcessPod`. */
export function hostProcessErrors(spec: PodSpec, field: string): FieldError[] {
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess;
  const containers = containersWithPaths(spec, field);
  const errors: FieldError[] = [];
  let count = 0;
  for (const [{ securityContext }, at] of containers) {
    const own = securityContext?.windowsOptions?.hostProcess;
    if (ofPod !== undefined && own !== undefined && ofPod !== own) {
      errors.push(
        fieldErrors.invalid(
          `${at}.securityContext.windowsOptions.hostProcess`,
          own,
          `pod hostProcess value must be identical if both are specified, was ${ofPod}`,
        ),
      );
    }
    if (own ?? ofPod) count += 1;
  }
  if (count === 0) return errors;
  if (count !== containers.length) {
    errors.push(
      fieldErrors.invalid(
        field,
        "",
        "If pod contains any hostProcess containers then all containers must be HostProcess containers",
      ),
    );
  }
  if (spec.hostNetwork !== true) {
    errors.push(
      fieldErrors.invalid(
        `${field}.hostNetwork`,
        false,
        "hostNetwork must be true if pod contains any hostProcess containers",
      ),
    );
  }
  return errors;
}

/** `validateHostUsers`: a user namespace of its own goes with no namespace of the host's. */
export function hostUsersErrors(spec: PodSpec, field: string): FieldError[] {
  if (spec.hostUsers !== false) return [];
  const detail = "when `hostUsers` is false";
  return [
    ...(spec.hostNetwork === true ? [fieldErrors.forbidden(`${field}.hostNetwork`, detail)] : []),
    ...(spec.hostPID === true ? [fieldErrors.forbidden(`${field}.HostPID`, detail)] : []),
    ...(spec.hostIPC === true ? [fieldErrors.forbidden(`${field}.HostIPC`, detail)] : []),
    ...containersWithPaths(spec, field).flatMap(([{ volumeDevices }, at]) =>
      (volumeDevices ?? []).length > 0 ? [fieldErrors.forbidden(`${at}.volumeDevices`, detail)] : [],
    ),
  ];
}

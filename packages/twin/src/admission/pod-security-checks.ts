import type { Container, KubeObject, PodSpec } from "@fleetwright/kube";
import { goQuote } from "../machinery/status-error.ts";

/** What a check looks at: a pod, or the template of one. */
export interface PodLike {
  readonly metadata: Pick<KubeObject["metadata"], "annotations">;
  readonly spec: PodSpec;
}

/** Why a pod is not allowed: `privileged`, and what in it is. */
export interface Violation {
  readonly reason: string;
  readonly detail: string;
}

type Look = (pod: PodLike) => Violation | undefined;

interface Check {
  readonly id: string;
  /** Its forms, each from a minor version of Kubernetes on. */
  readonly since: readonly (readonly [minor: number, look: Look])[];
  /** The baseline check that it takes the place of. */
  readonly overrides?: string;
}

/** Checks have not changed since. */
const newestMinor = 35;

const quoted = (items: readonly string[]): string => items.map((item) => `"${item}"`).join(", ");
const sorted = (items: Iterable<string>): string[] => [...new Set(items)].toSorted();
const counted = (word: string, items: readonly unknown[]): string => (items.length === 1 ? word : `${word}s`);
const named = (word: string, names: readonly string[]): string => `${counted(word, names)} ${quoted(names)}`;
const use = (items: readonly unknown[]): string => (items.length === 1 ? "uses" : "use");

type AnyContainer = Omit<Container, "name"> & { readonly name: string };

const containersOf = ({ spec }: PodLike): readonly AnyContainer[] => [
  ...(spec.initContainers ?? []),
  ...(spec.containers ?? []),
  ...((spec.ephemeralContainers ?? []) as readonly AnyContainer[]),
];

const namesOf = (pod: PodLike, isBad: (container: AnyContainer) => boolean): string[] =>
  containersOf(pod)
    .filter(isBad)
    .map(({ name }) => name);

/** `pod and container "a"`. */
const settersOf = (podSets: boolean, containers: readonly string[]): string[] => [
  ...(podSets ? ["pod"] : []),
  ...(containers.length === 0 ? [] : [named("container", containers)]),
];

const isWindows = ({ spec }: PodLike): boolean => spec.os?.name === "windows";
const hasOwnUsers = ({ spec }: PodLike): boolean => spec.hostUsers === false;
const unless =
  (isExempt: (pod: PodLike) => boolean, look: Look): Look =>
  (pod) =>
    isExempt(pod) ? undefined : look(pod);

const privilegeEscalation: Look = (pod) => {
  const bad = namesOf(pod, ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false);
  if (bad.length === 0) return undefined;
  const detail = `${named("container", bad)} must set securityContext.allowPrivilegeEscalation=false`;
  return { reason: "allowPrivilegeEscalation != false", detail };
};

const appArmorPrefix = "container.apparmor.security.beta.kubernetes.io/";

const appArmor: Look = (pod) => {
  const isBad = (type: string | undefined): type is string =>
    type !== undefined && type !== "RuntimeDefault" && type !== "Localhost";
  const ofPod = pod.spec.securityContext?.appArmorProfile?.type;
  const typeOf = ({ securityContext }: AnyContainer): string | undefined => securityContext?.appArmorProfile?.type;
  const bad = namesOf(pod, (container) => isBad(typeOf(container)));
  const setters = settersOf(isBad(ofPod), bad);
  const values = sorted([ofPod, ...containersOf(pod).map(typeOf)].filter(isBad));
  const annotations = Object.entries(pod.metadata.annotations ?? {})
    .filter(
      ([key, value]) =>
        key.startsWith(appArmorPrefix) &&
        value !== "" &&
        value !== "runtime/default" &&
        !value.startsWith("localhost/"),
    )
    .map(([key, value]) => `${key}=${goQuote(value)}`)
    .toSorted();
  if (annotations.length > 0) setters.push(counted("annotation", annotations));
  if (setters.length === 0) return undefined;
  const all = [...values, ...annotations];
  const detail = `${setters.join(" and ")} must not set AppArmor profile type to ${quoted(all)}`;
  return { reason: counted("forbidden AppArmor profile", all), detail };
};

const defaultCapabilities: ReadonlySet<string> = new Set([
  "AUDIT_WRITE",
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "MKNOD",
  "NET_BIND_SERVICE",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
]);

function addedCapabilities(pod: PodLike, isAllowed: (name: string) => boolean): string | undefined {
  const added = ({ securityContext }: AnyContainer): readonly string[] =>
    (securityContext?.capabilities?.add ?? []).filter((name) => !isAllowed(name));
  const bad = namesOf(pod, (container) => added(container).length > 0);
  if (bad.length === 0) return undefined;
  const names = quoted(sorted(containersOf(pod).flatMap(added)));
  return `${named("container", bad)} must not include ${names} in securityContext.capabilities.add`;
}

const baselineCapabilities: Look = (pod) => {
  const detail = addedCapabilities(pod, (name) => defaultCapabilities.has(name));
  return detail === undefined ? undefined : { reason: "non-default capabilities", detail };
};

const restrictedCapabilities: Look = (pod) => {
  const keeping = namesOf(pod, ({ securityContext }) => !securityContext?.capabilities?.drop?.includes("ALL"));
  const added = addedCapabilities(pod, (name) => name === "NET_BIND_SERVICE");
  const details = [
    ...(keeping.length === 0
      ? []
      : [`${named("container", keeping)} must set securityContext.capabilities.drop=["ALL"]`]),
    ...(added === undefined ? [] : [added]),
  ];
  return details.length === 0 ? undefined : { reason: "unrestricted capabilities", detail: details.join("; ") };
};

const hostNamespaces: Look = ({ spec }) => {
  const shared = (["hostNetwork", "hostPID", "hostIPC"] as const).filter((key) => spec[key] === true);
  if (shared.length === 0) return undefined;
  return { reason: "host namespaces", detail: shared.map((key) => `${key}=true`).join(", ") };
};

const hostPaths: Look = ({ spec }) => {
  const names = (spec.volumes ?? []).filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name);
  return names.length === 0 ? undefined : { reason: "hostPath volumes", detail: named("volume", names) };
};

const hostPorts: Look = (pod) => {
  const portsOf = ({ ports }: AnyContainer): number[] =>
    (ports ?? []).flatMap(({ hostPort = 0 }) => (hostPort === 0 ? [] : [hostPort]));
  const bad = namesOf(pod, (container) => portsOf(container).length > 0);
  if (bad.length === 0) return undefined;
  const ports = sorted(containersOf(pod).flatMap(portsOf).map(String));
  return {
    reason: "hostPort",
    detail: `${named("container", bad)} ${use(bad)} ${counted("hostPort", ports)} ${ports.join(", ")}`,
  };
};

const hostsOfHandlers: Look = (pod) => {
  const hostsOf = ({ livenessProbe, readinessProbe, startupProbe, lifecycle }: AnyContainer): string[] =>
    [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop].flatMap((handler) =>
      [handler?.httpGet?.host ?? "", handler?.tcpSocket?.host ?? ""].filter((host) => host !== ""),
    );
  const bad = sorted(namesOf(pod, (container) => hostsOf(container).length > 0));
  if (bad.length === 0) return undefined;
  const hosts = sorted(containersOf(pod).flatMap(hostsOf));
  const what = named("probe or lifecycle host", hosts);
  return { reason: "probe or lifecycle host", detail: `${named("container", bad)} ${use(bad)} ${what}` };
};

const privileged: Look = (pod) => {
  const bad = namesOf(pod, ({ securityContext }) => securityContext?.privileged === true);
  if (bad.length === 0) return undefined;
  return { reason: "privileged", detail: `${named("container", bad)} must not set securityContext.privileged=true` };
};

const procMount: Look = (pod) => {
  const mountOf = ({ securityContext }: AnyContainer): string => securityContext?.procMount ?? "Default";
  const bad = namesOf(pod, (container) => mountOf(container) !== "Default");
  if (bad.length === 0) return undefined;
  const types = sorted(containersOf(pod).map(mountOf)).filter((type) => type !== "Default");
  return {
    reason: "procMount",
    detail: `${named("container", bad)} must not set securityContext.procMount to ${quoted(types)}`,
  };
};

const allowedVolumes = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "image",
  "persistentVolumeClaim",
  "projected",
  "secret",
] as const;

const volumeTypes: Look = ({ spec }) => {
  const bad = (spec.volumes ?? []).filter((volume) => allowedVolumes.every((type) => volume[type] === undefined));
  if (bad.length === 0) return undefined;
  const types = sorted(bad.map((volume) => Object.keys(volume).find((key) => key !== "name") ?? "unknown"));
  const names = bad.map(({ name }) => name);
  return {
    reason: "restricted volume types",
    detail: `${named("volume", names)} ${use(bad)} ${named("restricted volume type", types)}`,
  };
};

const nonRoot: Look = (pod) => {
  const ofPod = pod.spec.securityContext?.runAsNonRoot;
  const setters = settersOf(
    ofPod === false,
    namesOf(pod, ({ securityContext }) => securityContext?.runAsNonRoot === false),
  );
  const reason = "runAsNonRoot != true";
  if (setters.length > 0) {
    return { reason, detail: `${setters.join(" and ")} must not set securityContext.runAsNonRoot=false` };
  }
  const silent =
    ofPod === true ? [] : namesOf(pod, ({ securityContext }) => securityContext?.runAsNonRoot === undefined);
  if (silent.length === 0) return undefined;
  return { reason, detail: `pod or ${named("container", silent)} must set securityContext.runAsNonRoot=true` };
};

const rootUser: Look = (pod) => {
  const setters = settersOf(
    pod.spec.securityContext?.runAsUser === 0,
    namesOf(pod, ({ securityContext }) => securityContext?.runAsUser === 0),
  );
  if (setters.length === 0) return undefined;
  return { reason: "runAsUser=0", detail: `${setters.join(" and ")} must not set runAsUser=0` };
};

const seLinuxTypes = ["", "container_t", "container_init_t", "container_kvm_t"];

const seLinux =
  (types: readonly string[]): Look =>
  (pod) => {
    type Options = NonNullable<NonNullable<PodSpec["securityContext"]>["seLinuxOptions"]>;
    const isBad = ({ type = "", user = "", role = "" }: Options = {}): boolean =>
      !types.includes(type) || user !== "" || role !== "";
    const ofPod = pod.spec.securityContext?.seLinuxOptions;
    const setters = settersOf(
      isBad(ofPod),
      namesOf(pod, ({ securityContext }) => isBad(securityContext?.seLinuxOptions)),
    );
    if (setters.length === 0) return undefined;
    const all = [ofPod, ...containersOf(pod).map(({ securityContext }) => securityContext?.seLinuxOptions)];
    const badTypes = sorted(all.map((options) => options?.type ?? "").filter((type) => !types.includes(type)));
    const problems = [
      ...(badTypes.length === 0 ? [] : [named("type", badTypes)]),
      ...(all.some((options) => (options?.user ?? "") !== "") ? ["user may not be set"] : []),
      ...(all.some((options) => (options?.role ?? "") !== "") ? ["role may not be set"] : []),
    ];
    const detail = `${setters.join(" and ")} set forbidden securityContext.seLinuxOptions: ${problems.join("; ")}`;
    return { reason: "seLinuxOptions", detail };
  };

const seccompOfPod = "seccomp.security.alpha.kubernetes.io/pod";
const seccompOfContainer = "container.seccomp.security.alpha.kubernetes.io/";

const seccompAnnotations: Look = (pod) => {
  const isBad = (value: string): boolean =>
    value !== "runtime/default" && value !== "docker/default" && !value.startsWith("localhost/");
  const annotations = pod.metadata.annotations ?? {};
  const keys = [seccompOfPod, ...containersOf(pod).map(({ name }) => `${seccompOfContainer}${name}`)];
  const bad = sorted(
    keys.flatMap((key) => {
      const value = Object.hasOwn(annotations, key) ? annotations[key] : undefined;
      return value === undefined || !isBad(value) ? [] : [`${key}=${goQuote(value)}`];
    }),
  );
  if (bad.length === 0) return undefined;
  return { reason: "seccompProfile", detail: `forbidden ${counted("annotation", bad)} ${bad.join(", ")}` };
};

const isGoodSeccomp = (type: string): boolean => type === "Localhost" || type === "RuntimeDefault";

const seccompTypes: Look = (pod) => {
  const isBad = (type: string | undefined): type is string => type !== undefined && !isGoodSeccomp(type);
  const typeOf = ({ securityContext }: AnyContainer): string | undefined => securityContext?.seccompProfile?.type;
  const ofPod = pod.spec.securityContext?.seccompProfile?.type;
  const bad = namesOf(pod, (container) => isBad(typeOf(container)));
  const setters = settersOf(isBad(ofPod), bad);
  if (setters.length === 0) return undefined;
  const values = quoted(sorted([ofPod, ...containersOf(pod).map(typeOf)].filter(isBad)));
  const detail = `${setters.join(" and ")} must not set securityContext.seccompProfile.type to ${values}`;
  return { reason: "seccompProfile", detail };
};

const seccompSet: Look = (pod) => {
  const wrong = seccompTypes(pod);
  if (wrong !== undefined || pod.spec.securityContext?.seccompProfile !== undefined) return wrong;
  const silent = namesOf(pod, ({ securityContext }) => securityContext?.seccompProfile === undefined);
  if (silent.length === 0) return undefined;
  const must = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"';
  return { reason: "seccompProfile", detail: `pod or ${named("container", silent)} ${must}` };
};

const sysctls1 = [
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
  "net.ipv4.ip_unprivileged_port_start",
];
const sysctls27 = [...sysctls1, "net.ipv4.ip_local_reserved_ports"];
const sysctls29 = [
  ...sysctls27,
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
];
const sysctls32 = [...sysctls29, "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"];

const sysctls =
  (allowed: readonly string[]): Look =>
  ({ spec }) => {
    const bad = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !allowed.includes(name));
    return bad.length === 0 ? undefined : { reason: "forbidden sysctls", detail: bad.join(", ") };
  };

const hostProcess: Look = (pod) => {
  const setters = settersOf(
    pod.spec.securityContext?.windowsOptions?.hostProcess === true,
    namesOf(pod, ({ securityContext }) => securityContext?.windowsOptions?.hostProcess === true),
  );
  if (setters.length === 0) return undefined;
  const detail = `${setters.join(" and ")} must not set securityContext.windowsOptions.hostProcess=true`;
  return { reason: "hostProcess", detail };
};

/** In the order of their names, as violations are told. */
const baselineChecks: readonly Check[] = [
  { id: "appArmorProfile", since: [[0, appArmor]] },
  { id: "capabilities_baseline", since: [[0, baselineCapabilities]] },
  { id: "hostNamespaces", since: [[0, hostNamespaces]] },
  { id: "hostPathVolumes", since: [[0, hostPaths]] },
  { id: "hostPorts", since: [[0, hostPorts]] },
  { id: "hostProbesAndHostLifecycle", since: [[34, hostsOfHandlers]] },
  { id: "privileged", since: [[0, privileged]] },
  {
    id: "procMount",
    since: [
      [0, procMount],
      [35, unless(hasOwnUsers, procMount)],
    ],
  },
  {
    id: "seLinuxOptions",
    since: [
      [0, seLinux(seLinuxTypes)],
      [31, seLinux([...seLinuxTypes, "container_engine_t"])],
    ],
  },
  {
    id: "seccompProfile_baseline",
    since: [
      [0, seccompAnnotations],
      [19, seccompTypes],
    ],
  },
  {
    id: "sysctls",
    since: [
      [0, sysctls(sysctls1)],
      [27, sysctls(sysctls27)],
      [29, sysctls(sysctls29)],
      [32, sysctls(sysctls32)],
    ],
  },
  { id: "windowsHostProcess", since: [[0, hostProcess]] },
];

const restrictedChecks: readonly Check[] = [
  {
    id: "allowPrivilegeEscalation",
    since: [
      [8, privilegeEscalation],
      [25, unless(isWindows, privilegeEscalation)],
    ],
  },
  {
    id: "capabilities_restricted",
    since: [
      [22, restrictedCapabilities],
      [25, unless(isWindows, restrictedCapabilities)],
    ],
    overrides: "capabilities_baseline",
  },
  { id: "procMount_restricted", since: [[35, procMount]], overrides: "procMount" },
  { id: "restrictedVolumes", since: [[0, volumeTypes]], overrides: "hostPathVolumes" },
  {
    id: "runAsNonRoot",
    since: [
      [0, nonRoot],
      [35, unless(hasOwnUsers, nonRoot)],
    ],
  },
  {
    id: "runAsUser",
    since: [
      [23, rootUser],
      [35, unless(hasOwnUsers, rootUser)],
    ],
  },
  {
    id: "seccompProfile_restricted",
    since: [
      [19, seccompSet],
      [25, unless(isWindows, seccompSet)],
    ],
    overrides: "seccompProfile_baseline",
  },
];

const lookOf = ({ since }: Check, minor: number): Look | undefined => since.findLast(([from]) => from <= minor)?.[1];

/**
 * What a level of the Pod Security Standards has against a pod (k8s.io/pod-security-admission/policy).
 * @param minor of Kubernetes 1.x, whose checks apply; later ones than the newest are the newest
 */
export function podViolations(level: "baseline" | "restricted", minor: number, pod: PodLike): readonly Violation[] {
  const version = Math.min(minor, newestMinor);
  const restricted = level === "restricted" ? restrictedChecks.filter((check) => lookOf(check, version)) : [];
  const overridden = new Set(restricted.map(({ overrides }) => overrides));
  const checks = [...baselineChecks.filter(({ id }) => !overridden.has(id)), ...restricted];
  return checks.flatMap((check) => lookOf(check, version)?.(pod) ?? []);
}

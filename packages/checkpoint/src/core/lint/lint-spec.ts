import { posix } from "node:path";
import { madeByEngine } from "../archive/metadata.ts";
import type { RuntimeSpec, SpecMount } from "../inspect/runtime-spec.ts";
import { findingOf, quoted, some } from "./lint-codes.ts";
import type { LintFinding } from "./lint-codes.ts";

const { basename } = posix;

/** containerd's and CRI-O's defaults together; podman gives fewer. */
const defaultCapabilities = new Set(
  "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    .split(" ")
    .map((name) => `CAP_${name}`),
);

/** By each of these a process of the container becomes root on the node. */
const dangerousCapabilities = new Set(
  "SYS_ADMIN SYS_MODULE SYS_PTRACE SYS_RAWIO SYS_BOOT DAC_READ_SEARCH NET_ADMIN BPF PERFMON MAC_ADMIN MAC_OVERRIDE SYSLOG CHECKPOINT_RESTORE"
    .split(" ")
    .map((name) => `CAP_${name}`),
);

/** What the engines make for every container or pod, and what the kubelet keeps for one: mounted anew in a new pod. */
const ownSources =
  /\/pods\/[^/]+\/(volumes|volume-subpaths|containers|etc-hosts)(\/|$)|\/sandboxes\/[^/]+\/(hostname|resolv\.conf|shm)$|\/(userdata|rundata)\/[^/]*$|\/overlay-containers\/|\/libpod\//;
const sensitiveSources =
  /^\/$|^\/(etc|proc|sys|dev|boot|root|usr|lib|lib64|bin|sbin)(\/|$)|^(\/var)?\/run\/?$|\.sock$|^\/var\/?$|^\/var\/lib\/?$|^\/var\/lib\/(kubelet|containerd|containers|docker|etcd)\/?$/;

/** Libraries, programs and firmware, as `nvidia-ctk cdi generate` lists them: one file, with the same name inside, to be read only. */
const driverFile =
  /^(lib(cuda|cudadebugger|nvidia-[\w-]+|nvcuvid|nvoptix|vdpau_nvidia|(EGL|GLX|GLESv[12]_CM|GLESv[12])_nvidia)\.so(\.\d+)*|nvidia-(smi|debugdump|persistenced|cuda-mps-control|cuda-mps-server|imex|imex-ctl)|gsp_\w+\.bin)$/;
const isDriverFile = ({ destination, source, options }: SpecMount): boolean =>
  options.includes("ro") && driverFile.test(basename(source)) && basename(source) === basename(destination);

const isBind = ({ type, options }: SpecMount): boolean =>
  type === "bind" || options.includes("bind") || options.includes("rbind");

/** @param declared destinations that the new pod mounts; without it nothing is known of the new pod */
function lintMounts(spec: RuntimeSpec, declared: readonly string[] | undefined): readonly LintFinding[] {
  const findings: LintFinding[] = [];
  const driver: string[] = [];
  const place = "spec.dump: mounts";
  const plain = (path: string): string => path.replace(/(.)\/+$/, "$1");
  const known = declared && new Set(declared.map(plain));
  for (const mount of spec.mounts.filter(isBind)) {
    const { destination, source } = mount;
    const text = `${quoted(source)} at ${quoted(destination)}`;
    if (isDriverFile(mount)) {
      driver.push(basename(destination));
      continue;
    }
    if (known && !known.has(plain(destination)) && !madeByEngine.test(destination))
      findings.push(
        findingOf("UndeclaredMount", place, `${text}: the new pod mounts ${some([...known]) || "nothing"}`),
      );
    if (ownSources.test(source)) continue;
    if (sensitiveSources.test(source)) findings.push(findingOf("SensitiveHostMount", place, text));
    else findings.push(findingOf("HostMount", place, text));
  }
  if (driver.length > 0) findings.push(findingOf("DriverMount", place, some(driver)));
  return findings;
}

/** Kinds that every container has of its own or of its pod; user, cgroup and time namespaces are new to engines. */
const isolating = ["pid", "ipc", "network", "uts", "mount"];

function lintNamespaces({ namespaces }: RuntimeSpec): readonly LintFinding[] {
  const place = "spec.dump: linux.namespaces";
  const present = new Set(namespaces.map(({ type }) => type));
  const missing = isolating.filter((type) => !present.has(type));
  const joined = namespaces.filter(({ path }) => path !== undefined && /^\/proc\/(1|self|thread-self)\//.test(path));
  return [
    ...(missing.length > 0 ? [findingOf("HostNamespace", place, `the host's ${missing.join(", ")}`)] : []),
    ...joined.map(({ type, path = "" }) => findingOf("HostNamespace", place, `${type}: ${quoted(path)}`)),
  ];
}

function lintCapabilities({ capabilities }: RuntimeSpec): readonly LintFinding[] {
  const place = "spec.dump: process.capabilities";
  // Names are the kernel's, whatever their case and prefix.
  const all = new Set(
    [...capabilities.values()].flat().map((name) => `CAP_${name.toUpperCase().replace(/^CAP_/, "")}`),
  );
  const dangerous = [...all].filter((name) => dangerousCapabilities.has(name));
  const added = [...all].filter((name) => !defaultCapabilities.has(name) && !dangerousCapabilities.has(name));
  return [
    ...(dangerous.length > 0 ? [findingOf("DangerousCapability", place, some(dangerous))] : []),
    ...(added.length > 0 ? [findingOf("AddedCapability", place, some(added))] : []),
  ];
}

/** Names under which secrets are kept; values are never looked at. Kubernetes' own service variables are none. */
const secretNames =
  /(^|_)(PASS(WORD|WD|PHRASE)?|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIALS?|AUTH|DSN|CONNECTION_?STRING|DATABASE_URL)(_|$)/i;

/** What a container was allowed on its host, and what it carries: `spec.dump`, which engines build the new container from. */
export function lintSpec(spec: RuntimeSpec, declaredMounts: readonly string[] | undefined): readonly LintFinding[] {
  const findings = [...lintMounts(spec, declaredMounts), ...lintNamespaces(spec), ...lintCapabilities(spec)];
  const add = (code: Parameters<typeof findingOf>[0], place: string, message: string): void => {
    findings.push(findingOf(code, `spec.dump: ${place}`, message));
  };
  const open = spec.devicesAllowed.find((rule) => rule === "a *:* rwm");
  if (open !== undefined) add("Privileged", "linux.resources.devices", `allows ${quoted(open)}`);
  if (spec.devices.length > 0) add("HostDevice", "linux.devices", some(spec.devices));
  if (spec.hooks.length > 0) add("RuntimeHook", "hooks", some(spec.hooks));
  if (spec.maskedPaths.length === 0) add("Unmasked", "linux.maskedPaths", "is empty");
  if (!spec.hasSeccomp) add("NoSeccomp", "linux.seccomp", "is not there");
  const secrets = [...spec.environment].filter(([name, value]) => value !== "" && secretNames.test(name));
  if (secrets.length > 0) {
    const names = some(secrets.map(([name]) => name));
    add("SecretsInEnvironment", "process.env", `${secrets.length}: ${names}`);
  }
  return findings;
}

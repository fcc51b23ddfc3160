/** How much a finding weighs: an error is no checkpoint to restore from, a warning is for a person to look at, an info only tells. */
export type LintSeverity = "info" | "warning" | "error";

interface LintCode {
  readonly severity: LintSeverity;
  readonly cause: string;
  readonly action: string;
}

/** Everything that lint finds; docs/checkpoint-lint.md has the same table, which a test holds. */
export const lintCodes = {
  ArchiveUnreadable: {
    severity: "error",
    cause: "the archive is malformed, has names that lead out of its folder or members that are there twice",
    action: "do not restore it; find out who made it",
  },
  ArchiveLink: {
    severity: "error",
    cause:
      "the archive holds a link: engines followed links to files of the host (containerd, CVE-2026-53489), and no engine writes them",
    action: "do not restore it; find out who made it",
  },
  ArchiveDevice: {
    severity: "error",
    cause: "the archive holds a device, a pipe or a program with setuid beside the container's files",
    action: "do not restore it; find out who made it",
  },
  UnknownMember: {
    severity: "info",
    cause: "the archive holds files that no engine writes",
    action: "look at what they are",
  },
  IncrementalDump: {
    severity: "warning",
    cause: "a part of the memory is in another dump, to which a link leads",
    action: "restore it with podman, together with the dump before it",
  },
  RootfsUnreadable: {
    severity: "error",
    cause: "the changes of the container's files, or a volume's, are no tar archive, or a hostile one",
    action: "do not restore it; find out who made it",
  },
  RootfsEscape: {
    severity: "error",
    cause: "a name among the changed files leads out of the container's folder, or through a link among them",
    action: "do not restore it; find out who made it",
  },
  DeletedEscape: {
    severity: "error",
    cause:
      "deleted.files names what is not in the container, or is not what engines write: they would delete it on the host",
    action: "do not restore it; find out who made it",
  },
  RootfsDevice: {
    severity: "warning",
    cause: "a device is among the changed files",
    action: "ask why the container made one; whiteouts of overlayfs look so too",
  },
  RootfsSetuid: {
    severity: "warning",
    cause: "the container has got programs that run as their owner",
    action: "ask where they came from",
  },
  CdiAnnotation: {
    severity: "error",
    cause:
      "an annotation asks for devices of the host (containerd before 2.1.9, 2.2.5, 2.3.2 gave them: CVE-2026-53492)",
    action: "do not restore it, or only on an engine with the correction; name devices in the new pod",
  },
  ImageLabel: {
    severity: "error",
    cause:
      "a label of the image's configuration is one by which containerd runs programs on the host (before 2.1.9, 2.2.5, 2.3.2: CVE-2026-53488)",
    action: "do not pull it; find out who made it",
  },
  BaseImageForeign: {
    severity: "error",
    cause:
      "the base image has one name and is pulled from another place: it would be kept under the name (CVE-2026-50195)",
    action: "do not restore it; find out who made it",
  },
  BaseImageUnexpected: {
    severity: "error",
    cause: "the base image is not the one that the new pod's container is of",
    action: "restore it for the image that it was taken from",
  },
  BaseImageUnpinned: {
    severity: "warning",
    cause: "the base image is named without a digest: what is pulled is whatever the name points to then",
    action: "see that the node has the image, or push it where its tag does not move",
  },
  BaseImageLocal: {
    severity: "warning",
    cause: "the base image's name is of a registry on the node itself, or of none",
    action: "see that every node has that image from the same source",
  },
  UndeclaredMount: {
    severity: "error",
    cause:
      "a mount of the checkpoint is not one of the new pod's (CRI-O before 1.31.1, 1.30.6, 1.29.8 mounted it: CVE-2024-8676)",
    action: "declare the mount in the pod, or do not restore it",
  },
  HostMount: {
    severity: "warning",
    cause: "the container had a folder of the host mounted",
    action: "see that the new pod declares it, and may",
  },
  DriverMount: {
    severity: "info",
    cause: "the container had files of the NVIDIA driver mounted, as device plugins and CDI do",
    action: "see that the new pod asks for a GPU, on a node with the same driver",
  },
  SensitiveHostMount: {
    severity: "error",
    cause: "the container had the host's root, system folders or an engine's socket mounted",
    action: "restore it only for a pod that is trusted like the node",
  },
  UndeclaredBind: {
    severity: "error",
    cause:
      "bind.mounts names what spec.dump does not: CRI-O would make that path on the host (cri-o pull request 10106)",
    action: "do not restore it; find out who made it",
  },
  BrokenBinds: {
    severity: "error",
    cause: "bind.mounts is not what CRI-O writes",
    action: "do not restore it; find out who made it",
  },
  Privileged: {
    severity: "error",
    cause: "the container was privileged: all devices are open to it",
    action: "restore it only for a pod that is trusted like the node",
  },
  HostNamespace: {
    severity: "error",
    cause: "the container shared a namespace of the host",
    action: "restore it only for a pod that declares the same, and may",
  },
  DangerousCapability: {
    severity: "error",
    cause: "the container had a capability by which a node can be taken over",
    action: "restore it only for a pod that is trusted like the node",
  },
  AddedCapability: {
    severity: "warning",
    cause: "the container had more capabilities than engines give by default",
    action: "see that the new pod adds the same, and may",
  },
  HostDevice: {
    severity: "warning",
    cause: "the container had devices of the host",
    action: "see that the new pod asks for them",
  },
  RuntimeHook: {
    severity: "warning",
    cause: "the runtime was to run programs of the host",
    action: "compare them with what the engine itself sets up",
  },
  Unmasked: {
    severity: "warning",
    cause: "nothing of /proc was hidden from the container",
    action: "see that the new pod has procMount Unmasked, and may",
  },
  NoSeccomp: {
    severity: "info",
    cause: "the container had no seccomp profile",
    action: "give the new pod one, once it is restored anew from its image",
  },
  SecretsInEnvironment: {
    severity: "warning",
    cause: "environment variables have names of secrets; their values are in the archive, as all of the memory is",
    action: "encrypt the checkpoint, allow few to pull it, rotate what leaked",
  },
  NamespaceMismatch: {
    severity: "error",
    cause: "the checkpoint is of another namespace than the one it is to be restored in",
    action: "restore it in its own namespace, or allow the move by name",
  },
  IdentityMismatch: {
    severity: "error",
    cause: "the checkpoint is of another pod or container than was expected",
    action: "name the right checkpoint",
  },
  AnnotationsDisagree: {
    severity: "error",
    cause: "the image's annotations say something else than the archive in it",
    action: "do not restore it; find out who made it",
  },
  UnknownEngine: {
    severity: "warning",
    cause: "no engine that is known wrote this archive",
    action: "find out what made it",
  },
  NoMarker: {
    severity: "warning",
    cause: "the engine would not take this image for a checkpoint: it would start it as an ordinary image, and fail",
    action: "build the image with fleetwright, which sets the markers of every engine",
  },
  ImageShape: {
    severity: "error",
    cause: "the image has not exactly one layer, which is the archive",
    action: "build it anew with fleetwright",
  },
} as const satisfies Readonly<Record<string, LintCode>>;

export type LintCodeName = keyof typeof lintCodes;

/** One finding. */
export interface LintFinding {
  readonly code: LintCodeName;
  readonly severity: LintSeverity;
  /** A member of the archive, or a field of one: `spec.dump: linux.namespaces`. */
  readonly place: string;
  /** What was found, with values; never a secret's. */
  readonly message: string;
  readonly action: string;
}

/** What comes from the checkpoint, for a message: short, and of visible characters alone. */
export const quoted = (text: string): string => JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);

/** Some of many things, and how many there are more. */
export function some(things: readonly string[], most = 10): string {
  const shown = things.slice(0, most).map(quoted).join(", ");
  return things.length > most ? `${shown} and ${things.length - most} more` : shown;
}

/** @param message what was found, with values */
export const findingOf = (code: LintCodeName, place: string, message: string): LintFinding => ({
  code,
  severity: lintCodes[code].severity,
  place,
  message,
  action: lintCodes[code].action,
});

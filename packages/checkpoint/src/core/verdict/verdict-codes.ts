/** How much a finding weighs: an error makes it impossible, a warning needs `acceptRisks`, an info only tells. */
export type VerdictSeverity = "info" | "warning" | "error";

interface VerdictCode {
  readonly severity: VerdictSeverity;
  readonly cause: string;
  readonly action: string;
}

/** Every reason for or against a checkpoint or a restore; docs/checkpoint-verdicts.md has the same table, which a test holds. */
export const verdictCodes = {
  PodGone: { severity: "error", cause: "the pod does not exist on its node any more", action: "name a pod that runs" },
  ContainerNotRunning: {
    severity: "error",
    cause: "the container does not exist or does not run",
    action: "only a container that runs has a state to save",
  },
  AgentUnreachable: {
    severity: "error",
    cause: "the node's agent does not answer",
    action: "run fleetwright agent on the node, with a certificate for its name",
  },
  NodeGone: { severity: "error", cause: "there is no such node", action: "name one that exists" },
  NoNode: {
    severity: "error",
    cause: "no Ready, schedulable node is like the one of the checkpoint",
    action: "uncordon one, or name one by spec.nodeName",
  },
  NoArchive: {
    severity: "error",
    cause: "the kubelet left no archive within the time, several times",
    action: "raise spec.timeoutSeconds; see the kubelet's and the engine's log",
  },
  FeatureGateOff: {
    severity: "error",
    cause:
      "the kubelet does not serve checkpoints: the feature gate ContainerCheckpoint is off (by default before 1.30), or it is older than 1.25",
    action: "set featureGates.ContainerCheckpoint: true in the kubelet's configuration, or upgrade it",
  },
  KubeletTooOld: { severity: "error", cause: "the kubelet is older than 1.25", action: "upgrade the node" },
  EngineTooOld: {
    severity: "error",
    cause:
      "the container engine cannot take checkpoints: containerd does from 2.0, CRI-O from 1.25 with enable_criu_support",
    action: "upgrade the engine, or take checkpoints on another node",
  },
  EngineUnproven: {
    severity: "info",
    cause: "this engine was not tried with Fleetwright; its documented formats are followed",
    action: "rehearse a restore before you rely on it",
  },
  EngineWithoutCheckpoint: {
    severity: "error",
    cause: "the engine says that it does not support checkpoints",
    action:
      "CRI-O: --enable-criu-support=true (container_level_enabled), containerd: 2.0 or newer with CRIU in its PATH",
  },
  InfraContainerDropped: {
    severity: "error",
    cause: "the pod shares a PID namespace of an infra container that CRI-O has dropped",
    action: "run CRI-O with --drop-infra-ctr=false, or the pod without shareProcessNamespace",
  },
  CriuMissing: {
    severity: "error",
    cause: "the node has no CRIU",
    action: "install criu 4.2 or newer where the runtime finds it (PATH)",
  },
  CriuTooOld: {
    severity: "error",
    cause: "the node's CRIU is older than the engine demands",
    action: "install criu 4.2 or newer",
  },
  Forbidden: {
    severity: "error",
    cause: "the kubelet does not let the manager take checkpoints",
    action: "let its certificate's user create nodes/checkpoint (config/rbac/checkpoints.yaml)",
  },
  ForbiddenToApiServer: {
    severity: "error",
    cause: "the API server's own kubelet client, or the manager at its proxy, lacks the right",
    action:
      "let the user of --kubelet-client-certificate create nodes/checkpoint and the manager create nodes/proxy, or give the manager --kubelet-cert-dir",
  },
  Unauthorized: {
    severity: "error",
    cause: "the kubelet does not know the manager's certificate",
    action: "have it signed by the authority in the kubelet's clientCAFile",
  },
  IoUringInUse: {
    severity: "error",
    cause: "a process uses io_uring, which CRIU cannot save",
    action: "turn it off in the program (UV_USE_IO_URING=0, io_uring off)",
  },
  GpuDriverTooOld: {
    severity: "error",
    cause: "the NVIDIA driver is older than 555, which CRIU's CUDA plugin needs",
    action: "upgrade the driver to 570 or newer",
  },
  GpuNeedsPlugin: {
    severity: "warning",
    cause: "the container holds NVIDIA devices, and CRIU's cuda_plugin.so and cuda-checkpoint were not both found",
    action: "install them on the node (/usr/lib/criu, PATH); accept the risk once it was tried",
  },
  GpuMemoryCopied: {
    severity: "info",
    cause: "the driver copies the container's GPU memory into its host memory before CRIU saves it",
    action: "see that the node's memory has room for it",
  },
  GpuExceedsMemoryLimit: {
    severity: "error",
    cause: "GPU memory is copied into host memory, within the container's memory limit: the kernel would kill it",
    action: "raise the container's limits.memory by its GPU memory",
  },
  GpuManagedMemory: {
    severity: "error",
    cause:
      "a program has CUDA managed memory (UVM), which drivers up to 580 refuse to checkpoint; CRIU 4.2 then leaves it locked",
    action: "use plain allocations (cudaMalloc)",
  },
  GpuManagedMemoryUntried: {
    severity: "warning",
    cause: "a program has CUDA managed memory (UVM), which drivers up to 580 refuse to checkpoint",
    action: "use plain allocations (cudaMalloc), or accept the risk: a program that is left locked is unlocked again",
  },
  GpuRefused: {
    severity: "error",
    cause: "the NVIDIA driver refused to checkpoint a program, as it does with managed memory",
    action: "use plain allocations (cudaMalloc); see CRIU's words for the driver's error",
  },
  GpuMig: {
    severity: "error",
    cause: "the container uses a MIG slice, which cuda-checkpoint does not support",
    action: "use whole GPUs",
  },
  GpuMps: {
    severity: "error",
    cause: "the container uses NVIDIA MPS, which cuda-checkpoint does not support",
    action: "run it without MPS",
  },
  DeviceInUse: {
    severity: "error",
    cause: "a process holds a device that CRIU cannot save, or lacks a plugin for",
    action: "close it before the checkpoint; for GPUs install cuda_plugin.so and cuda-checkpoint",
  },
  EstablishedTcp: {
    severity: "info",
    cause: "TCP connections are open in the pod: those of the container itself stop its checkpoint",
    action: "try again when they are closed; the container goes on meanwhile",
  },
  TcpRefused: {
    severity: "error",
    cause: "the container had established TCP connections when it was frozen",
    action: "try again when they are closed, or set tcp-established in /etc/criu/runc.conf",
  },
  HaltTimedOut: {
    severity: "error",
    cause: "CRIU could not halt the container within its timeout, 10 s unless set: a GPU kernel that runs for longer",
    action: "put timeout 60 into /etc/criu/runc.conf on the node, or try again between such kernels",
  },
  FileLocks: {
    severity: "error",
    cause: "a process holds a lock on a file, which containerd has CRIU refuse",
    action: "put file-locks into /etc/criu/runc.conf on the node, or let the program give the lock up",
  },
  GhostFileTooLarge: {
    severity: "error",
    cause: "a process has a file open that is deleted and larger than CRIU saves: 1 MiB",
    action: "put ghost-limit 100M into /etc/criu/runc.conf on the node, or close the file before the checkpoint",
  },
  ExternalMount: {
    severity: "error",
    cause: "CRIU does not know a mount of the container",
    action: "take the mount out of the pod, or name it external in /etc/criu/runc.conf",
  },
  FreezeOutlastsProbe: {
    severity: "warning",
    cause: "the container stands still for longer than its liveness probe waits: the kubelet would restart it",
    action: "raise failureThreshold or timeoutSeconds of the probe, or accept the risk",
  },
  DiskHeadroom: {
    severity: "error",
    cause: "the node's disk has no room for the archive",
    action: "prune checkpoints, or enlarge the disk",
  },
  TakingTimedOut: { severity: "error", cause: "the engine was not done in time", action: "raise spec.timeoutSeconds" },
  TakingFailed: {
    severity: "error",
    cause: "the engine failed for a reason that is not in this table",
    action: "see the engine's log on the node, and dump.log in its work folder",
  },
  RestoreTooOld: { severity: "error", cause: "containerd restores from 2.1 on", action: "upgrade to 2.3" },
  RestoreSwitchOff: {
    severity: "error",
    cause: "containerd 2.2.7 and 2.3.4 on restore only when told to",
    action: "set enable_experimental_restore_via_create = true in its CRI runtime configuration and restart it",
  },
  RestoreSwitchUnknown: {
    severity: "info",
    cause: "whether containerd's enable_experimental_restore_via_create is on could not be read",
    action: "see that it is, or the restore fails",
  },
  RestoreRemovedFromEngine: {
    severity: "error",
    cause: "containerd 2.4 has no restore by creating a container any more",
    action: "restore on a node with containerd 2.1 to 2.3, or CRI-O",
  },
  EngineDiffers: {
    severity: "error",
    cause: "the checkpoint was taken by another engine, whose archives this one does not read",
    action: "restore on a node with the same engine",
  },
  ArchitectureDiffers: {
    severity: "error",
    cause: "the checkpoint is of another architecture",
    action: "restore on a node of that architecture",
  },
  CpuFeaturesMissing: {
    severity: "error",
    cause: "the node's processor lacks features that the program may have found on the other one",
    action: "restore on a node with the same or a newer processor",
  },
  CpuFeaturesUnknown: {
    severity: "info",
    cause: "what the processor of the checkpoint could is not known",
    action: "restore on a node of the same model",
  },
  KernelOlder: {
    severity: "warning",
    cause: "the node's kernel is older than the checkpoint's",
    action: "restore on a node with the same kernel, or accept the risk",
  },
  CriuOlder: {
    severity: "error",
    cause: "the node's CRIU is older than the one that took the checkpoint",
    action: "upgrade CRIU on the node",
  },
  CgroupsDiffer: {
    severity: "error",
    cause: "the checkpoint is of another version of control groups",
    action: "restore on a node with the same",
  },
  PluginMissing: {
    severity: "warning",
    cause:
      "a CRIU plugin took part in the checkpoint, and was not found on the node: the restore fails, and without cuda-checkpoint a CUDA program comes up and stands still",
    action: "install it on the node (/usr/lib/criu, PATH); accept the risk where CRIU finds it elsewhere",
  },
  GpuNumberUncertain: {
    severity: "warning",
    cause:
      "the driver restores to GPUs of the same number (/dev/nvidia0), and the node's device plugin may give others",
    action: "checkpoint pods that have all GPUs of their node; or accept the risk, and delete the pod where it fails",
  },
  GpuDriverDiffers: {
    severity: "error",
    cause: "the program has files of the driver mapped by their version: they are not on the node",
    action: "restore on a node with the same NVIDIA driver",
  },
  GpuModelDiffers: {
    severity: "error",
    cause: "the checkpoint holds the state of GPUs of another model",
    action: "restore on a node with the same GPUs, and as many for the pod",
  },
  SecurityModuleMissing: {
    severity: "error",
    cause: "the processes ran under a profile of a security module that the node does not have",
    action: "restore on a node with the same security module",
  },
  SecurityProfile: {
    severity: "info",
    cause: "processes ran under AppArmor profiles that are not the engine's own",
    action: "see that they are loaded on the node",
  },
  BaseImageUnreachable: {
    severity: "warning",
    cause:
      "the node neither has the image below the checkpoint nor finds it at its registry, where engines look without credentials",
    action: "load the image on the node or push it again; accept the risk where the engine has a mirror for it",
  },
  PullPolicyNever: {
    severity: "error",
    cause:
      "the container's imagePullPolicy is Never, and cannot be changed: a restore in place brings its checkpoint as an image",
    action: "use imagePullPolicy IfNotPresent, or restore into a new pod",
  },
  MountNotCovered: {
    severity: "error",
    cause: "the checkpoint needs a mount that the pod does not have",
    action: "add a volume mount for it",
  },
  HostPathMount: {
    severity: "info",
    cause: "the pod mounts a folder of the node, which is not in the checkpoint",
    action: "see that the other node has the same there",
  },
  VolumeNotSaved: {
    severity: "info",
    cause: "an emptyDir volume is not in the checkpoint: it begins empty",
    action: "keep what must last on a claim",
  },
  VolumeMissing: {
    severity: "error",
    cause: "a claim, ConfigMap or Secret that the pod mounts does not exist",
    action: 'make it, or restore with volumes "Empty"',
  },
} as const satisfies Readonly<Record<string, VerdictCode>>;

export type VerdictCodeName = keyof typeof verdictCodes;

/** One finding. */
export interface Verdict {
  readonly code: VerdictCodeName;
  readonly severity: VerdictSeverity;
  readonly container?: string;
  /** Names the value and the place. */
  readonly message: string;
  readonly action: string;
}

/** @param message what was found, with values */
export const verdictOf = (code: VerdictCodeName, message: string, container?: string): Verdict => ({
  code,
  severity: verdictCodes[code].severity,
  ...(container !== undefined && { container }),
  message,
  action: verdictCodes[code].action,
});

import type { Container, Pod } from "@fleetwright/kube";
import type { CheckpointMetadata } from "../archive/metadata.ts";
import type { HostFacts } from "../image/annotations.ts";
import { cudaPlugin } from "../inspect/summary.ts";
import type { SecurityUse } from "../inspect/summary.ts";
import { isAtLeast, versionNumbers } from "./version.ts";
import { verdictOf } from "./verdict-codes.ts";
import type { Verdict } from "./verdict-codes.ts";

/** What is known before a restore. */
export interface RestoreFacts {
  readonly nodeName: string;
  /** As in a node's status: `containerd://2.3.7`. */
  readonly engine?: string | undefined;
  /** containerd's `enable_experimental_restore_via_create`, where it could be read. */
  readonly restoreSwitch?: boolean | undefined;
  readonly host: HostFacts & {
    readonly securityModules?: readonly string[];
    /** Of what CRIU needs for GPUs; absent when not known. */
    readonly missingCudaTools?: readonly string[];
  };
  readonly freeBytes?: number;
  readonly totalBytes?: number;
  /** It goes back into its own pod, which keeps its devices. */
  readonly inPlace?: boolean;
  /** Why the node cannot get the image below the checkpoint, which it does not have. */
  readonly baseImageProblem?: string | undefined;
  /** Of the archive; absent when it is in a registry only. */
  readonly source?: {
    readonly metadata: Pick<CheckpointMetadata, "engine" | "mounts" | "container" | "image" | "devices">;
    readonly host: HostFacts;
    readonly plugins: readonly string[];
    readonly security?: SecurityUse | undefined;
    readonly sizeBytes: number;
  };
  readonly spec: NonNullable<Pod["spec"]>;
}

function engineVerdicts({ nodeName, engine = "", restoreSwitch, source }: RestoreFacts): readonly Verdict[] {
  const verdicts: Verdict[] = [];
  const name = engine.split(":")[0] ?? "";
  if (name === "containerd") {
    const [major = 0, minor = 0, patch = 0] = versionNumbers(engine) ?? [];
    if (!isAtLeast(engine, "2.1.0")) verdicts.push(verdictOf("RestoreTooOld", `node "${nodeName}" has ${engine}`));
    else if (isAtLeast(engine, "2.4.0"))
      verdicts.push(verdictOf("RestoreRemovedFromEngine", `node "${nodeName}" has ${engine}`));
    else if (major === 2 && ((minor === 2 && patch >= 7) || (minor === 3 && patch >= 4))) {
      if (restoreSwitch === false)
        verdicts.push(
          verdictOf(
            "RestoreSwitchOff",
            `node "${nodeName}" has ${engine} with enable_experimental_restore_via_create off`,
          ),
        );
      else if (restoreSwitch === undefined)
        verdicts.push(verdictOf("RestoreSwitchUnknown", `node "${nodeName}" has ${engine}`));
    }
  } else if (name === "cri-o") verdicts.push(verdictOf("EngineUnproven", `node "${nodeName}" has ${engine}`));
  if (source && name !== "" && source.metadata.engine !== name)
    verdicts.push(
      verdictOf("EngineDiffers", `the archive is ${source.metadata.engine}'s, node "${nodeName}" has ${engine}`),
    );
  return verdicts;
}

/** A program may have chosen its code by any flag that it found: all of them must be there. Those of the hypervisor's mood are left out. */
const unstableFlags = new Set([
  "hypervisor",
  "arch_capabilities",
  "flush_l1d",
  "md_clear",
  "ibrs",
  "ibpb",
  "stibp",
  "ssbd",
  "tsc_known_freq",
  "cpuid_fault",
]);

function hostVerdicts({ nodeName, host, source, inPlace = false }: RestoreFacts): readonly Verdict[] {
  if (source === undefined) return [];
  const from = source.host;
  const verdicts: Verdict[] = [];
  if (from.architecture !== host.architecture)
    verdicts.push(
      verdictOf(
        "ArchitectureDiffers",
        `the checkpoint is of ${from.architecture}, node "${nodeName}" is ${host.architecture}`,
      ),
    );
  else if (from.cpuFeatures === undefined || host.cpuFeatures === undefined)
    verdicts.push(verdictOf("CpuFeaturesUnknown", `processors cannot be compared with that of node "${nodeName}"`));
  else {
    const have = new Set(host.cpuFeatures);
    const missing = from.cpuFeatures.filter((flag) => !have.has(flag) && !unstableFlags.has(flag));
    if (missing.length > 0)
      verdicts.push(
        verdictOf(
          "CpuFeaturesMissing",
          `node "${nodeName}" lacks ${missing.slice(0, 10).join(", ")}${missing.length > 10 ? ` and ${missing.length - 10} more` : ""}`,
        ),
      );
  }
  if (from.kernel !== undefined && !isAtLeast(host.kernel, from.kernel))
    verdicts.push(
      verdictOf("KernelOlder", `the checkpoint is of kernel ${from.kernel}, node "${nodeName}" has ${host.kernel}`),
    );
  if (host.criuVersion === undefined)
    verdicts.push(verdictOf("CriuMissing", `node "${nodeName}" has no criu in its PATH`));
  else if (from.criuVersion !== undefined && !isAtLeast(host.criuVersion, from.criuVersion))
    verdicts.push(
      verdictOf(
        "CriuOlder",
        `the checkpoint is by criu ${from.criuVersion}, node "${nodeName}" has ${host.criuVersion}`,
      ),
    );
  if (from.cgroups !== undefined && host.cgroups !== undefined && from.cgroups !== host.cgroups)
    verdicts.push(
      verdictOf("CgroupsDiffer", `the checkpoint is of cgroup ${from.cgroups}, node "${nodeName}" has ${host.cgroups}`),
    );
  for (const plugin of source.plugins) {
    const missing = plugin === cudaPlugin ? (host.missingCudaTools ?? [`${plugin}.so`]) : [`${plugin}.so`];
    if (missing.length > 0)
      verdicts.push(
        verdictOf(
          "PluginMissing",
          `CRIU's ${plugin} took part in the checkpoint; ${missing.join(" and ")} not found on node "${nodeName}"`,
        ),
      );
  }
  if (source.plugins.includes(cudaPlugin)) verdicts.push(...gpuVerdicts(nodeName, host, source, inPlace));
  verdicts.push(...securityVerdicts(nodeName, host.securityModules, source.security));
  return verdicts;
}

/** A driver brings GPU memory back by place: to the same model under the same number (NVIDIA/cuda-checkpoint, issues 18 and 54). */
function gpuVerdicts(
  nodeName: string,
  host: HostFacts,
  { host: from, metadata }: NonNullable<RestoreFacts["source"]>,
  inPlace: boolean,
): readonly Verdict[] {
  const verdicts: Verdict[] = [];
  const numbers = (metadata.devices ?? []).flatMap((path) => /^\/dev\/nvidia(\d+)$/.exec(path)?.[1] ?? []).map(Number);
  const models = host.gpuModels ?? [];
  const had = from.gpuModels ?? [];
  const differing = numbers.filter((number) => had[number] !== undefined && had[number] !== models[number]);
  if (differing.length > 0 || (numbers.length === 0 && had.length > 0 && !had.some((each) => models.includes(each)))) {
    const name = (list: readonly string[]): string => list.join(", ") || "no NVIDIA GPU";
    const wanted = differing.length > 0 ? differing.map((number) => `${had[number]} as number ${number}`) : had;
    verdicts.push(
      verdictOf("GpuModelDiffers", `the checkpoint is of ${name(wanted)}, node "${nodeName}" has ${name(models)}`),
    );
  } else if (!inPlace && numbers.length > 0 && numbers.length < models.length)
    verdicts.push(
      verdictOf(
        "GpuNumberUncertain",
        `the checkpoint is of GPU ${numbers.join(", ")}, the device plugin of node "${nodeName}" chooses among ${models.length}`,
      ),
    );
  if (from.nvidiaDriver !== undefined && host.nvidiaDriver !== undefined && from.nvidiaDriver !== host.nvidiaDriver)
    verdicts.push(
      verdictOf(
        "GpuDriverDiffers",
        `the checkpoint is of NVIDIA driver ${from.nvidiaDriver}, node "${nodeName}" has ${host.nvidiaDriver}`,
      ),
    );
  return verdicts;
}

/** containerd's own profile, which it loads itself before it starts a container. */
const engineProfile = /^cri-containerd\.apparmor\.d\b/;

function securityVerdicts(
  nodeName: string,
  modules: readonly string[] | undefined,
  security: SecurityUse | undefined,
): readonly Verdict[] {
  if (security === undefined || modules === undefined) return [];
  const { module, profiles } = security;
  if (!modules.includes(module))
    return [verdictOf("SecurityModuleMissing", `the processes ran under ${module}, which node "${nodeName}" lacks`)];
  const own = profiles.filter((profile) => !engineProfile.test(profile));
  return own.length === 0 || module !== "apparmor"
    ? []
    : [verdictOf("SecurityProfile", `processes ran under ${own.slice(0, 5).join(", ")}`)];
}

/** By extended resources (`nvidia.com/gpu`) or resource claims. */
const asksForDevices = ({ resources }: Container): boolean =>
  (resources?.claims ?? []).length > 0 ||
  Object.keys({ ...resources?.limits, ...resources?.requests }).some((name) => name.includes("/"));

function mountVerdicts({ spec, source }: RestoreFacts): readonly Verdict[] {
  const verdicts: Verdict[] = [];
  const container = spec.containers.find(({ name }) => name === source?.metadata.container);
  if (source && container) {
    const covered = new Set((container.volumeMounts ?? []).map(({ mountPath }) => mountPath));
    // The kubelet's own, where the pod says: a termination log.
    covered.add(container.terminationMessagePath ?? "/dev/termination-log");
    // Device plugins and CDI mount a driver's files into whoever asks for the device, again when it is restored (seen with an H200).
    for (const { destination } of asksForDevices(container) ? [] : source.metadata.mounts)
      if (!covered.has(destination))
        verdicts.push(
          verdictOf(
            "MountNotCovered",
            `the checkpoint has a mount at ${destination}, which container "${container.name}" of the pod does not`,
            container.name,
          ),
        );
  }
  for (const volume of spec.volumes ?? []) {
    if (volume.hostPath)
      verdicts.push(verdictOf("HostPathMount", `volume "${volume.name}" is ${volume.hostPath.path} of the node`));
    if (volume.emptyDir) verdicts.push(verdictOf("VolumeNotSaved", `volume "${volume.name}" is an emptyDir`));
  }
  return verdicts;
}

/** What speaks against a restore on a node. */
export function judgeRestore(facts: RestoreFacts): readonly Verdict[] {
  const verdicts = [...engineVerdicts(facts), ...hostVerdicts(facts), ...mountVerdicts(facts)];
  const { freeBytes, totalBytes, source, nodeName, baseImageProblem } = facts;
  if (baseImageProblem !== undefined)
    verdicts.push(
      verdictOf(
        "BaseImageUnreachable",
        `node "${nodeName}" does not have ${source?.metadata.image}: ${baseImageProblem}`,
      ),
    );
  if (
    freeBytes !== undefined &&
    totalBytes !== undefined &&
    source &&
    freeBytes - source.sizeBytes * 2 < totalBytes * 0.05
  )
    verdicts.push(
      verdictOf(
        "DiskHeadroom",
        `twice the archive's ${source.sizeBytes} bytes do not fit: ${freeBytes} of ${totalBytes} bytes are free on node "${nodeName}"`,
      ),
    );
  return verdicts;
}

import type { CheckpointMetadata } from "../archive/metadata.ts";

/** What the host of a checkpoint was; a restore elsewhere is judged by it. */
export interface HostFacts {
  /** As Go names it: `amd64`, `arm64`. */
  readonly architecture: string;
  /** `uname -r` */
  readonly kernel?: string;
  readonly criuVersion?: string;
  readonly engineVersion?: string;
  readonly runtimeVersion?: string;
  /** `v1` or `v2` */
  readonly cgroups?: string;
  readonly distribution?: { readonly name: string; readonly version: string };
  /** Flags of `/proc/cpuinfo`. */
  readonly cpuFeatures?: readonly string[];
  /** Of NVIDIA's kernel module: `580.159.04`. */
  readonly nvidiaDriver?: string;
  /** Models of its NVIDIA GPUs. */
  readonly gpuModels?: readonly string[];
}

type Annotations = Readonly<Record<string, string>>;

const given = (annotations: Readonly<Record<string, string | undefined>>): Annotations =>
  Object.fromEntries(
    Object.entries(annotations)
      .filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "")
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );

/** What containerd looks for (2.1 to 2.3: `org.criu.checkpoint.container.name`); names of checkpointctl 1.6, lib/annotations.go. */
const criu = "org.criu.checkpoint.";
/** What CRI-O looks for (internal/annotations/checkpoint.go). */
const crio = "io.kubernetes.cri-o.annotations.checkpoint.";
/** What podman looks for (podman-container-checkpoint(1), `--create-image`). */
const podman = "io.podman.annotations.checkpoint.";

/** The host as JSON: whoever pulls the image elsewhere knows what it was taken on, and makes the same image of it. */
export const hostAnnotation = "fleetwright.dev/checkpoint-host";

/** The markers of all three engines: none of them looks at another's. */
export function checkpointAnnotations(metadata: CheckpointMetadata, host: HostFacts): Annotations {
  const { engine, container, pod, namespace, podUid, runtime, image, imageRef } = metadata;
  const distribution = host.distribution;
  return given({
    [hostAnnotation]: JSON.stringify(host),
    [`${criu}container.name`]: container,
    [`${criu}engine.name`]: engine,
    [`${criu}engine.version`]: host.engineVersion,
    [`${criu}pod.name`]: pod,
    [`${criu}pod.namespace`]: namespace,
    [`${criu}pod.uid`]: podUid,
    [`${criu}rootfsImageName`]: image,
    [`${criu}rootfsImageUserRequested`]: image,
    [`${criu}rootfsImageID`]: imageRef,
    [`${criu}rawImageName`]: image,
    [`${criu}runtime.name`]: runtime,
    [`${criu}runtime.version`]: host.runtimeVersion,
    [`${criu}criu.version`]: host.criuVersion,
    [`${criu}host.arch`]: host.architecture,
    [`${criu}host.kernel`]: host.kernel,
    [`${criu}cgroup.version`]: host.cgroups,
    [`${criu}distribution.name`]: distribution?.name,
    [`${criu}distribution.version`]: distribution?.version,
    [`${crio}name`]: container,
    [`${crio}rawImageName`]: image,
    [`${crio}rootfsImageName`]: image,
    [`${crio}rootfsImageID`]: imageRef,
    [`${crio}criu.version`]: host.criuVersion,
    [`${podman}name`]: container,
    [`${podman}rawImageName`]: image,
    [`${podman}rootfsImageName`]: image,
    [`${podman}rootfsImageID`]: imageRef,
    [`${podman}runtime.name`]: runtime,
    [`${podman}criu.version`]: host.criuVersion,
    [`${podman}host.arch`]: host.architecture,
    [`${podman}host.kernel`]: host.kernel,
    [`${podman}cgroups.version`]: host.cgroups,
    [`${podman}distribution.name`]: distribution?.name,
    [`${podman}distribution.version`]: distribution?.version,
  });
}

/** Whether annotations say that an image is a checkpoint, and for which engines it works. */
export function enginesOf(annotations: Annotations): readonly ("containerd" | "cri-o" | "podman")[] {
  return [
    ...(annotations[`${criu}container.name`] === undefined ? [] : (["containerd"] as const)),
    ...(annotations[`${crio}name`] === undefined ? [] : (["cri-o"] as const)),
    ...(annotations[`${podman}runtime.name`] === undefined ? [] : (["podman"] as const)),
  ];
}

import type { Container, Pod } from "@fleetwright/kube";
import { gpuVerdicts, mebibytes } from "./gpu.ts";
import type { GpuUse, NvidiaFacts } from "./gpu.ts";
import { isAtLeast } from "./version.ts";
import { verdictOf } from "./verdict-codes.ts";
import type { Verdict } from "./verdict-codes.ts";

/** What is known before a checkpoint is taken; what is not known speaks neither for nor against. */
export interface TakingFacts {
  readonly pod: Pod;
  readonly nodeName: string;
  readonly kubeletVersion?: string | undefined;
  /** As in a node's status: `containerd://2.3.7`. */
  readonly engine?: string | undefined;
  /** Absent when the agent was not asked; `null`: there is none. */
  readonly criuVersion?: string | null;
  readonly nvidia?: NvidiaFacts;
  readonly freeBytes?: number;
  readonly totalBytes?: number;
  readonly containers: readonly ContainerFacts[];
}

interface ContainerFacts {
  readonly name: string;
  readonly residentBytes: number;
  /** What processes have open that is neither a file nor a pipe: `anon_inode:[io_uring]`, `/dev/nvidia0`. */
  readonly openKinds: readonly string[];
  readonly gpu?: GpuUse | undefined;
  /** Of the whole pod. */
  readonly establishedTcp: number;
}

/** CRIU's dump of memory onto a disk that is not special; measured: 1 GiB in 1.5 to 2.8 s (into the page cache), 4 GiB in 11 s. */
const assumedBytesPerSecond = 300 * 2 ** 20;
/** GPU memory into host memory; measured: 1.9 GiB/s (H200, driver 580, 1.5 and 16.5 GiB), half of that to be safe. */
const assumedGpuBytesPerSecond = 2 ** 30;
/** What a freeze costs however small the container is. */
const baseFreezeMs = 200;
/** The engines' own least (`--runtime-request-timeout`, cri-client): less is raised without a word. */
const leastTimeoutSeconds = 120;
/** The archive is written twice on the way: CRIU's images, then the tar. */
const archivePasses = 3;
/** A twentieth of a disk stays free. */
const reservedShare = 0.05;

/** All that a dump writes: the driver copies GPU memory into the processes first. */
const dumpedBytes = ({ residentBytes, gpu }: Pick<ContainerFacts, "residentBytes" | "gpu">): number =>
  residentBytes + (gpu?.deviceBytes ?? 0);

/** How long a container will stand still. */
export const predictFreezeMs = (container: Pick<ContainerFacts, "residentBytes" | "gpu">): number =>
  Math.round(
    baseFreezeMs +
      (dumpedBytes(container) / assumedBytesPerSecond + (container.gpu?.deviceBytes ?? 0) / assumedGpuBytesPerSecond) *
        1000,
  );

/** Time for one container, in seconds: memory at the assumed speed, thrice for the copies on the way, twice for bad days. */
export const timeoutFor = (container: Pick<ContainerFacts, "residentBytes" | "gpu">): number =>
  Math.max(leastTimeoutSeconds, Math.ceil((dumpedBytes(container) / assumedBytesPerSecond) * archivePasses * 2));

/** How long a liveness probe is patient with a process that does not answer: it fails `failureThreshold` times in a row, a period apart. */
function probePatienceMs(container: Container): number | undefined {
  const { livenessProbe: probe } = container;
  if (probe === undefined) return undefined;
  const { periodSeconds = 10, timeoutSeconds = 1, failureThreshold = 3 } = probe;
  return ((failureThreshold - 1) * periodSeconds + timeoutSeconds) * 1000;
}

/** What speaks against taking a checkpoint, and what it will cost. */
export function judgeTaking(facts: TakingFacts): readonly Verdict[] {
  const { pod, nodeName, kubeletVersion, engine = "", criuVersion, containers } = facts;
  const verdicts: Verdict[] = [];
  if (!isAtLeast(kubeletVersion, "1.25.0"))
    verdicts.push(verdictOf("KubeletTooOld", `node "${nodeName}" has kubelet ${kubeletVersion}`));
  if (engine.startsWith("containerd://")) {
    if (!isAtLeast(engine, "2.0.0")) verdicts.push(verdictOf("EngineTooOld", `node "${nodeName}" has ${engine}`));
  } else if (engine.startsWith("cri-o://")) {
    if (!isAtLeast(engine, "1.25.0")) verdicts.push(verdictOf("EngineTooOld", `node "${nodeName}" has ${engine}`));
    verdicts.push(verdictOf("EngineUnproven", `node "${nodeName}" has ${engine}`));
  } else if (engine !== "")
    verdicts.push(
      verdictOf("EngineTooOld", `node "${nodeName}" has ${engine}, which is not known to take checkpoints`),
    );
  if (criuVersion === null) verdicts.push(verdictOf("CriuMissing", `node "${nodeName}" has no criu in its PATH`));
  else if (!isAtLeast(criuVersion, "3.16.0"))
    verdicts.push(verdictOf("CriuTooOld", `node "${nodeName}" has criu ${criuVersion}; engines demand 3.16`));
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  for (const container of containers) {
    const { name, openKinds, establishedTcp } = container;
    const spec = all.find((each) => each.name === name);
    if (openKinds.some((kind) => kind.includes("io_uring")))
      verdicts.push(verdictOf("IoUringInUse", `a process of container "${name}" has an io_uring open`, name));
    verdicts.push(...gpuVerdicts(spec, container, facts.nvidia ?? {}));
    const device = openKinds.find((kind) => /^\/dev\/(infiniband|fuse|kfd|dri)/.test(kind));
    if (device) verdicts.push(verdictOf("DeviceInUse", `a process of container "${name}" holds ${device}`, name));
    if (establishedTcp > 0)
      verdicts.push(verdictOf("EstablishedTcp", `${establishedTcp} TCP connections are open in the pod`, name));
    const patience = spec && probePatienceMs(spec);
    const freeze = predictFreezeMs(container);
    if (patience !== undefined && freeze > patience)
      verdicts.push(
        verdictOf(
          "FreezeOutlastsProbe",
          `container "${name}" would stand still for about ${Math.ceil(freeze / 1000)} s (${mebibytes(dumpedBytes(container))}), its liveness probe waits ${Math.floor(patience / 1000)} s`,
          name,
        ),
      );
  }
  const { freeBytes, totalBytes } = facts;
  const needed = containers.reduce((sum, container) => sum + dumpedBytes(container), 0) * 2.1;
  if (freeBytes !== undefined && totalBytes !== undefined && freeBytes - needed < totalBytes * reservedShare)
    verdicts.push(
      verdictOf(
        "DiskHeadroom",
        `${mebibytes(needed)} are needed for a while, ${mebibytes(freeBytes)} of ${mebibytes(totalBytes)} are free on node "${nodeName}", a twentieth stays so`,
      ),
    );
  return verdicts;
}

import type { Container, Pod } from "@fleetwright/kube";
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
  readonly nvidiaDriver?: string | undefined;
  readonly freeBytes?: number;
  readonly totalBytes?: number;
  readonly containers: readonly ContainerFacts[];
}

interface ContainerFacts {
  readonly name: string;
  readonly residentBytes: number;
  /** What processes have open that is neither a file nor a pipe: `anon_inode:[io_uring]`, `/dev/nvidia0`. */
  readonly openKinds: readonly string[];
  /** Of the whole pod. */
  readonly establishedTcp: number;
}

/** CRIU's dump of memory onto a disk that is not special; measured: 1.2 GiB/s into the page cache, a third of that to be safe. */
const assumedBytesPerSecond = 400 * 2 ** 20;
/** What a freeze costs however small the container is. */
const baseFreezeMs = 200;
/** The engines' own least (`--runtime-request-timeout`, cri-client): less is raised without a word. */
const leastTimeoutSeconds = 120;
/** The archive is written twice on the way: CRIU's images, then the tar. */
const archivePasses = 3;
/** A twentieth of a disk stays free. */
const reservedShare = 0.05;

/** How long a container will stand still. @param bytesPerSecond measured on earlier checkpoints of the node */
export const predictFreezeMs = (residentBytes: number, bytesPerSecond = assumedBytesPerSecond): number =>
  Math.round(baseFreezeMs + (residentBytes / bytesPerSecond) * 1000);

/** Time for one container, in seconds: memory at the assumed speed, thrice for the copies on the way, twice for bad days. */
export const timeoutFor = (residentBytes: number): number =>
  Math.max(leastTimeoutSeconds, Math.ceil((residentBytes / assumedBytesPerSecond) * archivePasses * 2));

/** How long a liveness probe is patient with a process that does not answer: it fails `failureThreshold` times in a row, a period apart. */
function probePatienceMs(container: Container): number | undefined {
  const { livenessProbe: probe } = container;
  if (probe === undefined) return undefined;
  const { periodSeconds = 10, timeoutSeconds = 1, failureThreshold = 3 } = probe;
  return ((failureThreshold - 1) * periodSeconds + timeoutSeconds) * 1000;
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

function gpuVerdicts(
  container: Container | undefined,
  { name, openKinds }: ContainerFacts,
  driver: string | undefined,
): readonly Verdict[] {
  const resources = Object.keys({ ...container?.resources?.limits, ...container?.resources?.requests });
  const environment = container?.env ?? [];
  const devices = openKinds.filter((kind) => kind.startsWith("/dev/nvidia"));
  const verdicts: Verdict[] = [];
  const mig =
    resources.find((key) => key.startsWith("nvidia.com/mig-")) ??
    environment.find(({ value }) => value?.includes("MIG-"))?.name;
  if (mig !== undefined) verdicts.push(verdictOf("GpuMig", `container "${name}" uses a MIG slice (${mig})`, name));
  const mps = environment.find((each) => each.name.startsWith("CUDA_MPS_"));
  if (mps) verdicts.push(verdictOf("GpuMps", `container "${name}" uses MPS (${mps.name} is set)`, name));
  if (devices.length === 0) return verdicts;
  if (!isAtLeast(driver, "555.0")) verdicts.push(verdictOf("GpuDriverTooOld", `the NVIDIA driver is ${driver}`, name));
  verdicts.push(verdictOf("GpuNeedsPlugin", `container "${name}" holds ${devices.join(", ")}`, name));
  return verdicts;
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
    const { name, residentBytes, openKinds, establishedTcp } = container;
    const spec = all.find((each) => each.name === name);
    if (openKinds.some((kind) => kind.includes("io_uring")))
      verdicts.push(verdictOf("IoUringInUse", `a process of container "${name}" has an io_uring open`, name));
    verdicts.push(...gpuVerdicts(spec, container, facts.nvidiaDriver));
    const device = openKinds.find((kind) => /^\/dev\/(infiniband|fuse|kfd|dri)/.test(kind));
    if (device) verdicts.push(verdictOf("DeviceInUse", `a process of container "${name}" holds ${device}`, name));
    if (establishedTcp > 0)
      verdicts.push(verdictOf("EstablishedTcp", `${establishedTcp} TCP connections are open in the pod`, name));
    const patience = spec && probePatienceMs(spec);
    const freeze = predictFreezeMs(residentBytes);
    if (patience !== undefined && freeze > patience)
      verdicts.push(
        verdictOf(
          "FreezeOutlastsProbe",
          `container "${name}" would stand still for about ${Math.ceil(freeze / 1000)} s (${mebibytes(residentBytes)}), its liveness probe waits ${Math.floor(patience / 1000)} s`,
          name,
        ),
      );
  }
  const { freeBytes, totalBytes } = facts;
  const needed = containers.reduce((sum, { residentBytes }) => sum + residentBytes, 0) * 2.1;
  if (freeBytes !== undefined && totalBytes !== undefined && freeBytes - needed < totalBytes * reservedShare)
    verdicts.push(
      verdictOf(
        "DiskHeadroom",
        `${mebibytes(needed)} are needed for a while, ${mebibytes(freeBytes)} of ${mebibytes(totalBytes)} are free on node "${nodeName}", a twentieth stays so`,
      ),
    );
  return verdicts;
}

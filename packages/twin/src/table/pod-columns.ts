import type { Pod } from "@fleetwright/kube";
import type { TableColumn } from "../machinery/kind.ts";
import { since } from "./cells.ts";
import { ageColumn, nameColumn, text, wide } from "./column.ts";

type PodStatus = NonNullable<Pod["status"]>;
type ContainerStatus = NonNullable<PodStatus["containerStatuses"]>[number];

interface PodSummary {
  readonly ready: number;
  readonly total: number;
  readonly status: string;
  readonly restarts: number;
  /** RFC 3339; `""` when no container has been restarted. */
  readonly lastRestart: string;
}

const conditionIs = (pod: Pod, type: string, status: string): boolean =>
  pod.status?.conditions?.find((condition) => condition.type === type)?.status === status;

function exitReason(terminated: NonNullable<NonNullable<ContainerStatus["state"]>["terminated"]>): string {
  if (terminated.reason !== undefined && terminated.reason !== "") return terminated.reason;
  return terminated.signal !== undefined && terminated.signal !== 0
    ? `Signal:${terminated.signal}`
    : `ExitCode:${terminated.exitCode}`;
}

/** When the container's previous run ended. */
const lastRun = (container: ContainerStatus): string => container.lastState?.terminated?.finishedAt ?? "";

/** Times of one format and zone compare as text. */
const later = (one: string, other: string): string => (one < other ? other : one);

/** `printPod` of pkg/printers/internalversion/printers.go: what a pod does, in a word. */
function summaryOf(pod: Pod): PodSummary {
  const { spec, status } = pod;
  const phase = status?.phase ?? "";
  const sidecars = new Set(
    (spec?.initContainers ?? []).flatMap(({ name, restartPolicy }) => (restartPolicy === "Always" ? [name] : [])),
  );
  let reason = status?.reason !== undefined && status.reason !== "" ? status.reason : phase;
  for (const condition of status?.conditions ?? []) {
    if (condition.type === "PodScheduled" && condition.reason === "SchedulingGated") reason = "SchedulingGated";
  }
  const total = (spec?.containers.length ?? 0) + sidecars.size;
  let ready = 0;
  let restarts = 0;
  let lastRestart = "";
  let sidecarRestarts = 0;
  let lastSidecarRestart = "";
  let initializing = false;
  for (const [index, container] of (status?.initContainerStatuses ?? []).entries()) {
    const sidecar = sidecars.has(container.name);
    restarts += container.restartCount;
    lastRestart = later(lastRestart, lastRun(container));
    if (sidecar) {
      sidecarRestarts += container.restartCount;
      lastSidecarRestart = later(lastSidecarRestart, lastRun(container));
    }
    const { terminated, waiting } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecar && container.started === true) {
      if (container.ready) ready++;
      continue;
    }
    const waitingFor = waiting?.reason ?? "";
    if (terminated !== undefined) reason = `Init:${exitReason(terminated)}`;
    else if (waitingFor !== "" && waitingFor !== "PodInitializing") reason = `Init:${waitingFor}`;
    else reason = `Init:${index}/${spec?.initContainers?.length ?? 0}`;
    initializing = true;
    break;
  }
  if (!initializing || conditionIs(pod, "Initialized", "True")) {
    restarts = sidecarRestarts;
    lastRestart = lastSidecarRestart;
    let running = false;
    let failure = "";
    for (const container of (status?.containerStatuses ?? []).toReversed()) {
      restarts += container.restartCount;
      lastRestart = later(lastRestart, lastRun(container));
      const { terminated, waiting } = container.state ?? {};
      if (waiting?.reason !== undefined && waiting.reason !== "") reason = waiting.reason;
      else if (terminated !== undefined) {
        reason = exitReason(terminated);
        if (terminated.exitCode !== 0) failure = reason;
      } else if (container.ready && container.state?.running !== undefined) {
        running = true;
        ready++;
      }
    }
    if (reason === "Completed") {
      if (running && conditionIs(pod, "Ready", "True")) reason = "Running";
      else if (failure !== "") reason = failure;
      else if (running) reason = "NotReady";
    }
  }
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (status?.reason === "NodeLost") reason = "Unknown";
    else if (phase !== "Succeeded" && phase !== "Failed") reason = "Terminating";
  }
  return { ready, total, status: reason, restarts, lastRestart };
}

function restartsText(pod: Pod, nowMs: number): string {
  const { restarts, lastRestart } = summaryOf(pod);
  return restarts === 0 || lastRestart === "" ? String(restarts) : `${restarts} (${since(lastRestart, nowMs)} ago)`;
}

function gatesText({ spec, status }: Pod): string {
  const gates = spec?.readinessGates ?? [];
  if (gates.length === 0) return "<none>";
  const open = gates.filter(
    ({ conditionType }) => status?.conditions?.find(({ type }) => type === conditionType)?.status === "True",
  );
  return `${open.length}/${gates.length}`;
}

export const podColumns: readonly TableColumn[] = [
  nameColumn,
  text<Pod>("Ready", "How many of the pod's containers accept traffic.", (pod) => {
    const { ready, total } = summaryOf(pod);
    return `${ready}/${total}`;
  }),
  text<Pod>("Status", "What the pod's containers do.", (pod) => summaryOf(pod).status),
  text<Pod>("Restarts", "How often containers were restarted, and when last.", restartsText),
  ageColumn,
  wide<Pod>("IP", "Address of the pod.", ({ status }) => status?.podIPs?.[0]?.ip || "<none>"),
  wide<Pod>("Node", "Node that the pod is bound to.", ({ spec }) => spec?.nodeName || "<none>"),
  wide<Pod>(
    "Nominated Node",
    "Node where room is being made for the pod.",
    ({ status }) => status?.nominatedNodeName || "<none>",
  ),
  wide<Pod>("Readiness Gates", "How many of the pod's own conditions for readiness hold.", gatesText),
];

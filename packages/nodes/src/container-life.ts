import { timeText } from "@fleetwright/kube";
import type { Container, ContainerState, ContainerStatus, Pod } from "@fleetwright/kube";
import type { LifeWishes } from "./annotations.ts";

/** What a group of containers looks like now. */
interface Progress {
  readonly phase: "Pending" | "Running" | "Succeeded" | "Failed";
  readonly statuses: readonly ContainerStatus[];
  /** When that changes by itself, in milliseconds since the epoch. */
  readonly nextChange: number | undefined;
}

/** The API keeps whole seconds: an end is never earlier than asked for, and up to a second later. */
const endOf = (startedMs: number, durationMs: number): number =>
  durationMs === 0 ? startedMs : startedMs + durationMs + 1000;

const isSidecar = (container: Container): boolean => container.restartPolicy === "Always";

/** The init containers, one after another; sidecars among them go on running beside the others. */
export function initProgress(
  pod: Pod,
  wishes: LifeWishes,
  startedMs: number,
  now: number,
): Progress & { readonly done: boolean } {
  const containers = pod.spec?.initContainers ?? [];
  const fails = wishes.initExitCode !== 0;
  const statuses: ContainerStatus[] = [];
  let turnStart = startedMs;
  let nextChange: number | undefined;
  let failed = false;
  for (const container of containers) {
    const before = pod.status?.initContainerStatuses?.find(({ name }) => name === container.name);
    if (nextChange !== undefined || failed) {
      statuses.push(statusOf(pod, container, before, { waiting: { reason: "PodInitializing" } }, false));
    } else if (isSidecar(container)) {
      const startedAt = before?.state?.running?.startedAt ?? timeText(now);
      statuses.push(statusOf(pod, container, before, { running: { startedAt } }, true));
    } else {
      const end = endOf(turnStart, wishes.initRunForMs);
      const startedAt = timeText(turnStart);
      if (now < end) {
        nextChange = end;
        statuses.push(statusOf(pod, container, before, { running: { startedAt } }, false));
        continue;
      }
      failed = fails;
      const exitCode = wishes.initExitCode;
      const terminated = { exitCode, reason: reasonOf(exitCode), startedAt, finishedAt: timeText(end) };
      statuses.push(statusOf(pod, container, before, { terminated }, exitCode === 0));
      turnStart = end;
    }
  }
  const phase = failed && pod.spec?.restartPolicy === "Never" ? "Failed" : "Pending";
  return { phase, statuses, nextChange, done: nextChange === undefined && !failed };
}

/** The ordinary containers, which share one life: the first one's status tells how far it is. */
export function mainProgress(pod: Pod, wishes: LifeWishes, now: number): Progress & { readonly ready: boolean } {
  const before = pod.status?.containerStatuses?.[0];
  const restarts = before?.restartCount ?? 0;
  const lastEnd = before?.state?.waiting && before.lastState?.terminated;
  if (lastEnd?.finishedAt !== undefined) {
    const again = Date.parse(lastEnd.finishedAt) + restartDelayMs(restarts);
    if (now < again) return crashed(pod, { terminated: lastEnd }, restarts, again);
    return running(pod, wishes, timeText(now), restarts + 1, { terminated: lastEnd }, now);
  }
  const startedAt = before?.state?.running?.startedAt;
  if (startedAt === undefined) return running(pod, wishes, timeText(now), restarts, undefined, now);
  if (wishes.runForMs === undefined || now < endOf(Date.parse(startedAt), wishes.runForMs))
    return running(pod, wishes, startedAt, restarts, before?.lastState, now);
  const exitCode = wishes.exitCode;
  const end: ContainerState = {
    terminated: { exitCode, reason: reasonOf(exitCode), startedAt, finishedAt: timeText(now) },
  };
  const restartPolicy = pod.spec?.restartPolicy ?? "Always";
  if (restartPolicy === "Always" || (restartPolicy === "OnFailure" && exitCode !== 0)) {
    const delayMs = restartDelayMs(restarts);
    if (delayMs === 0) return running(pod, wishes, timeText(now), restarts + 1, end, now);
    return crashed(pod, end, restarts, now + delayMs);
  }
  return {
    phase: exitCode === 0 ? "Succeeded" : "Failed",
    statuses: containerStatuses(pod, end, { restarts }),
    nextChange: undefined,
    ready: false,
  };
}

function running(
  pod: Pod,
  wishes: LifeWishes,
  startedAt: string,
  restarts: number,
  lastState: ContainerState | undefined,
  now: number,
): Progress & { readonly ready: boolean } {
  const started = Date.parse(startedAt);
  const readyAt = endOf(started, wishes.readyAfterMs);
  const ready = now >= readyAt;
  const end = wishes.runForMs === undefined ? undefined : endOf(started, wishes.runForMs);
  const changes = [ready ? undefined : readyAt, end].filter((time) => time !== undefined);
  return {
    phase: "Running",
    statuses: containerStatuses(pod, { running: { startedAt } }, { restarts, ready, lastState }),
    nextChange: changes.length === 0 ? undefined : Math.min(...changes),
    ready,
  };
}

function crashed(
  pod: Pod,
  lastState: ContainerState,
  restarts: number,
  again: number,
): Progress & { readonly ready: boolean } {
  const state: ContainerState = { waiting: { reason: "CrashLoopBackOff" } };
  return {
    phase: "Running",
    statuses: containerStatuses(pod, state, { restarts, lastState }),
    nextChange: again,
    ready: false,
  };
}

/** The kubelet's: at once, then after 10 s, doubled up to 5 min (`pkg/kubelet/kubelet.go`, MaxContainerBackOff). */
export function restartDelayMs(restarts: number): number {
  return restarts === 0 ? 0 : Math.min(300_000, 10_000 * 2 ** (restarts - 1));
}

/** The ordinary containers, all in one state. */
export function containerStatuses(
  pod: Pod,
  state: ContainerState,
  more: { readonly restarts?: number; readonly ready?: boolean; readonly lastState?: ContainerState | undefined } = {},
): readonly ContainerStatus[] {
  return (pod.spec?.containers ?? []).map((container) => {
    const before = pod.status?.containerStatuses?.find(({ name }) => name === container.name);
    const status = statusOf(pod, container, before, state, more.ready === true, more.restarts);
    return more.lastState === undefined ? status : { ...status, lastState: more.lastState };
  });
}

function statusOf(
  pod: Pod,
  container: Container,
  before: ContainerStatus | undefined,
  state: ContainerState,
  ready: boolean,
  restarts: number = before?.restartCount ?? 0,
): ContainerStatus {
  const image = container.image ?? "";
  return {
    name: container.name,
    image,
    imageID: image,
    ready,
    started: state.running !== undefined,
    restartCount: restarts,
    ...(state.waiting === undefined && {
      containerID: `simulated://${pod.metadata.uid ?? ""}/${container.name}/${restarts}`,
    }),
    state,
  };
}

const reasonOf = (exitCode: number): string => (exitCode === 0 ? "Completed" : "Error");

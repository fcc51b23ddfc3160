import type { Container, ContainerState, ContainerStatus, Pod } from "@fleetwright/kube";
import { timeText } from "@fleetwright/kube";
import type { ContainerWishes, LifeWishes } from "./annotations.ts";

/** What a group of containers looks like now. */
export interface Progress {
  readonly phase: "Pending" | "Running" | "Succeeded" | "Failed";
  readonly statuses: readonly ContainerStatus[];
  /** When that changes by itself, in milliseconds since the epoch. */
  readonly nextChange: number | undefined;
}

/** The API keeps whole seconds: an end is never earlier than asked for, and up to a second later. */
const endOf = (startedMs: number, durationMs: number): number =>
  durationMs === 0 ? startedMs : startedMs + durationMs + 1000;

const isSidecar = (container: Container): boolean => container.restartPolicy === "Always";

/** What one container looks like now. */
interface Step {
  readonly status: ContainerStatus;
  readonly nextChange: number | undefined;
  /** Set when it has ended for good. */
  readonly exitCode: number | undefined;
  readonly isRunning: boolean;
}

/** A container that is killed for its liveness probe ends with SIGKILL's code. */
const killedCode = 137;
/** A container that ran for so long starts anew without waiting (kubelet's back-off is forgotten). */
const forgivenMs = 600_000;
const maxDelayMs = 300_000;
const firstDelayMs = 10_000;

/** The kubelet's: at once, then after 10 s, doubled up to 5 min (`pkg/kubelet/kubelet.go`, MaxContainerBackOff). */
export function restartDelayMs(restarts: number): number {
  return restarts === 0 ? 0 : Math.min(maxDelayMs, firstDelayMs * 2 ** (restarts - 1));
}

function delayAfter(state: ContainerState, restarts: number): number {
  const { startedAt = "", finishedAt = "" } = state.terminated ?? {};
  return Date.parse(finishedAt) - Date.parse(startedAt) >= forgivenMs ? 0 : restartDelayMs(restarts);
}

function restarts(policy: string, exitCode: number): boolean {
  return policy === "Always" || (policy === "OnFailure" && exitCode !== 0);
}

/** One container's life: runs, ends, waits, runs again (`computePodActions`). */
function advance(
  pod: Pod,
  container: Container,
  before: ContainerStatus | undefined,
  wishes: ContainerWishes,
  policy: string,
  now: number,
): Step {
  const restartCount = before?.restartCount ?? 0;
  const state = before?.state;
  if (state?.waiting?.reason === "CrashLoopBackOff" && before?.lastState?.terminated?.finishedAt !== undefined) {
    const again = Date.parse(before.lastState.terminated.finishedAt) + delayAfter(before.lastState, restartCount);
    if (now < again) return crashed(pod, container, before.lastState, restartCount, again);
    return running(pod, container, wishes, timeText(now), restartCount + 1, before.lastState, now);
  }
  if (state?.terminated !== undefined) return ended(pod, container, state, restartCount, policy, now, wishes);
  const startedAt = state?.running?.startedAt;
  if (startedAt === undefined) return running(pod, container, wishes, timeText(now), restartCount, undefined, now);
  const started = Date.parse(startedAt);
  const end = wishes.runForMs === undefined ? undefined : endOf(started, wishes.runForMs);
  const kill = wishes.killedAfterMs === undefined ? undefined : endOf(started, wishes.killedAfterMs);
  const isKilled = kill !== undefined && now >= kill && (end === undefined || kill < end);
  if (!isKilled && (end === undefined || now < end))
    return running(pod, container, wishes, startedAt, restartCount, before?.lastState, now);
  const exitCode = isKilled ? killedCode : (wishes.exitCodes[Math.min(restartCount, wishes.exitCodes.length - 1)] ?? 0);
  const over: ContainerState = {
    terminated: { exitCode, reason: reasonOf(exitCode), startedAt, finishedAt: timeText(now) },
  };
  return ended(pod, container, over, restartCount, policy, now, wishes);
}

function ended(
  pod: Pod,
  container: Container,
  over: ContainerState,
  restartCount: number,
  policy: string,
  now: number,
  wishes: ContainerWishes,
): Step {
  const exitCode = over.terminated?.exitCode ?? 0;
  if (!restarts(policy, exitCode)) {
    return {
      status: statusOf(pod, container, over, { restartCount }),
      nextChange: undefined,
      exitCode,
      isRunning: false,
    };
  }
  const delayMs = delayAfter(over, restartCount);
  if (delayMs === 0) return running(pod, container, wishes, timeText(now), restartCount + 1, over, now);
  return crashed(pod, container, over, restartCount, now + delayMs);
}

function running(
  pod: Pod,
  container: Container,
  wishes: ContainerWishes,
  startedAt: string,
  restartCount: number,
  lastState: ContainerState | undefined,
  now: number,
): Step {
  const started = Date.parse(startedAt);
  const startedUp = endOf(started, wishes.startedAfterMs);
  const readyAt = Math.max(startedUp, endOf(started, wishes.readyAfterMs));
  const marks = wishes.readiness.map(({ afterMs, ok }) => ({ at: endOf(started, afterMs), ok }));
  const probed = marks.findLast(({ at }) => at <= now)?.ok ?? (marks.length === 0 || marks[0]?.at === started);
  const ready = now >= readyAt && probed;
  const ends = [wishes.runForMs, wishes.killedAfterMs].map((duration) =>
    duration === undefined ? undefined : endOf(started, duration),
  );
  const changes = [startedUp, readyAt, ...marks.map(({ at }) => at), ...ends].filter(
    (at) => at !== undefined && at > now,
  ) as number[];
  const state: ContainerState = { running: { startedAt } };
  return {
    status: statusOf(pod, container, state, { restartCount, ready, lastState, started: now >= startedUp }),
    nextChange: changes.length === 0 ? undefined : Math.min(...changes),
    exitCode: undefined,
    isRunning: true,
  };
}

function crashed(pod: Pod, container: Container, lastState: ContainerState, restartCount: number, again: number): Step {
  const state: ContainerState = {
    waiting: {
      reason: "CrashLoopBackOff",
      message: `back-off ${Math.round(delayAfter(lastState, restartCount) / 1000)}s restarting failed container=${container.name} pod=${pod.metadata.name ?? ""}_${pod.metadata.namespace ?? ""}(${pod.metadata.uid ?? ""})`,
    },
  };
  return {
    status: statusOf(pod, container, state, { restartCount, lastState }),
    nextChange: again,
    exitCode: undefined,
    isRunning: false,
  };
}

const earliest = (times: readonly (number | undefined)[]): number | undefined => {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
};

/** The init containers, one after another; sidecars among them go on running beside the others, as long as those do. */
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
  const changes: (number | undefined)[] = [];
  for (const container of containers) {
    const before = pod.status?.initContainerStatuses?.find(({ name }) => name === container.name);
    if (nextChange !== undefined || failed) {
      statuses.push(
        statusOf(
          pod,
          container,
          { waiting: { reason: "PodInitializing" } },
          { restartCount: before?.restartCount ?? 0 },
        ),
      );
    } else if (isSidecar(container)) {
      const step = advance(pod, container, before, sidecarWishes(wishes, container), "Always", now);
      statuses.push(step.status);
      changes.push(step.nextChange);
      // The next one waits until it has started.
      if (step.status.started === false) nextChange = step.nextChange;
    } else {
      const end = endOf(turnStart, wishes.initRunForMs);
      const startedAt = timeText(turnStart);
      if (now < end) {
        nextChange = end;
        statuses.push(statusOf(pod, container, { running: { startedAt } }, { restartCount: 0, started: true }));
        continue;
      }
      failed = fails;
      const exitCode = wishes.initExitCode;
      const terminated = { exitCode, reason: reasonOf(exitCode), startedAt, finishedAt: timeText(end) };
      statuses.push(statusOf(pod, container, { terminated }, { restartCount: 0, ready: exitCode === 0 }));
      turnStart = end;
    }
  }
  const phase = failed && pod.spec?.restartPolicy === "Never" ? "Failed" : "Pending";
  return { phase, statuses, nextChange: earliest([nextChange, ...changes]), done: nextChange === undefined && !failed };
}

/** What a pod's annotations say of all its containers is not meant for sidecars: they run beside them. */
function sidecarWishes(wishes: LifeWishes, { name }: Container): ContainerWishes {
  const [own, all] = [wishes.of(name), wishes.of("")];
  return { ...own, runForMs: own.runForMs === all.runForMs ? undefined : own.runForMs };
}

/** The ordinary containers, each with a life of its own. */
export function mainProgress(pod: Pod, wishes: LifeWishes, now: number): Progress & { readonly ready: boolean } {
  const policy = pod.spec?.restartPolicy ?? "Always";
  const steps = (pod.spec?.containers ?? []).map((container) => {
    const before = pod.status?.containerStatuses?.find(({ name }) => name === container.name);
    return advance(pod, container, before, wishes.of(container.name), container.restartPolicy ?? policy, now);
  });
  const statuses = steps.map(({ status }) => status);
  const isOver = steps.length > 0 && steps.every(({ exitCode }) => exitCode !== undefined);
  const phase = !isOver ? "Running" : steps.every(({ exitCode }) => exitCode === 0) ? "Succeeded" : "Failed";
  return {
    phase,
    statuses,
    nextChange: earliest(steps.map(({ nextChange }) => nextChange)),
    ready: !isOver && statuses.every(({ ready }) => ready),
  };
}

/** The ordinary containers, all in one state. */
export function containerStatuses(pod: Pod, state: ContainerState): readonly ContainerStatus[] {
  return (pod.spec?.containers ?? []).map((container) => {
    const before = pod.status?.containerStatuses?.find(({ name }) => name === container.name);
    return statusOf(pod, container, state, { restartCount: before?.restartCount ?? 0 });
  });
}

/** Sidecars that end with the others. */
export function endedSidecars(statuses: readonly ContainerStatus[], finishedAt: string): readonly ContainerStatus[] {
  return statuses.map((status) => {
    const startedAt = status.state?.running?.startedAt;
    if (startedAt === undefined) return status;
    return {
      ...status,
      ready: false,
      started: false,
      state: { terminated: { exitCode: 0, reason: "Completed", startedAt, finishedAt } },
    };
  });
}

function statusOf(
  pod: Pod,
  container: Container,
  state: ContainerState,
  more: {
    readonly restartCount: number;
    readonly ready?: boolean;
    readonly started?: boolean;
    readonly lastState?: ContainerState | undefined;
  },
): ContainerStatus {
  const image = container.image ?? "";
  const { restartCount, lastState } = more;
  return {
    name: container.name,
    image,
    imageID: image,
    ready: more.ready === true,
    started: state.running !== undefined && more.started !== false,
    restartCount,
    ...(state.waiting === undefined && {
      containerID: `simulated://${pod.metadata.uid ?? ""}/${container.name}/${restartCount}`,
    }),
    state,
    ...(lastState === undefined ? {} : { lastState }),
  };
}

const reasonOf = (exitCode: number): string => (exitCode === 0 ? "Completed" : "Error");

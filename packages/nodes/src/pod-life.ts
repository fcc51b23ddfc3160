import { timeText } from "@fleetwright/kube";
import type { Pod, PodCondition, PodStatus } from "@fleetwright/kube";
import type { LifeWishes } from "./annotations.ts";
import { containerStatuses, endedSidecars, initProgress, mainProgress } from "./container-life.ts";

/** Where a pod runs. */
export interface PodPlace {
  readonly hostIP: string;
  /** The address that it gets if it has none yet. */
  readonly podIP: string;
}

/** What a kubelet does next with a pod that is bound to its node. */
export type PodStep =
  /** Write this status. */
  | { readonly kind: "status"; readonly status: PodStatus }
  /** Nothing before this time (milliseconds since the epoch), unless the pod changes. */
  | { readonly kind: "wait"; readonly until: number }
  /** Confirm its deletion: delete it with grace period 0. */
  | { readonly kind: "delete" }
  /** Nothing, unless the pod changes. */
  | { readonly kind: "rest" };

/**
 * Decides from the pod alone, so that a simulation that was restarted goes on where it stopped.
 * Phases and conditions follow the kubelet's (`pkg/kubelet/kubelet_pods.go`, `status/generate.go`), in simple form:
 * all containers of a pod share one life.
 */
export function nextStep(pod: Pod, wishes: LifeWishes, place: PodPlace, now: number): PodStep {
  if (pod.metadata.deletionTimestamp !== undefined) return nextStepOfDeletion(pod, wishes, place, now);
  if (isFinished(pod)) return { kind: "rest" };
  const { status, nextChange } = nextStatus(pod, wishes, place, now);
  if (!covers(pod.status, status)) return { kind: "status", status };
  return nextChange === undefined ? { kind: "rest" } : { kind: "wait", until: nextChange };
}

/** Its containers have ended for good. */
export const isFinished = (pod: Pod): boolean => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";

function nextStepOfDeletion(pod: Pod, wishes: LifeWishes, place: PodPlace, now: number): PodStep {
  const { deletionTimestamp = "", deletionGracePeriodSeconds = 0, finalizers = [] } = pod.metadata;
  // Confirmed already: the finalizers' owners have the last word.
  if (deletionGracePeriodSeconds === 0) return { kind: "rest" };
  const graceEnd = Date.parse(deletionTimestamp);
  const stopped = Math.min(graceEnd, graceEnd - deletionGracePeriodSeconds * 1000 + wishes.stopForMs);
  if (now < stopped) return { kind: "wait", until: stopped };
  // Whoever holds a finalizer (the Job controller) reads how the pod ended. For all others it is gone anyway.
  if (finalizers.length > 0 && !isFinished(pod)) return { kind: "status", status: endedStatus(pod, place, now) };
  return { kind: "delete" };
}

/** The status that a pod should have now, and when that changes by itself. */
function nextStatus(
  pod: Pod,
  wishes: LifeWishes,
  place: PodPlace,
  now: number,
): { readonly status: PodStatus; readonly nextChange: number | undefined } {
  const startTime = pod.status?.startTime ?? timeText(now);
  const started = Date.parse(startTime);
  const limitSeconds = pod.spec?.activeDeadlineSeconds;
  const deadline = limitSeconds === undefined ? undefined : started + limitSeconds * 1000;
  if (deadline !== undefined && now >= deadline) {
    const message = "Pod was active on the node longer than the specified deadline";
    return {
      status: { ...endedStatus(pod, place, now), reason: "DeadlineExceeded", message },
      nextChange: undefined,
    };
  }
  const init = initProgress(pod, wishes, started, now);
  const main = init.done ? mainProgress(pod, wishes, now) : undefined;
  const phase = main?.phase ?? init.phase;
  const isOver = phase === "Succeeded" || phase === "Failed";
  const status = withConditions(pod, now, {
    initialized: init.done,
    ready: main?.ready === true,
    status: {
      ...base(pod, place, startTime),
      phase,
      initContainerStatuses: isOver ? endedSidecars(init.statuses, timeText(now)) : init.statuses,
      containerStatuses: main?.statuses ?? containerStatuses(pod, { waiting: { reason: "PodInitializing" } }),
    },
  });
  const changes = [init.nextChange, main?.nextChange, deadline].filter((time) => time !== undefined);
  return { status, nextChange: changes.length === 0 ? undefined : Math.min(...changes) };
}

/** Ended from outside: by a deletion or a deadline. Exit code 143 is SIGTERM's, so that nobody takes it for a success. */
function endedStatus(pod: Pod, place: PodPlace, now: number): PodStatus {
  const startTime = pod.status?.startTime ?? timeText(now);
  const startedAt = pod.status?.containerStatuses?.[0]?.state?.running?.startedAt ?? startTime;
  const terminated = { exitCode: 143, reason: "Error", startedAt, finishedAt: timeText(now) };
  return withConditions(pod, now, {
    initialized: true,
    ready: false,
    status: {
      ...base(pod, place, startTime),
      phase: "Failed",
      containerStatuses: containerStatuses(pod, { terminated }),
    },
  });
}

function base(pod: Pod, place: PodPlace, startTime: string): PodStatus {
  const podIP = pod.status?.podIP ?? (pod.spec?.hostNetwork === true ? place.hostIP : place.podIP);
  return {
    ...(pod.metadata.generation !== undefined && { observedGeneration: pod.metadata.generation }),
    startTime,
    hostIP: place.hostIP,
    hostIPs: [{ ip: place.hostIP }],
    podIP,
    podIPs: [{ ip: podIP }],
  };
}

function withConditions(
  pod: Pod,
  now: number,
  state: { readonly initialized: boolean; readonly ready: boolean; readonly status: PodStatus },
): PodStatus {
  const { phase } = state.status;
  const finished = phase === "Succeeded" ? "PodCompleted" : phase === "Failed" ? "PodFailed" : undefined;
  const gatesOpen = (pod.spec?.readinessGates ?? []).every(
    (gate) =>
      pod.status?.conditions?.some(({ type, status }) => type === gate.conditionType && status === "True") === true,
  );
  const notReady = finished ?? "ContainersNotReady";
  const wanted: readonly PodCondition[] = [
    condition("PodReadyToStartContainers", finished === undefined),
    condition("Initialized", state.initialized, state.initialized ? finished : "ContainersNotInitialized"),
    condition("ContainersReady", state.ready, state.ready ? undefined : notReady),
    condition(
      "Ready",
      state.ready && gatesOpen,
      state.ready ? (gatesOpen ? undefined : "ReadinessGatesNotReady") : notReady,
    ),
  ];
  const conditions = wanted.map((next) => {
    const before = pod.status?.conditions?.find(({ type }) => type === next.type);
    const lastTransitionTime = before?.status === next.status ? before.lastTransitionTime : undefined;
    return { ...next, lastTransitionTime: lastTransitionTime ?? timeText(now) };
  });
  return { ...state.status, conditions };
}

const condition = (type: string, holds: boolean, reason?: string): PodCondition => ({
  type,
  status: holds ? "True" : "False",
  ...(reason !== undefined && { reason }),
});

/** Whether `actual` already says all that `wanted` says; what others wrote beside it does not matter. */
export function covers(actual: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(actual)) return wanted.length === 0 && actual === undefined;
    if (isConditions(wanted)) return wanted.every((next) => actual.some((before) => covers(before, next)));
    return actual.length === wanted.length && wanted.every((next, index) => covers(actual[index], next));
  }
  if (typeof wanted === "object" && wanted !== null) {
    if (typeof actual !== "object" || actual === null) return false;
    const before = actual as Readonly<Record<string, unknown>>;
    for (const key of Object.keys(wanted))
      if (!covers(before[key], (wanted as Readonly<Record<string, unknown>>)[key])) return false;
    return true;
  }
  return actual === wanted;
}

const isConditions = (list: readonly unknown[]): boolean =>
  list.length > 0 &&
  list.every((item) => typeof item === "object" && item !== null && "type" in item && "status" in item);

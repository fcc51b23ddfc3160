import {
  checkpointAnnotation,
  checkpointTakenAnnotation,
  scheduleConditions,
  setCondition,
  type CheckpointScheduleStatus,
} from "@fleetwright/api";
import {
  isBeingDeleted,
  matchesLabels,
  parseQuantity,
  Pods,
  selectorOf,
  type Client,
  type Clock,
  type EventRecorder,
  type Informer,
  type Logger,
  type Pod,
  type Reconciler,
  type ReconcileRequest,
  type ReconcileResult,
} from "@fleetwright/kube";
import { dueTimes, jitterOf, timesProblem } from "../core/schedule/due.ts";
import type { Agents } from "./agents.ts";
import { allInParallel } from "./all-in-parallel.ts";
import { isDone, isOpen, takenAt, time } from "./checkpoint-state.ts";
import { scheduledName, takeScheduled } from "./make-once.ts";
import { schedules, type CheckpointObject, type RestoreObject, type ScheduleObject } from "./resources.ts";
import { rehearse, restoreDrained, restoreFailures } from "./schedule-restores.ts";
import { ownCheckpoints, prune } from "./schedule-retention.ts";

/** What looking after schedules takes. */
export interface ScheduleParts {
  readonly client: Client;
  readonly schedules: Informer<ScheduleObject>;
  readonly checkpoints: Informer<CheckpointObject>;
  readonly restores: Informer<RestoreObject>;
  readonly pods: Informer<Pod>;
  readonly agents: Agents;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events?: Pick<EventRecorder, "event">;
  readonly metrics?: ScheduleMetrics;
}

export interface ScheduleMetrics {
  pruned(count: number): void;
  rehearsed(result: "passed" | "failed"): void;
}

/** Between two looks at one schedule, in milliseconds: the changes of its checkpoints come in crowds. */
const settleMs = 500;
/** How often memory is looked at, where a threshold is set. */
const thresholdPollMs = 15_000;
/** A threshold that stays passed takes no more than one checkpoint in this time. */
const thresholdGapMs = 600_000;

/** Of a pod, one at a time, and not again within the gap: whatever asks. */
function tooSoon({ spec }: ScheduleObject, ofPod: readonly CheckpointObject[], now: number): boolean {
  const gap = (spec.minimumGapSeconds ?? 0) * 1000;
  return ofPod.some((checkpoint) => isOpen(checkpoint) || (isDone(checkpoint) && now - takenAt(checkpoint) < gap));
}

/** Whether a schedule selects a pod that runs. */
export function selects(schedule: ScheduleObject, pod: Pod): boolean {
  return (
    pod.metadata.namespace === schedule.metadata.namespace &&
    matchesLabels(selectorOf(schedule.spec.selector), pod.metadata.labels)
  );
}

/** Follows a CheckpointSchedule: takes what is due or asked for, restores after failures and drains, rehearses, and prunes. */
export class ScheduleReconciler implements Reconciler {
  readonly #options: ScheduleParts;
  /** When each schedule was last looked at. */
  readonly #lookedAt = new Map<string, number>();

  constructor(options: ScheduleParts) {
    this.#options = options;
  }

  async reconcile(request: ReconcileRequest, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { clock, schedules: known } = this.#options;
    const { namespace = "", name } = request;
    const schedule = known.get({ namespace, name });
    const key = `${namespace}/${name}`;
    if (schedule === undefined || isBeingDeleted(schedule)) {
      this.#lookedAt.delete(key);
      return undefined;
    }
    const rest = (this.#lookedAt.get(key) ?? 0) + settleMs - clock.now();
    if (rest > 0) return { requeueAfterMs: rest };
    this.#lookedAt.set(key, clock.now());
    const problem = timesProblem(schedule.spec);
    if (problem !== undefined) {
      await this.#write(schedule, {}, "InvalidSchedule", problem, signal);
      return undefined;
    }
    const pods = this.#options.pods.list(namespace).filter((pod) => selects(schedule, pod));
    const running = pods.filter(
      ({ status, metadata }) => status?.phase === "Running" && metadata.deletionTimestamp === undefined,
    );
    const own = ownCheckpoints(schedule, this.#options.checkpoints);
    const wake: number[] = [];
    const timed = await this.#byTime(schedule, running, own, wake, signal);
    await this.#byAnnotation(schedule, running, signal);
    await this.#byPreemption(schedule, pods, signal);
    await this.#byThreshold(schedule, running, own, wake, signal);
    await restoreFailures(schedule, pods, this.#options, signal);
    await restoreDrained(schedule, own, this.#options, signal);
    const rehearsal = await rehearse(schedule, own, wake, this.#options, signal);
    const pruned = await prune(schedule, this.#options, signal);
    const kept = own.filter((checkpoint) => isDone(checkpoint) && !isBeingDeleted(checkpoint));
    await this.#write(
      schedule,
      {
        ...timed,
        ...(rehearsal && { rehearsal }),
        pods: pods.length,
        checkpoints: kept.length,
        bytes: kept.reduce(
          (sum, { status }) =>
            sum + (status?.containers ?? []).reduce((bytes, { sizeBytes = 0 }) => bytes + sizeBytes, 0),
          0,
        ),
        pruned: (schedule.status?.pruned ?? 0) + pruned,
      },
      "Following",
      schedule.spec.suspend ? "suspended: only triggers take checkpoints" : `${pods.length} pods are selected`,
      signal,
    );
    const next =
      wake.length === 0 ? undefined : Math.max(100, wake.reduce((first, at) => Math.min(first, at)) - clock.now());
    return next === undefined ? undefined : { requeueAfterMs: Math.min(next, 24 * 3_600_000) };
  }

  /** @param wake when to come again */
  async #byTime(
    schedule: ScheduleObject,
    running: readonly Pod[],
    own: readonly CheckpointObject[],
    wake: number[],
    signal: AbortSignal,
  ): Promise<Partial<CheckpointScheduleStatus>> {
    const { client, clock } = this.#options;
    const { spec, status, metadata } = schedule;
    const created = time(metadata.creationTimestamp ?? undefined);
    if (spec.suspend === true || (spec.schedule === undefined && spec.intervalSeconds === undefined)) return {};
    const now = clock.now();
    const times = dueTimes(spec, created);
    const next = times.next(now);
    if (next !== undefined) wake.push(next);
    const nextScheduleTime = next === undefined ? {} : { nextScheduleTime: new Date(next).toISOString() };
    const since = Number.isNaN(time(status?.lastScheduleTime)) ? created : time(status?.lastScheduleTime);
    const due = times.last(since, now);
    if (due === undefined) return nextScheduleTime;
    const names = new Set(own.map((checkpoint) => checkpoint.metadata.name));
    const byPod = Map.groupBy(own, (checkpoint) => checkpoint.spec.podUID ?? "");
    const jitter = spec.jitterSeconds ?? 0;
    const occasion = new Date(due).toISOString();
    const turnOf = (pod: Pod): number => due + jitterOf(pod.metadata.uid ?? "", jitter);
    // One that began after the time was not meant by it.
    const meant = running.filter(({ status: { startTime } = {} }) => !(time(startTime ?? undefined) > due));
    wake.push(...meant.map(turnOf).filter((turn) => turn > now));
    const missing = meant.filter(
      (pod) =>
        turnOf(pod) <= now &&
        !names.has(scheduledName(schedule, pod, "schedule", occasion)) &&
        !tooSoon(schedule, byPod.get(pod.metadata.uid ?? "") ?? [], now),
    );
    await allInParallel(missing, signal, async (pod) => {
      await takeScheduled(client, schedule, pod, "schedule", occasion, signal);
    });
    // Not before everybody's turn: who goes on after a crash takes what is left.
    return now >= due + jitter * 1000
      ? { ...nextScheduleTime, lastScheduleTime: new Date(due).toISOString() }
      : nextScheduleTime;
  }

  async #byAnnotation(schedule: ScheduleObject, running: readonly Pod[], signal: AbortSignal): Promise<void> {
    if (schedule.spec.triggers?.annotation === false) return;
    for (const pod of running) {
      const { annotations = {}, namespace = "", name = "", uid } = pod.metadata;
      const wish = annotations[checkpointAnnotation];
      if (wish === undefined || wish === "" || wish === annotations[checkpointTakenAnnotation]) continue;
      await takeScheduled(this.#options.client, schedule, pod, "annotation", wish, signal);
      // Written afterwards: a crash in between makes the same Checkpoint again, which changes nothing.
      await this.#options.client.patch(
        Pods,
        { namespace, name },
        {
          type: "merge",
          patch: { metadata: { ...(uid && { uid }), annotations: { [checkpointTakenAnnotation]: wish } } },
        },
        { signal },
      );
    }
  }

  /** Best effort: the pod has been told to go, and its grace period runs. */
  async #byPreemption(schedule: ScheduleObject, pods: readonly Pod[], signal: AbortSignal): Promise<void> {
    if (schedule.spec.triggers?.preemption !== true) return;
    for (const pod of pods) {
      const preempted = pod.status?.conditions?.some(
        ({ type, status, reason }) =>
          type === "DisruptionTarget" && status === "True" && reason === "PreemptionByScheduler",
      );
      if (preempted && pod.status?.phase === "Running")
        await takeScheduled(this.#options.client, schedule, pod, "preemption", "", signal);
    }
  }

  async #byThreshold(
    schedule: ScheduleObject,
    running: readonly Pod[],
    own: readonly CheckpointObject[],
    wake: number[],
    signal: AbortSignal,
  ): Promise<void> {
    const { client, clock, agents, logger } = this.#options;
    const percent = schedule.spec.triggers?.memoryPercent;
    if (percent === undefined) return;
    const now = clock.now();
    wake.push(now + thresholdPollMs);
    const byPod = Map.groupBy(own, (checkpoint) => checkpoint.spec.podUID ?? "");
    for (const pod of running) {
      const ofPod = byPod.get(pod.metadata.uid ?? "") ?? [];
      if (ofPod.some((checkpoint) => now - takenAt(checkpoint) < thresholdGapMs) || tooSoon(schedule, ofPod, now))
        continue;
      const agent = agents.of(pod.spec?.nodeName ?? "");
      for (const container of pod.spec?.containers ?? []) {
        const limit = container.resources?.limits?.["memory"];
        const id = pod.status?.containerStatuses
          ?.find(({ name }) => name === container.name)
          ?.containerID?.replace(/^[a-z-]+:\/\//, "");
        if (limit === undefined || id === undefined || agent === undefined) continue;
        try {
          const { residentBytes } = await agent.container(id, signal);
          if (residentBytes * 100 < Number(parseQuantity(String(limit)).toNumber()) * percent) continue;
          await takeScheduled(client, schedule, pod, "threshold", String(Math.floor(now / thresholdGapMs)), signal);
          break;
        } catch (error) {
          if (signal.aborted) throw error;
          logger.warn({ error, pod: pod.metadata.name }, "memory of a container is not known");
        }
      }
    }
  }

  async #write(
    schedule: ScheduleObject,
    change: Partial<CheckpointScheduleStatus>,
    reason: string,
    message: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, client } = this.#options;
    const generation = schedule.metadata.generation;
    const conditions = setCondition(schedule.status?.conditions ?? [], {
      type: scheduleConditions.ready,
      status: reason === "InvalidSchedule" ? "False" : "True",
      reason,
      message,
      lastTransitionTime: new Date(clock.now()).toISOString(),
      ...(generation !== undefined && { observedGeneration: generation }),
    });
    const status: CheckpointScheduleStatus = { ...schedule.status, ...change, conditions };
    if (JSON.stringify(status) === JSON.stringify(schedule.status)) return;
    await client.updateStatus(schedules, { ...schedule, status }, { signal });
  }
}

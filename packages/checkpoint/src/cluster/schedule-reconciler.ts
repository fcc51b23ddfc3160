import {
  checkpointAnnotation,
  checkpointScheduleLabel,
  checkpointTakenAnnotation,
  restoreTriggerLabel,
  scheduleConditions,
  setCondition,
  type CheckpointScheduleStatus,
} from "@fleetwright/api";
import {
  isAlreadyExists,
  isBeingDeleted,
  isNotFound,
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
import { decideRetention, type KeptCheckpoint, type RetentionPolicy } from "../core/keep/retention.ts";
import { dueTimes, jitterOf, occasionName, timesProblem } from "../core/schedule/due.ts";
import { inParallel } from "../registry/parallel.ts";
import type { Agents } from "./agents.ts";
import { labelOf, restoreAfterDrainAnnotation, scheduledName, takeScheduled } from "./make-once.ts";
import {
  checkpoints,
  restores,
  schedules,
  type CheckpointObject,
  type RestoreObject,
  type ScheduleObject,
} from "./resources.ts";

export interface ScheduleReconcilerOptions {
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

/** Checkpoints of one schedule that are created, or deleted, at once. */
const creationsAtOnce = 32;
/** Between two looks at one schedule, in milliseconds: the changes of its checkpoints come in crowds. */
const settleMs = 500;
/** How often memory is looked at, where a threshold is set. */
const thresholdPollMs = 15_000;
/** A threshold that stays passed takes no more than one checkpoint in this time. */
const thresholdGapMs = 600_000;
/** Restores of one pod from one checkpoint after failures: a program that ends in the same way each time is not helped. */
const maxFailureRestores = 3;
/** Finished restores of a schedule that are kept. */
const keptRestores = 3;

const time = (text: string | undefined): number => (text === undefined ? Number.NaN : Date.parse(text));
const newestFirst = (a: CheckpointObject, b: CheckpointObject): number => takenAt(b) - takenAt(a);
const takenAt = ({ metadata, status }: CheckpointObject): number =>
  time(status?.completionTime ?? metadata.creationTimestamp ?? undefined);
const isDone = ({ status }: CheckpointObject): boolean => status?.phase === "Completed" || status?.phase === "Stored";
const isOpen = ({ status }: CheckpointObject): boolean =>
  !isDone({ status } as CheckpointObject) && status?.phase !== "Failed";
const restoreIsOpen = ({ status }: RestoreObject): boolean =>
  status?.phase !== "Succeeded" && status?.phase !== "Failed";

/** Of a pod, one at a time, and not again within the gap: whatever asks. */
function tooSoon({ spec }: ScheduleObject, ofPod: readonly CheckpointObject[], now: number): boolean {
  const gap = (spec.minimumGapSeconds ?? 0) * 1000;
  return ofPod.some((checkpoint) => isOpen(checkpoint) || (isDone(checkpoint) && now - takenAt(checkpoint) < gap));
}

/** Works on all, whatever becomes of some; the first failure is thrown at the end, for another try. */
async function allInParallel<Item>(
  items: readonly Item[],
  signal: AbortSignal,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  await inParallel(items, creationsAtOnce, signal, async (item) => {
    try {
      await work(item);
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
    }
  });
  if (failures.length > 0) throw failures[0];
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
  readonly #options: ScheduleReconcilerOptions;
  /** When each schedule was last looked at. */
  readonly #lookedAt = new Map<string, number>();

  constructor(options: ScheduleReconcilerOptions) {
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
    const own = this.#own(schedule);
    const wake: number[] = [];
    const timed = await this.#byTime(schedule, running, own, wake, signal);
    await this.#byAnnotation(schedule, running, signal);
    await this.#byPreemption(schedule, pods, signal);
    await this.#byThreshold(schedule, running, own, wake, signal);
    await this.#restoreFailures(schedule, pods, signal);
    await this.#restoreDrained(schedule, own, signal);
    const rehearsal = await this.#rehearse(schedule, own, wake, signal);
    const pruned = await this.#prune(schedule, signal);
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

  #own(schedule: ScheduleObject): readonly CheckpointObject[] {
    const label = labelOf(schedule);
    return this.#options.checkpoints
      .list(schedule.metadata.namespace)
      .filter(({ metadata }) => metadata.labels?.[checkpointScheduleLabel] === label)
      .toSorted(newestFirst);
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

  /** A container that ended with an error goes on from the pod's newest checkpoint, in place, or, where containers don't start again, in a new pod. */
  async #restoreFailures(schedule: ScheduleObject, pods: readonly Pod[], signal: AbortSignal): Promise<void> {
    if (schedule.spec.restoreOnFailure !== true) return;
    const { restores: asked, checkpoints: known } = this.#options;
    const { namespace = "" } = schedule.metadata;
    const byPod = Map.groupBy(asked.list(namespace), (restore) => restore.spec.podName);
    for (const pod of pods) {
      const { name = "", uid = "", deletionTimestamp } = pod.metadata;
      if (deletionTimestamp !== undefined) continue;
      if (!pod.status?.containerStatuses?.some(({ state, lastState }) => state?.terminated ?? lastState?.terminated))
        continue;
      const ofPod = byPod.get(name) ?? [];
      if (ofPod.some(restoreIsOpen)) continue;
      // What a restore in place stopped is no failure.
      const stopped = new Set(ofPod.flatMap(({ status }) => status?.replaced ?? []));
      const failed = (pod.status?.containerStatuses ?? []).find(({ state, lastState }) => {
        const end = state?.terminated ?? lastState?.terminated;
        return end !== undefined && end.exitCode !== 0 && !stopped.has(end.containerID ?? "");
      });
      const end = failed?.state?.terminated ?? failed?.lastState?.terminated;
      if (failed === undefined || end === undefined) continue;
      const newest = known
        .list(namespace)
        .filter((checkpoint) => isDone(checkpoint) && !isBeingDeleted(checkpoint) && checkpoint.status?.podUID === uid)
        .toSorted(newestFirst)[0];
      if (newest === undefined || takenAt(newest) < time(pod.status?.startTime ?? undefined)) continue;
      const from = newest.metadata.name ?? "";
      if (ofPod.filter(({ spec }) => spec.checkpointName === from).length >= maxFailureRestores) continue;
      const ended = pod.status?.phase === "Failed";
      await this.#restore(
        schedule,
        occasionName(name, uid, failed.name, end.containerID ?? ""),
        "failure",
        {
          checkpointName: from,
          podName: ended ? occasionName(name, uid, "again") : name,
          mode: ended ? "Create" : "InPlace",
          acceptRisks: true,
        },
        signal,
      );
    }
  }

  /** A pod without a controller that was drained goes on elsewhere. */
  async #restoreDrained(
    schedule: ScheduleObject,
    own: readonly CheckpointObject[],
    signal: AbortSignal,
  ): Promise<void> {
    for (const checkpoint of own) {
      if (checkpoint.metadata.annotations?.[restoreAfterDrainAnnotation] !== "true" || !isDone(checkpoint)) continue;
      const { podName } = checkpoint.spec;
      const pod = this.#options.pods.get({ namespace: checkpoint.metadata.namespace ?? "", name: podName });
      const isSource = pod?.metadata.uid === checkpoint.status?.podUID;
      // It has not been evicted, or somebody else has that name already.
      if (pod !== undefined && !(isSource && pod.metadata.deletionTimestamp !== undefined)) continue;
      const name = occasionName(podName, checkpoint.metadata.uid ?? "", "drain");
      await this.#restore(
        schedule,
        name,
        "drain",
        { checkpointName: checkpoint.metadata.name ?? "", podName, stopSource: true, acceptRisks: true },
        signal,
      );
    }
  }

  async #rehearse(
    schedule: ScheduleObject,
    own: readonly CheckpointObject[],
    wake: number[],
    signal: AbortSignal,
  ): Promise<CheckpointScheduleStatus["rehearsal"]> {
    const { client, clock, metrics, restores: asked } = this.#options;
    const { rehearsal: policy } = schedule.spec;
    if (policy === undefined) return undefined;
    const { namespace = "", name = "" } = schedule.metadata;
    const now = clock.now();
    const last = schedule.status?.rehearsal;
    if (last?.result === "Running") {
      const restore = asked.get({ namespace, name: last.restoreName ?? "" });
      if (restore !== undefined && restoreIsOpen(restore)) return last;
      const passed = restore?.status?.phase === "Succeeded";
      // Then the scratch pod goes.
      wake.push(now + (policy.keepSeconds ?? 0) * 1000);
      const message = restore?.status?.conditions?.[0]?.message ?? "the restore was deleted";
      metrics?.rehearsed(passed ? "passed" : "failed");
      if (!passed)
        this.#options.events?.event({
          regarding: schedule,
          type: "Warning",
          reason: "RehearsalFailed",
          action: "Rehearse",
          note: message,
        });
      return { ...last, time: new Date(now).toISOString(), result: passed ? "Passed" : "Failed", message };
    }
    const scratch = last?.restoreName;
    const endsAt = time(last?.time) + (policy.keepSeconds ?? 0) * 1000;
    if (scratch !== undefined && this.#options.pods.get({ namespace, name: scratch }) !== undefined) {
      if (now >= endsAt)
        try {
          await client.delete(Pods, { namespace, name: scratch }, { gracePeriodSeconds: 1, signal });
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      else wake.push(endsAt);
    }
    const due = Number.isNaN(time(last?.time)) ? now : time(last?.time) + policy.intervalSeconds * 1000;
    if (now < due) {
      wake.push(due);
      return last;
    }
    const newest = own.find((checkpoint) => isDone(checkpoint) && !isBeingDeleted(checkpoint));
    if (newest === undefined) return last;
    const restoreName = occasionName(`${name}-rehearsal`, newest.metadata.uid ?? "", String(due));
    const checkpointName = newest.metadata.name ?? "";
    await this.#restore(
      schedule,
      restoreName,
      "rehearsal",
      { checkpointName, podName: restoreName, isolated: true, volumes: "Scratch", acceptRisks: true },
      signal,
    );
    return { restoreName, checkpointName, result: "Running", ...(last?.time && { time: last.time }) };
  }

  async #restore(
    schedule: ScheduleObject,
    name: string,
    trigger: string,
    spec: RestoreObject["spec"],
    signal: AbortSignal,
  ): Promise<void> {
    const { namespace = "" } = schedule.metadata;
    const object: RestoreObject = {
      apiVersion: "fleetwright.dev/v1alpha1",
      kind: "CheckpointRestore",
      metadata: {
        namespace,
        name,
        labels: { [checkpointScheduleLabel]: labelOf(schedule), [restoreTriggerLabel]: trigger },
      },
      spec,
    };
    try {
      await this.#options.client.create(restores, object, { signal });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }

  async #prune(schedule: ScheduleObject, signal: AbortSignal): Promise<number> {
    const { client, clock, checkpoints: known, restores: asked, metrics } = this.#options;
    const { namespace = "" } = schedule.metadata;
    const finished = asked
      .list(namespace)
      .filter(
        (restore) =>
          restore.metadata.labels?.[checkpointScheduleLabel] === labelOf(schedule) && !restoreIsOpen(restore),
      )
      .toSorted(
        (a, b) => time(b.metadata.creationTimestamp ?? undefined) - time(a.metadata.creationTimestamp ?? undefined),
      );
    // Those of pods that are there tell what must not be taken for a failure.
    for (const [, all] of Map.groupBy(finished, ({ metadata }) => metadata.labels?.[restoreTriggerLabel]))
      for (const restore of all.slice(keptRestores))
        if (this.#options.pods.get({ namespace, name: restore.spec.podName }) === undefined)
          await client
            .delete(restores, { namespace, name: restore.metadata.name ?? "" }, { signal })
            .catch(ignoreNotFound);
    const { retention } = schedule.spec;
    // Nothing is decided on what is not whole.
    if (retention === undefined || !known.synced() || !asked.synced()) return 0;
    const list = keptCheckpoints(this.#own(schedule), asked.list(namespace), clock.now());
    const policy = policyOf(schedule);
    let pruned = 0;
    const going = decideRetention({ complete: true, checkpoints: list }, policy, clock.now()).filter(
      ({ keep }) => !keep,
    );
    await allInParallel(going, signal, async ({ id, reasons }) => {
      const checkpoint = known.get({ namespace, name: id });
      const { uid, resourceVersion } = checkpoint?.metadata ?? {};
      if (checkpoint === undefined || isBeingDeleted(checkpoint) || !uid || !resourceVersion) return;
      // A pin that came meanwhile changes the version: nothing is deleted then.
      try {
        await client.delete(checkpoints, { namespace, name: id }, { preconditions: { uid, resourceVersion }, signal });
        pruned++;
        this.#options.logger.info({ checkpoint: `${namespace}/${id}`, reasons }, "checkpoint pruned");
      } catch (error) {
        ignoreNotFound(error);
      }
    });
    if (pruned > 0) metrics?.pruned(pruned);
    return pruned;
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

function ignoreNotFound(error: unknown): void {
  // A conflict: it has changed since it was judged, and is judged again.
  const status = (error as { readonly httpStatus?: number }).httpStatus;
  if (!isNotFound(error) && status !== 409) throw error;
}

/** A schedule's retention as amounts. */
export function policyOf({ spec }: ScheduleObject): RetentionPolicy {
  const { maxAgeSeconds, maxTotalSize, ...counts } = spec.retention ?? {};
  return {
    ...counts,
    ...(spec.timeZone && { timeZone: spec.timeZone }),
    ...(maxAgeSeconds !== undefined && { maxAgeMs: maxAgeSeconds * 1000 }),
    ...(maxTotalSize !== undefined && { maxTotalBytes: parseQuantity(String(maxTotalSize)).toNumber() }),
  };
}

/** Checkpoints as retention sees them. */
export function keptCheckpoints(
  own: readonly CheckpointObject[],
  asked: readonly RestoreObject[],
  now: number,
): readonly KeptCheckpoint[] {
  const users = Map.groupBy(asked.filter(restoreIsOpen), (restore) => restore.spec.checkpointName);
  return own
    .filter((checkpoint) => !isBeingDeleted(checkpoint))
    .map((checkpoint) => ({
      id: checkpoint.metadata.name ?? "",
      subject: checkpoint.spec.podName,
      time: takenAt(checkpoint),
      sizeBytes: (checkpoint.status?.containers ?? []).reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0),
      state: isDone(checkpoint) ? "restorable" : isOpen(checkpoint) ? "unfinished" : "failed",
      pins: (checkpoint.spec.pins ?? [])
        .filter(({ until }) => until === undefined || Date.parse(until) > now)
        .map(({ owner }) => owner),
      usedBy: (users.get(checkpoint.metadata.name ?? "") ?? []).map(
        (restore) => `CheckpointRestore ${restore.metadata.name}`,
      ),
    }));
}

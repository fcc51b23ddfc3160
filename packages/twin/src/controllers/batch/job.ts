import {
  createController,
  isNotFound,
  Jobs,
  keyOf,
  keyString,
  Pods,
  timeText,
  toController,
  watch,
} from "@fleetwright/kube";
import type { Job, JobCondition, JobStatus, Pod } from "@fleetwright/kube";
import { batched } from "../batched.ts";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { claim } from "../pods/claim.ts";
import { byController, catchUpMs, controlledOrOrphaned, controllerIndex, WrittenVersions } from "../pods/controlled.ts";
import { byDeletionRank } from "../pods/deletion-rank.ts";
import { isActive, isFinished, isReady, isTerminating } from "../pods/pod-state.ts";
import { PodWriter, slowStart } from "../pods/pod-writer.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import { orphanRequests } from "../workloads/orphans.ts";
import { formatIndexes, parseIndexes } from "./indexes.ts";
import {
  failureMarks,
  failuresWith,
  finishTime,
  indexOf,
  isFailed,
  isIndexed,
  isSucceeded,
  isTracked,
  jobPod,
  replacesOnlyFailed,
  trackingFinalizer,
} from "./job-pods.ts";
import { failureVerdict, successReached } from "./job-policies.ts";

const name = "job-controller";
/** Pods that one look creates, deletes or counts at most. */
const burst = 500;
const firstBackoffMs = 10_000;
const maxBackoffMs = 600_000;
const ownManager = "kubernetes.io/job-controller";

/** Runs pods to their end (pkg/controller/job). */
export const jobController: Controllers = (context) => [start(context)];

/** How often a Job's pods have failed since one succeeded, and when last, in milliseconds. */
interface Failures {
  readonly count: number;
  readonly latest: number;
}

/** How a Job is to end. */
interface Verdict {
  readonly type: "SuccessCriteriaMet" | "FailureTarget";
  readonly reason: string;
  readonly message: string;
}

const isOver = (job: Job): boolean =>
  job.status?.conditions?.some(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  ) === true;
const holds = (status: JobStatus | undefined, wanted: string): JobCondition | undefined =>
  status?.conditions?.find(({ type, status: value }) => type === wanted && value === "True");

function start(context: ControllerContext): Part {
  const { cache, clock, logger } = context;
  const jobs = cache.informer(Jobs);
  const pods = cache.informer(Pods, { indexes: { [controllerIndex]: byController } });
  const client = context.clientOf(name);
  const events = context.eventsOf(name);
  const writer = new PodWriter(client, events);
  const written = new WrittenVersions(pods);
  const writtenOwn = new WrittenVersions(jobs);
  const failures = new Map<string, Failures>();

  async function reconcile(key: {
    readonly namespace?: string;
    readonly name: string;
  }): Promise<{ requeueAfterMs?: number }> {
    const id = keyString(key);
    const job = jobs.get(key);
    if (job === undefined) {
      written.forget(id);
      writtenOwn.forget(id);
      failures.delete(id);
      return {};
    }
    if ((job.spec?.managedBy ?? ownManager) !== ownManager) return {};
    if (!written.caughtUp(id) || !writtenOwn.caughtUp(id)) return { requeueAfterMs: catchUpMs };
    const owned = await claim({
      client,
      resource: Pods,
      ownerResource: Jobs,
      owner: job,
      selector: job.spec?.selector ?? {},
      candidates: controlledOrOrphaned(pods, job),
      onWrite: (answer) => written.note(id, answer),
    });
    if (isOver(job)) {
      await untrack(
        id,
        owned.filter((pod) => isTracked(pod) && (isFinished(pod) || isTerminating(pod))),
      );
      return {};
    }
    return new Sync(job, id, owned).run();
  }

  /** Takes the tracking finalizer off. @returns the UIDs of those that have lost it */
  async function untrack(id: string, tracked: readonly Pod[]): Promise<ReadonlySet<string>> {
    const done = new Set<string>();
    const results = await Promise.allSettled(
      tracked.map(async (pod) => {
        const finalizers = (pod.metadata.finalizers ?? []).filter((each) => each !== trackingFinalizer);
        const { uid = "" } = pod.metadata;
        const patch = { metadata: { uid, finalizers: finalizers.length === 0 ? null : finalizers } };
        try {
          written.note(id, await client.patch(Pods, keyOf(pod), { type: "merge", patch }));
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
        done.add(uid);
      }),
    );
    const failure = results.find((result) => result.status === "rejected");
    if (failure !== undefined && done.size === 0) throw failure.reason;
    return done;
  }

  /** One look at one Job (`syncJob`). */
  class Sync {
    readonly #id: string;
    readonly #owned: readonly Pod[];
    #job: Job;
    #requeueMs: number | undefined;
    /** Pods that are not wanted, and no longer tracked. */
    readonly #withdrawn = new Set<Pod>();
    /** Pods that go by this look. */
    readonly #deleted = new Set<Pod>();

    constructor(job: Job, id: string, owned: readonly Pod[]) {
      this.#job = job;
      this.#id = id;
      this.#owned = owned;
    }

    async run(): Promise<{ requeueAfterMs?: number }> {
      const job = this.#job;
      const spec = job.spec;
      const isGoing = job.metadata.deletionTimestamp !== undefined;
      const suspended = spec?.suspend === true;
      const now = clock.now();
      const status: JobStatus = { ...job.status };
      const startTime = status.startTime ?? (suspended ? undefined : timeText(now));
      const uncounted = status.uncountedTerminatedPods ?? {};
      const known = new Set([...(uncounted.succeeded ?? []), ...(uncounted.failed ?? [])]);
      const fresh = this.#owned.filter((pod) => isTracked(pod) && !known.has(pod.metadata.uid ?? ""));
      const newSucceeded = fresh.filter(isSucceeded);
      const newFailed = fresh.filter((pod) => isFailed(job, pod));
      const verdicts = new Map(newFailed.map((pod) => [pod, failureVerdict(job, pod)]));
      const countedFailed = newFailed.filter((pod) => verdicts.get(pod)?.counts === true);
      const succeeded = (status.succeeded ?? 0) + newSucceeded.length + (uncounted.succeeded?.length ?? 0);
      const failed = (status.failed ?? 0) + countedFailed.length + (uncounted.failed?.length ?? 0);
      const completed = new Set(isIndexed(job) ? parseIndexes(status.completedIndexes, spec?.completions) : []);
      if (isIndexed(job)) for (const pod of newSucceeded) addIndex(completed, pod, spec?.completions);
      const failedIndexes = this.#failedIndexes(verdicts);
      const active = this.#owned.filter(isActive);
      const recent = this.#noteFailures(newSucceeded, newFailed);
      const verdict = this.#verdict({
        status,
        verdicts,
        succeeded: isIndexed(job) ? completed.size : succeeded,
        failed,
        completed,
        failedIndexes,
        active,
        startTime,
      });

      let failure: unknown;
      let created = 0;
      if (verdict !== undefined) failure = await this.#delete(active);
      else if (!isGoing) {
        ({ failure, created } = suspended
          ? { failure: await this.#withdraw(active), created: 0 }
          : await this.#manage({ active, succeeded, completed, failedIndexes, newFailed, verdicts, failures: recent }));
      }
      const left = active.filter((pod) => !this.#deleted.has(pod));
      const next: JobStatus = {
        ...status,
        ...(startTime === undefined ? {} : { startTime }),
        active: left.length + created,
        ready: left.filter(isReady).length,
        terminating: this.#owned.filter((pod) => (isTerminating(pod) || this.#deleted.has(pod)) && !isFinished(pod))
          .length,
      };
      await this.#track(this.#withSuspension(next, suspended && verdict === undefined, now), verdict, {
        newSucceeded,
        newFailed,
        countedFailed,
        completed,
        failedIndexes,
      });
      if (failure !== undefined) throw failure;
      failures.set(this.#id, recent);
      return this.#requeueMs === undefined ? {} : { requeueAfterMs: this.#requeueMs };
    }

    #soon(ms: number): void {
      this.#requeueMs = Math.min(this.#requeueMs ?? ms, Math.max(1, ms));
    }

    #verdict(state: {
      readonly status: JobStatus;
      readonly verdicts: ReadonlyMap<Pod, ReturnType<typeof failureVerdict>>;
      readonly succeeded: number;
      readonly failed: number;
      readonly completed: ReadonlySet<number>;
      readonly failedIndexes: ReadonlySet<number> | undefined;
      readonly active: readonly Pod[];
      readonly startTime: string | undefined;
    }): Verdict | undefined {
      const { status, verdicts, succeeded, failed, completed, failedIndexes, active, startTime } = state;
      const decided = holds(status, "FailureTarget") ?? holds(status, "SuccessCriteriaMet");
      if (decided !== undefined) {
        const { type, reason = "", message = "" } = decided;
        return { type: type as Verdict["type"], reason, message };
      }
      const { spec } = this.#job;
      const fails = (reason: string, message: string): Verdict => ({ type: "FailureTarget", reason, message });
      const policy = [...verdicts.values()].find(({ failsJob }) => failsJob !== undefined)?.failsJob;
      if (policy !== undefined) return fails("PodFailurePolicy", policy);
      const limit = spec?.backoffLimit ?? 6;
      if (failed > limit || restartsExceed(spec?.template.spec?.restartPolicy, active, limit)) {
        return fails("BackoffLimitExceeded", "Job has reached the specified backoff limit");
      }
      const deadline = spec?.activeDeadlineSeconds;
      if (deadline !== undefined && startTime !== undefined && spec?.suspend !== true) {
        const left = Date.parse(startTime) + deadline * 1000 - clock.now();
        if (left <= 0) return fails("DeadlineExceeded", "Job was active longer than specified deadline");
        this.#soon(left);
      }
      if (failedIndexes !== undefined) {
        if (spec?.maxFailedIndexes !== undefined && failedIndexes.size > spec.maxFailedIndexes) {
          return fails("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
        }
        if (failedIndexes.size > 0 && completed.size + failedIndexes.size >= (spec?.completions ?? 0))
          return fails("FailedIndexes", "Job has failed indexes");
      }
      const succeeds = (reason: string, message: string): Verdict => ({ type: "SuccessCriteriaMet", reason, message });
      const rule = isIndexed(this.#job) ? successReached(this.#job, completed) : undefined;
      if (rule !== undefined) return succeeds("SuccessPolicy", rule);
      const isComplete =
        spec?.completions === undefined
          ? succeeded > 0 && active.length === 0
          : succeeded >= spec.completions && (isIndexed(this.#job) || active.length === 0);
      return isComplete ? succeeds("CompletionsReached", "Reached expected number of succeeded pods") : undefined;
    }

    #failedIndexes(verdicts: ReadonlyMap<Pod, ReturnType<typeof failureVerdict>>): ReadonlySet<number> | undefined {
      const limit = this.#job.spec?.backoffLimitPerIndex;
      if (limit === undefined || !isIndexed(this.#job)) return undefined;
      const failed = new Set(parseIndexes(this.#job.status?.failedIndexes, this.#job.spec?.completions));
      for (const [pod, verdict] of verdicts) {
        if (verdict.failsIndex || failuresWith(pod, verdict.counts) > limit)
          addIndex(failed, pod, this.#job.spec?.completions);
      }
      return failed;
    }

    /** Pods that are not wanted do not count: they lose their finalizer first (`deleteJobPods`). */
    async #withdraw(pods: readonly Pod[]): Promise<unknown> {
      await untrack(this.#id, pods.slice(0, burst).filter(isTracked));
      for (const pod of pods.slice(0, burst)) this.#withdrawn.add(pod);
      return this.#delete(pods);
    }

    async #delete(active: readonly Pod[]): Promise<unknown> {
      const owner = { resource: Jobs, object: this.#job };
      const results = await Promise.allSettled(
        active.slice(0, burst).map(async (pod) => {
          written.note(this.#id, await writer.delete(owner, pod));
          this.#deleted.add(pod);
        }),
      );
      return results.find((result) => result.status === "rejected")?.reason;
    }

    /** As many pods as are wanted now (`manageJob`). */
    async #manage(state: {
      readonly active: readonly Pod[];
      readonly succeeded: number;
      readonly completed: ReadonlySet<number>;
      readonly failedIndexes: ReadonlySet<number> | undefined;
      readonly newFailed: readonly Pod[];
      readonly verdicts: ReadonlyMap<Pod, ReturnType<typeof failureVerdict>>;
      readonly failures: Failures;
    }): Promise<{ readonly failure: unknown; readonly created: number }> {
      const { active, completed, failedIndexes } = state;
      const { parallelism = 1, completions } = this.#job.spec ?? {};
      const indexed = isIndexed(this.#job);
      const succeeded = indexed ? completed.size : state.succeeded;
      const settled = succeeded + (failedIndexes?.size ?? 0);
      const wanted =
        completions === undefined
          ? succeeded > 0
            ? active.length
            : parallelism
          : Math.max(0, Math.min(parallelism, completions - settled));
      if (active.length > wanted) {
        const surplus = byDeletionRank(active, new Map(), clock.now()).slice(0, active.length - wanted);
        return { failure: await this.#withdraw(surplus), created: 0 };
      }
      const going = replacesOnlyFailed(this.#job)
        ? this.#owned.filter((pod) => isTerminating(pod) && !isFinished(pod))
        : [];
      let missing = wanted - active.length - going.length;
      if (indexed) {
        // Pods of indexes that nobody asks for (twice) go.
        const seen = new Set<number>();
        const useless = active.filter((pod) => {
          const index = indexOf(pod);
          if (index === undefined || index >= (completions ?? 0) || completed.has(index) || seen.has(index))
            return true;
          seen.add(index);
          return false;
        });
        if (useless.length > 0) return { failure: await this.#withdraw(useless), created: 0 };
      }
      if (missing <= 0) return { failure: undefined, created: 0 };
      missing = Math.min(missing, burst);
      const owner = { resource: Jobs, object: this.#job };
      const made: Pod[] = [];
      if (indexed) {
        const busy = new Set([...active, ...going].map(indexOf));
        for (let index = 0; index < (completions ?? 0) && made.length < missing; index++) {
          if (completed.has(index) || failedIndexes?.has(index) === true || busy.has(index)) continue;
          const indexFailures = this.#failuresOf(index);
          const limited = this.#job.spec?.backoffLimitPerIndex !== undefined;
          const latest = Math.max(0, ...indexFailures.map(({ pod }) => finishTime(pod)));
          if (limited && this.#backsOff({ count: indexFailures.length, latest })) continue;
          made.push(jobPod(this.#job, index, limited ? failureMarks(indexFailures) : {}));
        }
        if (failedIndexes === undefined && this.#backsOff(state.failures)) return { failure: undefined, created: 0 };
      } else {
        if (this.#backsOff(state.failures)) return { failure: undefined, created: 0 };
        for (let count = 0; count < missing; count++) made.push(jobPod(this.#job, undefined));
      }
      const { done, error } = await slowStart(made.length, async (index) => {
        const pod = made[index];
        if (pod !== undefined) written.note(this.#id, await writer.create(owner, pod));
      });
      return { failure: error, created: done };
    }

    #failuresOf(index: number): readonly { readonly pod: Pod; readonly ignored: boolean }[] {
      return this.#owned
        .filter((pod) => indexOf(pod) === index && isFailed(this.#job, pod))
        .map((pod) => ({ pod, ignored: !failureVerdict(this.#job, pod).counts }));
    }

    /** Pods that failed since the last that succeeded: remembered, since pods go (`backoff_utils.go`, `newBackoffRecord`). */
    #noteFailures(succeeded: readonly Pod[], failed: readonly Pod[]): Failures {
      const before = failures.get(this.#id) ?? { count: 0, latest: 0 };
      const lastSuccess = Math.max(0, ...succeeded.map(finishTime));
      const times = failed.map(finishTime).filter((time) => time > lastSuccess);
      const base = succeeded.length > 0 ? { count: 0, latest: 0 } : before;
      return { count: base.count + times.length, latest: Math.max(base.latest, ...times) };
    }

    /** 10 s after a failure, doubled with each to ten minutes. */
    #backsOff({ count, latest }: Failures): boolean {
      if (count === 0) return false;
      const left = latest + Math.min(maxBackoffMs, firstBackoffMs * 2 ** (count - 1)) - clock.now();
      if (left <= 0) return false;
      this.#soon(left);
      return true;
    }

    #withSuspension(status: JobStatus, suspended: boolean, now: number): JobStatus {
      const before = status.conditions?.find(({ type }) => type === "Suspended");
      if (suspended === (before?.status === "True")) return status;
      if (!suspended && before === undefined) return status;
      const [reason, message] = suspended
        ? (["JobSuspended", "Job suspended"] as const)
        : (["JobResumed", "Job resumed"] as const);
      events.event({ about: this.#job, type: "Normal", reason: suspended ? "Suspended" : "Resumed", message });
      const condition = newCondition("Suspended", suspended ? "True" : "False", reason, message, now);
      const conditions =
        before === undefined
          ? [...(status.conditions ?? []), condition]
          : (status.conditions ?? []).map((each) => (each === before ? condition : each));
      const { startTime: _startTime, ...rest } = status;
      return { ...rest, conditions, ...(suspended ? {} : { startTime: timeText(now) }) };
    }

    /**
     * Pods that have ended are counted once: first their UIDs are written down, then they lose their finalizer, then the counters grow
     * (`trackJobStatusAndRemoveFinalizers`).
     */
    async #track(
      status: JobStatus,
      verdict: Verdict | undefined,
      counted: {
        readonly newSucceeded: readonly Pod[];
        readonly newFailed: readonly Pod[];
        readonly countedFailed: readonly Pod[];
        readonly completed: ReadonlySet<number>;
        readonly failedIndexes: ReadonlySet<number> | undefined;
      },
    ): Promise<void> {
      const now = clock.now();
      const indexed = isIndexed(this.#job);
      const stillTracked = new Set(this.#owned.filter(isTracked).map(({ metadata }) => metadata.uid ?? ""));
      let next = settled(status, stillTracked);
      const uids = (list: readonly Pod[]): readonly string[] => list.map(({ metadata }) => metadata.uid ?? "");
      const waiting = next.uncountedTerminatedPods ?? {};
      // A Job that ends counts the pods that it has told to go as failed once they are over.
      const succeededUids = indexed ? [] : [...(waiting.succeeded ?? []), ...uids(counted.newSucceeded)];
      const failedUids = [...(waiting.failed ?? []), ...uids(counted.countedFailed)];
      next = {
        ...next,
        ...(indexed && {
          succeeded: counted.completed.size,
          ...(counted.completed.size > 0 ? { completedIndexes: formatIndexes(counted.completed) } : {}),
        }),
        ...(counted.failedIndexes === undefined ? {} : { failedIndexes: formatIndexes(counted.failedIndexes) }),
        uncountedTerminatedPods: {
          ...(succeededUids.length > 0 && { succeeded: succeededUids }),
          ...(failedUids.length > 0 && { failed: failedUids }),
        },
      };
      if (verdict !== undefined && holds(next, verdict.type) === undefined) {
        next = {
          ...next,
          conditions: [
            ...(next.conditions ?? []),
            newCondition(verdict.type, "True", verdict.reason, verdict.message, now),
          ],
        };
      }
      const isGoing = this.#job.metadata.deletionTimestamp !== undefined;
      const ended = this.#owned.filter(
        (pod) =>
          isTracked(pod) &&
          !this.#withdrawn.has(pod) &&
          (isGoing ||
            isSucceeded(pod) ||
            isFailed(this.#job, pod) ||
            (verdict !== undefined && isTerminating(pod) && !replacesOnlyFailed(this.#job))),
      );
      if (ended.length > 0) {
        if (!sameValue(clean(next), clean(this.#job.status ?? {}))) await this.#write(next);
        const lost = await untrack(this.#id, ended.slice(0, burst));
        for (const uid of lost) stillTracked.delete(uid);
        next = settled(next, stillTracked);
      }
      // How it ends is written down before it has ended.
      else if (verdict !== undefined && holds(this.#job.status, verdict.type) === undefined) await this.#write(next);
      const isSettled = Object.keys(next.uncountedTerminatedPods ?? {}).length === 0;
      const isQuiet = (next.active ?? 0) === 0 && (next.terminating ?? 0) === 0;
      const ends = verdict !== undefined && isSettled && isQuiet;
      if (ends) next = finished(next, verdict, now);
      if (!sameValue(clean(next), clean(this.#job.status ?? {}))) await this.#write(next);
      if (ends) this.#sayFinished(verdict);
    }

    #sayFinished(verdict: Verdict): void {
      const isSuccess = verdict.type === "SuccessCriteriaMet";
      events.event({
        about: this.#job,
        type: isSuccess ? "Normal" : "Warning",
        reason: isSuccess ? "Completed" : verdict.reason,
        message: isSuccess ? "Job completed" : verdict.message,
      });
    }

    async #write(status: JobStatus): Promise<void> {
      this.#job = await client.updateStatus(Jobs, { ...this.#job, status: clean(status) });
      writtenOwn.note(this.#id, this.#job);
    }
  }

  return createController({
    name: "job",
    reconciler: retryConflicts(reconcile),
    sources: [
      watch(jobs),
      batched(watch(pods, { map: toController(Jobs) })),
      orphanRequests(pods, jobs, ({ spec }) => spec?.selector),
      orphanedFinalizers(),
    ],
    concurrency: 10,
    clock,
    logger,
  });

  /** Pods whose Job is gone must not wait for it (`syncOrphanPod`). */
  function orphanedFinalizers() {
    const freed = async (pod: Pod): Promise<void> => {
      const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
      if (owner?.kind === "Job") {
        const key = { namespace: pod.metadata.namespace ?? "", name: owner.name };
        if (jobs.get(key)?.metadata.uid === owner.uid) return;
        // The cache of Jobs may be behind that of pods.
        const live = await client.get(Jobs, key).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
        if (live?.metadata.uid === owner.uid) return;
      }
      await untrack("", [pod]);
    };
    const free = (pod: Pod): void => {
      if (!isTracked(pod)) return;
      void freed(pod).catch((error: unknown) => logger.warn({ error }, "a pod without its Job could not be freed"));
    };
    return {
      start: () => {
        const removers = [
          pods.addHandler({ added: free, updated: (_: Pod, after: Pod) => free(after) }),
          jobs.addHandler({ deleted: (job) => pods.byIndex(controllerIndex, job.metadata.uid ?? "").forEach(free) }),
        ];
        return () => removers.forEach((remove) => remove());
      },
    };
  }
}

function addIndex(indexes: Set<number>, pod: Pod, completions: number | undefined): void {
  const index = indexOf(pod);
  if (index !== undefined && index < (completions ?? 0)) indexes.add(index);
}

/** Containers that restart in place count as failures, too (`pastBackoffLimitOnFailure`). */
function restartsExceed(policy: string | undefined, active: readonly Pod[], limit: number): boolean {
  if (policy !== "OnFailure") return false;
  let restarts = 0;
  for (const { status } of active) {
    for (const { restartCount = 0 } of [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])])
      restarts += restartCount;
  }
  return limit === 0 ? restarts > 0 : restarts >= limit;
}

/** Pods that have lost their finalizer are counted. */
function settled(status: JobStatus, stillTracked: ReadonlySet<string>): JobStatus {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  const [waitingSucceeded, waitingFailed] = [succeeded, failed].map((uids) =>
    uids.filter((uid) => stillTracked.has(uid)),
  );
  const more = (count: number | undefined, all: readonly string[], waiting: readonly string[] = []): number =>
    (count ?? 0) + all.length - waiting.length;
  return {
    ...status,
    succeeded: more(status.succeeded, succeeded, waitingSucceeded),
    failed: more(status.failed, failed, waitingFailed),
    uncountedTerminatedPods: {
      ...(waitingSucceeded && waitingSucceeded.length > 0 && { succeeded: waitingSucceeded }),
      ...(waitingFailed && waitingFailed.length > 0 && { failed: waitingFailed }),
    },
  };
}

function newCondition(type: string, status: string, reason: string, message: string, now: number): JobCondition {
  const at = timeText(now);
  return { type, status, lastProbeTime: at, lastTransitionTime: at, reason, message };
}

function finished(status: JobStatus, { type, reason, message }: Verdict, now: number): JobStatus {
  const isSuccess = type === "SuccessCriteriaMet";
  const condition = newCondition(isSuccess ? "Complete" : "Failed", "True", reason, message, now);
  return {
    ...status,
    conditions: [...(status.conditions ?? []), condition],
    ...(isSuccess && { completionTime: timeText(now) }),
  };
}

/** Counters of 0 are left out, except the two that are always told. */
function clean(status: JobStatus): JobStatus {
  const { active, succeeded, failed, uncountedTerminatedPods = {}, ...rest } = status;
  return {
    ...rest,
    ...(active ? { active } : {}),
    ...(succeeded ? { succeeded } : {}),
    ...(failed ? { failed } : {}),
    uncountedTerminatedPods,
  };
}

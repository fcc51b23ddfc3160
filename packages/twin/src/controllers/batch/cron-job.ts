import {
  createController,
  CronJobs,
  isAlreadyExists,
  isNotFound,
  Jobs,
  keyOf,
  ownerReferenceTo,
  parseCronSchedule,
  timeText,
  toController,
  watch,
} from "@fleetwright/kube";
import type { CronJob, CronJobStatus, Job, ObjectReference } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { byController, controlledBy, controllerIndex } from "../pods/controlled.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";

const name = "cronjob-controller";
const scheduledAnnotation = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/** More missed starts than this are too many to count (`mostRecentScheduleTime`). */
const manyMissed = 100;
/** The next look comes a little after the start is due. */
const lateMs = 100;

/** Starts Jobs by a schedule (pkg/controller/cronjob/cronjob_controllerv2.go). */
export const cronJobController: Controllers = (context) => [start(context)];

const endOf = (job: Job): "Complete" | "Failed" | undefined => {
  const condition = job.status?.conditions?.find(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
  return condition?.type as "Complete" | "Failed" | undefined;
};

function start(context: ControllerContext): Part {
  const { cache, clock, logger } = context;
  const cronJobs = cache.informer(CronJobs);
  const jobs = cache.informer(Jobs, { indexes: { [controllerIndex]: byController } });
  const client = context.clientOf(name);
  const events = context.eventsOf(name);
  const say = (about: CronJob, type: "Normal" | "Warning", reason: string, message: string): void =>
    events.event({ about, type, reason, message });

  async function reconcile(key: {
    readonly namespace?: string;
    readonly name: string;
  }): Promise<{ requeueAfterMs?: number }> {
    let cronJob = cronJobs.get(key);
    if (cronJob === undefined || cronJob.metadata.deletionTimestamp !== undefined) return {};
    const own = controlledBy(jobs, cronJob);
    const write = async (status: CronJobStatus): Promise<void> => {
      if (cronJob !== undefined && !sameValue(status, cronJob.status ?? {}))
        cronJob = await client.updateStatus(CronJobs, { ...cronJob, status });
    };
    await write(activeStatus(cronJob, own));
    await trim(cronJob, own);
    const { suspend, schedule, timeZone } = cronJob.spec;
    if (suspend === true) return {};
    const times = parseCronSchedule(schedule, timeZone);
    const now = clock.now();
    const wait = (): { requeueAfterMs?: number } => {
      const next = times.next(now);
      return next === undefined ? {} : { requeueAfterMs: next - now + lateMs };
    };
    if (times.next(now) === undefined) {
      say(
        cronJob,
        "Warning",
        "InvalidSchedule",
        `invalid schedule: ${schedule} : time difference between two schedules is less than 1 second`,
      );
      return {};
    }
    const due = dueTime(cronJob, times, now);
    if (due === undefined) return wait();
    const deadline = cronJob.spec.startingDeadlineSeconds;
    if (deadline !== undefined && due + deadline * 1000 < now) {
      say(cronJob, "Warning", "MissSchedule", `Missed scheduled time to start a job: ${new Date(due).toUTCString()}`);
      return wait();
    }
    if (cronJob.status?.lastScheduleTime === timeText(due)) return wait();
    const active = cronJob.status?.active ?? [];
    if (cronJob.spec.concurrencyPolicy === "Forbid" && active.length > 0) {
      say(
        cronJob,
        "Normal",
        "JobAlreadyActive",
        "Not starting job because prior execution is running and concurrency policy is Forbid",
      );
      return wait();
    }
    if (cronJob.spec.concurrencyPolicy === "Replace") {
      for (const { namespace = "", name: jobName = "" } of active) await remove(cronJob, { namespace, name: jobName });
      await write({ ...cronJob.status, active: [] });
    }
    const job = jobOf(cronJob, due);
    let created: Job;
    try {
      created = await client.create(Jobs, job);
    } catch (error) {
      if (isAlreadyExists(error)) return wait();
      say(
        cronJob,
        "Warning",
        "FailedCreate",
        `Error creating job: ${error instanceof Error ? error.message : String(error)}`,
      );
      throw error;
    }
    say(cronJob, "Normal", "SuccessfulCreate", `Created job ${created.metadata.name}`);
    const kept = cronJob.spec.concurrencyPolicy === "Replace" ? [] : (cronJob.status?.active ?? []);
    await write({ ...cronJob.status, active: [...kept, referenceTo(created)], lastScheduleTime: timeText(due) });
    return wait();
  }

  /** Which Jobs run, and when the last one succeeded (`syncCronJob`'s first half). */
  function activeStatus(cronJob: CronJob, own: readonly Job[]): CronJobStatus {
    const known = new Map((cronJob.status?.active ?? []).map((reference) => [reference.uid ?? "", reference]));
    let { lastSuccessfulTime } = cronJob.status ?? {};
    for (const job of own) {
      const { uid = "", name: jobName } = job.metadata;
      const end = endOf(job);
      if (!known.has(uid)) {
        if (end === undefined) {
          say(
            cronJob,
            "Warning",
            "UnexpectedJob",
            `Saw a job that the controller did not create or forgot: ${jobName}`,
          );
          known.set(uid, referenceTo(job));
        }
        continue;
      }
      if (end === undefined) continue;
      known.delete(uid);
      say(cronJob, "Normal", "SawCompletedJob", `Saw completed job: ${jobName}, condition: ${end}`);
      const { completionTime } = job.status ?? {};
      if (
        end === "Complete" &&
        completionTime !== undefined &&
        (lastSuccessfulTime === undefined || completionTime > lastSuccessfulTime)
      )
        lastSuccessfulTime = completionTime;
    }
    for (const [uid, { name: jobName }] of known) {
      if (
        own.some(({ metadata }) => metadata.uid === uid) ||
        jobs.get({ namespace: cronJob.metadata.namespace ?? "", name: jobName ?? "" }) !== undefined
      )
        continue;
      // Just created, and not yet in the cache.
      if (
        cronJob.status?.lastScheduleTime !== undefined &&
        clock.now() - Date.parse(cronJob.status.lastScheduleTime) < 2_000
      )
        continue;
      known.delete(uid);
      say(cronJob, "Normal", "MissingJob", `Active job went missing: ${jobName}`);
    }
    const { active: _active, ...rest } = cronJob.status ?? {};
    return {
      ...rest,
      ...(known.size > 0 && { active: [...known.values()] }),
      ...(lastSuccessfulTime !== undefined && { lastSuccessfulTime }),
    };
  }

  /** The oldest ended Jobs beyond the history that is kept. */
  async function trim(cronJob: CronJob, own: readonly Job[]): Promise<void> {
    const { failedJobsHistoryLimit, successfulJobsHistoryLimit } = cronJob.spec;
    for (const [end, limit] of [
      ["Complete", successfulJobsHistoryLimit],
      ["Failed", failedJobsHistoryLimit],
    ] as const) {
      if (limit === undefined) continue;
      const ended = own.filter((job) => endOf(job) === end).toSorted(byStart);
      for (const job of ended.slice(0, Math.max(0, ended.length - limit))) await remove(cronJob, keyOf(job));
    }
  }

  async function remove(cronJob: CronJob, key: { readonly namespace?: string; readonly name: string }): Promise<void> {
    try {
      await client.delete(Jobs, key, { propagationPolicy: "Background" });
      say(cronJob, "Normal", "SuccessfulDelete", `Deleted job ${key.name}`);
    } catch (error) {
      if (isNotFound(error)) return;
      say(cronJob, "Warning", "FailedDelete", `Deleted job: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
  }

  /** The latest start that is due and was not made; `undefined`: none (`mostRecentScheduleTime`). */
  function dueTime(
    cronJob: CronJob,
    times: { next(after: number): number | undefined },
    now: number,
  ): number | undefined {
    const { startingDeadlineSeconds } = cronJob.spec;
    let from = Date.parse(cronJob.status?.lastScheduleTime ?? cronJob.metadata.creationTimestamp ?? "");
    if (startingDeadlineSeconds !== undefined) from = Math.max(from, now - startingDeadlineSeconds * 1000);
    let latest: number | undefined;
    let missed = 0;
    for (let at = times.next(from); at !== undefined && at <= now; at = times.next(at)) {
      latest = at;
      missed += 1;
      if (missed > manyMissed) {
        // Too many to look at one by one: the last one is found from now.
        const step = Math.max(60_000, (at - from) / missed);
        for (let back = 2 * step; ; back *= 2) {
          let found: number | undefined;
          for (
            let near = times.next(Math.max(from, now - back));
            near !== undefined && near <= now;
            near = times.next(near)
          )
            found = near;
          if (found !== undefined || now - back <= from) {
            latest = found ?? latest;
            break;
          }
        }
        say(
          cronJob,
          "Warning",
          "TooManyMissedTimes",
          "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
        );
        break;
      }
    }
    return latest;
  }

  return createController({
    name: "cronjob",
    reconciler: retryConflicts(reconcile),
    sources: [watch(cronJobs), watch(jobs, { map: toController(CronJobs) })],
    concurrency: 5,
    clock,
    logger,
  });
}

const byStart = (left: Job, right: Job): number => {
  const [first, second] = [left.status?.startTime ?? "", right.status?.startTime ?? ""];
  if (first !== second) return first < second ? -1 : 1;
  return (left.metadata.name ?? "") < (right.metadata.name ?? "") ? -1 : 1;
};

function referenceTo({ metadata }: Job): ObjectReference {
  const { name: jobName = "", namespace = "", uid = "", resourceVersion = "" } = metadata;
  return { apiVersion: "batch/v1", kind: "Job", name: jobName, namespace, uid, resourceVersion };
}

/** Its name says the minute, so that it is made once. */
function jobOf(cronJob: CronJob, due: number): Job {
  const { jobTemplate, timeZone } = cronJob.spec;
  const { name: cronName = "", namespace } = cronJob.metadata;
  return {
    metadata: {
      name: `${cronName}-${Math.floor(due / 60_000)}`,
      ...(namespace === undefined ? {} : { namespace }),
      ...(jobTemplate.metadata?.labels && { labels: jobTemplate.metadata.labels }),
      annotations: { ...jobTemplate.metadata?.annotations, [scheduledAnnotation]: scheduledText(due, timeZone) },
      ownerReferences: [ownerReferenceTo(CronJobs, cronJob, { controller: true, blockOwnerDeletion: true })],
    },
    ...(jobTemplate.spec && { spec: jobTemplate.spec }),
  };
}

/** RFC 3339 in the schedule's zone. */
function scheduledText(due: number, timeZone: string | undefined): string {
  if (timeZone === undefined) return timeText(due);
  const text = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" })
    .format(due)
    .replace(" ", "T");
  const offset = (Date.parse(`${text}Z`) - Math.floor(due / 1000) * 1000) / 60_000;
  if (offset === 0) return `${text}Z`;
  const two = (value: number): string => String(Math.floor(Math.abs(value))).padStart(2, "0");
  return `${text}${offset < 0 ? "-" : "+"}${two(offset / 60)}:${two(offset % 60)}`;
}

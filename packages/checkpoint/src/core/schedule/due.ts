import { createHash } from "node:crypto";
import { parseCronSchedule, scheduleProblem, timeZoneProblems } from "@fleetwright/kube";

/** When checkpoints are due: a cron schedule, an interval, or never by time. */
export interface DueTimes {
  /** The newest time at or before this one; `undefined` when there was none since `since`. Times that were missed are one. */
  last(since: number, now: number): number | undefined;
  next(now: number): number | undefined;
}

/** What is wrong with a schedule's times, with the field; nothing when it can be followed. */
export function timesProblem(spec: { readonly schedule?: string; readonly timeZone?: string }): string | undefined {
  const problem = spec.schedule === undefined ? undefined : scheduleProblem(spec.schedule);
  if (problem !== undefined) return `spec.schedule "${spec.schedule}": ${problem}`;
  const [zone] = spec.timeZone === undefined ? [] : timeZoneProblems(spec.timeZone);
  return zone === undefined ? undefined : `spec.timeZone: ${zone}`;
}

/** @param startMs what intervals are counted from */
export function dueTimes(
  spec: { readonly schedule?: string; readonly timeZone?: string; readonly intervalSeconds?: number },
  startMs: number,
): DueTimes {
  const { schedule, timeZone, intervalSeconds } = spec;
  const times = schedule === undefined ? undefined : parseCronSchedule(schedule, timeZone);
  // What `@every` means depends on when it is asked: an interval, then.
  const every = /@every\s/.test(schedule ?? "") ? times?.next(0) : undefined;
  const interval = intervalSeconds === undefined ? every : intervalSeconds * 1000;
  if (interval !== undefined) {
    const last = (now: number): number => startMs + Math.floor((now - startMs) / interval) * interval;
    return {
      last(since, now) {
        const time = last(now);
        return time > since && time > startMs ? time : undefined;
      },
      next: (now) => Math.max(startMs, last(now)) + interval,
    };
  }
  if (times === undefined) return { last: () => undefined, next: () => undefined };
  return {
    last(since, now) {
      const isMissed = (time: number | undefined): time is number => time !== undefined && time <= now;
      let found = times.next(since);
      if (!isMissed(found)) return undefined;
      // By halves: years of minutes that were missed are not counted one by one.
      for (let end = now; ;) {
        const following = times.next(found);
        if (!isMissed(following)) return found;
        const middle = Math.floor((following + end) / 2);
        const later = times.next(middle);
        found = isMissed(later) ? later : following;
        if (!isMissed(later)) end = middle;
      }
    },
    next: (now) => times.next(now),
  };
}

/** A pod's place in the jitter, always the same, in milliseconds. */
export function jitterOf(uid: string, jitterSeconds: number): number {
  if (jitterSeconds <= 0) return 0;
  const hash = createHash("sha256").update(uid).digest().readUInt32BE(0);
  return Math.floor((hash / 2 ** 32) * jitterSeconds * 1000);
}

/** Short names of what is made once for some occasion: who makes it again meets the first. */
export const occasionName = (base: string, ...of: readonly string[]): string =>
  `${base.slice(0, 200)}-${createHash("sha256").update(of.join("\0")).digest("hex").slice(0, 10)}`;

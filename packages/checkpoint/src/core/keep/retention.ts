/** A checkpoint as retention sees it. */
export interface KeptCheckpoint {
  readonly id: string;
  /** What it is of: the newest of each subject is never deleted. */
  readonly subject: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly sizeBytes: number;
  readonly state: "restorable" | "unfinished" | "failed";
  /** Owners of pins that hold. */
  readonly pins: readonly string[];
  /** Restores that read it now. */
  readonly usedBy: readonly string[];
}

/** Every rule that is given keeps; `maxAge` and `maxTotalBytes` take away. */
export interface RetentionPolicy {
  readonly keepLast?: number;
  readonly hourly?: number;
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
  readonly maxAgeMs?: number;
  readonly maxTotalBytes?: number;
  /** IANA name; days begin there. @default UTC */
  readonly timeZone?: string;
}

export interface RetentionDecision {
  readonly id: string;
  readonly keep: boolean;
  /** Why, in words: `the newest of server`, `daily 2026-11-20`, `older than 604800 s`. */
  readonly reasons: readonly string[];
}

/** All checkpoints of a policy, read without an error: nothing else may be decided on. */
export interface CompleteList {
  readonly complete: true;
  readonly checkpoints: readonly KeptCheckpoint[];
}

/** Failed ones tell what went wrong: a few stay. */
const keptFailures = 3;

const periods = ["hourly", "daily", "weekly", "monthly", "yearly"] as const;

/** The local date and hour of a time, as numbers. */
function localParts(timeZone: string): (time: number) => { year: number; month: number; day: number; hour: number } {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
  });
  return (time) => {
    const part = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 0, day = 0, hour = 0 } = part;
    return { year, month, day, hour };
  };
}

const padded = (value: number): string => String(value).padStart(2, "0");

/** The bucket of a period that a time is in: `2026-11-20`, `2026-W47`. Weeks are those of ISO 8601. */
function bucketOf(period: (typeof periods)[number], parts: ReturnType<ReturnType<typeof localParts>>): string {
  const { year, month, day, hour } = parts;
  const date = `${year}-${padded(month)}-${padded(day)}`;
  switch (period) {
    case "hourly":
      return `${date}T${padded(hour)}`;
    case "daily":
      return date;
    case "weekly": {
      const at = new Date(Date.UTC(year, month - 1, day));
      // The Thursday of a week says in which year it is.
      at.setUTCDate(at.getUTCDate() + 4 - (at.getUTCDay() || 7));
      const week = Math.ceil(((at.getTime() - Date.UTC(at.getUTCFullYear(), 0, 1)) / 86_400_000 + 1) / 7);
      return `${at.getUTCFullYear()}-W${padded(week)}`;
    }
    case "monthly":
      return `${year}-${padded(month)}`;
    default:
      return String(year);
  }
}

/** What of one subject's restorable checkpoints the counting rules keep, newest first. */
function counted(
  newestFirst: readonly KeptCheckpoint[],
  policy: RetentionPolicy,
  parts: ReturnType<typeof localParts>,
): ReadonlyMap<string, readonly string[]> {
  const reasons = new Map<string, string[]>(newestFirst.map(({ id }) => [id, []]));
  const rules = [policy.keepLast, ...periods.map((period) => policy[period])];
  if (rules.every((rule) => rule === undefined))
    for (const list of reasons.values()) list.push("no rule limits how many");
  for (const [index, { id }] of newestFirst.entries())
    if (policy.keepLast !== undefined && index < policy.keepLast)
      reasons.get(id)?.push(`among the ${policy.keepLast} newest`);
  for (const period of periods) {
    const wanted = policy[period] ?? 0;
    const seen = new Set<string>();
    for (const { id, time } of newestFirst) {
      if (seen.size >= wanted) break;
      const bucket = bucketOf(period, parts(time));
      if (seen.has(bucket)) continue;
      seen.add(bucket);
      reasons.get(id)?.push(`${period} ${bucket}`);
    }
  }
  return reasons;
}

/**
 * Decides what is kept. What is pinned, in use or not finished stays whatever the policy says, and so does the newest of each subject that can be restored: a policy that
 * kept nothing would be no policy. Sizes are counted anew after each deletion (checkpoint-restore-operator 0.1 does not, and deletes too much).
 *
 * @returns a decision for each, in the order of the list
 */
export function decideRetention(
  { checkpoints }: CompleteList,
  policy: RetentionPolicy,
  now: number,
): readonly RetentionDecision[] {
  // Making one takes longer than all that it is asked for.
  const parts = localParts(policy.timeZone ?? "UTC");
  const decisions = new Map<string, { keep: boolean; reasons: readonly string[]; fixed: boolean }>();
  for (const [subject, all] of Map.groupBy(checkpoints, (checkpoint) => checkpoint.subject)) {
    const newestFirst = all.toSorted((a, b) => b.time - a.time || (a.id < b.id ? -1 : 1));
    const restorable = newestFirst.filter(({ state }) => state === "restorable");
    const failed = newestFirst.filter(({ state }) => state === "failed");
    const keeps = counted(restorable, policy, parts);
    for (const checkpoint of newestFirst) {
      const { id, state, time, pins, usedBy } = checkpoint;
      const fixed = [
        ...pins.map((owner) => `pinned by ${owner}`),
        ...usedBy.map((restore) => `in use by ${restore}`),
        ...(state === "unfinished" ? ["not finished"] : []),
        ...(checkpoint === restorable[0] ? [`the newest of ${subject}`] : []),
      ];
      if (fixed.length > 0) decisions.set(id, { keep: true, reasons: fixed, fixed: true });
      else if (policy.maxAgeMs !== undefined && now - time > policy.maxAgeMs)
        decisions.set(id, { keep: false, reasons: [`older than ${policy.maxAgeMs / 1000} s`], fixed: false });
      else if (state === "failed") {
        const keep = failed.indexOf(checkpoint) < keptFailures;
        decisions.set(id, {
          keep,
          reasons: [keep ? "failed: it tells why" : `failed, and ${keptFailures} later ones too`],
          fixed: false,
        });
      } else {
        const reasons = keeps.get(id) ?? [];
        decisions.set(id, {
          keep: reasons.length > 0,
          reasons: reasons.length > 0 ? reasons : ["no rule keeps it"],
          fixed: false,
        });
      }
    }
  }
  const { maxTotalBytes } = policy;
  if (maxTotalBytes !== undefined) {
    let total = checkpoints.reduce((sum, { id, sizeBytes }) => sum + (decisions.get(id)?.keep ? sizeBytes : 0), 0);
    for (const { id, sizeBytes } of checkpoints.toSorted((a, b) => a.time - b.time || (a.id < b.id ? 1 : -1))) {
      if (total <= maxTotalBytes) break;
      const decision = decisions.get(id);
      if (!decision?.keep || decision.fixed || sizeBytes === 0) continue;
      decisions.set(id, {
        keep: false,
        reasons: [`${total} bytes are kept, more than ${maxTotalBytes}`],
        fixed: false,
      });
      total -= sizeBytes;
    }
  }
  return checkpoints.map(({ id }) => {
    const { keep = true, reasons = [] } = decisions.get(id) ?? {};
    return { id, keep, reasons };
  });
}

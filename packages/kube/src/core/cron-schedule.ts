/** When a cron schedule is due (github.com/robfig/cron/v3, ParseStandard). */
export interface CronSchedule {
  /** The first time after this one, in milliseconds; `undefined`: never again (within five years). */
  next(after: number): number | undefined;
}

const names: readonly (readonly string[])[] = [
  [],
  [],
  [],
  ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
  ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
];
const bounds: readonly (readonly [number, number])[] = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 6],
];
const macros: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};
const minuteMs = 60_000;
const dayMs = 86_400_000;
const yearsAhead = 5;

interface Field {
  readonly values: ReadonlySet<number>;
  readonly isAny: boolean;
}

function parseField(text: string, index: number): Field {
  const [minimum = 0, maximum = 0] = bounds[index] ?? [];
  const number = (part: string): number => {
    const named = names[index]?.indexOf(part.toLowerCase()) ?? -1;
    return named > 0 || (named === 0 && part !== "") ? named : Number(part);
  };
  const values = new Set<number>();
  let isAny = false;
  for (const part of text.split(",")) {
    const [range = "", step] = part.split("/");
    const [low = "", high] = range.split("-");
    const star = low === "*" || low === "?";
    if (star && step === undefined) isAny = true;
    const first = star ? minimum : number(low);
    const last = star ? maximum : high !== undefined ? number(high) : step === undefined ? first : maximum;
    for (let value = first; value <= last; value += Number(step ?? 1) || 1) values.add(value);
  }
  return { values, isAny };
}

/** @param schedule has been validated by the server */
export function parseCronSchedule(schedule: string, timeZone?: string): CronSchedule {
  const [, zoneInText, rest] = /^(?:TZ|CRON_TZ)=(\S*)\s+(.*)$/.exec(schedule) ?? [];
  const text = (rest ?? schedule).trim();
  const every = /^@every\s+(.+)$/.exec(text)?.[1];
  if (every !== undefined) return everySchedule(every);
  const [minutes, hours, days, months, weekdays] = (macros[text] ?? text).split(/\s+/).map(parseField);
  const offset = offsetOf(timeZone ?? zoneInText ?? "UTC");
  if (
    minutes === undefined ||
    hours === undefined ||
    days === undefined ||
    months === undefined ||
    weekdays === undefined
  )
    return { next: () => undefined };
  // With both restricted, either is enough.
  const dayMatches = (date: Date): boolean => {
    const [byDate, byWeekday] = [days.values.has(date.getUTCDate()), weekdays.values.has(date.getUTCDay())];
    return days.isAny || weekdays.isAny ? byDate && byWeekday : byDate || byWeekday;
  };
  return {
    next(after) {
      // Wall-clock time, written as if it were UTC.
      let local = (Math.floor(after / minuteMs) + 1) * minuteMs + offset(after);
      const end = local + yearsAhead * 366 * dayMs;
      while (local < end) {
        const date = new Date(local);
        if (!months.values.has(date.getUTCMonth() + 1))
          local = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
        else if (!dayMatches(date)) local = (Math.floor(local / dayMs) + 1) * dayMs;
        else if (!hours.values.has(date.getUTCHours())) local = (Math.floor(local / 3_600_000) + 1) * 3_600_000;
        else if (!minutes.values.has(date.getUTCMinutes())) local += minuteMs;
        else {
          const due = local - offset(local - offset(local));
          if (due > after) return due;
          local += minuteMs;
        }
      }
      return undefined;
    },
  };
}

function everySchedule(text: string): CronSchedule {
  const units: Readonly<Record<string, number>> = { h: 3_600_000, m: minuteMs, s: 1_000 };
  let delay = 0;
  for (const [, amount, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(h|m|s)/g))
    delay += Number(amount) * (units[unit] ?? 0);
  const whole = Math.max(1_000, Math.floor(delay / 1_000) * 1_000);
  return { next: (after) => Math.floor(after / 1_000) * 1_000 + whole };
}

/** How far a zone's clocks are ahead of UTC, in milliseconds. */
function offsetOf(timeZone: string): (time: number) => number {
  if (timeZone === "UTC" || timeZone === "" || timeZone === "Local" || timeZone === "Etc/UTC") return () => 0;
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  return (time) => {
    const part = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(time / 1_000) * 1_000;
  };
}

import { DurationValue, EvaluationFailure, TimestampValue } from "./values.ts";

const second = 1_000_000_000n;
const units: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: second,
  m: 60n * second,
  h: 3600n * second,
};

/** Go's `time.ParseDuration`: `1h30m`, `-1.5s`. Throws EvaluationFailure. */
export function parseDuration(text: string): DurationValue {
  const invalid = () => new EvaluationFailure(`time: invalid duration ${JSON.stringify(text)}`);
  const match = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)$/.exec(text);
  if (match === null) throw invalid();
  let total = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of (match[2] ?? "").matchAll(
    /(\d*)\.?(\d*)(ns|us|µs|μs|ms|s|m|h)/g,
  )) {
    const size = units[unit] ?? 1n;
    total += BigInt(whole === "" ? 0 : whole) * size;
    const digits = fraction.slice(0, 18);
    if (digits !== "") total += (BigInt(digits) * size) / 10n ** BigInt(digits.length);
  }
  if (total >= 1n << 63n) throw invalid();
  return new DurationValue(match[1] === "-" ? -total : total);
}

const timestampPattern =
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

/** RFC 3339. Throws EvaluationFailure. */
export function parseTimestamp(text: string): TimestampValue {
  const match = timestampPattern.exec(text);
  const invalid = () => new EvaluationFailure(`type conversion error from 'string' to 'google.protobuf.Timestamp'`);
  if (match === null) throw invalid();
  const [, year, month, day, hour, minute, seconds, fraction = "", sign, offsetHours = "0", offsetMinutes = "0"] =
    match;
  const parts = [year, month, day, hour, minute, seconds].map(Number);
  const milliseconds = Date.UTC(parts[0] ?? 0, (parts[1] ?? 1) - 1, parts[2], parts[3], parts[4], parts[5]);
  const date = new Date(milliseconds);
  // Years below 100 are of the last century to Date; days that a month has not got go over into the next.
  if ((parts[0] ?? 0) < 100) date.setUTCFullYear(parts[0] ?? 0);
  if (
    date.getUTCDate() !== parts[2] ||
    date.getUTCMonth() + 1 !== parts[1] ||
    (parts[3] ?? 0) > 23 ||
    (parts[5] ?? 0) > 59
  ) {
    throw invalid();
  }
  const offset = (BigInt(offsetHours) * 3600n + BigInt(offsetMinutes) * 60n) * (sign === "-" ? -1n : 1n);
  const nanoseconds = BigInt(fraction.slice(0, 9).padEnd(9, "0"));
  return new TimestampValue((BigInt(date.getTime()) / 1000n - offset) * second + nanoseconds);
}

/** Whole units below zero are rounded down, so that the rest is positive. */
const floorDivide = (value: bigint, by: bigint): bigint => (value - (((value % by) + by) % by)) / by;

export function timestampText({ nanoseconds }: TimestampValue): string {
  const seconds = floorDivide(nanoseconds, second);
  const rest = String(nanoseconds - seconds * second)
    .padStart(9, "0")
    .replace(/0+$/, "");
  const base = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return `${base}${rest === "" ? "" : `.${rest}`}Z`;
}

/** `1.5s`: CEL writes durations in seconds. */
export function durationText({ nanoseconds }: DurationValue): string {
  const absolute = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  const rest = String(absolute % second)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `${nanoseconds < 0n ? "-" : ""}${absolute / second}${rest === "" ? "" : `.${rest}`}s`;
}

/** The wall clock of a time zone: `UTC`, `America/New_York`, `-08:00`. Throws EvaluationFailure. */
export function zonedDate({ nanoseconds }: TimestampValue, zone: string): Date {
  const milliseconds = Number(floorDivide(nanoseconds, 1_000_000n));
  const offset = /^([+-]?)(\d{1,2}):(\d{2})$/.exec(zone);
  if (offset !== null) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return new Date(milliseconds + (offset[1] === "-" ? -minutes : minutes) * 60_000);
  }
  if (zone === "" || zone === "UTC") return new Date(milliseconds);
  try {
    const format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    const parts = Object.fromEntries(
      format.formatToParts(milliseconds).map(({ type, value }) => [type, Number(value)]),
    );
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second: seconds = 0 } = parts;
    return new Date(Date.UTC(year, month - 1, day, hour, minute, seconds) + (((milliseconds % 1000) + 1000) % 1000));
  } catch {
    throw new EvaluationFailure(`unknown time zone ${zone}`);
  }
}

/** Cron schedules and time zones with the words of github.com/robfig/cron/v3 and Go's time package. */
interface Bounds {
  readonly minimum: number;
  readonly maximum: number;
  readonly names?: readonly string[];
}

const months = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const fields: readonly Bounds[] = [
  { minimum: 0, maximum: 59 },
  { minimum: 0, maximum: 23 },
  { minimum: 1, maximum: 31 },
  { minimum: 1, maximum: 12, names: months },
  { minimum: 0, maximum: 6, names: weekdays },
];
const descriptors = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

function numberOf(text: string, names: readonly string[] = []): number | string {
  const named = text === "" ? -1 : names.indexOf(text.toLowerCase());
  if (named !== -1) return named;
  if (!/^[+-]?[0-9]+$/.test(text)) {
    return `failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
  }
  const number = Number(text);
  return number < 0 ? `negative number (${number}) not allowed: ${text}` : number;
}

function rangeProblem(expression: string, { minimum, maximum, names }: Bounds): string | undefined {
  const [range = "", stepText, ...moreSteps] = expression.split("/");
  const [low = "", high, ...moreHyphens] = range.split("-");
  let start: number | string = minimum;
  let end: number | string = maximum;
  if (low !== "*" && low !== "?") {
    start = numberOf(low, names);
    if (typeof start === "string") return start;
    if (moreHyphens.length > 0) return `too many hyphens: ${expression}`;
    end = high === undefined ? start : numberOf(high, names);
    if (typeof end === "string") return end;
  }
  let step: number | string = 1;
  if (moreSteps.length > 0) return `too many slashes: ${expression}`;
  if (stepText !== undefined) {
    step = numberOf(stepText);
    if (typeof step === "string") return step;
    if (high === undefined) end = maximum;
  }
  if (start < minimum) return `beginning of range (${start}) below minimum (${minimum}): ${expression}`;
  if (end > maximum) return `end of range (${end}) above maximum (${maximum}): ${expression}`;
  if (start > end) return `beginning of range (${start}) beyond end of range (${end}): ${expression}`;
  return step === 0 ? `step of range should be a positive number: ${expression}` : undefined;
}

/** What `cron.ParseStandard` says of a schedule; nothing when it is one. */
export function scheduleProblem(schedule: string): string | undefined {
  let spec = schedule;
  if (spec === "") return "empty spec string";
  const zone = /^(?:TZ|CRON_TZ)=(\S*)\s+/.exec(spec);
  if (zone) spec = spec.slice(zone[0].length).trim();
  if (spec.startsWith("@")) {
    if (descriptors.includes(spec)) return undefined;
    if (!spec.startsWith("@every ")) return `unrecognized descriptor: ${spec}`;
    const duration = spec.slice("@every ".length);
    return /^[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h))+$/.test(duration) || duration === "0"
      ? undefined
      : `failed to parse duration ${spec}: time: invalid duration ${JSON.stringify(duration)}`;
  }
  const parts = spec.split(/\s+/).filter((part) => part !== "");
  if (parts.length !== fields.length) {
    return `expected exactly 5 fields, found ${parts.length}: [${parts.join(" ")}]`;
  }
  for (const [index, bounds] of fields.entries()) {
    for (const expression of (parts[index] ?? "").split(",").filter((item) => item !== "")) {
      const problem = rangeProblem(expression, bounds);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

/** What `validateTimeZone` says of a name. */
export function timeZoneProblems(name: string): string[] {
  if (name === "") return ["timeZone must be nil or non-empty string"];
  const wellFormed = name
    .split("/")
    .every((part) => part !== "." && part !== ".." && /^[A-Za-z.\-_0-9+]{1,14}$/.test(part) && !part.startsWith("-"));
  if (!wellFormed) return [`unknown time zone ${name}`];
  if (name.toLowerCase() === "local") {
    return [
      "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
      ...(name === "Local" ? [] : [`unknown time zone ${name}`]),
    ];
  }
  try {
    new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions();
    return [];
  } catch {
    return [`unknown time zone ${name}`];
  }
}

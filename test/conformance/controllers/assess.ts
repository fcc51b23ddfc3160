import type { Run } from "./observe.ts";

/** What the real controllers did, in several runs. */
export interface Recording {
  readonly scenario: string;
  readonly runs: readonly Run[];
}

const contains = (sequence: readonly string[], part: readonly string[]): boolean => {
  let at = 0;
  for (const each of sequence) if (each === part[at]) at++;
  return at === part.length;
};

/** The longest sequence that is in both, in order. */
export function common(left: readonly string[], right: readonly string[]): readonly string[] {
  const lengths = Array.from({ length: left.length + 1 }, () => Array.from({ length: right.length + 1 }, () => 0));
  for (let row = left.length - 1; row >= 0; row--) {
    for (let column = right.length - 1; column >= 0; column--) {
      const same = left[row] === right[column] ? (lengths[row + 1]?.[column + 1] ?? 0) + 1 : 0;
      (lengths[row] ?? [])[column] = Math.max(same, lengths[row + 1]?.[column] ?? 0, lengths[row]?.[column + 1] ?? 0);
    }
  }
  const result: string[] = [];
  for (let row = 0, column = 0; row < left.length && column < right.length;) {
    if (left[row] === right[column] && (lengths[row]?.[column] ?? 0) === (lengths[row + 1]?.[column + 1] ?? 0) + 1) {
      result.push(left[row] ?? "");
      row++;
      column++;
    } else if ((lengths[row + 1]?.[column] ?? 0) >= (lengths[row]?.[column + 1] ?? 0)) row++;
    else column++;
  }
  return result;
}

/**
 * Where a run departs from what was recorded. At quiet moments every object must be as in one of the recorded runs, in full. In between it must
 * pass through all states that every recorded run passes through, in their order, and through none that no recorded run has.
 */
export function differences({ runs }: Recording, actual: Run): readonly string[] {
  const found: string[] = [];
  if (runs.length === 0) return ["nothing is recorded"];
  for (const [index, present] of actual.quiet.entries()) {
    const recorded = runs.map((run) => run.quiet[index] ?? {});
    const keys = new Set([...Object.keys(present), ...recorded.flatMap((each) => Object.keys(each))]);
    for (const key of keys) {
      const own = JSON.stringify(sorted(present[key]));
      const theirs = recorded.map((each) => JSON.stringify(sorted(each[key])));
      if (!theirs.includes(own))
        found.push(`step ${index + 1}, ${key}: ${departure(recorded[0]?.[key], present[key])}`);
    }
  }
  const objects = new Set([...Object.keys(actual.passed), ...runs.flatMap(({ passed }) => Object.keys(passed))]);
  for (const key of objects) {
    const own = (actual.passed[key] ?? []).map(canonical);
    const theirs = runs.map(({ passed }) => (passed[key] ?? []).map(canonical));
    const allowed = new Set(theirs.flat());
    const strange = own.filter((state) => !allowed.has(state));
    if (strange.length > 0)
      found.push(`${key} passes through a state that the real one never has: ${nearest(strange[0] ?? "", allowed)}`);
    const needed = theirs.reduce<readonly string[]>((left, right) => common(left, right), theirs[0] ?? []);
    if (!contains(own, needed)) {
      const missing = needed.filter((state) => !own.includes(state));
      found.push(
        `${key} leaves out a state: ${missing[0] === undefined ? "their order differs" : nearest(missing[0], new Set(own), "real")}`,
      );
    }
  }
  const told = new Set(actual.events.map(uncombined));
  const recorded = runs.map(({ events }) => new Set(events.map(uncombined)));
  const always = [...(recorded[0] ?? [])].filter((event) => recorded.every((events) => events.has(event)));
  const ever = new Set(recorded.flatMap((events) => [...events]));
  for (const event of always) if (!told.has(event)) found.push(`event is missing: ${event}`);
  for (const event of told) if (!ever.has(event)) found.push(`event that the real one does not tell: ${event}`);
  return found;
}

/** Which of many similar events is the last one is chance. */
const uncombined = (event: string): string => event.replace(/(\(combined from similar events\)): .*/, "$1");

/** Where two values differ, field by field. */
function departure(real: unknown, twin: unknown, path = ""): string {
  const name = path.split(".").at(-1);
  if (JSON.stringify(sorted(real, name)) === JSON.stringify(sorted(twin, name))) return "";
  const isTree = (value: unknown): value is object => typeof value === "object" && value !== null;
  if (!isTree(real) || !isTree(twin))
    return `${path || "all of it"}: real ${JSON.stringify(real) ?? "absent"}, twin ${JSON.stringify(twin) ?? "absent"}`;
  const [left, right] = [real as Readonly<Record<string, unknown>>, twin as Readonly<Record<string, unknown>>];
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return Array.from(keys, (key) => departure(left[key], right[key], `${path}.${key}`))
    .filter((text) => text !== "")
    .join("; ");
}

/** The state of the others that differs least, and in what. */
function nearest(state: string, others: ReadonlySet<string>, whose: "twin" | "real" = "twin"): string {
  const value: unknown = state === "gone" ? state : JSON.parse(state);
  const departures = Array.from(others, (other) => {
    const known: unknown = other === "gone" ? other : JSON.parse(other);
    return whose === "twin" ? departure(known, value) : departure(value, known);
  });
  return departures.toSorted((left, right) => left.length - right.length)[0] ?? state;
}

const canonical = (text: string): string => (text === "gone" ? text : JSON.stringify(sorted(JSON.parse(text))));

/** With sorted keys: the order of fields is nobody's concern here, and that of a slice's ports is one of hashes. */
function sorted(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) {
    const list = value.map((item) => sorted(item));
    return name === "ports"
      ? list.toSorted((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1))
      : list;
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, item]) => [key, sorted(item, key)]),
  );
}

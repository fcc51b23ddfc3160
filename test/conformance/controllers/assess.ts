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
  const lengths = Array.from({ length: left.length + 1 }, () => new Array<number>(right.length + 1).fill(0));
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
  const [first] = runs;
  if (first === undefined) return ["nothing is recorded"];
  for (const [index, present] of actual.quiet.entries()) {
    const recorded = runs.map((run) => run.quiet[index] ?? {});
    const keys = new Set([...Object.keys(present), ...recorded.flatMap((each) => Object.keys(each))]);
    for (const key of keys) {
      const own = JSON.stringify(sorted(present[key]));
      const theirs = recorded.map((each) => JSON.stringify(sorted(each[key])));
      if (!theirs.includes(own))
        found.push(`step ${index + 1}, ${key}:\n    real ${theirs[0] ?? "absent"}\n    twin ${own ?? "absent"}`);
    }
  }
  const objects = new Set([...Object.keys(actual.passed), ...runs.flatMap(({ passed }) => Object.keys(passed))]);
  for (const key of objects) {
    const own = (actual.passed[key] ?? []).map(canonical);
    const theirs = runs.map(({ passed }) => (passed[key] ?? []).map(canonical));
    const allowed = new Set(theirs.flat());
    const strange = own.filter((state) => !allowed.has(state));
    if (strange.length > 0)
      found.push(
        `${key} passes through a state that the real one never has:\n    twin ${strange[0]}\n    real ${[...allowed].join("\n         ")}`,
      );
    const needed = theirs.reduce<readonly string[]>((left, right) => common(left, right), theirs[0] ?? []);
    if (!contains(own, needed)) {
      const missing = needed.filter((state) => !own.includes(state));
      found.push(`${key} does not pass through ${missing.length > 0 ? missing[0] : "its states in their order"}`);
    }
  }
  const told = new Set(actual.events);
  const always = first.events.filter((event) => runs.every(({ events }) => events.includes(event)));
  const ever = new Set(runs.flatMap(({ events }) => events));
  for (const event of always) if (!told.has(event)) found.push(`event is missing: ${event}`);
  for (const event of told) if (!ever.has(event)) found.push(`event that the real one does not tell: ${event}`);
  return found;
}

const canonical = (text: string): string => (text === "gone" ? text : JSON.stringify(sorted(JSON.parse(text))));

/** With sorted keys: the order of fields is nobody's concern here. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}

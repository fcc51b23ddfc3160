import { isDeepStrictEqual } from "node:util";
import type { Exchange } from "./scenario.ts";

/** One place where two recordings of a scenario differ. */
export interface Difference {
  /** `[3].body.metadata.generation`: the exchange, then the path into it. */
  readonly path: string;
  readonly expected: unknown;
  readonly actual: unknown;
}

const mostDifferences = 40;

/** Where `actual` differs from `expected`; the order of an object's keys does not count, and absent is not null. */
export function differences(expected: readonly Exchange[], actual: readonly Exchange[]): readonly Difference[] {
  const found: Difference[] = [];
  collect("", plain(expected), plain(actual), found);
  return found;
}

const plain = (exchanges: readonly Exchange[]): unknown => JSON.parse(JSON.stringify(exchanges)) as unknown;

function collect(path: string, expected: unknown, actual: unknown, found: Difference[]): void {
  if (found.length >= mostDifferences || isDeepStrictEqual(expected, actual)) return;
  if (Array.isArray(expected) && Array.isArray(actual)) {
    for (let index = 0; index < Math.max(expected.length, actual.length); index++)
      collect(`${path}[${index}]`, expected[index], actual[index], found);
    return;
  }
  if (isMap(expected) && isMap(actual)) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)]))
      collect(`${path}.${key}`, ownValue(expected, key), ownValue(actual, key), found);
    return;
  }
  found.push({ path, expected, actual });
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const ownValue = (map: Readonly<Record<string, unknown>>, key: string): unknown =>
  Object.hasOwn(map, key) ? map[key] : undefined;

/** One line for each difference, with the request that it answers. */
export function describeDifferences(expected: readonly Exchange[], found: readonly Difference[]): string {
  return found
    .map(({ path, expected: wanted, actual }) => {
      const request = expected[Number(/^\[(\d+)\]/.exec(path)?.[1])]?.request ?? "";
      return `  ${request}\n    ${path}: ${brief(wanted)} expected, not ${brief(actual)}`;
    })
    .join("\n");
}

function brief(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}

/** A known difference of the twin, described in docs/twin-differences.md under the same id. */
export interface ExplainedDifference {
  readonly id: string;
  /** Area and name of a scenario, or the beginning of them with `*`. */
  readonly scenarios: readonly string[];
  /** What paths may differ. */
  readonly paths: RegExp;
}

/** How a scenario fared. */
export interface Verdict {
  readonly kind: "equal" | "explained" | "different";
  /** The explanations that were needed. */
  readonly used: readonly string[];
  readonly unexplained: readonly Difference[];
}

/** Judges the differences of one scenario against those that are explained. */
export function judge(
  scenario: string,
  found: readonly Difference[],
  explained: readonly ExplainedDifference[],
): Verdict {
  const candidates = explained.filter(({ scenarios }) => scenarios.some((pattern) => matches(pattern, scenario)));
  const used = new Set<string>();
  const unexplained = found.filter(({ path }) => {
    const explanation = candidates.find(({ paths }) => paths.test(path));
    if (explanation) used.add(explanation.id);
    return !explanation;
  });
  const kind = found.length === 0 ? "equal" : unexplained.length === 0 ? "explained" : "different";
  return { kind, used: [...used], unexplained };
}

const matches = (pattern: string, scenario: string): boolean =>
  pattern.endsWith("*") ? scenario.startsWith(pattern.slice(0, -1)) : scenario === pattern;

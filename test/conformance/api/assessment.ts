import { describeDifferences, differences, judge } from "./compare.ts";
import type { ExplainedDifference } from "./compare.ts";
import { keyOf } from "./recordings.ts";
import type { Played } from "./run.ts";
import type { Exchange } from "./scenario.ts";

/** How a server fared against the recordings. */
export interface Assessment {
  readonly conversations: number;
  readonly equal: number;
  readonly explained: number;
  readonly different: number;
  /** What differs without explanation, by {@link keyOf}: text for people. */
  readonly complaints: ReadonlyMap<string, string>;
  /** Explanations that nothing needed. */
  readonly unused: readonly string[];
}

/** Holds what was played against what was recorded. */
export function assess(
  recorded: ReadonlyMap<string, readonly Exchange[]>,
  played: readonly Played[],
  explained: readonly ExplainedDifference[],
): Assessment {
  const counts = { equal: 0, explained: 0, different: 0 };
  const complaints = new Map<string, string>();
  const used = new Set<string>();
  for (const { scenario, exchanges, error } of played) {
    const key = keyOf(scenario);
    const expected = recorded.get(key);
    if (error !== undefined || expected === undefined) {
      counts.different++;
      complaints.set(key, `  ${error?.message ?? "was never recorded: run `make conformance`"}`);
      continue;
    }
    const verdict = judge(key, differences(expected, exchanges), explained);
    counts[verdict.kind]++;
    for (const id of verdict.used) used.add(id);
    if (verdict.kind === "different") complaints.set(key, describeDifferences(expected, verdict.unexplained));
  }
  const unused = explained.map(({ id }) => id).filter((id) => !used.has(id));
  return { conversations: played.length, ...counts, complaints, unused };
}

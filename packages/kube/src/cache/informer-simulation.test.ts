import { describe, expect, it } from "vitest";
import { runInformers, type InformerRun } from "./simulation/informer-run.ts";

/** Run one alone: FW_SEED=17 vitest run --project unit packages/kube/src/cache/informer-simulation.test.ts */
const only = process.env["FW_SEED"];
const seeds = only === undefined ? Array.from({ length: 200 }, (_, index) => index + 1) : [Number(only)];

describe("informers under faults, in virtual time", () => {
  it(
    "hold what the server holds after quiet, and have told handlers so, for 200 seeds",
    { timeout: 120_000 },
    async () => {
      const problems: string[] = [];
      for (const seed of seeds) {
        for (const problem of problemsOf(await runInformers(seed))) problems.push(`FW_SEED=${seed}: ${problem}`);
      }
      expect(problems).toEqual([]);
    },
  );
});

function problemsOf(run: InformerRun): readonly string[] {
  const problems = run.violations.slice(0, 10);
  if (run.requestsPerMinute > 2) problems.push(`${run.requestsPerMinute} requests per minute and kind at rest`);
  // Pages of one big list come without a pause; everything else waits for its backoff.
  if (run.mostRequestsInAMinute > 40) problems.push(`${run.mostRequestsInAMinute} requests in one minute`);
  if (run.writes < 100 || run.faults < 3) problems.push(`too tame: ${run.writes} writes, ${run.faults} faults`);
  return problems;
}

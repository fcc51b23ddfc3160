import { describe, expect, it } from "vitest";
import { runInformers } from "./simulation/informer-run.ts";

/** Run one alone: FW_SEED=17 vitest run --project unit packages/kube/src/cache/informer-simulation.test.ts */
const only = process.env["FW_SEED"];
const seeds = only === undefined ? Array.from({ length: 200 }, (_, index) => index + 1) : [Number(only)];

describe("informers under faults, in virtual time", () => {
  it(
    "hold what the server holds after quiet, and have told handlers so, for 200 seeds",
    { timeout: 120_000 },
    async () => {
      let faults = 0;
      for (const seed of seeds) {
        const run = await runInformers(seed);
        faults += run.faults;
        const how = `seed ${seed}: repeat with FW_SEED=${seed}`;
        expect(run.violations.slice(0, 10), how).toEqual([]);
        expect(run.requestsPerMinute, how).toBeLessThanOrEqual(2);
        // Pages of one big list come without a pause; everything else waits for its backoff.
        expect(run.mostRequestsInAMinute, how).toBeLessThan(120);
        expect(run.writes, how).toBeGreaterThan(100);
      }
      if (only === undefined) expect(faults).toBeGreaterThan(2000);
    },
  );
});

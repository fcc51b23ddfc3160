import { describe, expect, it } from "vitest";
import type { Mutation } from "./replica.ts";
import { runScenario } from "./scenario.ts";

/** `SEEDS=5000` for more, `FIRST_SEED=…` to look at one. */
const seeds = Number(process.env["SEEDS"] ?? (process.env["FLEETWRIGHT_LONG"] === "1" ? 2_000 : 40));
const firstSeed = Number(process.env["FIRST_SEED"] ?? 1);

describe("admissions, counts and crashes in any order", () => {
  it(
    `never over-admit, never leak, never refuse what fits (seeds ${firstSeed} to ${firstSeed + seeds - 1})`,
    { timeout: 60_000 + seeds * 300 },
    async () => {
      let [admitted, refused, crashes] = [0, 0, 0];
      for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
        const result = await runScenario({ seed });
        expect(result.violations, `seed ${seed}`).toEqual([]);
        admitted += result.admitted;
        refused += result.refused;
        crashes += result.crashes;
      }
      // A run in which nothing happens proves nothing.
      expect(admitted).toBeGreaterThan(seeds * 20);
      expect(refused).toBeGreaterThan(seeds * 5);
      expect(crashes).toBeGreaterThan(seeds / 4);
    },
  );

  /** Each with a seed that shows it; the others are tried only once a change of the simulation has made that one harmless. */
  const mutations: readonly (readonly [Mutation, RegExp, number])[] = [
    ["ignore-seen", /^over-admitted|^after quiet/, 9],
    ["refuse-from-cache", /^wrongly refused/, 4],
    ["short-holds", /^over-admitted/, 24],
    ["swallow-conflicts", /^over-admitted/, 2],
    ["forget-holds", /^over-admitted/, 2],
    ["expire-unseen", /^over-admitted/, 91],
    ["charge-by-uid", /^wrongly refused/, 1],
    ["settle-joined", /^over-admitted/, 2],
  ];
  it.each(mutations)(
    "the oracle notices when a rule is broken: %s",
    { timeout: 300_000 },
    async (mutation, expected, biting) => {
      let found: string | undefined;
      for (let seed = biting; seed < biting + 300 && found === undefined; seed++)
        found = (await runScenario({ seed, mutation })).violations.find((violation) => expected.test(violation));
      expect(found).toBeDefined();
    },
  );
});

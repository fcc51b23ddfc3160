import { describe, expect, it } from "vitest";
import type { Mutation } from "./replica.ts";
import { runScenario } from "./scenario.ts";

/** `SEEDS=5000` for the long run, `FIRST_SEED=…` to look at one. */
const seeds = Number(process.env["SEEDS"] ?? 200);
const firstSeed = Number(process.env["FIRST_SEED"] ?? 1);

describe("admissions, counts and crashes in any order", () => {
  it(
    `never over-admit, never leak, never refuse what fits (seeds ${firstSeed} to ${firstSeed + seeds - 1})`,
    { timeout: 20_000 + seeds * 200 },
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

  const mutations: readonly (readonly [Mutation, RegExp])[] = [
    ["ignore-seen", /^over-admitted|^after quiet/],
    ["refuse-from-cache", /^wrongly refused/],
    ["short-holds", /^over-admitted/],
    ["swallow-conflicts", /^over-admitted/],
    ["forget-holds", /^over-admitted/],
  ];
  it.each(mutations)(
    "the oracle notices when a rule is broken: %s",
    { timeout: 60_000 },
    async (mutation, expected) => {
      let found: string | undefined;
      for (let seed = 1; seed <= 300 && found === undefined; seed++)
        found = (await runScenario({ seed, mutation })).violations.find((violation) => expected.test(violation));
      expect(found).toBeDefined();
    },
  );
});

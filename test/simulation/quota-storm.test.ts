import { describe, expect, it } from "vitest";
import { runQuotaStorm } from "./quota-storm.ts";

/** `make simulate-quota SEEDS=5000` for more, `FIRST_SEED=…` to look at one. */
const seeds = Number(process.env["SEEDS"] ?? (process.env["FLEETWRIGHT_LONG"] === "1" ? 300 : 30));
const firstSeed = Number(process.env["FIRST_SEED"] ?? 1);

/** The one command that shows a seed again. */
const repeat = (seed: number): string => `make simulate-quota FIRST_SEED=${seed} SEEDS=1`;

describe("the quota storm on a whole cluster in virtual time", () => {
  it(
    `never over-admits, leaks or refuses what fits, and everything admitted runs (seeds ${firstSeed} to ${firstSeed + seeds - 1})`,
    { timeout: 60_000 + seeds * 3_000 },
    async () => {
      let [admitted, refused, failedCalls, kills] = [0, 0, 0, 0];
      for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
        const result = await runQuotaStorm({ seed });
        expect(result.violations, `seed ${seed}; to repeat it: ${repeat(seed)}`).toEqual([]);
        admitted += result.admitted;
        refused += result.refused;
        failedCalls += result.failedCalls;
        kills += result.kills;
      }
      // A run in which nothing happens proves nothing.
      expect(admitted).toBeGreaterThan(seeds * 10);
      expect(refused).toBeGreaterThan(seeds * 2);
      expect(failedCalls).toBeGreaterThan(seeds);
      expect(kills).toBeGreaterThan(seeds / 4);
    },
  );

  it("repeats to the byte from its seed", { timeout: 60_000 }, async () => {
    const [first, again, other] = [
      await runQuotaStorm({ seed: 3 }),
      await runQuotaStorm({ seed: 3 }),
      await runQuotaStorm({ seed: 4 }),
    ];
    expect(again).toEqual(first);
    expect(other.digest).not.toBe(first.digest);
  });

  it("notices when the webhooks allow everything", { timeout: 60_000 }, async () => {
    const { violations } = await runQuotaStorm({ seed: 1, sabotage: true });
    expect(violations).toContainEqual(expect.stringMatching(/^over-admitted: [ab] holds/));
  });
});

import { describe, expect, it } from "vitest";
import { runCheckpointStorm } from "./checkpoint-storm.ts";

/** `make simulate-checkpoint SEEDS=500` for more, `FIRST_SEED=…` to look at one. */
const isLong = process.env["FLEETWRIGHT_LONG"] === "1";
const seeds = Number(process.env["SEEDS"] ?? (isLong ? 100 : 8));
const firstSeed = Number(process.env["FIRST_SEED"] ?? 1);

describe("checkpoint schedules in a storm", () => {
  it(
    `never delete what a policy or a pin keeps, and forget no archive (seeds ${firstSeed} to ${firstSeed + seeds - 1})`,
    { timeout: 60_000 + seeds * 20_000 },
    async () => {
      let [taken, pruned, kills] = [0, 0, 0];
      for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
        const result = await runCheckpointStorm({ seed });
        expect(
          result.violations,
          `seed ${seed}; to repeat it: make simulate-checkpoint FIRST_SEED=${seed} SEEDS=1`,
        ).toEqual([]);
        taken += result.taken;
        pruned += result.pruned;
        kills += result.kills;
      }
      // A run in which nothing happens proves nothing.
      expect(taken).toBeGreaterThan(seeds * 10);
      expect(pruned).toBeGreaterThan(seeds * 4);
      expect(kills).toBeGreaterThan(seeds);
    },
  );

  it.skipIf(!isLong)("hold for 7,500 nodes", { timeout: 1_800_000 }, async () => {
    const result = await runCheckpointStorm({
      seed: 1,
      nodes: 7_500,
      intervalSeconds: 400,
      loadMs: 1_200_000,
      killEveryMs: 300_000,
    });
    expect(result.violations).toEqual([]);
    expect(result.taken).toBeGreaterThan(10_000);
    expect(result.kills).toBeGreaterThan(2);
  });

  it("repeats to the byte from its seed", { timeout: 60_000 }, async () => {
    const [first, again, other] = [
      await runCheckpointStorm({ seed: 3 }),
      await runCheckpointStorm({ seed: 3 }),
      await runCheckpointStorm({ seed: 4 }),
    ];
    expect(again).toEqual(first);
    expect(other.digest).not.toBe(first.digest);
  });

  it("notices an archive that goes although it is pinned", { timeout: 60_000 }, async () => {
    const { violations } = await runCheckpointStorm({ seed: 1, sabotage: true });
    expect(violations).toContainEqual(expect.stringMatching(/although it is pinned$/));
  });
});

import { describe, expect, it } from "vitest";
import { runCheckpointStorm } from "./checkpoint-storm.ts";

/** `make simulate-checkpoint SEEDS=500` for more, `FIRST_SEED=…` to look at one. */
const isLong = process.env["FLEETWRIGHT_LONG"] === "1";
const seeds = Number(process.env["SEEDS"] ?? (isLong ? 100 : 5));
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

  /** `make simulate-checkpoint NODES=7500 SEEDS=1`: ten minutes. */
  const nodes = Number(process.env["NODES"] ?? 100);
  it(`hold for ${nodes} nodes`, { timeout: 3_600_000 }, async () => {
    const intervalSeconds = Math.max(60, nodes / 20);
    const load = { nodes, intervalSeconds, loadMs: 3 * intervalSeconds * 1000, killEveryMs: intervalSeconds * 800 };
    const result = await runCheckpointStorm({ seed: firstSeed, ...load });
    expect(result.violations).toEqual([]);
    expect(result.taken).toBeGreaterThan(nodes);
    expect(result.kills).toBeGreaterThan(1);
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

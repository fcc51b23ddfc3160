import { expect, it } from "vitest";
import { fuzzCheckpoint } from "./fuzz-checkpoint.ts";

it(
  "refuses what is hostile with an error of ours, quickly, and gives what it reads back to the byte (seed 7)",
  { timeout: 60_000 },
  async () => {
    const { failures, outcomes } = await fuzzCheckpoint({ seed: 7, cases: 4_000 });
    expect(failures).toEqual([]);
    // Cases that are all refused, or all read, try nothing.
    expect(Object.keys(outcomes).filter((outcome) => outcome.endsWith(": read")).length).toBeGreaterThan(4);
    expect(Object.keys(outcomes).filter((outcome) => outcome.includes("FW_CHECKPOINT_")).length).toBeGreaterThan(8);
  },
);

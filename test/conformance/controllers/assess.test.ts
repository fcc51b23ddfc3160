import { describe, expect, it } from "vitest";
import { common, differences } from "./assess.ts";
import type { Run } from "./observe.ts";

const state = (phase: string, count = 0): string => JSON.stringify({ status: { phase, count } });
const run = (states: readonly string[], more: Partial<Run> = {}): Run => ({
  quiet: [{ "Pod/a": { status: { phase: "Running" } } }],
  passed: { "Pod/a": states },
  events: ["Normal Started Pod/a: started"],
  ...more,
});
const recording = {
  scenario: "s",
  runs: [run([state("Pending"), state("Running")]), run([state("Pending"), state("Starting"), state("Running")])],
};

describe("a run held against recordings", () => {
  it("may do what one of them did", () => {
    expect(differences(recording, run([state("Pending"), state("Starting"), state("Running")]))).toEqual([]);
    expect(differences(recording, run([state("Pending"), state("Running")]))).toEqual([]);
  });

  it("must not leave out what all of them did, nor turn it round", () => {
    expect(differences(recording, run([state("Running")]))).toHaveLength(1);
    expect(differences(recording, run([state("Running"), state("Pending")]))).toHaveLength(1);
  });

  it("must not do what none of them did", () => {
    const [difference = ""] = differences(recording, run([state("Pending"), state("Failed"), state("Running")]));
    expect(difference).toContain("passes through a state that the real one never has: .status.phase: real");
  });

  it("must be as one of them at quiet moments, in full", () => {
    const actual = run([state("Pending"), state("Running")], {
      quiet: [{ "Pod/a": { status: { phase: "Running", more: 1 } } }],
    });
    expect(differences(recording, actual)).toEqual(["step 1, Pod/a: .status.more: real absent, twin 1"]);
  });

  it("must tell the same events, whatever is combined in them", () => {
    expect(differences(recording, run([state("Pending"), state("Running")], { events: [] }))).toHaveLength(1);
    const events = ["Normal Started Pod/a: started", "Warning Failed Pod/a: broken"];
    expect(differences(recording, run([state("Pending"), state("Running")], { events }))).toHaveLength(1);
  });

  it("is nothing without a recording", () => {
    expect(differences({ scenario: "s", runs: [] }, run([]))).toEqual(["nothing is recorded"]);
  });
});

it("finds the longest common sequence", () => {
  expect(common(["a", "b", "c", "d"], ["b", "x", "d"])).toEqual(["b", "d"]);
  expect(common(["a"], ["b"])).toEqual([]);
});

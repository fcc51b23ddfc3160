import { describe, expect, it } from "vitest";
import { isUnattended, setCondition, unattended, type Condition } from "./condition.ts";

const ready = (status: Condition["status"], at: string): Condition => ({
  type: "Ready",
  status,
  reason: "Reconciled",
  message: "",
  lastTransitionTime: at,
});

describe("setCondition", () => {
  it("keeps the time of the last transition while the status stays", () => {
    const list = setCondition([ready("True", "2026-01-01T00:00:00Z")], ready("True", "2026-01-02T00:00:00Z"));
    expect(list).toEqual([ready("True", "2026-01-01T00:00:00Z")]);
  });

  it("moves the time when the status changes", () => {
    const list = setCondition([ready("True", "2026-01-01T00:00:00Z")], ready("False", "2026-01-02T00:00:00Z"));
    expect(list).toEqual([ready("False", "2026-01-02T00:00:00Z")]);
  });

  it("does not keep the time of a default", () => {
    const list = setCondition([unattended("nobody")], ready("Unknown", "2026-01-02T00:00:00Z"));
    expect(list).toEqual([ready("Unknown", "2026-01-02T00:00:00Z")]);
  });
});

it.each([
  [undefined, true],
  [[], true],
  [[unattended("nobody")], true],
  [[ready("Unknown", "2026-01-01T00:00:00Z")], false],
] as const)("knows whether anybody has said something: %j", (list, expected) => {
  expect(isUnattended(list)).toBe(expected);
});

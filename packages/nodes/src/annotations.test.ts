import { describe, expect, it } from "vitest";
import { parseDuration, podAnnotations, wishesOf } from "./annotations.ts";

describe("durations", () => {
  it.each([
    ["0", 0],
    ["0s", 0],
    ["90s", 90_000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    ["250ms", 250],
    ["", undefined],
    ["30", undefined],
    ["-1s", undefined],
    ["1 s", undefined],
    ["1d", undefined],
    ["s", undefined],
  ])("%j is %s ms", (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });
});

describe("what a pod asks for", () => {
  it("is nothing special without annotations", () => {
    expect(wishesOf({}, 1000)).toMatchObject({ runForMs: undefined, exitCode: 0, ignored: [] });
  });

  it("names the annotations that it does not understand and takes their defaults", () => {
    const annotations = { [podAnnotations.runFor]: "soon", [podAnnotations.exitCode]: "256" };
    expect(wishesOf({ annotations }, 1000)).toMatchObject({
      runForMs: undefined,
      exitCode: 0,
      ignored: ['nodes.fleetwright.dev/run-for: "soon"', 'nodes.fleetwright.dev/exit-code: "256"'],
    });
  });
});

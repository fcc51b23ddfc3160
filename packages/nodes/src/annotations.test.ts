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
    const wishes = wishesOf({}, 1000);
    expect(wishes.ignored).toEqual([]);
    expect(wishes.of("main")).toMatchObject({
      runForMs: undefined,
      exitCodes: [0],
      readiness: [],
      killedAfterMs: undefined,
    });
  });

  it("names the annotations that it does not understand and takes their defaults", () => {
    const annotations = { [podAnnotations.runFor]: "soon", [podAnnotations.exitCode]: "256" };
    const wishes = wishesOf({ annotations }, 1000);
    expect(wishes.of("main")).toMatchObject({ runForMs: undefined, exitCodes: [0] });
    expect(new Set(wishes.ignored)).toEqual(
      new Set(['nodes.fleetwright.dev/run-for: "soon"', 'nodes.fleetwright.dev/exit-code: "256"']),
    );
  });

  it("is one container's where its name is behind it", () => {
    const annotations = {
      [podAnnotations.exitCode]: "1",
      [`${podAnnotations.exitCode}.side`]: "2,3,0",
      [`${podAnnotations.readiness}.side`]: "fail@1m ok@30s",
      [`${podAnnotations.liveness}.side`]: "fail@2m",
    };
    const wishes = wishesOf({ annotations }, 1000);
    expect(wishes.of("main").exitCodes).toEqual([1]);
    expect(wishes.of("side")).toMatchObject({
      exitCodes: [2, 3, 0],
      readiness: [
        { ok: true, afterMs: 30_000 },
        { ok: false, afterMs: 60_000 },
      ],
      killedAfterMs: 120_000,
    });
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dueTimes, jitterOf, occasionName, timesProblem } from "./due.ts";

const at = (text: string): number => Date.parse(text);
const text = (time: number | undefined): string | undefined =>
  time === undefined ? undefined : new Date(time).toISOString();

describe("when checkpoints are due", () => {
  it("makes one of all times that were missed", () => {
    const times = dueTimes({ schedule: "*/10 * * * *" }, 0);
    expect(text(times.last(at("2026-11-27T10:00:00Z"), at("2026-11-27T12:34:00Z")))).toBe("2026-11-27T12:30:00.000Z");
    expect(times.last(at("2026-11-27T12:30:00Z"), at("2026-11-27T12:34:00Z"))).toBeUndefined();
    expect(text(times.next(at("2026-11-27T12:34:00Z")))).toBe("2026-11-27T12:40:00.000Z");
  });

  it("finds the newest after years, without counting every minute", () => {
    expect(
      text(dueTimes({ schedule: "* * * * *" }, 0).last(at("2020-01-01T00:00:00Z"), at("2026-11-27T12:34:30Z"))),
    ).toBe("2026-11-27T12:34:00.000Z");
  });

  it("does not forget times that lie close together, long ago", () => {
    const times = dueTimes({ schedule: "* * 1 1 *" }, 0);
    expect(text(times.last(at("2025-12-31T00:00:00Z"), at("2026-11-27T12:34:00Z")))).toBe("2026-01-01T23:59:00.000Z");
  });

  it("finds what counting one by one finds", () => {
    const schedules = ["*/7 * * * *", "0 9 * * 1-5", "30 2 * * *", "15 3 1,31 * *", "0 0 29 2 *"];
    fc.assert(
      fc.property(
        fc.constantFrom(...schedules),
        fc.integer({ min: at("2023-06-01T00:00:00Z"), max: at("2027-06-01T00:00:00Z") }),
        fc.integer({ min: 0, max: 40 * 24 * 3_600_000 }),
        (schedule, since, span) => {
          const times = dueTimes({ schedule }, 0);
          let counted: number | undefined;
          for (let next = times.next(since); next !== undefined && next <= since + span; next = times.next(next))
            counted = next;
          expect(times.last(since, since + span)).toBe(counted);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("follows @every from the beginning, whenever it is asked", () => {
    const times = dueTimes({ schedule: "@every 1m" }, 1_000_000);
    expect([times.last(0, 200_000_000), times.next(200_000_000)]).toEqual([199_960_000, 200_020_000]);
  });

  it("counts intervals from the beginning, the first one after a whole interval", () => {
    const times = dueTimes({ intervalSeconds: 60 }, 1_000_000);
    expect(times.last(0, 1_059_999)).toBeUndefined();
    expect(times.last(0, 1_185_000)).toBe(1_180_000);
    expect(times.last(1_180_000, 1_185_000)).toBeUndefined();
    expect(times.next(1_185_000)).toBe(1_240_000);
  });

  it("is never due by time without either", () => {
    expect([dueTimes({}, 0).last(0, 10 ** 12), dueTimes({}, 0).next(0)]).toEqual([undefined, undefined]);
  });

  it("spreads pods over the jitter, each always at its place", () => {
    const places = Array.from({ length: 1000 }, (_, index) => jitterOf(`uid-${index}`, 60));
    expect(Math.min(...places)).toBeLessThan(2_000);
    expect(Math.max(...places)).toBeGreaterThan(58_000);
    expect(jitterOf("uid-1", 60)).toBe(places[1]);
    expect(jitterOf("uid-1", 0)).toBe(0);
  });

  it("says what is wrong with a schedule", () => {
    expect(timesProblem({ schedule: "61 * * * *" })).toMatch(/^spec.schedule "61 \* \* \* \*": /);
    expect(timesProblem({ schedule: "@hourly", timeZone: "Mars/Olympus" })).toMatch(
      /^spec.timeZone: unknown time zone/,
    );
    expect(timesProblem({ schedule: "@hourly", timeZone: "Europe/Berlin" })).toBeUndefined();
  });

  it("names an occasion the same every time, and others otherwise", () => {
    expect(occasionName("nightly", "a", "b")).toBe(occasionName("nightly", "a", "b"));
    expect(occasionName("nightly", "a", "b")).not.toBe(occasionName("nightly", "ab", ""));
    expect(occasionName("x".repeat(253), "a").length).toBeLessThanOrEqual(253);
  });
});

import { describe, expect, it } from "vitest";
import { parseCronSchedule } from "./cron-schedule.ts";

const at = (text: string): number => Date.parse(text);
const next = (schedule: string, after: string, zone?: string): string | undefined => {
  const due = parseCronSchedule(schedule, zone).next(at(after));
  return due === undefined ? undefined : new Date(due).toISOString().replace(".000Z", "Z");
};

describe("a cron schedule", () => {
  const cases: readonly (readonly [string, string, string | undefined])[] = [
    ["* * * * *", "2030-01-01T00:00:00Z", "2030-01-01T00:01:00Z"],
    ["*/30 * * * *", "2030-01-01T00:31:10Z", "2030-01-01T01:00:00Z"],
    ["15 3 * * *", "2030-01-01T04:00:00Z", "2030-01-02T03:15:00Z"],
    ["0 0 1 * *", "2030-01-31T12:00:00Z", "2030-02-01T00:00:00Z"],
    ["0 0 29 2 *", "2030-01-01T00:00:00Z", "2032-02-29T00:00:00Z"],
    ["0 0 31 2 *", "2030-01-01T00:00:00Z", undefined],
    ["0 9 * * mon-fri", "2030-01-04T10:00:00Z", "2030-01-07T09:00:00Z"],
    // The day of the month or of the week, when both are restricted.
    ["0 0 13 * fri", "2030-01-01T00:00:00Z", "2030-01-04T00:00:00Z"],
    ["@hourly", "2030-01-01T00:00:00Z", "2030-01-01T01:00:00Z"],
    ["@every 90m", "2030-01-01T00:00:00Z", "2030-01-01T01:30:00Z"],
    ["0 0-6/2 * jan,mar *", "2030-01-31T06:00:00Z", "2030-03-01T00:00:00Z"],
  ];
  it.each(cases)("%s after %s is due at %s", (schedule, after, due) => {
    expect(next(schedule, after)).toBe(due);
  });

  it("is of its time zone, whose clocks change", () => {
    expect(next("30 9 * * *", "2030-01-01T00:00:00Z", "Asia/Kolkata")).toBe("2030-01-01T04:00:00Z");
    expect(next("0 12 * * *", "2030-07-01T00:00:00Z", "Europe/Berlin")).toBe("2030-07-01T10:00:00Z");
    expect(next("0 12 * * *", "2030-12-01T00:00:00Z", "Europe/Berlin")).toBe("2030-12-01T11:00:00Z");
    expect(next("TZ=America/New_York 0 0 * * *", "2030-01-01T00:00:00Z")).toBe("2030-01-01T05:00:00Z");
  });
});

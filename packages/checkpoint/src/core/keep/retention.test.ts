import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideRetention } from "./retention.ts";
import type { KeptCheckpoint, RetentionPolicy } from "./retention.ts";

const now = Date.parse("2026-11-27T12:00:00Z");
const hour = 3_600_000;
const checkpoint = (id: string, hoursAgo: number, more: Partial<KeptCheckpoint> = {}): KeptCheckpoint => ({
  id,
  subject: "server",
  time: now - hoursAgo * hour,
  sizeBytes: 100,
  state: "restorable",
  pins: [],
  usedBy: [],
  ...more,
});
const decide = (policy: RetentionPolicy, ...checkpoints: readonly KeptCheckpoint[]) =>
  Object.fromEntries(
    decideRetention({ complete: true, checkpoints }, policy, now).map(({ id, keep, reasons }) => [
      id,
      `${keep ? "keep" : "delete"}: ${reasons.join(", ")}`,
    ]),
  );

describe("retention", () => {
  it("keeps the newest of each subject, and so many as it says", () => {
    const other = checkpoint("o", 9, { subject: "other" });
    expect(decide({ keepLast: 2 }, checkpoint("a", 3), checkpoint("b", 2), checkpoint("c", 1), other)).toEqual({
      a: "delete: no rule keeps it",
      b: "keep: among the 2 newest",
      c: "keep: the newest of server",
      o: "keep: the newest of other",
    });
  });

  it("takes 0 for what it is, but for the newest", () => {
    expect(decide({ keepLast: 0 }, checkpoint("a", 2), checkpoint("b", 1))).toMatchObject({
      a: "delete: no rule keeps it",
    });
  });

  it("keeps all without a rule", () => {
    expect(decide({}, checkpoint("a", 2), checkpoint("b", 1))).toMatchObject({ a: "keep: no rule limits how many" });
  });

  it("keeps the newest of days and weeks, where the day begins in the time zone", () => {
    const list = [checkpoint("a", 14), checkpoint("b", 12.5), checkpoint("c", 11), checkpoint("d", 0)];
    expect(decide({ daily: 2 }, ...list)).toEqual({
      a: "delete: no rule keeps it",
      b: "keep: daily 2026-11-26",
      c: "delete: no rule keeps it",
      d: "keep: the newest of server",
    });
    expect(decide({ daily: 2, timeZone: "Europe/Berlin" }, ...list)).toMatchObject({
      a: "keep: daily 2026-11-26",
      b: "delete: no rule keeps it",
    });
    expect(decide({ weekly: 2 }, checkpoint("a", 24 * 7), checkpoint("b", 0))).toMatchObject({
      a: "keep: weekly 2026-W47",
    });
  });

  it("counts sizes anew after each deletion", () => {
    const list = [checkpoint("a", 3), checkpoint("b", 2), checkpoint("c", 1)];
    expect(decide({ maxTotalBytes: 250 }, ...list)).toEqual({
      a: "delete: 300 bytes are kept, more than 250",
      b: "keep: no rule limits how many",
      c: "keep: the newest of server",
    });
  });

  it("never deletes what is pinned, in use or not finished", () => {
    const strict = { keepLast: 0, maxAgeMs: 1, maxTotalBytes: 0 };
    expect(
      decide(
        strict,
        checkpoint("pinned", 9, { pins: ["audit"] }),
        checkpoint("used", 8, { usedBy: ["restore"] }),
        checkpoint("running", 7, { state: "unfinished", sizeBytes: 0 }),
        checkpoint("old", 6),
        checkpoint("new", 5),
      ),
    ).toEqual({
      pinned: "keep: pinned by audit",
      used: "keep: in use by restore",
      running: "keep: not finished",
      old: "delete: older than 0.001 s",
      new: "keep: the newest of server",
    });
  });

  it("keeps a few failures, and never counts them as checkpoints", () => {
    const failures = [1, 2, 3, 4].map((age) => checkpoint(`f${age}`, age, { state: "failed", sizeBytes: 0 }));
    expect(decide({ keepLast: 1 }, ...failures, checkpoint("a", 9))).toEqual({
      f1: "keep: failed: it tells why",
      f2: "keep: failed: it tells why",
      f3: "keep: failed: it tells why",
      f4: "delete: failed, and 3 later ones too",
      a: "keep: the newest of server",
    });
  });

  const anyCheckpoint = fc.record({
    subject: fc.constantFrom("a", "b"),
    time: fc.integer({ min: now - 400 * 24 * hour, max: now }),
    sizeBytes: fc.integer({ min: 0, max: 1000 }),
    state: fc.constantFrom("restorable", "unfinished", "failed"),
    pins: fc.constantFrom([], [], ["owner"]),
    usedBy: fc.constantFrom([], [], ["restore"]),
  });
  const anyList = fc
    .array(anyCheckpoint, { maxLength: 30 })
    .map((list) => list.map((each, index): KeptCheckpoint => ({ ...each, id: String(index) }) as KeptCheckpoint));
  const count = fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined });
  const anyPolicy = fc
    .record({
      keepLast: count,
      hourly: count,
      daily: count,
      weekly: count,
      monthly: count,
      yearly: count,
      maxAgeMs: fc.option(fc.integer({ min: 1, max: 400 * 24 * hour }), { nil: undefined }),
      maxTotalBytes: fc.option(fc.integer({ min: 0, max: 5000 }), { nil: undefined }),
    })
    .map(
      (policy) =>
        Object.fromEntries(Object.entries(policy).filter(([, value]) => value !== undefined)) as RetentionPolicy,
    );
  const kept = (list: readonly KeptCheckpoint[], policy: RetentionPolicy): readonly string[] =>
    decideRetention({ complete: true, checkpoints: list }, policy, now)
      .filter(({ keep }) => keep)
      .map(({ id }) => id)
      .toSorted();

  it("protects what must stay, whatever the policy", () => {
    fc.assert(
      fc.property(anyList, anyPolicy, (list, policy) => {
        const ids = kept(list, policy);
        const fixed = list.filter(
          ({ pins, usedBy, state }) => pins.length > 0 || usedBy.length > 0 || state === "unfinished",
        );
        expect(ids).toEqual(expect.arrayContaining(fixed.map(({ id }) => id)));
        for (const [, all] of Map.groupBy(
          list.filter(({ state }) => state === "restorable"),
          ({ subject }) => subject,
        )) {
          const newest = Math.max(...all.map(({ time }) => time));
          expect(all.some(({ id, time }) => time === newest && ids.includes(id))).toBe(true);
        }
      }),
    );
  });

  it("decides the same when it is asked again, in any order; what it kept it keeps", () => {
    fc.assert(
      fc.property(anyList, anyPolicy, (list, policy) => {
        const ids = kept(list, policy);
        expect(kept(list.toReversed(), policy)).toEqual(ids);
        expect(
          kept(
            list.filter(({ id }) => ids.includes(id)),
            policy,
          ),
        ).toEqual(ids);
      }),
    );
  });
});

import { describe, expect, it } from "vitest";
import { sleep } from "./clock.ts";
import { nextTurn } from "./turn.ts";
import { VirtualClock } from "./virtual-clock.ts";

describe("VirtualClock", () => {
  it("fires timers by time, and equal ones in the order in which they were set", async () => {
    const clock = new VirtualClock();
    const fired: string[] = [];
    clock.setTimer(20, () => fired.push("late"));
    clock.setTimer(10, () => fired.push("first"));
    clock.setTimer(10, () => fired.push("second"));
    clock.setTimer(10, () => fired.push("never")).cancel();
    await clock.advance(15);
    expect(fired).toEqual(["first", "second"]);
    await clock.advance(5);
    expect(fired).toEqual(["first", "second", "late"]);
  });

  it("lets promises and setImmediate chains finish before the next timer fires", async () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    const work = async (): Promise<void> => {
      await sleep(clock, 10);
      await Promise.resolve();
      await nextTurn();
      await nextTurn();
      order.push(`work at ${clock.now() - start}`);
    };
    const start = clock.now();
    const done = work();
    clock.setTimer(11, () => order.push("next timer"));
    await clock.advance(20);
    await done;
    expect(order).toEqual(["work at 10", "next timer"]);
  });

  it("fires timers that timers set, at their own time, within one advance", async () => {
    const clock = new VirtualClock({ start: 0 });
    const times: number[] = [];
    const again = (): void => {
      times.push(clock.now());
      if (times.length < 4) clock.setTimer(25, again);
    };
    clock.setTimer(25, again);
    await clock.advance(60);
    expect(times).toEqual([25, 50]);
    expect(clock.now()).toBe(60);
    await clock.runUntilIdle();
    expect(times).toEqual([25, 50, 75, 100]);
    expect(clock.pending).toBe(0);
  });

  it("says so when nothing is left that could make a condition true, or when time is up", async () => {
    const clock = new VirtualClock();
    await expect(clock.runUntil(() => false)).rejects.toThrow("no timer is left");
    const tick = (): void => void clock.setTimer(1000, tick);
    tick();
    await expect(clock.runUntilIdle(10_000)).rejects.toThrow("10000 ms of virtual time");
  });

  it("rejects a sleep with the signal's reason and leaves no timer behind", async () => {
    const clock = new VirtualClock();
    const stop = new AbortController();
    const sleeping = sleep(clock, 1000, stop.signal);
    stop.abort(new Error("stopped"));
    await expect(sleeping).rejects.toThrow("stopped");
    expect(clock.pending).toBe(0);
  });
});

import type { Clock, Timer } from "./clock.ts";
import { FleetwrightError } from "./errors.ts";
import { Heap } from "./heap.ts";
import { nextTurn } from "./turn.ts";

interface PendingTimer {
  readonly at: number;
  readonly sequence: number;
  readonly callback: () => void;
  cancelled: boolean;
}

export interface VirtualClockOptions {
  /** Milliseconds since the epoch. @default 2030-01-01T00:00:00Z */
  readonly start?: number;
  /**
   * Turns of the event loop that code gets after each timer before time moves on. Promises settle within one turn
   * however long their chain; each `setImmediate` in a chain takes another. @default 4
   */
  readonly turns?: number;
  /**
   * A count that grows whenever something happens that the turns above may be too few for: calls and events of an
   * API server in this process. Time stands still until it has not grown for that many turns. @default none
   */
  readonly activity?: () => number;
}

/**
 * A clock that jumps from timer to timer: an hour of backoff passes in a millisecond, and always the same way.
 * Timers fire in the order of their time, equal ones in the order in which they were set. Between two timers, promises
 * and `setImmediate` chains run to rest, so code over in-process transports behaves as it would in real time. Code that
 * waits for sockets or files does not: the clock cannot see it.
 *
 * @example
 * const clock = new VirtualClock();
 * const late = sleep(clock, 60_000).then(() => "a minute later");
 * await clock.advance(60_000);
 * await late; // "a minute later"
 */
export class VirtualClock implements Clock {
  #now: number;
  #sequence = 0;
  #pending = 0;
  readonly #turns: number;
  readonly #activity: (() => number) | undefined;
  readonly #timers = new Heap<PendingTimer>(
    (left, right) => left.at < right.at || (left.at === right.at && left.sequence < right.sequence),
  );

  constructor(options: VirtualClockOptions = {}) {
    this.#now = options.start ?? Date.UTC(2030, 0, 1);
    this.#turns = options.turns ?? 4;
    this.#activity = options.activity;
  }

  now(): number {
    return this.#now;
  }

  /** Timers that were set and have neither fired nor been cancelled. */
  get pending(): number {
    return this.#pending;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer: PendingTimer = {
      at: this.#now + Math.max(0, delayMs),
      sequence: this.#sequence++,
      callback,
      cancelled: false,
    };
    this.#timers.push(timer);
    this.#pending += 1;
    return {
      cancel: () => {
        if (timer.cancelled) return;
        timer.cancelled = true;
        this.#pending -= 1;
      },
    };
  }

  /** Lets promises and `setImmediate` chains run to rest without moving time. */
  async settle(): Promise<void> {
    let before = this.#activity?.();
    for (let turn = 0; turn < this.#turns; turn++) {
      await nextTurn();
      const now = this.#activity?.();
      if (now === before) continue;
      before = now;
      turn = -1;
    }
  }

  /** Moves time on by `durationMs`, firing what falls due on the way. */
  async advance(durationMs: number): Promise<void> {
    const end = this.#now + durationMs;
    await this.settle();
    while (await this.#fireNext(end));
    this.#now = end;
    await this.settle();
  }

  /**
   * Jumps from timer to timer until the condition holds.
   *
   * @throws FleetwrightError `FW_CLOCK_LIMIT` when it does not within `limitMs` of virtual time (default an hour), or
   *   when nothing is left that could change it
   */
  async runUntil(condition: () => boolean, limitMs = 3_600_000): Promise<void> {
    const end = this.#now + limitMs;
    await this.settle();
    while (!condition()) {
      if (await this.#fireNext(end)) continue;
      const why = this.#pending === 0 ? "no timer is left" : `${limitMs} ms of virtual time have passed`;
      throw new FleetwrightError("FW_CLOCK_LIMIT", `the condition did not come true: ${why}`);
    }
  }

  /**
   * Jumps from timer to timer until none is left.
   *
   * @throws FleetwrightError `FW_CLOCK_LIMIT` when timers are still being set after `limitMs` of virtual time
   *   (default a day): something is periodic and must be stopped first
   */
  async runUntilIdle(limitMs = 86_400_000): Promise<void> {
    await this.runUntil(() => this.#pending === 0, limitMs);
  }

  /** Fires the next timer due by `end`, if there is one. */
  async #fireNext(end: number): Promise<boolean> {
    for (;;) {
      const timer = this.#timers.peek();
      if (timer === undefined) return false;
      if (timer.cancelled) {
        this.#timers.pop();
        continue;
      }
      if (timer.at > end) return false;
      this.#timers.pop();
      timer.cancelled = true;
      this.#pending -= 1;
      this.#now = timer.at;
      timer.callback();
      await this.settle();
      return true;
    }
  }
}

import type { Clock, Timer } from "@fleetwright/kube";

interface Pending extends Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
  cancelled: boolean;
}

/** A clock that jumps to the next timer once nothing runs any more. */
export class VirtualTime implements Clock {
  #now = 1_700_000_000_000;
  #order = 0;
  #pending: Pending[] = [];

  now(): number {
    return this.#now;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer: Pending = {
      at: this.#now + Math.max(0, delayMs),
      order: this.#order++,
      callback,
      cancelled: false,
      cancel() {
        timer.cancelled = true;
      },
    };
    this.#pending.push(timer);
    return timer;
  }

  /** Runs timers in order until the time has come; promises settle in between. */
  async runUntil(time: number): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#pending = this.#pending.filter((timer) => !timer.cancelled);
      let next: Pending | undefined;
      for (const timer of this.#pending)
        if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
      if (!next || next.at > time) {
        this.#now = Math.max(this.#now, time);
        return;
      }
      this.#pending.splice(this.#pending.indexOf(next), 1);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
  }
}

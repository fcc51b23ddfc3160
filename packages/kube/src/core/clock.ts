/** A timer that has been set; `cancel` after it fired does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * The only source of time. Production code takes one; `systemClock` is the machine's, `VirtualClock` jumps.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Calls back once after `delayMs` (≥ 0). */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(delayMs, callback) {
    // Node fires timers above 2^31-1 ms at once; no timer of ours is meant to be that far.
    const handle = setTimeout(callback, Math.min(Math.max(0, delayMs), 2_147_483_647));
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delayMs`; rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

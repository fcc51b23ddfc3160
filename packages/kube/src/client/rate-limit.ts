import type { Clock } from "../core/clock.ts";
import { sleep } from "../core/clock.ts";

/** Lets calls through at a rate; one instance is shared by all calls that the rate is meant for. */
export interface RateLimit {
  /** Resolves when the call may go; rejects with the signal's reason when it is aborted while waiting. */
  take(signal?: AbortSignal): Promise<void>;
}

/**
 * A token bucket: `qps` calls a second in the long run, `burst` at once after a pause. Calls go in the order in
 * which they asked.
 *
 * @param options.qps calls per second, > 0
 * @param options.burst bucket size, ≥ 1. Default: `qps` rounded up
 */
export function tokenBucket(options: {
  readonly qps: number;
  readonly burst?: number | undefined;
  readonly clock: Clock;
}): RateLimit {
  const { clock, qps } = options;
  const burst = Math.max(1, options.burst ?? Math.ceil(qps));
  const intervalMs = 1000 / qps;
  /** When the bucket would be full again: the whole state of a bucket in one number. */
  let fullAt = 0;
  return {
    async take(signal) {
      signal?.throwIfAborted();
      const now = clock.now();
      fullAt = Math.max(fullAt, now) + intervalMs;
      const waitMs = fullAt - now - burst * intervalMs;
      // A caller who gives up keeps its place: taking it back would reorder those behind it.
      if (waitMs > 0) await sleep(clock, waitMs, signal);
    },
  };
}

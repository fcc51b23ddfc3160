import type { Clock } from "../core/clock.ts";

/** How long a key waits before it is tried again. Defaults: client-go's `DefaultTypedControllerRateLimiter`. */
export interface BackoffOptions {
  /** @default 5 */
  readonly baseDelayMs?: number;
  /** @default 1_000_000 */
  readonly maxDelayMs?: number;
  /** Retries per second of all keys together, in the long run. @default 10 */
  readonly qps?: number;
  /** Retries that may come at once after a pause. @default 100 */
  readonly burst?: number;
}

/** Per key exponential, and for all keys together a token bucket: the longer of both counts. */
export interface Backoff {
  /** Counts a failure of the key and says how long to wait. */
  next(key: string): number;
  forget(key: string): void;
  failures(key: string): number;
}

export function createBackoff(clock: Clock, options: BackoffOptions = {}): Backoff {
  const { baseDelayMs = 5, maxDelayMs = 1_000_000, qps = 10, burst = 100 } = options;
  const failures = new Map<string, number>();
  const intervalMs = 1000 / qps;
  /** When the bucket would be full again. */
  let fullAt = 0;
  return {
    next(key) {
      const before = failures.get(key) ?? 0;
      failures.set(key, before + 1);
      const now = clock.now();
      fullAt = Math.max(fullAt, now) + intervalMs;
      const bucketMs = Math.max(0, fullAt - now - burst * intervalMs);
      // 2^40 × 1 ms is far beyond any maximum; beyond 2^1023 it would be no number.
      return Math.max(bucketMs, Math.min(maxDelayMs, baseDelayMs * 2 ** Math.min(before, 40)));
    },
    forget: (key) => void failures.delete(key),
    failures: (key) => failures.get(key) ?? 0,
  };
}

import { sleep } from "@fleetwright/kube";
import type { Clock, Random } from "@fleetwright/kube";
import { RegistryError } from "./registry-error.ts";

/** How often and how long a failed call is tried again. */
export interface RetryPolicy {
  /** Tries in a row without progress. @default 6 */
  readonly tries?: number;
  /** Milliseconds before the second try; doubled for each further one, each shortened by up to a half at random. @default 250 */
  readonly baseDelayMs?: number;
  /** Also the longest `Retry-After` that is waited for. @default 30_000 */
  readonly maxDelayMs?: number;
}

/** The tries of one piece of work. */
export interface Retries {
  /** Waits until the next try may begin. Throws what it was given when that will not pass by itself, or when there were enough tries. */
  pause(error: unknown): Promise<void>;
  /** There was progress: the next failure counts as the first. */
  progress(): void;
}

export function startRetries(
  { tries = 6, baseDelayMs = 250, maxDelayMs = 30_000 }: RetryPolicy,
  {
    clock,
    random,
    signal,
  }: { readonly clock: Clock; readonly random: Random; readonly signal?: AbortSignal | undefined },
): Retries {
  let failed = 0;
  return {
    progress() {
      failed = 0;
    },
    async pause(error) {
      signal?.throwIfAborted();
      if (!(error instanceof RegistryError) || !error.transient) throw error;
      failed++;
      const { code, status, reasons, retryAfterMs = 0 } = error;
      if (failed >= tries || retryAfterMs > maxDelayMs) {
        const why =
          failed >= tries ? `tried ${failed} times` : `to be tried again in ${Math.ceil(retryAfterMs / 1000)} s`;
        throw new RegistryError(code, `${error.message} (${why})`, {
          status,
          reasons,
          retryAfterMs: error.retryAfterMs,
          cause: error,
        });
      }
      const backoffMs = Math.min(maxDelayMs, baseDelayMs * 2 ** (failed - 1));
      await sleep(clock, Math.max(retryAfterMs, backoffMs * (1 - random.next() / 2)), signal);
    },
  };
}

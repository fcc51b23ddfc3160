import type { Clock } from "../core/clock.ts";

/** A signal that also fires at a deadline. `clear` must be called when the work is over. */
export interface Deadline {
  readonly signal: AbortSignal | undefined;
  /** Milliseconds left; `Infinity` without a deadline. */
  remainingMs(): number;
  clear(): void;
}

/**
 * Joins a caller's signal with a deadline on an injected clock.
 * By hand, not `AbortSignal.any`: a caller's signal often lives as long as the program, and each joined signal would
 * stay registered with it until collected.
 *
 * @param timeoutMs `undefined`, `Infinity`: no deadline
 * @param reason makes the error with which the signal aborts at the deadline
 */
export function startDeadline(
  clock: Clock,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
  reason: () => Error,
): Deadline {
  if (timeoutMs === undefined || timeoutMs === Infinity) return { signal, remainingMs: () => Infinity, clear() {} };
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal?.reason);
  if (signal?.aborted) onAbort();
  else signal?.addEventListener("abort", onAbort, { once: true });
  const endsAt = clock.now() + timeoutMs;
  const timer = clock.setTimer(timeoutMs, () => controller.abort(reason()));
  return {
    signal: controller.signal,
    remainingMs: () => endsAt - clock.now(),
    clear() {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    },
  };
}

/** `work`, or the signal's reason when it is aborted first; `work` goes on and its outcome is dropped. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

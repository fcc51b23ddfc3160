import type { Clock } from "./clock.ts";

/** Lets the event loop do what waits (I/O, timers, other work), then goes on. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/**
 * Keeps a long loop from blocking the event loop: call and await `pause()` after each item; it gives way once
 * `budgetMs` have passed on the clock since it last did. Under a virtual clock, which stands still meanwhile, it never
 * does, so a simulation does not depend on how fast the machine is.
 */
export function createPacer(clock: Clock, budgetMs = 5): { pause(): Promise<void> | undefined } {
  let since = clock.now();
  return {
    pause() {
      if (clock.now() - since < budgetMs) return undefined;
      return nextTurn().then(() => {
        since = clock.now();
      });
    },
  };
}

import { randomInt } from "node:crypto";

/** The only source of randomness that decides anything. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

/** The machine's randomness. */
export const systemRandom: Random = { next: () => randomInt(2 ** 47) / 2 ** 47 };

/** A repeatable sequence (mulberry32): good for jitter and tests, not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    },
  };
}

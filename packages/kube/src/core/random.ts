import { randomFillSync } from "node:crypto";

/** The only source of randomness that decides anything. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

/** Drawn from the machine a few thousand at a time: one call each would cost more than what the numbers are for. */
const drawn = new Uint32Array(2048);
let left = 0;

/** The machine's randomness. */
export const systemRandom: Random = {
  next() {
    if (left < 2) {
      randomFillSync(drawn);
      left = drawn.length;
    }
    const [high = 0, low = 0] = [drawn[--left], drawn[--left]];
    return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
  },
};

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

import { checkpointError } from "../../errors.ts";
import type { ByteExpression } from "./byte-expression.ts";

/** Steps of making states that one search may take, together: half a second. */
const workLimit = 10_000_000;
/** States that are kept: each takes a kilobyte. When there are more, all are made anew as they are met. */
const stateLimit = 4096;

const unknown = -1;
/** No match can come of this state any more. */
const dead = 0;
const start = 1;

/** Follows an expression over bytes, one look-up each; states are made when they are first met. */
class Automaton {
  readonly #expression: ByteExpression;
  /** Whether a match may begin at any byte, and not at the first alone. */
  readonly #anywhere: boolean;
  readonly #lasts: ReadonlySet<number>;
  #next = new Int32Array(256 * 64);
  #accepts = new Uint8Array(64);
  #states: (readonly number[])[] = [];
  readonly #byKey = new Map<string, number>();
  #work = 0;

  constructor(expression: ByteExpression, anywhere: boolean) {
    this.#expression = expression;
    this.#anywhere = anywhere;
    this.#lasts = new Set(expression.last);
    this.#forget();
  }

  #forget(): void {
    this.#states = [];
    this.#byKey.clear();
    this.#add([], "dead");
    this.#add([], "start");
  }

  #add(positions: readonly number[], key: string): number {
    const state = this.#states.length;
    this.#states.push(positions);
    this.#byKey.set(key, state);
    if (state >= this.#accepts.length) {
      const accepts = new Uint8Array(2 * this.#accepts.length);
      accepts.set(this.#accepts);
      const next = new Int32Array(2 * this.#next.length);
      next.set(this.#next);
      [this.#accepts, this.#next] = [accepts, next];
    }
    this.#accepts[state] = Number(positions.some((position) => this.#lasts.has(position)));
    this.#next.fill(unknown, 256 * state, 256 * state + 256);
    return state;
  }

  /** The state after a byte. */
  step(state: number, byte: number): number {
    const next = this.#next[256 * state + byte] ?? dead;
    return next === unknown ? this.#make(state, byte) : next;
  }

  accepts(state: number): boolean {
    return this.#accepts[state] === 1;
  }

  #make(state: number, byte: number): number {
    const { sets, first, follow } = this.#expression;
    const reached = new Set<number>();
    const look = (positions: readonly number[]): void => {
      this.#work += positions.length + 1;
      for (const position of positions) if (sets[position]?.[byte] === 1) reached.add(position);
    };
    for (const position of this.#states[state] ?? []) look(follow[position] ?? []);
    if (state === start || this.#anywhere) look(first);
    if (this.#work > workLimit)
      throw checkpointError(
        "FW_CHECKPOINT_LIMIT",
        "search: the expression is too complex for this memory: make it simpler",
      );
    const positions = [...reached].toSorted((a, b) => a - b);
    const key = positions.length === 0 ? (this.#anywhere ? "start" : "dead") : positions.join(" ");
    const found = this.#byKey.get(key);
    if (found === undefined && this.#states.length >= stateLimit) {
      this.#forget();
      return this.#add(positions, key);
    }
    const next = found ?? this.#add(positions, key);
    this.#next[256 * state + byte] = next;
    return next;
  }
}

/** Finds matches of an expression in time that grows with the text alone, whatever both are. */
export interface ByteSearch {
  /** The match that begins first at or behind `from`, and of those the longest; of at most `longest` bytes, and never an empty one. */
  find(text: Uint8Array, from: number): { readonly start: number; readonly end: number } | undefined;
}

/** @param longest bytes of a match, at most: where a match could be longer, what is found is its beginning */
export function byteSearch(expression: ByteExpression, backwards: ByteExpression, longest: number): ByteSearch {
  const somewhere = new Automaton(expression, true);
  const here = new Automaton(expression, false);
  const ends = new Automaton(backwards, true);
  return {
    find(text, from) {
      for (let begin = from; ;) {
        // Some match ends here, and none before. Matches that begin before its end are the only ones that can begin first.
        let at = begin;
        for (let state = start; at < text.length; at += 1) {
          state = somewhere.step(state, text[at] ?? 0);
          if (somewhere.accepts(state)) break;
        }
        if (at >= text.length) return undefined;
        let first: number | undefined;
        const low = Math.max(begin, at + 1 - longest);
        let state = start;
        for (let back = Math.min(text.length, at + longest) - 1; back >= low; back -= 1) {
          state = ends.step(state, text[back] ?? 0);
          if (back <= at && ends.accepts(state)) first = back;
        }
        // Longer than the longest, and nothing else began meanwhile.
        if (first === undefined) {
          begin = at + 1;
          continue;
        }
        const limit = Math.min(text.length, first + longest);
        let end: number | undefined;
        state = start;
        for (let forth = first; forth < limit && state !== dead; forth += 1) {
          state = here.step(state, text[forth] ?? 0);
          if (here.accepts(state)) end = forth + 1;
        }
        return { start: first, end: end ?? limit };
      }
    },
  };
}

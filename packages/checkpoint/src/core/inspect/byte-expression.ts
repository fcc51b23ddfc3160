import { checkpointError } from "../../errors.ts";

/** 256 flags: which bytes. */
type ByteSet = Uint8Array;

/**
 * A regular expression as its positions: each matches one byte, and is followed by others (Glushkov 1961). There are no empty steps, and read backwards it is the expression
 * of the reversed matches.
 */
export interface ByteExpression {
  readonly sets: readonly ByteSet[];
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly follow: readonly (readonly number[])[];
}

/** A part of an expression while it is put together. */
interface Part {
  readonly nullable: boolean;
  readonly first: readonly number[];
  readonly last: readonly number[];
}

const positionLimit = 2000;
/** Of pairs of positions that follow each other: repeated choices have the square of their number. */
const followLimit = 200_000;
const depthLimit = 100;
/** Parts that are read: those of what is repeated once for each repetition, and empty groups are parts too. */
const partLimit = 20_000;

const refuse = (source: string, at: number, why: string) =>
  checkpointError("FW_CHECKPOINT_IMAGE", `search: /${source}/: at ${at}: ${why}`);

const setOf = (matches: (byte: number) => boolean): ByteSet =>
  Uint8Array.from({ length: 256 }, (_, byte) => Number(matches(byte)));
const among = (text: string) => (byte: number) => text.includes(String.fromCharCode(byte));
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
const isWord = (byte: number): boolean => /\w/.test(String.fromCharCode(byte));
const isSpace = among("\t\n\v\f\r \u00a0");

/** JavaScript's classes, over Latin-1. */
const classes: Readonly<Record<string, (byte: number) => boolean>> = {
  d: isDigit,
  D: (byte) => !isDigit(byte),
  w: isWord,
  W: (byte) => !isWord(byte),
  s: isSpace,
  S: (byte) => !isSpace(byte),
};
const controls: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, v: 11, f: 12, 0: 0 };

/** Reads JavaScript's syntax, of what a linear search can do: no looking around, no references to groups, no anchors. */
class Parser {
  readonly #source: string;
  readonly #ignoreCase: boolean;
  readonly #dotAll: boolean;
  #at = 0;
  #pairs = 0;
  #parts = 0;
  readonly sets: ByteSet[] = [];
  readonly follow: Set<number>[] = [];

  constructor({ source, flags }: RegExp) {
    this.#source = source;
    this.#ignoreCase = flags.includes("i");
    this.#dotAll = flags.includes("s");
    const other = /[^gisd]/.exec(flags)?.[0];
    if (other !== undefined) throw this.#refuse(`the flag ${other} is not searched with: leave it out`);
  }

  parse(): Part {
    const part = this.#choice(0);
    if (this.#at < this.#source.length) throw this.#refuse("a parenthesis that was not opened");
    return part;
  }

  #refuse(why: string): Error {
    return refuse(this.#source, this.#at, why);
  }

  #eat(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #choice(depth: number): Part {
    if (depth > depthLimit) throw this.#refuse(`more than ${depthLimit} groups in each other`);
    let choice = this.#sequence(depth);
    while (this.#eat("|")) {
      const other = this.#sequence(depth);
      choice = {
        nullable: choice.nullable || other.nullable,
        first: [...choice.first, ...other.first],
        last: [...choice.last, ...other.last],
      };
    }
    return choice;
  }

  #sequence(depth: number): Part {
    let sequence: Part = { nullable: true, first: [], last: [] };
    while (this.#at < this.#source.length && !/[|)]/.test(this.#source[this.#at] ?? ""))
      sequence = this.#joined(sequence, this.#repeated(depth));
    return sequence;
  }

  #joined(before: Part, after: Part): Part {
    this.#link(before.last, after.first);
    return {
      nullable: before.nullable && after.nullable,
      first: before.nullable ? [...before.first, ...after.first] : before.first,
      last: after.nullable ? [...before.last, ...after.last] : after.last,
    };
  }

  #link(from: readonly number[], to: readonly number[]): void {
    this.#pairs += from.length * to.length;
    if (this.#pairs > followLimit) throw this.#refuse("too many choices and repetitions: make it simpler");
    for (const position of from) for (const next of to) this.follow[position]?.add(next);
  }

  #repeated(depth: number): Part {
    const start = this.#at;
    let part = this.#atom(depth);
    const end = this.#at;
    const counts = /^(?:([*+?])|\{(\d+)(,(\d*))?\})/.exec(this.#source.slice(end, end + 30));
    if (counts === null) return part;
    const [text, sign, low, comma, high] = counts;
    const least = sign === undefined ? Number(low) : Number(sign === "+");
    const most =
      sign === "?" ? 1 : sign !== undefined || (comma !== undefined && high === "") ? Infinity : Number(high ?? low);
    if (least > positionLimit || (most !== Infinity && most > positionLimit))
      throw this.#refuse(`more than ${positionLimit} repetitions: ask for less`);
    // Each repetition has positions of its own: what is repeated is read again.
    let whole: Part = { nullable: true, first: [], last: [] };
    const copies = most === Infinity ? Math.max(1, least) : most;
    for (let copy = 0; copy < copies; copy += 1) {
      if (copy > 0) {
        this.#at = start;
        part = this.#atom(depth);
      }
      if (most === Infinity && copy === copies - 1) this.#link(part.last, part.first);
      whole = this.#joined(whole, copy < least ? part : { ...part, nullable: true });
    }
    this.#at = end + text.length;
    if (this.#source[this.#at] === "?")
      throw this.#refuse("matches are the longest: leave out the ? behind a repetition");
    return whole;
  }

  #atom(depth: number): Part {
    this.#parts += 1;
    if (this.#parts > partLimit) throw this.#refuse("too many repetitions: make it simpler");
    if (this.#eat("(")) {
      if (this.#eat("?") && !this.#eat(":")) {
        const name = /^<[\w$]+>/.exec(this.#source.slice(this.#at))?.[0];
        if (name === undefined) throw this.#refuse("looking ahead or behind is not searched for");
        this.#at += name.length;
      }
      const part = this.#choice(depth + 1);
      if (!this.#eat(")")) throw this.#refuse("a parenthesis that is not closed");
      return part;
    }
    if (this.#eat("[")) return this.#position(this.#set());
    const character = this.#source[this.#at] ?? "";
    if (character === "^" || character === "$") throw this.#refuse(`memory has no lines: leave out ${character}`);
    this.#at += 1;
    if (character === ".") return this.#position(setOf((byte) => this.#dotAll || (byte !== 10 && byte !== 13)));
    const one = character === "\\" ? this.#escape(false) : this.#code(character.charCodeAt(0));
    return this.#position(typeof one === "number" ? this.#folded((byte) => byte === one) : one);
  }

  #position(set: ByteSet): Part {
    const position = this.sets.length;
    if (position >= positionLimit) throw this.#refuse(`longer than ${positionLimit} bytes with its repetitions`);
    this.sets.push(set);
    this.follow.push(new Set());
    return { nullable: false, first: [position], last: [position] };
  }

  #code(code: number): number {
    if (code > 255) throw this.#refuse("memory is bytes: write a character's UTF-8 as \\x..");
    return code;
  }

  #folded(matches: (byte: number) => boolean): ByteSet {
    const set = setOf(matches);
    if (this.#ignoreCase)
      for (let upper = 0x41; upper <= 0x5a; upper += 1)
        if (set[upper] === 1 || set[upper + 32] === 1) set[upper] = set[upper + 32] = 1;
    return set;
  }

  /** Behind a backslash: a byte or a class. Within brackets, `\b` is a byte. */
  #escape(inBrackets: boolean): number | ByteSet {
    const character = this.#source[this.#at] ?? "";
    this.#at += 1;
    const matches = classes[character];
    if (matches !== undefined) return setOf(matches);
    const code = /^(?:x([0-9a-f]{2})|u([0-9a-f]{4}))/i.exec(this.#source.slice(this.#at - 1, this.#at + 4));
    if (code !== null) {
      this.#at += code[0].length - 1;
      return this.#code(Number.parseInt(code[1] ?? code[2] ?? "", 16));
    }
    if (character === "b" && inBrackets) return 8;
    const control = controls[character];
    if (control !== undefined && !isDigit(this.#source.charCodeAt(this.#at))) return control;
    if (/[0-9a-zA-Z]/.test(character)) throw this.#refuse(`\\${character} is not searched for`);
    return this.#code(character.charCodeAt(0));
  }

  /** Behind an opening bracket. */
  #set(): ByteSet {
    const negated = this.#eat("^");
    const set = new Uint8Array(256);
    const one = (): number | ByteSet => {
      if (this.#eat("\\")) return this.#escape(true);
      this.#at += 1;
      return this.#code(this.#source.charCodeAt(this.#at - 1));
    };
    while (!this.#eat("]")) {
      if (this.#at >= this.#source.length) throw this.#refuse("a bracket that is not closed");
      const from = one();
      let to = from;
      if (this.#source[this.#at] === "-" && this.#source[this.#at + 1] !== "]") {
        this.#at += 1;
        to = one();
        if (typeof from !== "number" || typeof to !== "number" || from > to)
          throw this.#refuse("a range of what is no single byte");
      }
      const added =
        typeof from === "number" && typeof to === "number" ? this.#folded((byte) => byte >= from && byte <= to) : from;
      if (typeof added !== "number") for (const [byte, flag] of added.entries()) if (flag === 1) set[byte] = 1;
    }
    return negated ? set.map((flag) => 1 - flag) : set;
  }
}

/**
 * An expression over bytes, each taken as a Latin-1 character. Throws FW_CHECKPOINT_IMAGE, with the place, for what cannot be searched for in one pass over any
 * memory: references, looking around, anchors, lazy repetitions, characters beyond one byte, and expressions that are too large.
 */
export function parseByteExpression(expression: RegExp): ByteExpression {
  const parser = new Parser(expression);
  const { first, last } = parser.parse();
  if (first.length === 0) throw refuse(expression.source, 0, "matches nothing but emptiness");
  return { sets: parser.sets, first, last, follow: parser.follow.map((next) => [...next]) };
}

/** The expression of all matches read backwards. */
export function reversed({ sets, first, last, follow }: ByteExpression): ByteExpression {
  const before: number[][] = sets.map(() => []);
  for (const [position, next] of follow.entries()) for (const other of next) before[other]?.push(position);
  return { sets, first: last, last: first, follow: before };
}

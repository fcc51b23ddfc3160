/** What is wrong with a text that is no JSON, in the words of Go's `encoding/json`. */

/** Go's limit of nesting. */
export const maximumDepth = 10_000;

/** As Go quotes a character in an error. */
function quoteCharacter(character: string): string {
  if (character === "'") return "'\\''";
  if (character === '"') return `'"'`;
  const code = character.codePointAt(0) ?? 0;
  if (code === 0x07) return String.raw`'\a'`;
  if (code === 0x0b) return String.raw`'\v'`;
  const isShort = "\b\f\n\r\t".includes(character);
  if ((code < 0x20 && !isShort) || code === 0x7f) return `'\\x${code.toString(16).padStart(2, "0")}'`;
  if (code > 0x7f && code < 0x1_0000 && /[\p{C}\p{Z}]/u.test(character)) {
    return `'\\u${code.toString(16).padStart(4, "0")}'`;
  }
  const quoted = JSON.stringify(character);
  return `'${quoted.slice(1, -1)}'`;
}

const space = /[ \t\r\n]/;

type Place = "value" | "firstKey" | "key" | "colon" | "afterValue";

/**
 * The message for a text that is no JSON value (k8s.io's errors show it); `undefined` when it is one.
 * One pass without recursion.
 */
export function jsonProblem(text: string): string | undefined {
  const stack: ("object" | "array")[] = [];
  let place: Place = "value";
  let firstItem = false;
  let at = 0;
  const unexpected = (context: string): string => {
    const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
    return `invalid character ${quoteCharacter(character)} ${context}`;
  };
  const end = "unexpected end of JSON input";

  function string(): string | undefined {
    at++;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        at++;
        return undefined;
      }
      if (code < 0x20) return unexpected("in string literal");
      if (code !== 0x5c) continue;
      at++;
      if (at >= text.length) return end;
      const escape = text[at] ?? "";
      if (escape === "u") {
        for (let digit = 0; digit < 4; digit++) {
          at++;
          if (at >= text.length) return end;
          if (!/[0-9a-fA-F]/.test(text[at] ?? "")) return unexpected("in \\u hexadecimal character escape");
        }
      } else if (!'"\\/bfnrt'.includes(escape)) return unexpected("in string escape code");
    }
    return end;
  }

  function literal(word: string): string | undefined {
    for (let index = 1; index < word.length; index++) {
      at++;
      if (at >= text.length) return end;
      if (text[at] !== word[index]) {
        return unexpected(`in literal ${word} (expecting ${quoteCharacter(word[index] ?? "")})`);
      }
    }
    at++;
    return undefined;
  }

  function number(): string | undefined {
    const digits = (context: string): string | undefined => {
      if (at >= text.length) return end;
      if (!/\d/.test(text[at] ?? "")) return unexpected(context);
      while (/\d/.test(text[at] ?? "")) at++;
      return undefined;
    };
    if (text[at] === "-") at++;
    if (text[at] === "0") at++;
    else {
      const problem = digits("in numeric literal");
      if (problem !== undefined) return problem;
    }
    if (text[at] === ".") {
      at++;
      const problem = digits("after decimal point in numeric literal");
      if (problem !== undefined) return problem;
    }
    if (text[at] === "e" || text[at] === "E") {
      at++;
      if (text[at] === "+" || text[at] === "-") at++;
      return digits("in exponent of numeric literal");
    }
    return undefined;
  }

  for (;;) {
    while (at < text.length && space.test(text[at] ?? "")) at++;
    if (at >= text.length) return stack.length === 0 && place === "afterValue" ? undefined : end;
    const character = text[at] ?? "";
    if (place === "value") {
      if (character === "]" && firstItem && stack.at(-1) === "array") {
        stack.pop();
        at++;
        place = "afterValue";
        firstItem = false;
        continue;
      }
      firstItem = false;
      if (character === "{" || character === "[") {
        if (stack.length >= maximumDepth) return unexpected("exceeded max depth");
        stack.push(character === "{" ? "object" : "array");
        place = character === "{" ? "firstKey" : "value";
        firstItem = character === "[";
        at++;
        continue;
      }
      let problem: string | undefined;
      if (character === '"') problem = string();
      else if (character === "t") problem = literal("true");
      else if (character === "f") problem = literal("false");
      else if (character === "n") problem = literal("null");
      else if (/[-\d]/.test(character)) problem = number();
      else return unexpected("looking for beginning of value");
      if (problem !== undefined) return problem;
      place = "afterValue";
    } else if (place === "firstKey" || place === "key") {
      if (character === "}" && place === "firstKey") {
        stack.pop();
        at++;
        place = "afterValue";
        continue;
      }
      if (character !== '"') return unexpected("looking for beginning of object key string");
      const problem = string();
      if (problem !== undefined) return problem;
      place = "colon";
    } else if (place === "colon") {
      if (character !== ":") return unexpected("after object key");
      at++;
      place = "value";
    } else {
      const within = stack.at(-1);
      if (within === undefined) return unexpected("after top-level value");
      if (character === ",") {
        at++;
        place = within === "object" ? "key" : "value";
      } else if (character === (within === "object" ? "}" : "]")) {
        stack.pop();
        at++;
      } else return unexpected(within === "object" ? "after object key:value pair" : "after array element");
    }
  }
}

export interface JsonMeasure {
  /** Of all objects, doubled ones included. */
  readonly fields: number;
  readonly depth: number;
  /** There are numbers that JavaScript would not keep as they are written. */
  readonly unusualNumbers: boolean;
}

/** Most digits that a number keeps whatever they are. */
const safeDigits = 15;

/** Measures JSON in one cheap pass; of what is no JSON it says something too. */
export function measureJson(text: string): JsonMeasure {
  let fields = 0;
  let depth = 0;
  let deepest = 0;
  let digits = 0;
  let unusualNumbers = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0x30 && code <= 0x39) {
      if (++digits > safeDigits) unusualNumbers = true;
      continue;
    }
    if (code === 0x22) {
      do {
        at = text.indexOf('"', at + 1);
        if (at === -1) return { fields, depth: deepest, unusualNumbers };
      } while (text.charCodeAt(at - 1) === 0x5c && isEscaped(text, at));
    } else if (code === 0x3a) fields++;
    else if (code === 0x7b || code === 0x5b) {
      depth++;
      if (depth > deepest) deepest = depth;
    } else if (code === 0x7d || code === 0x5d) depth--;
    // A point, an exponent, or a sign before a nought.
    else if (code === 0x2e || code === 0x45 || (code === 0x65 && digits > 0)) unusualNumbers = true;
    else if (code === 0x2d && text.charCodeAt(at + 1) === 0x30) unusualNumbers = true;
    digits = 0;
  }
  return { fields, depth: deepest, unusualNumbers };
}

function isEscaped(text: string, quote: number): boolean {
  let slashes = 0;
  while (text.charCodeAt(quote - 1 - slashes) === 0x5c) slashes++;
  return slashes % 2 === 1;
}

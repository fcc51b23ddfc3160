import type { Issue } from "./expression-tree.ts";

export interface Token {
  readonly kind: "bytes" | "double" | "end" | "identifier" | "int" | "quoted" | "string" | "symbol" | "uint";
  /** As written; of strings and quoted identifiers, what they stand for. */
  readonly text: string;
  readonly bytes?: Uint8Array;
  readonly offset: number;
}

const symbols = ["==", "!=", "<=", ">=", "&&", "||", ..."+ - * / % < > ! ? : . , ( ) [ ] { }".split(" ")];
const number = /(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)|(0x[0-9a-fA-F]+|\d+)([uU]?)/y;
const identifier = /[_a-zA-Z][_a-zA-Z0-9]*/y;
const quoted = /`[a-zA-Z0-9_.\-/ ]+`/y;
const opening = /(?:[rR][bB]?|[bB][rR]?)?("""|'''|"|')/y;
const space = /(?:[\t\r\n\f ]|\/\/[^\n]*)+/y;

const simpleEscapes: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "?": "?",
  '"': '"',
  "'": "'",
  "`": "`",
};

/** The words of an expression, and what is none: it is skipped, so that more mistakes are found. */
export function tokenize(source: string): { readonly tokens: readonly Token[]; readonly issues: readonly Issue[] } {
  const tokens: Token[] = [];
  const issues: Issue[] = [];
  const unknown = (end: number): void => {
    issues.push({ offset, message: `Syntax error: token recognition error at: '${source.slice(offset, end)}'` });
    offset = end;
  };
  let offset = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = offset;
    return pattern.exec(source);
  };
  for (;;) {
    offset += take(space)?.[0].length ?? 0;
    if (offset >= source.length) break;
    const opened = take(opening);
    if (opened !== null) {
      const { token, end } = readString(source, offset, opened[0], opened[1] ?? '"');
      if (token === undefined) {
        unknown(end);
        continue;
      }
      tokens.push(token);
      offset = end;
      continue;
    }
    const digits = take(number);
    if (digits !== null) {
      const kind = digits[1] === undefined ? "double" : digits[2] === "" ? "int" : "uint";
      tokens.push({ kind, text: digits[1] ?? digits[0], offset });
      offset += digits[0].length;
      continue;
    }
    const word = take(identifier);
    if (word !== null) {
      tokens.push({ kind: "identifier", text: word[0], offset });
      offset += word[0].length;
      continue;
    }
    const name = take(quoted);
    if (name !== null) {
      tokens.push({ kind: "quoted", text: name[0].slice(1, -1), offset });
      offset += name[0].length;
      continue;
    }
    const symbol = symbols.find((text) => source.startsWith(text, offset));
    if (symbol === undefined) {
      // Half of an operator is skipped with what follows it.
      const width = /^[=&|]/.test(source.slice(offset))
        ? 2
        : String.fromCodePoint(source.codePointAt(offset) ?? 0).length;
      unknown(Math.min(source.length, offset + width));
      continue;
    }
    tokens.push({ kind: "symbol", text: symbol, offset });
    offset += symbol.length;
  }
  tokens.push({ kind: "end", text: "<EOF>", offset: source.length });
  return { tokens, issues };
}

function readString(
  source: string,
  offset: number,
  start: string,
  quote: string,
): { readonly token: Token | undefined; readonly end: number } {
  const raw = /r/i.test(start.slice(0, -quote.length));
  const isBytes = /b/i.test(start.slice(0, -quote.length));
  const parts: (string | number)[] = [];
  let at = offset + start.length;
  while (!source.startsWith(quote, at)) {
    const char = source[at];
    if (char === undefined || (quote.length === 1 && (char === "\n" || char === "\r"))) {
      return { token: undefined, end: Math.min(source.length, char === undefined ? at : at + 1) };
    }
    if (char !== "\\") {
      parts.push(char);
      at += 1;
    } else if (raw) {
      parts.push(char);
      at += 1;
    } else {
      const escape = readEscape(source, at, isBytes);
      if (escape === undefined) return { token: undefined, end: Math.min(source.length, at + 2) };
      const { value, length } = escape;
      parts.push(value);
      at += length;
    }
  }
  const end = at + quote.length;
  if (!isBytes) {
    const text = parts.map((part) => (typeof part === "number" ? String.fromCodePoint(part) : part)).join("");
    return { token: { kind: "string", text, offset }, end };
  }
  const chunks = parts.map((part) => (typeof part === "number" ? Buffer.from([part]) : Buffer.from(part)));
  return { token: { kind: "bytes", text: "", bytes: new Uint8Array(Buffer.concat(chunks)), offset }, end };
}

/** A number is a code point, or a byte in bytes; `undefined` for what is no escape. */
function readEscape(
  source: string,
  at: number,
  isBytes: boolean,
): { readonly value: number | string; readonly length: number } | undefined {
  const letter = source[at + 1] ?? "";
  const simple = Object.hasOwn(simpleEscapes, letter) ? simpleEscapes[letter] : undefined;
  if (simple !== undefined) return { value: simple, length: 2 };
  const digits =
    /^[xX]([0-9a-fA-F]{2})/.exec(source.slice(at + 1, at + 4)) ??
    (isBytes
      ? null
      : (/^u([0-9a-fA-F]{4})/.exec(source.slice(at + 1, at + 6)) ??
        /^U([0-9a-fA-F]{8})/.exec(source.slice(at + 1, at + 10))));
  const octal = /^[0-3][0-7]{2}/.exec(source.slice(at + 1, at + 4));
  const value =
    digits === null ? (octal === null ? -1 : Number.parseInt(octal[0], 8)) : Number.parseInt(digits[1] ?? "", 16);
  if (value < 0 || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return undefined;
  return { value, length: 1 + (digits ?? octal ?? [""])[0].length };
}

import { ParseFailure, nowhere, type Expression, type Literal } from "./expression-tree.ts";
import { tokenize, type Token } from "./lexer.ts";
import { expandMacro, type TreeBuilder } from "./macros.ts";

/** cel-go's defaults: deeper or longer sources are refused. */
const maximumDepth = 250;
const maximumCodePoints = 100_000;

const reserved = new Set(
  "as break const continue else for function if import in let loop package namespace return var void while".split(" "),
);

const relations = new Set(["<", "<=", ">", ">=", "==", "!="]);

/**
 * Reads an expression (https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax) with its macros expanded.
 * Written here because Kubernetes' CEL needs what `@marcbachmann/cel-js` hides or lacks: object construction, the place
 * of each node, and expanded macros, without which costs cannot be counted. Throws ParseFailure.
 */
export function parse(source: string): Expression {
  const size = source.length > maximumCodePoints ? Array.from(source).length : 0;
  if (size > maximumCodePoints) {
    throw new ParseFailure({
      offset: nowhere,
      message: `expression code point size exceeds limit: size: ${size}, limit ${maximumCodePoints}`,
    });
  }
  const { tokens, issues } = tokenize(source);
  let root: Expression;
  try {
    root = new Parser(source, tokens).whole();
  } catch (error) {
    throw error instanceof ParseFailure ? new ParseFailure(...issues, ...error.issues) : error;
  }
  if (issues.length > 0) throw new ParseFailure(...issues);
  return root;
}

const endOf = (source: string): Token => ({ kind: "end", text: "<EOF>", offset: source.length });

/** Whether an expression may begin with a word. */
function canStart({ kind, text }: Token): boolean {
  if (kind === "symbol") return "[{(.-!".includes(text) && text.length === 1;
  return kind !== "end" && kind !== "quoted" && !(kind === "identifier" && text === "in");
}

/** In the grammar's order, as ANTLR lists what it expected. */
const punctuation = ["[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?"];

function startsText(others: readonly string[]): string {
  const marks = punctuation.filter((mark) => "[{(.-!".includes(mark) || others.includes(mark));
  const words = "'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER";
  return `{${marks.map((mark) => `'${mark}'`).join(", ")}, ${words}}`;
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #source: string;
  #at = 0;
  #depth = 0;
  #id = 0;
  readonly #build: TreeBuilder = {
    nextId: () => ++this.#id,
    literal: (type, value, offset) => ({ kind: "literal", id: ++this.#id, offset, type, value }) as Literal,
    identifier: (name, offset) => ({ kind: "identifier", id: ++this.#id, offset, name }),
    call: (name, parameters, offset, target) => ({
      kind: "call",
      id: ++this.#id,
      offset,
      name,
      target,
      parameters,
    }),
  };

  constructor(source: string, tokens: readonly Token[]) {
    this.#source = source;
    this.#tokens = tokens;
  }

  whole(): Expression {
    const expression = this.#expression();
    if (this.#token.kind !== "end") this.#unexpected("<EOF>", this.#after.kind === "end" ? "extraneous" : "mismatched");
    return expression;
  }

  get #token(): Token {
    return this.#tokens[this.#at] ?? { kind: "end", text: "<EOF>", offset: this.#source.length };
  }

  #next(): Token {
    const token = this.#token;
    this.#at += 1;
    return token;
  }

  #is(text: string): boolean {
    return this.#token.kind === "symbol" && this.#token.text === text;
  }

  #accept(text: string): boolean {
    if (!this.#is(text)) return false;
    this.#at += 1;
    return true;
  }

  get #after(): Token {
    return this.#tokens[this.#at + 1] ?? endOf(this.#source);
  }

  /** What is not there is told as ANTLR does it, which tries to go on without one word or with one more. */
  #expect(text: string): void {
    if (this.#accept(text)) return;
    const { kind } = this.#token;
    if (this.#after.kind === "symbol" && this.#after.text === text) this.#unexpected(`'${text}'`, "extraneous");
    const isMissing = text === ":" ? canStart(this.#token) : kind === "end" && this.#openings() === 1;
    if (isMissing) this.#fail(`missing '${text}' at '${this.#written()}'`);
    this.#unexpected(`'${text}'`);
  }

  /** Brackets that were opened and not closed before the current word. */
  #openings(): number {
    const before = this.#tokens.slice(0, this.#at).filter(({ kind }) => kind === "symbol");
    const count = (texts: string): number => before.filter(({ text }) => texts.includes(text)).length;
    return count("([{") - count(")]}");
  }

  #fail(problem: string): never {
    throw new ParseFailure({ offset: this.#token.offset, message: `Syntax error: ${problem}` });
  }

  #written(): string {
    const { offset, kind, text } = this.#token;
    if (kind === "end") return "<EOF>";
    return kind === "string" || kind === "quoted" ? this.#source.slice(offset, offset + text.length + 2) : text;
  }

  /** The beginning of an expression, or `others`. */
  #expectStart(others: readonly string[]): void {
    if (canStart(this.#token) || (this.#token.kind === "symbol" && others.includes(this.#token.text))) return;
    this.#unexpected(startsText(others), canStart(this.#after) ? "extraneous" : "mismatched");
  }

  #unexpected(expected: string, word: "mismatched" | "extraneous" = "mismatched"): never {
    this.#fail(`${word} input '${this.#written()}' expecting ${expected}`);
  }

  /** The name of a field after a dot. */
  #fieldName(optional: boolean): Token {
    const field = this.#token;
    if (field.kind === "quoted") {
      throw new ParseFailure({ offset: field.offset, message: "unsupported syntax: '`'" });
    }
    if (field.kind === "identifier" && field.text !== "in") return field;
    if (optional) this.#unexpected("{IDENTIFIER, ESC_IDENTIFIER}");
    return this.#fail(`no viable alternative at input '.${field.kind === "end" ? "" : this.#written()}'`);
  }

  #expression(): Expression {
    if (++this.#depth > maximumDepth) {
      throw new ParseFailure({ offset: nowhere, message: `expression recursion limit exceeded: ${maximumDepth}` });
    }
    const condition = this.#logical("||", "_||_");
    const { offset } = this.#token;
    let result = condition;
    if (this.#accept("?")) {
      const yes = this.#logical("||", "_||_");
      this.#expect(":");
      const no = this.#expression();
      result = this.#build.call("_?_:_", [condition, yes, no], offset);
    }
    this.#depth -= 1;
    return result;
  }

  /** Chains of `&&` and `||` become balanced trees, as cel-go's do, so that long ones are not deep. */
  #logical(symbol: "&&" | "||", name: string): Expression {
    const next = () => (symbol === "||" ? this.#logical("&&", "_&&_") : this.#relation());
    const terms = [next()];
    const offsets: number[] = [];
    while (this.#is(symbol)) {
      offsets.push(this.#next().offset);
      terms.push(next());
    }
    const balance = (low: number, high: number): Expression => {
      const middle = Math.floor((low + high + 1) / 2);
      const left = middle === low ? terms[middle] : balance(low, middle - 1);
      const right = middle === high ? terms[middle + 1] : balance(middle + 1, high);
      if (left === undefined || right === undefined) throw new RangeError("a chain has one term more than operators");
      return this.#build.call(name, [left, right], offsets[middle] ?? 0);
    };
    return offsets.length === 0 && terms[0] !== undefined ? terms[0] : balance(0, offsets.length - 1);
  }

  #relation(): Expression {
    let left = this.#sum();
    for (let count = 0; ; count += 1) {
      const { kind, text, offset } = this.#token;
      const isIn = kind === "identifier" && text === "in";
      if (!isIn && !(kind === "symbol" && relations.has(text))) return left;
      this.#limit(count);
      this.#at += 1;
      left = this.#build.call(isIn ? "@in" : `_${text}_`, [left, this.#sum()], offset);
    }
  }

  #limit(count: number): void {
    if (count > maximumDepth) {
      throw new ParseFailure({ offset: nowhere, message: `expression recursion limit exceeded: ${maximumDepth}` });
    }
  }

  #sum(): Expression {
    let left = this.#product();
    for (let count = 0; this.#is("+") || this.#is("-"); count += 1) {
      this.#limit(count);
      const { text, offset } = this.#next();
      left = this.#build.call(`_${text}_`, [left, this.#product()], offset);
    }
    return left;
  }

  #product(): Expression {
    let left = this.#unary();
    for (let count = 0; this.#is("*") || this.#is("/") || this.#is("%"); count += 1) {
      this.#limit(count);
      const { text, offset } = this.#next();
      left = this.#build.call(`_${text}_`, [left, this.#unary()], offset);
    }
    return left;
  }

  #unary(): Expression {
    const { offset } = this.#token;
    for (const [symbol, name] of [
      ["!", "!_"],
      ["-", "-_"],
    ] as const) {
      if (!this.#is(symbol)) continue;
      let count = 0;
      while (this.#accept(symbol)) count += 1;
      // A sign belongs to the number: the smallest int has no positive counterpart.
      if (symbol === "-" && count % 2 === 1 && ["int", "double"].includes(this.#token.kind)) {
        return this.#member(this.#number(this.#next(), "-", offset));
      }
      const operand = this.#member(this.#primary());
      return count % 2 === 0 ? operand : this.#build.call(name, [operand], offset);
    }
    return this.#member(this.#primary());
  }

  #member(start: Expression): Expression {
    let operand = start;
    for (let count = 0; ; count += 1) {
      this.#limit(count);
      const { offset } = this.#token;
      if (this.#accept("[")) {
        this.#expectStart(["?"]);
        const optional = this.#accept("?");
        const index = this.#expression();
        this.#expect("]");
        operand = this.#build.call(optional ? "_[?_]" : "_[_]", [operand, index], offset);
      } else if (this.#accept(".")) {
        const optional = this.#accept("?");
        const field = this.#fieldName(optional);
        this.#at += 1;
        const open = this.#token.offset;
        if (!optional && this.#accept("(")) {
          const parameters = this.#list(")");
          operand =
            expandMacro(this.#build, field.text, operand, parameters, open) ??
            this.#build.call(field.text, parameters, open, operand);
        } else if (optional) {
          operand = this.#build.call(
            "_?._",
            [operand, this.#build.literal("string", field.text, field.offset)],
            offset,
          );
        } else {
          const id = this.#build.nextId();
          operand = { kind: "select", id, offset, operand, field: field.text, testOnly: false };
        }
      } else if (this.#is("{")) {
        const typeName = qualifiedName(operand);
        if (typeName === undefined) return operand;
        operand = this.#struct(typeName);
      } else return operand;
    }
  }

  #primary(): Expression {
    const token = this.#token;
    const { offset } = token;
    switch (token.kind) {
      case "int":
      case "uint":
      case "double":
        return this.#number(this.#next(), "", offset);
      case "string":
        this.#at += 1;
        return this.#build.literal("string", token.text, offset);
      case "bytes":
        this.#at += 1;
        return this.#build.literal("bytes", token.bytes ?? new Uint8Array(), offset);
      case "identifier":
        if (token.text === "in") this.#expectStart([]);
        return this.#word(this.#next());
      case "symbol":
        break;
      case "end":
      case "quoted":
        return this.#unexpected(startsText([]));
    }
    if (this.#accept("(")) {
      const inner = this.#expression();
      this.#expect(")");
      return inner;
    }
    if (this.#accept("[")) {
      const id = this.#build.nextId();
      const elements: { value: Expression; optional: boolean }[] = [];
      this.#expectStart(["]", ",", "?"]);
      if (this.#accept(",") && !this.#is("]")) this.#expect("]");
      while (!this.#accept("]")) {
        const optional = this.#accept("?");
        elements.push({ value: this.#expression(), optional });
        this.#separator("]");
      }
      return { kind: "list", id, offset, elements };
    }
    if (this.#accept("{")) {
      const id = this.#build.nextId();
      const entries: { key: Expression; value: Expression; optional: boolean }[] = [];
      this.#expectStart(["}", ",", "?"]);
      if (this.#accept(",") && !this.#is("}")) this.#expect("}");
      while (!this.#accept("}")) {
        const optional = this.#accept("?");
        const key = this.#expression();
        this.#expect(":");
        entries.push({ key, value: this.#expression(), optional });
        this.#separator("}");
      }
      return { kind: "map", id, offset, entries };
    }
    if (this.#accept(".") && this.#token.kind === "identifier") return this.#word(this.#next());
    return this.#unexpected(startsText([]), canStart(this.#after) ? "extraneous" : "mismatched");
  }

  /** A comma, or the end of what is listed. */
  #separator(end: "]" | "}"): void {
    if (this.#accept(",")) {
      if (!this.#is(end) && !this.#is("?") && !canStart(this.#token)) this.#expect(end);
      return;
    }
    if (this.#is(end)) return;
    const { kind, text } = this.#after;
    const isNext = kind === "symbol" && (text === end || text === ",");
    this.#unexpected(`{'${end}', ','}`, isNext ? "extraneous" : "mismatched");
  }

  #word(token: Token): Expression {
    const { text, offset } = token;
    if (text === "true" || text === "false") return this.#build.literal("bool", text === "true", offset);
    if (text === "null") return this.#build.literal("null", null, offset);
    if (reserved.has(text)) throw new ParseFailure({ offset, message: `reserved identifier: ${text}` });
    const open = this.#token.offset;
    if (!this.#accept("(")) return this.#build.identifier(text, offset);
    const parameters = this.#list(")");
    return expandMacro(this.#build, text, undefined, parameters, open) ?? this.#build.call(text, parameters, open);
  }

  #list(end: string): Expression[] {
    const items: Expression[] = [];
    if (this.#accept(end)) return items;
    this.#expectStart([end]);
    do items.push(this.#expression());
    while (this.#accept(","));
    this.#expect(end);
    return items;
  }

  #struct(typeName: string): Expression {
    const { offset } = this.#next();
    const id = this.#build.nextId();
    const fields: { name: string; value: Expression; optional: boolean; offset: number }[] = [];
    while (!this.#accept("}")) {
      const optional = this.#accept("?");
      const field = this.#token;
      if (field.kind !== "identifier" && field.kind !== "quoted") this.#unexpected("IDENTIFIER");
      this.#at += 1;
      const colon = this.#token.offset;
      this.#expect(":");
      fields.push({ name: field.text, value: this.#expression(), optional, offset: colon });
      if (!this.#accept(",") && !this.#is("}")) this.#unexpected("{'}', ','}");
    }
    return { kind: "struct", id, offset, typeName, fields };
  }

  #number({ kind, text }: Token, sign: "-" | "", offset: number): Expression {
    if (kind === "double") return this.#build.literal("double", Number(sign + text), offset);
    const value = sign === "-" ? -BigInt(text) : BigInt(text);
    const unsigned = kind === "uint";
    if (unsigned ? value >= 1n << 64n : value !== BigInt.asIntN(64, value)) {
      throw new ParseFailure({ offset, message: unsigned ? "invalid uint literal" : "invalid int literal" });
    }
    return this.#build.literal(unsigned ? "uint" : "int", value, offset);
  }
}

/** `a.b.c` of identifiers and selections only. */
export function qualifiedName(expression: Expression): string | undefined {
  if (expression.kind === "identifier") return expression.name;
  if (expression.kind !== "select" || expression.testOnly) return undefined;
  const prefix = qualifiedName(expression.operand);
  return prefix === undefined ? undefined : `${prefix}.${expression.field}`;
}

import { refuseSelector, requirementProblems, type Requirement, type RequirementOperator } from "./requirement.ts";

type TokenKind =
  | "identifier"
  | "end"
  | "error"
  | ")"
  | "("
  | ","
  | "!"
  | "=="
  | "="
  | "!="
  | ">"
  | "<"
  | "in"
  | "notin";

interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

const symbols: ReadonlySet<string> = new Set([")", "(", ",", "!", "==", "=", "!=", ">", "<"]);
const isSymbol = (character: string): boolean => "=!(),><".includes(character);
const isBlank = (character: string): boolean => " \t\r\n".includes(character);

/** Operators that stand between a key and its values. */
const operators = new Map<TokenKind, RequirementOperator>([
  ["in", "in"],
  ["notin", "notin"],
  ["=", "="],
  ["==", "=="],
  ["!=", "!="],
  [">", "gt"],
  ["<", "lt"],
]);

/**
 * The requirements of kubectl's selector text, sorted by key, in apimachinery's grammar (pkg/labels/selector.go) with
 * its corners: `a in (,b)` has an empty value, `in` and `notin` may be keys and values.
 *
 * @throws {FleetwrightError} `FW_SELECTOR` in Kubernetes' words
 */
export function parseRequirements(text: string): readonly Requirement[] {
  return new Parser(text).parse();
}

class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  #position = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokensOf(text);
  }

  parse(): readonly Requirement[] {
    const requirements: Requirement[] = [];
    for (;;) {
      const first = this.#peek();
      if (first.kind === "end") break;
      if (first.kind !== "identifier" && first.kind !== "!") {
        this.#refuse(`found '${first.text}', expected: !, identifier, or 'end of string'`);
      }
      requirements.push(this.#requirement());
      const next = this.#take();
      if (next.kind === "end") break;
      if (next.kind !== ",") this.#refuse(`found '${next.text}', expected: ',' or 'end of string'`);
      const after = this.#peek();
      if (after.kind !== "identifier" && after.kind !== "!") {
        this.#refuse(`found '${after.text}', expected: identifier after ','`);
      }
    }
    return requirements.toSorted((left, right) => (left.key < right.key ? -1 : left.key > right.key ? 1 : 0));
  }

  #requirement(): Requirement {
    let key = this.#take();
    const absent = key.kind === "!";
    if (absent) key = this.#take();
    if (key.kind !== "identifier")
      this.#refuse(`unable to parse requirement: found '${key.text}', expected: identifier`);
    const { kind } = this.#peek();
    if (absent) return this.#checked({ key: key.text, operator: "!", values: [] });
    if (kind === "end" || kind === ",") return this.#checked({ key: key.text, operator: "exists", values: [] });
    const operator = this.#operator();
    const values = operator === "in" || operator === "notin" ? this.#values() : [this.#value()];
    return this.#checked({ key: key.text, operator, values: [...new Set(values)].toSorted() });
  }

  #checked(requirement: Requirement): Requirement {
    const problems = requirementProblems(requirement);
    if (problems.length > 0) this.#refuse(`unable to parse requirement: ${problems.join("; ")}`);
    return requirement;
  }

  #operator(): RequirementOperator {
    const token = this.#tokens[this.#position++] ?? end;
    const operator = operators.get(token.kind);
    return (
      operator ??
      this.#refuse(`unable to parse requirement: found '${token.text}', expected: in, notin, =, ==, !=, gt, lt`)
    );
  }

  #value(): string {
    const { kind } = this.#peek();
    if (kind === "end" || kind === ",") return "";
    const token = this.#take();
    if (token.kind !== "identifier") {
      this.#refuse(`unable to parse requirement: found '${token.text}', expected: identifier`);
    }
    return token.text;
  }

  /** `(x,,y)`: between two commas, and between a comma and a parenthesis, there is an empty value. */
  #values(): string[] {
    const open = this.#take();
    if (open.kind !== "(") this.#refuse(`unable to parse requirement: found '${open.text}' expected: '('`);
    const values: string[] = [];
    let expectsValue = true;
    for (;;) {
      const token = this.#take();
      if (token.kind === ")" || token.kind === ",") {
        if (expectsValue) values.push("");
        if (token.kind === ")") return values;
        expectsValue = true;
      } else if (token.kind === "identifier" && expectsValue) {
        values.push(token.text);
        expectsValue = false;
      } else {
        const expected = expectsValue ? "',', ')' or identifier" : "',' or ')'";
        this.#refuse(`unable to parse requirement: found '${token.text}', expected: ${expected}`);
      }
    }
  }

  /** `in` and `notin` are ordinary words everywhere but where an operator stands. */
  #peek(): Token {
    const token = this.#tokens[this.#position] ?? end;
    return token.kind === "in" || token.kind === "notin" ? { kind: "identifier", text: token.text } : token;
  }

  #take(): Token {
    const token = this.#peek();
    this.#position += 1;
    return token;
  }

  #refuse(reason: string): never {
    return refuseSelector(this.#text, reason);
  }
}

const end: Token = { kind: "end", text: "" };

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let position = 0;
  while (position < text.length) {
    const character = text.charAt(position);
    if (isBlank(character)) {
      position += 1;
      continue;
    }
    // Go's lexer takes a NUL for the end.
    if (character === "\0") break;
    const start = position;
    if (isSymbol(character)) {
      const two = text.slice(position, position + 2);
      const symbol = symbols.has(two) ? two : character;
      position += symbol.length;
      tokens.push({ kind: symbol as TokenKind, text: symbol });
      continue;
    }
    while (position < text.length && !isSymbol(text.charAt(position)) && !isBlank(text.charAt(position))) position += 1;
    const word = text.slice(start, position);
    tokens.push({ kind: word === "in" || word === "notin" ? word : "identifier", text: word });
  }
  tokens.push(end);
  return tokens;
}

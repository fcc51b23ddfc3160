/** An expression after parsing, macros expanded: the shape of cel-go's `common/ast`. */
export type Expression =
  | Literal
  | Identifier
  | Select
  | CallExpression
  | ListLiteral
  | MapLiteral
  | StructLiteral
  | Comprehension;

interface Node {
  /** Unique within one tree. */
  readonly id: number;
  /** Where errors point to: an index into the source. */
  readonly offset: number;
}

export interface Literal extends Node {
  readonly kind: "literal";
  readonly type: "bool" | "bytes" | "double" | "int" | "null" | "string" | "uint";
  readonly value: boolean | bigint | number | string | Uint8Array | null;
}

interface Identifier extends Node {
  readonly kind: "identifier";
  readonly name: string;
}

export interface Select extends Node {
  readonly kind: "select";
  readonly operand: Expression;
  readonly field: string;
  /** `has(operand.field)`. */
  readonly testOnly: boolean;
}

export interface CallExpression extends Node {
  readonly kind: "call";
  /** Operators are functions: `_+_`, `_[_]`, `_?_:_`, `!_`. */
  readonly name: string;
  readonly target: Expression | undefined;
  readonly parameters: readonly Expression[];
}

export interface ListLiteral extends Node {
  readonly kind: "list";
  readonly elements: readonly { readonly value: Expression; readonly optional: boolean }[];
}

export interface MapLiteral extends Node {
  readonly kind: "map";
  readonly entries: readonly { readonly key: Expression; readonly value: Expression; readonly optional: boolean }[];
}

export interface StructLiteral extends Node {
  readonly kind: "struct";
  readonly typeName: string;
  readonly fields: readonly {
    readonly name: string;
    readonly value: Expression;
    readonly optional: boolean;
    readonly offset: number;
  }[];
}

/** A loop over a list or the keys of a map that folds into one value. */
export interface Comprehension extends Node {
  readonly kind: "comprehension";
  readonly range: Expression;
  readonly variable: string;
  /** With it, `variable` is the index or key and this the value. */
  readonly secondVariable: string | undefined;
  readonly accumulator: string;
  readonly initial: Expression;
  readonly condition: Expression;
  readonly step: Expression;
  readonly result: Expression;
}

/** The name of macros' accumulators; no source can write it. */
export const accumulatorName = "@result";

/** The offset of what has no place. */
export const nowhere = -1;

/** What is wrong with an expression, and where. */
export interface Issue {
  /** {@link nowhere} when it is about the expression as a whole. */
  readonly offset: number;
  readonly message: string;
}

/** `ERROR: <input>:1:6: …` with the line and a caret, as cel-go's `common.Errors` prints it. */
export function issuesText(source: string, issues: readonly Issue[]): string {
  return [...issues]
    .sort((left, right) => left.offset - right.offset)
    .map(({ offset, message }) => {
      if (offset === nowhere) return `ERROR: <input>:-1:0: ${message}`;
      const before = source.slice(0, offset);
      const line = before.split("\n").length;
      const column = Array.from(before.slice(before.lastIndexOf("\n") + 1)).length;
      const text = source.split("\n")[line - 1] ?? "";
      return `ERROR: <input>:${line}:${column + 1}: ${message}\n | ${text.replaceAll("\t", " ")}\n | ${".".repeat(column)}^`;
    })
    .join("\n");
}

/** The source cannot be read. */
export class ParseFailure extends Error {
  override readonly name = "ParseFailure";
  readonly issues: readonly Issue[];
  constructor(...issues: readonly Issue[]) {
    super(issues.map(({ message }) => message).join("; "));
    this.issues = issues;
  }
}

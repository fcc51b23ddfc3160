import { isJsonObject, type Json, jsonEqual } from "@fleetwright/kube";

/** How a filter's two sides are compared; `exists`: the path leads somewhere. */
type Operator = "==" | "!=" | "<" | "<=" | ">" | ">=";

type Step =
  | { readonly kind: "field"; readonly name: string }
  | { readonly kind: "all" }
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "slice"; readonly from: number | undefined; readonly to: number | undefined; readonly by: number }
  | {
      readonly kind: "filter";
      readonly left: Operand;
      readonly operator: Operator | "exists";
      readonly right: Operand;
    };

type Operand =
  | { readonly kind: "path"; readonly steps: readonly Step[] }
  | { readonly kind: "value"; readonly value: Json };

/** Finds the values that a path leads to, in order. */
export type JsonPath = (root: Json) => readonly Json[];

/** Filters in filters in filters are nobody's column. */
const filterDepthLimit = 2;

/** Results that a path may have: a wildcard within a wildcard multiplies. */
const resultLimit = 10_000;

/**
 * A path as `additionalPrinterColumns` have it: fields (`.a`, `.a\.b`, `['a']`), indexes, slices, wildcards and filters, as
 * k8s.io/client-go/util/jsonpath reads them. Recursive descent (`..`) and unions find nothing here. Undefined when the
 * text is no path.
 */
export function parseJsonPath(text: string): JsonPath | undefined {
  const reader = new PathReader(text);
  const steps = reader.steps();
  if (steps === undefined || !reader.atEnd) return undefined;
  return (root) => follow([root], steps, root);
}

class PathReader {
  readonly #text: string;
  #at = 0;
  #filterDepth = 0;

  constructor(text: string) {
    this.#text = text.trim();
  }

  get atEnd(): boolean {
    return this.#at === this.#text.length;
  }

  /** All steps from here to where no more follow. */
  steps(): Step[] | undefined {
    const steps: Step[] = [];
    // `$` and `@` name the root and the filtered item, and are where a path starts anyway.
    if (this.#peek() === "$" || this.#peek() === "@") this.#at++;
    for (;;) {
      const next = this.#peek();
      if (next === ".") {
        this.#at++;
        if (this.#peek() === "[") continue;
        if (this.atEnd && steps.length === 0) return steps;
        const step = this.#field();
        if (step === undefined) return undefined;
        steps.push(step);
      } else if (next === "[") {
        const step = this.#bracket();
        if (step === undefined) return undefined;
        steps.push(step);
      } else return steps;
    }
  }

  #peek(): string {
    return this.#text[this.#at] ?? "";
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text) ?? undefined;
    if (match !== undefined) this.#at += match[0].length;
    return match;
  }

  #field(): Step | undefined {
    if (this.#peek() === "*") {
      this.#at++;
      return { kind: "all" };
    }
    const name = this.#match(/(?:\\.|[^\\.[\]\s()=!<>@$,])+/y)?.[0];
    return name === undefined ? undefined : { kind: "field", name: name.replaceAll(/\\(.)/g, "$1") };
  }

  #bracket(): Step | undefined {
    this.#at++;
    if (this.#match(/\?\(/y) !== undefined) return this.#filter();
    const quoted = this.#match(/\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)")\s*\]/y);
    if (quoted !== undefined) {
      return { kind: "field", name: (quoted[1] ?? quoted[2] ?? "").replaceAll(/\\(.)/g, "$1") };
    }
    if (this.#match(/\s*\*\s*\]/y) !== undefined) return { kind: "all" };
    const index = this.#match(/\s*(-?\d{1,9})\s*\]/y);
    if (index !== undefined) return { kind: "index", index: Number(index[1]) };
    const slice = this.#match(/(-?\d{1,9})?:(-?\d{1,9})?(?::(\d{1,9}))?\]/y);
    if (slice === undefined) return undefined;
    const number = (group: string | undefined): number | undefined => (group === undefined ? undefined : Number(group));
    return { kind: "slice", from: number(slice[1]), to: number(slice[2]), by: number(slice[3]) ?? 1 };
  }

  #filter(): Step | undefined {
    if (++this.#filterDepth > filterDepthLimit) return undefined;
    const left = this.#operand();
    if (left === undefined) return undefined;
    const operator = this.#match(/\s*(==|!=|<=|>=|<|>)\s*/y)?.[1];
    const right = operator === undefined ? ({ kind: "value", value: null } as const) : this.#operand();
    if (right === undefined || this.#match(/\s*\)\]/y) === undefined) return undefined;
    this.#filterDepth--;
    return { kind: "filter", left, operator: (operator as Operator | undefined) ?? "exists", right };
  }

  #operand(): Operand | undefined {
    const quoted = this.#match(/'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"/y);
    if (quoted !== undefined) {
      return { kind: "value", value: (quoted[1] ?? quoted[2] ?? "").replaceAll(/\\(.)/g, "$1") };
    }
    const word = this.#match(/(?:-?\d+(?:\.\d+)?|true|false)(?![\w.])/y)?.[0];
    if (word !== undefined) return { kind: "value", value: JSON.parse(word) as Json };
    if (this.#peek() !== "@" && this.#peek() !== "$" && this.#peek() !== ".") return undefined;
    const steps = this.steps();
    return steps === undefined ? undefined : { kind: "path", steps };
  }
}

function follow(values: readonly Json[], steps: readonly Step[], root: Json): readonly Json[] {
  let found = values;
  for (const step of steps) {
    const next: Json[] = [];
    for (const value of found) {
      if (next.length > resultLimit) break;
      for (const child of childrenOf(value, step, root)) next.push(child);
    }
    found = next;
  }
  return found;
}

function childrenOf(value: Json, step: Step, root: Json): readonly Json[] {
  if (step.kind === "field") {
    if (!isJsonObject(value) || !Object.hasOwn(value, step.name)) return [];
    const child = value[step.name];
    return child === undefined ? [] : [child];
  }
  const list: readonly Json[] = Array.isArray(value) ? (value as readonly Json[]) : [];
  switch (step.kind) {
    case "all":
      return isJsonObject(value) ? Object.values(value).filter((child) => child !== undefined) : list;
    case "index": {
      const child = list.at(step.index);
      return child === undefined ? [] : [child];
    }
    case "slice": {
      const slice = list.slice(step.from ?? 0, step.to ?? list.length);
      return slice.filter((_, index) => index % step.by === 0);
    }
    case "filter":
      return list.filter((item) => holds(item, step, root));
  }
}

function holds(item: Json, { left, operator, right }: Step & { readonly kind: "filter" }, root: Json): boolean {
  const one = valueOf(left, item, root);
  if (operator === "exists") return one !== undefined;
  const other = valueOf(right, item, root);
  if (one === undefined || other === undefined) return false;
  if (operator === "==") return jsonEqual(one, other);
  if (operator === "!=") return !jsonEqual(one, other);
  if (typeof one !== typeof other || (typeof one !== "number" && typeof one !== "string")) return false;
  const order = one < (other as typeof one) ? -1 : one > (other as typeof one) ? 1 : 0;
  return operator === "<" ? order < 0 : operator === "<=" ? order <= 0 : operator === ">" ? order > 0 : order >= 0;
}

const valueOf = (operand: Operand, item: Json, root: Json): Json | undefined =>
  operand.kind === "value" ? operand.value : follow([item], operand.steps, root)[0];

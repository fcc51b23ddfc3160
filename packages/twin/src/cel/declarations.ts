import { parseType, splitParameters, type Type } from "./types.ts";
import type { Value } from "./values.ts";

/** One signature of a function, and what it does. */
export interface Overload {
  /** cel-go's name of it: costs depend on it. */
  readonly id: string;
  /** Called on its first parameter: `x.f(y)`. */
  readonly member: boolean;
  readonly parameters: readonly Type[];
  readonly result: Type;
  apply(...values: Value[]): Value;
}

/** Functions by name. */
export type FunctionTable = ReadonlyMap<string, readonly Overload[]>;

type Apply = Overload["apply"];

/** A library as it is written down: per function, its overloads: `["id", "(string, int) string", apply]`; members begin with `.`. */
export type Library = Readonly<Record<string, readonly (readonly [id: string, signature: string, apply: unknown])[]>>;

const signaturePattern = /^(\.?)\((.*)\)\s*([^()]+(?:\(.*\))?)$/s;

/** Libraries in one table. */
export function functionTable(...libraries: readonly Library[]): FunctionTable {
  const table = new Map<string, Overload[]>();
  for (const library of libraries) {
    for (const [name, overloads] of Object.entries(library)) {
      const known = table.get(name) ?? [];
      table.set(name, known);
      for (const [id, signature, apply] of overloads) {
        const [, dot, parameters = "", result = "dyn"] = splitSignature(signature);
        known.push({
          id,
          member: dot === ".",
          parameters: splitParameters(parameters).map(parseType),
          result: parseType(result),
          // Signatures say what functions get: the evaluator checks values against them before it calls.
          apply: apply as Apply,
        });
      }
    }
  }
  return table;
}

/** The parameters end at the parenthesis that closes the first one. */
function splitSignature(signature: string): readonly (string | undefined)[] {
  if (!signaturePattern.test(signature)) throw new TypeError(`no signature: ${signature}`);
  const open = signature.indexOf("(");
  let depth = 0;
  for (let at = open; at < signature.length; at += 1) {
    if (signature[at] === "(") depth += 1;
    if (signature[at] === ")") depth -= 1;
    if (depth === 0)
      return [signature, signature.slice(0, open), signature.slice(open + 1, at), signature.slice(at + 1)];
  }
  throw new TypeError(`no signature: ${signature}`);
}

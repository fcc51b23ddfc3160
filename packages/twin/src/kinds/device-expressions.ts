import { compile } from "../cel/expression.ts";
import { dyn, mapOf, opaque, scalar, typeText, type Type } from "../cel/types.ts";

const text = scalar("string");

/** A device as selectors see it: attributes and capacities by domain and name. */
const fields: ReadonlyMap<string, Type> = new Map([
  ["driver", text],
  ["attributes", mapOf(text, mapOf(text, dyn))],
  ["capacity", mapOf(text, mapOf(text, opaque("kubernetes.Quantity")))],
  ["allowMultipleAllocations", scalar("bool")],
]);

const variables: ReadonlyMap<string, Type> = new Map([
  ["device", { kind: "object", name: "kubernetes.DRADevice", field: (name) => fields.get(name) }],
]);

/** A macro that no other expressions of Kubernetes have: with it, the compiler of whoever chooses devices decides. */
const binds = /\bcel\s*\.\s*bind\s*\(/;

/** How upstream's parser says that there is nothing: at no place. */
const nothing =
  "compilation failed: ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

/** What is wrong with a selector of devices (k8s.io/dynamic-resource-allocation/cel/compile.go). */
export function deviceExpressionProblem(source: string): string | undefined {
  if (source.trim() === "") return nothing;
  if (binds.test(source)) return undefined;
  const { program, error } = compile(source, { variables });
  if (program === undefined) return `compilation failed: ${error}`;
  const { result } = program.checked;
  if (result.kind === "bool" || result.kind === "dyn") return undefined;
  return `must evaluate to bool or the unknown type, not ${typeText(result)}`;
}

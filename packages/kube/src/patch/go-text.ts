import { isJsonList, type Json } from "./json-value.ts";

const byCode = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);

/** Go changes to exponents below 1e-4, JavaScript below 1e-6; Go's have two digits at least. */
function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return BigInt(value).toString();
  const size = Math.abs(value);
  const text = size < 1e-4 || size >= 1e21 ? value.toExponential() : String(value);
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

/** A JSON value as Go prints it (`%v`): `map[image:web:2 ports:[80 443]]`. The server's refusals name patches so. */
export function goText(value: Json): string {
  if (value === null) return "<nil>";
  if (typeof value === "number") return numberText(value);
  if (typeof value !== "object") return String(value);
  if (isJsonList(value)) return `[${value.map(goText).join(" ")}]`;
  const fields = Object.entries(value).toSorted(([left], [right]) => byCode(left, right));
  return `map[${fields.map(([key, inner]) => `${key}:${goText(inner)}`).join(" ")}]`;
}

/** The name of a JSON value's type in Go (`%T`). */
export function goTypeText(value: Json): string {
  if (value === null) return "<nil>";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "string";
  return isJsonList(value) ? "[]interface {}" : "map[string]interface {}";
}

/** A static type of CEL, and what a schema says about its size. */
export type Type =
  | { readonly kind: ScalarKind }
  | { readonly kind: "list"; readonly element: Type }
  | { readonly kind: "map"; readonly key: Type; readonly value: Type }
  | { readonly kind: "optional"; readonly value: Type }
  | { readonly kind: "type"; readonly value: Type | undefined }
  /** A variable of a generic signature or of inference. */
  | { readonly kind: "parameter"; readonly name: string }
  /** Objects with declared fields, and types of libraries (`kubernetes.Quantity`), which have none. */
  | ObjectType;

export type ScalarKind =
  | "bool"
  | "bytes"
  | "double"
  | "duration"
  | "dyn"
  | "error"
  | "int"
  | "null"
  | "string"
  | "timestamp"
  | "uint";

export interface ObjectType {
  readonly kind: "object";
  readonly name: string;
  /** The type of a field by its escaped name; asked lazily, since schemas may be cyclic. */
  readonly field?: (name: string) => Type | undefined;
}

const scalars: Readonly<Record<string, Type>> = Object.fromEntries(
  (["bool", "bytes", "double", "duration", "dyn", "error", "int", "null", "string", "timestamp", "uint"] as const).map(
    (kind) => [kind, { kind }],
  ),
);

export const scalar = (kind: ScalarKind): Type => scalars[kind] ?? { kind };
export const dyn = scalar("dyn");
export const listOf = (element: Type): Type => ({ kind: "list", element });
export const mapOf = (key: Type, value: Type): Type => ({ kind: "map", key, value });
export const optionalOf = (value: Type): Type => ({ kind: "optional", value });
export const opaque = (name: string): Type => ({ kind: "object", name });

/** Reads `map(string, list(A))`; single capitals are parameters, names with a dot are types of libraries. */
export function parseType(text: string): Type {
  const match = /^([\w.]+)(?:\((.*)\))?$/s.exec(text.trim());
  const name = match?.[1] ?? "";
  const [first, second] = splitParameters(match?.[2] ?? "").map(parseType);
  if (name === "list") return listOf(first ?? dyn);
  if (name === "map") return mapOf(first ?? dyn, second ?? dyn);
  if (name === "optional") return optionalOf(first ?? dyn);
  if (name === "type") return { kind: "type", value: first };
  if (/^[A-Z]$/.test(name)) return { kind: "parameter", name };
  return scalars[name] ?? opaque(name);
}

/** At the commas that are in no parentheses. */
export function splitParameters(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "(") depth += 1;
    else if (text[at] === ")") depth -= 1;
    else if (text[at] === "," && depth === 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return text.trim() === "" ? [] : [...parts, text.slice(start)];
}

/** As cel-go's `FormatCELType` writes it in messages. */
export function typeText(type: Type): string {
  switch (type.kind) {
    case "list":
      return `list(${typeText(type.element)})`;
    case "map":
      return `map(${typeText(type.key)}, ${typeText(type.value)})`;
    case "optional":
      return `optional_type(${typeText(type.value)})`;
    case "type":
      return type.value === undefined ? "type" : `type(${typeText(type.value)})`;
    case "parameter":
    case "object":
      return type.name;
    case "error":
      return "!error!";
    default:
      return type.kind;
  }
}

export const parametersOf = (type: Type): readonly Type[] => {
  if (type.kind === "list") return [type.element];
  if (type.kind === "map") return [type.key, type.value];
  if (type.kind === "optional") return [type.value];
  if (type.kind === "type") return type.value === undefined ? [] : [type.value];
  return [];
};

/** The same type with other parameters. */
export function mapParameters(type: Type, change: (type: Type) => Type): Type {
  if (type.kind === "list") return listOf(change(type.element));
  if (type.kind === "map") return mapOf(change(type.key), change(type.value));
  if (type.kind === "optional") return optionalOf(change(type.value));
  if (type.kind === "type" && type.value !== undefined) return { kind: "type", value: change(type.value) };
  return type;
}

export const isDynamic = (type: Type): boolean => type.kind === "dyn" || type.kind === "error";

import type { Schema } from "../machinery/schema.ts";

/**
 * A rule's `fieldPath` (`.spec.replicas`, `['my-field']`, a map's key) as errors write it; `undefined` when the schema
 * has no such field. apiextensions-apiserver's `ValidFieldPath`.
 */
export function fieldPathOf(path: string, schema: Schema): string | undefined {
  let rest = path;
  let current: Schema = schema;
  let result = "";
  while (rest !== "") {
    const named = /^\.([^.[\]]+)/.exec(rest);
    const quoted = named === null ? /^\['((?:[^'\\]|\\.)*)'\]/s.exec(rest) : null;
    const match = named ?? quoted;
    if (match === null) return undefined;
    rest = rest.slice(match[0].length);
    const name = quoted === null ? (match[1] ?? "") : unescaped(match[1] ?? "");
    if (name === undefined) return undefined;
    if (current.properties !== undefined) {
      const next = Object.hasOwn(current.properties, name) ? current.properties[name] : undefined;
      if (next === undefined) return undefined;
      result += result === "" ? name : `.${name}`;
      current = next;
    } else if (typeof current.additionalProperties === "object") {
      result += `[${name}]`;
      current = current.additionalProperties;
    } else return undefined;
  }
  return result;
}

const escapes: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "'": "'",
  "\\": "\\",
};

function unescaped(text: string): string | undefined {
  let valid = true;
  const result = text.replaceAll(/\\(.)/gs, (_whole, letter: string) => {
    if (!Object.hasOwn(escapes, letter)) valid = false;
    return escapes[letter] ?? "";
  });
  return valid ? result : undefined;
}

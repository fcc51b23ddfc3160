import { refuseSelector } from "./requirement.ts";

/** One condition on one field, by its path: `spec.nodeName=gpu-1`. */
export interface FieldRequirement {
  readonly field: string;
  readonly operator: "=" | "!=";
  readonly value: string;
}

/** All requirements must hold; none matches everything. */
export type FieldSelector = readonly FieldRequirement[];

/**
 * Reads a field selector: `spec.nodeName=gpu-1,status.phase!=Failed`. In values, `\`, `,` and `=` are escaped by `\`.
 *
 * @throws {FleetwrightError} `FW_SELECTOR` in Kubernetes' words (apimachinery pkg/fields/selector.go)
 */
export function parseFieldSelector(text: string): FieldSelector {
  const requirements: FieldRequirement[] = [];
  for (const term of termsOf(text).toSorted()) {
    if (term === "") continue;
    const match = /^([^!=]*(?:!(?!=)[^!=]*)*)(!=|==|=)(.*)$/su.exec(term);
    const [, field, operator, escaped] = match ?? [];
    if (field === undefined || escaped === undefined) {
      refuseSelector(text, `invalid selector: '${text}'; can't understand '${term}'`);
    }
    const value = unescapeFieldValue(text, escaped);
    if (field !== "" || value !== "") requirements.push({ field, operator: operator === "!=" ? "!=" : "=", value });
  }
  return requirements;
}

/** The canonical text, for `fieldSelector=`. */
export function fieldSelectorText(selector: FieldSelector): string {
  return selector.map(({ field, operator, value }) => `${field}${operator}${escapeFieldValue(value)}`).join(",");
}

/** A value as it stands in a field selector. */
export function escapeFieldValue(value: string): string {
  return value.replaceAll(/[\\,=]/g, String.raw`\$&`);
}

/**
 * Whether an object is selected. Absent fields count as empty text.
 *
 * @param field the value of a field; default: by its path in the object. Which fields a kind can be selected by is the
 * API server's decision, and for a few (`spec.unschedulable` of a Node) it fills in what is absent.
 */
export function matchesFields(
  selector: FieldSelector,
  object: unknown,
  field: (object: unknown, path: string) => string = fieldText,
): boolean {
  return selector.every(({ field: path, operator, value }) => (field(object, path) === value) === (operator === "="));
}

/** The text of the field at a path (`metadata.name`); `""` for what is absent or no plain value. */
export function fieldText(object: unknown, path: string): string {
  let value = object;
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return "";
    value = (value as Readonly<Record<string, unknown>>)[part];
  }
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

function termsOf(text: string): string[] {
  const terms: string[] = [];
  let start = 0;
  let escaped = false;
  for (let index = 0; index < text.length; index++) {
    if (escaped) escaped = false;
    else if (text[index] === "\\") escaped = true;
    else if (text[index] === ",") {
      terms.push(text.slice(start, index));
      start = index + 1;
    }
  }
  terms.push(text.slice(start));
  return terms;
}

function unescapeFieldValue(selector: string, escaped: string): string {
  let value = "";
  for (let index = 0; index < escaped.length; index++) {
    const character = escaped.charAt(index);
    if (character === "\\") {
      index += 1;
      const next = escaped.charAt(index);
      if (next === "" || !String.raw`\,=`.includes(next)) {
        refuseSelector(selector, `invalid field selector: invalid escape sequence: \\${next}`);
      }
      value += next;
    } else if (character === "=") {
      refuseSelector(selector, `invalid field selector: unescaped character in value: ${character}`);
    } else value += character;
  }
  return value;
}

/** A number that JavaScript would not keep as it was written: `1.0`, `1e3`, or more digits than a double holds. */
export class WrittenNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const plain = /^-?(?:0|[1-9]\d{0,14})$/;

const surrogate = /\\u[dD][89a-fA-F]/;

/**
 * `JSON.parse` that keeps unusual numbers as they were written and replaces lone surrogates as Go does. Texts without
 * either, which is nearly all, take the fast way.
 */
export function parseJson(text: string, unusualNumbers: boolean): unknown {
  if (!unusualNumbers && !surrogate.test(text)) return JSON.parse(text) as unknown;
  return JSON.parse(text, function revive(this: unknown, key: string, value: unknown, context?: { source?: string }) {
    if (typeof value === "number") {
      const source = context?.source ?? String(value);
      return plain.test(source) ? value : new WrittenNumber(source);
    }
    if (typeof value === "string" && !value.isWellFormed()) return value.toWellFormed();
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return withWellFormedKeys(value);
    return value;
  } as (key: string, value: unknown) => unknown) as unknown;
}

function withWellFormedKeys(value: object): object {
  if (Object.keys(value).every((key) => key.isWellFormed())) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key.toWellFormed(), child as unknown]));
}

/** The same JSON with every number as JavaScript has it. */
export function plainNumbers(value: unknown): unknown {
  if (value instanceof WrittenNumber) return Number(value.text);
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const item: unknown = value[index];
      if (typeof item === "object" && item !== null) value[index] = plainNumbers(item);
    }
    return value;
  }
  if (typeof value !== "object" || value === null) return value;
  const object = value as Record<string, unknown>;
  for (const key of Object.keys(object)) {
    const child = object[key];
    if (typeof child !== "object" || child === null) continue;
    const next = plainNumbers(child);
    if (next !== child) object[key] = next;
  }
  return value;
}

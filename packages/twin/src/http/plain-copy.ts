/** Deeper JSON is left to those who read text. */
const maxDepth = 200;

interface Copying {
  left: number;
}

class NotPlain extends Error {}

/**
 * A copy of JSON that needs no text in between: what a body would say, read again.
 *
 * @param maxLength how many characters it may have, roughly
 * @returns `undefined` where only the text says what it is: unusual numbers and strings, much or deep JSON, objects with a text of their own
 */
export function plainCopy(value: object, maxLength: number): unknown {
  try {
    return copyOf(value, { left: maxLength }, 0);
  } catch (error) {
    if (error instanceof NotPlain) return undefined;
    throw error;
  }
}

function copyOf(value: unknown, copying: Copying, depth: number): unknown {
  switch (typeof value) {
    case "string":
      copying.left -= value.length;
      if (copying.left < 0 || !value.isWellFormed()) throw new NotPlain();
      return value;
    case "boolean":
      return value;
    case "number":
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new NotPlain();
      return value;
    case "object":
      if (value === null) return null;
      if (depth > maxDepth) throw new NotPlain();
      return Array.isArray(value) ? listCopy(value, copying, depth) : objectCopy(value, copying, depth);
    default:
      throw new NotPlain();
  }
}

const listCopy = (values: readonly unknown[], copying: Copying, depth: number): unknown[] =>
  values.map((value) => copyOf(value, copying, depth + 1));

function objectCopy(value: object, copying: Copying, depth: number): object {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw new NotPlain();
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const child = (value as Readonly<Record<string, unknown>>)[key];
    if (child === undefined) continue;
    if (key === "__proto__" || key === "toJSON") throw new NotPlain();
    copying.left -= key.length;
    copy[key] = copyOf(child, copying, depth + 1);
  }
  return copy;
}

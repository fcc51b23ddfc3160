import { parseDocument } from "yaml";
import { DecodeFailure } from "./typed-value.ts";

/** Anchors may be used so often in all: a small text must not become a large object. */
const maximumAliases = 100;

/** A YAML body as JSON text, with what Go's reader says of keys that are there twice (sigs.k8s.io/yaml). */
export function yamlToJson(text: string): { readonly json: string; readonly doubled: readonly string[] } {
  const document = parsed(text);
  const [problem] = document.errors;
  if (problem !== undefined && /call stack/i.test(problem.message)) throw tooDeep();
  if (problem !== undefined) throw new DecodeFailure(`yaml: ${problem.message}`);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: maximumAliases }) as unknown;
  } catch (error) {
    if (error instanceof RangeError) throw tooDeep();
    const message = error instanceof Error ? error.message : String(error);
    throw new DecodeFailure(
      message.startsWith("Excessive alias") ? "yaml: document contains excessive aliasing" : `yaml: ${message}`,
    );
  }
  return { json: JSON.stringify(jsonKeys(value)), doubled: doubledKeys(text) };
}

function parsed(text: string): ReturnType<typeof parseDocument> {
  try {
    return parseDocument(text, {
      version: "1.1",
      schema: "yaml-1.1",
      merge: true,
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: "silent",
    });
  } catch (error) {
    throw error instanceof RangeError ? tooDeep() : error;
  }
}

/** Go's reader stops at a depth that this one does not reach. */
const tooDeep = (): DecodeFailure => new DecodeFailure("yaml: exceeded max depth of 10000");

/** JSON has neither dates nor bytes. */
function jsonKeys(value: unknown): unknown {
  if (value === undefined) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return value;
}

function doubledKeys(text: string): readonly string[] {
  const { errors } = parseDocument(text, { version: "1.1", uniqueKeys: true, logLevel: "silent" });
  return errors
    .filter(({ code }) => code === "DUPLICATE_KEY")
    .map(({ linePos, pos }) => {
      const key = /^["']?([^"':\s]+)/.exec(text.slice(pos[0]))?.[1] ?? "";
      return `line ${linePos?.[0].line ?? 0}: key ${JSON.stringify(key)} already set in map`;
    });
}

import { RE2JS } from "re2js";
import { EvaluationFailure } from "./values.ts";

/** Patterns are mostly constants of rules; those made from data are few, or forgotten. */
const maximumRemembered = 512;
const remembered = new Map<string, RE2JS>();

/** A pattern of RE2, whose time is linear in the text. Throws EvaluationFailure. */
export function regularExpression(pattern: string): RE2JS {
  const known = remembered.get(pattern);
  if (known !== undefined) return known;
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (error) {
    throw new EvaluationFailure(error instanceof Error ? error.message : String(error));
  }
  if (remembered.size >= maximumRemembered) remembered.clear();
  remembered.set(pattern, compiled);
  return compiled;
}

/** The leftmost matches, at most so many. */
export function findAll(text: string, pattern: string, most: number): string[] {
  const matcher = regularExpression(pattern).matcher(text);
  const found: string[] = [];
  while (found.length < most && matcher.find()) found.push(matcher.group() ?? "");
  return found;
}

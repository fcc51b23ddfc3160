import { isDraft, type Draft, type DraftValue } from "../machinery/draft.ts";

/** The steps of a simple path: `.spec.names['a.b']`; undefined when it is none. */
export function parseSimplePath(path: string): readonly string[] | undefined {
  const steps: string[] = [];
  let rest = path;
  while (rest !== "") {
    const match = /^(?:\.([^.[\]]+)|\[(['"])((?:(?!\2).)*)\2\])/.exec(rest);
    if (match === null) return undefined;
    steps.push(match[1] ?? match[3] ?? "");
    rest = rest.slice(match[0].length);
  }
  return steps;
}

/** The value below field names; undefined when there is none. */
export function valueAtPath(object: Readonly<Draft>, steps: readonly string[]): DraftValue {
  let value: DraftValue = object;
  for (const step of steps) {
    if (!isDraft(value) || !Object.hasOwn(value, step)) return undefined;
    value = value[step];
  }
  return value;
}

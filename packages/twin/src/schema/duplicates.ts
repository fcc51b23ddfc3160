import type { GoType } from "./go-types.ts";
import { maximumFindings } from "./typed-value.ts";

/** An object of a JSON text with all its fields, doubled ones included. */
type Node = { readonly fields: [string, Node][] } | { readonly items: Node[] } | undefined;

const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/gy;

/** The structure of valid JSON without its scalars. No recursion: depth is the client's. */
function readNodes(text: string): Node {
  const root: Node[] = [];
  const open: Exclude<Node, undefined>[] = [];
  let key: string | undefined;
  let candidate: string | undefined;
  const place = (node: Node): void => {
    const parent = open.at(-1);
    if (parent === undefined) root.push(node);
    else if ("items" in parent) parent.items.push(node);
    else parent.fields.push([key ?? "", node]);
    key = undefined;
  };
  const flush = (): void => {
    if (candidate !== undefined) place(undefined);
    candidate = undefined;
  };
  let at = 0;
  while (at < text.length) {
    tokens.lastIndex = at;
    const token = tokens.exec(text)?.[0];
    if (token === undefined) {
      at++;
      continue;
    }
    at += token.length;
    if (token === "{" || token === "[") {
      const node: Exclude<Node, undefined> = token === "{" ? { fields: [] } : { items: [] };
      place(node);
      open.push(node);
    } else if (token === "}" || token === "]") {
      flush();
      open.pop();
    } else if (token === ",") flush();
    else if (token === ":") {
      key = (JSON.parse(candidate ?? '""') as string).toWellFormed();
      candidate = undefined;
    } else candidate = token;
  }
  flush();
  return root[0];
}

/** A place in the object, from the inside out. */
interface Place {
  readonly parent: Place | undefined;
  /** `spec`, or `[0]`. */
  readonly step: string;
}

function pathText(place: Place | undefined, key: string): string {
  const steps: string[] = [key];
  for (let at = place; at !== undefined; at = at.parent) steps.push(at.step);
  return steps
    .toReversed()
    .map((step, index) => (index === 0 || (step.startsWith("[") && index < steps.length - 1) ? step : `.${step}`))
    .join("");
}

type Work =
  | { readonly report: "unknown" | "duplicate"; readonly key: string; readonly place: Place | undefined }
  | { readonly node: NonNullable<Node>; readonly type: GoType | undefined; readonly place: Place | undefined };

/**
 * Unknown and doubled fields of a JSON text in its order, as sigs.k8s.io/json reports them. Without a type, as of custom
 * resources, there are only doubled ones. For texts that are known to have doubled ones: it reads the text again.
 */
export function strictFindings(text: string, type: GoType | undefined): readonly string[] {
  const found = new Set<string>();
  const root = readNodes(text);
  // An explicit stack: untyped JSON may be as deep as the parser allows.
  const work: Work[] = root === undefined ? [] : [{ node: root, type, place: undefined }];
  for (let next = work.pop(); next !== undefined && found.size < maximumFindings; next = work.pop()) {
    if ("report" in next) found.add(`${next.report} field ${JSON.stringify(pathText(next.place, next.key))}`);
    else work.push(...inner(next.node, next.type, next.place).toReversed());
  }
  return [...found];
}

function inner(node: NonNullable<Node>, type: GoType | undefined, place: Place | undefined): Work[] {
  const expected = type?.kind === "pointer" ? type.element : type;
  const work: Work[] = [];
  if ("items" in node) {
    if (expected !== undefined && expected.kind !== "list") return [];
    for (const [index, item] of node.items.entries()) {
      if (item !== undefined) {
        work.push({ node: item, type: expected?.element, place: { parent: place, step: `[${index}]` } });
      }
    }
    return work;
  }
  if (expected !== undefined && expected.kind !== "struct" && expected.kind !== "map") return [];
  const struct = expected?.kind === "struct" ? expected.struct() : undefined;
  const element = expected?.kind === "map" ? expected.element : undefined;
  const seen = new Set<string>();
  for (const [key, child] of node.fields) {
    const field = struct?.byName.get(key);
    if (struct !== undefined && field === undefined) {
      work.push({ report: "unknown", key, place });
      continue;
    }
    if (seen.has(key)) work.push({ report: "duplicate", key, place });
    seen.add(key);
    if (child !== undefined)
      work.push({ node: child, type: field?.type ?? element, place: { parent: place, step: key } });
  }
  return work;
}

import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteSearch } from "./byte-automaton.ts";
import { parseByteExpression, reversed } from "./byte-expression.ts";

const found = (expression: RegExp, text: string, longest = 4096): readonly string[] => {
  const parsed = parseByteExpression(expression);
  const search = byteSearch(parsed, reversed(parsed), longest);
  const bytes = Buffer.from(text, "latin1");
  const matches: string[] = [];
  for (let match = search.find(bytes, 0); match !== undefined; match = search.find(bytes, match.end))
    matches.push(`${match.start} ${text.slice(match.start, match.end)}`);
  return matches;
};

/** An expression as a tree, so that its meaning can be told without any search: JavaScript's own backtracks for ever. */
type Tree =
  | { readonly kind: "byte"; readonly source: string; readonly bytes: string }
  | { readonly kind: "all"; readonly parts: readonly Tree[] }
  | { readonly kind: "one"; readonly parts: readonly Tree[] }
  | { readonly kind: "times"; readonly part: Tree; readonly least: number; readonly most: number };

function sourceOf(tree: Tree): string {
  if (tree.kind === "byte") return tree.source;
  if (tree.kind === "all") return `(?:${tree.parts.map(sourceOf).join("")})`;
  if (tree.kind === "one") return `(${tree.parts.map(sourceOf).join("|")})`;
  return `(?:${sourceOf(tree.part)}){${tree.least},${tree.most === Infinity ? "" : tree.most}}`;
}

/** Where matches of a tree that begin at any of `starts` end. */
function endsOf(tree: Tree, text: string, starts: ReadonlySet<number>): ReadonlySet<number> {
  if (tree.kind === "byte")
    return new Set(
      [...starts].filter((at) => at < text.length && tree.bytes.includes(text[at] ?? "")).map((at) => at + 1),
    );
  if (tree.kind === "all") return tree.parts.reduce((ends, part) => endsOf(part, text, ends), starts);
  if (tree.kind === "one") return new Set(tree.parts.flatMap((part) => [...endsOf(part, text, starts)]));
  const ends = new Set(tree.least === 0 ? starts : []);
  let reached = starts;
  // No more repetitions than there are bytes reach anything new.
  for (let count = 1; count <= Math.min(tree.most, tree.least + text.length); count += 1) {
    reached = endsOf(tree.part, text, reached);
    if (count >= tree.least) for (const end of reached) ends.add(end);
  }
  return ends;
}

/** What trying every start says. */
function tried(tree: Tree, text: string): readonly string[] {
  const matches: string[] = [];
  for (let start = 0; start < text.length;) {
    const end = Math.max(...endsOf(tree, text, new Set([start])), start);
    if (end > start) matches.push(`${start} ${text.slice(start, end)}`);
    start = Math.max(end, start + 1);
  }
  return matches;
}

describe("a search for an expression", () => {
  it.each<readonly [RegExp, string, readonly string[]]>([
    [/abcd|c/, "xabcdc", ["1 abcd", "5 c"]],
    [/a|ab|abc/, "abcab", ["0 abc", "3 ab"]],
    [/a*/, "baab", ["1 aa"]],
    [/[^\s=]+=\S{3,}/, "A=1 KEY=secret", ["4 KEY=secret"]],
    [/key/i, "Key KEY k", ["0 Key", "4 KEY"]],
    [/[_-c]/i, "~CZ_", ["1 C", "3 _"]],
    [/\xfe\xff+/, "a\u00fe\u00ff\u00ff", ["1 \u00fe\u00ff\u00ff"]],
    [/(?:a{2}){2,3}b?/, "aaaaaaab", ["0 aaaaaa"]],
    [/(?<name>x)\./, "x.xy", ["0 x."]],
    [/a.b/, "a\nb a-b", ["4 a-b"]],
    [/a.b/s, "a\nb", ["0 a\nb"]],
    [/\{\]\\\//, "{]\\/", ["0 {]\\/"]],
    [/a{,2}/, "a{,2}", ["0 a{,2}"]],
    [/[\b\-\d]+/, "\b-7x", ["0 \b-7"]],
  ])("finds what %s means", (expression, text, expected) => {
    expect(found(expression, text)).toEqual(expected);
  });

  it("finds what trying everywhere finds, of any expression and text", () => {
    const byte = fc.constantFrom(
      ...[
        ["a", "a"],
        ["b", "b"],
        ["[ab]", "ab"],
        ["[^a]", "bc"],
        [".", "abc"],
      ].map(([source = "", bytes = ""]): Tree => ({ kind: "byte", source, bytes })),
    );
    const treeOf = (depth: number): fc.Arbitrary<Tree> => {
      if (depth === 0) return byte;
      const part = treeOf(depth - 1);
      const counts = fc.constantFrom<readonly [number, number]>(
        [0, 1],
        [0, Infinity],
        [1, Infinity],
        [2, 2],
        [1, 3],
        [2, Infinity],
      );
      return fc.oneof(
        byte,
        fc.record({
          kind: fc.constantFrom("all" as const, "one" as const),
          parts: fc.array(part, { minLength: 1, maxLength: 3 }),
        }),
        fc.tuple(part, counts).map(([of, [least, most]]): Tree => ({ kind: "times", part: of, least, most })),
      );
    };
    const text = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 12 }).map((characters) => characters.join(""));
    fc.assert(
      fc.property(treeOf(3), text, (tree, haystack) => {
        expect(found(new RegExp(sourceOf(tree)), haystack)).toEqual(tried(tree, haystack));
      }),
      { numRuns: 2000, seed: 61 },
    );
  });

  it("finds the beginning of what is longer than the longest, and nothing of what only ends there", () => {
    expect(found(/a+/, "a".repeat(25), 10)).toEqual([`0 ${"a".repeat(10)}`, `10 ${"a".repeat(10)}`, "20 aaaaa"]);
    expect(found(/x[^]*y/, `x${"-".repeat(30)}y xy`, 10)).toEqual(["33 xy"]);
  });

  it.each([/(a+)+b/, /(a|a)*b/, /(a|aa)+b/, /a*a*a*a*a*b/, /(a{1,30}){1,30}b/])(
    "passes once over memory that %s would go back in for ever",
    (expression) => {
      expect(found(expression, "a".repeat(300_000))).toEqual([]);
    },
  );

  it("ends with an error where states would be made without end", () => {
    // Which of the last thousand bytes were an a is 2^1000 states.
    let random = 1;
    const text = Array.from({ length: 300_000 }, () => {
      random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
      return (random & 0x1_00_00) === 0 ? "a" : "b";
    });
    expect(() => found(/a[ab]{1000}c/, text.join(""))).toThrow("too complex for this memory");
  });

  it.each<readonly [RegExp, string]>([
    [/^a/, "memory has no lines"],
    [/a\b/, "\\b is not searched for"],
    [/(a)\1/, "\\1 is not searched for"],
    [/a(?=b)/, "looking ahead or behind"],
    [/a(?<!b)/, "looking ahead or behind"],
    [/a+?/, "leave out the ?"],
    [/é€/, "write a character's UTF-8"],
    [/a/u, "the flag u"],
    [/a/m, "the flag m"],
    [/a{3000}/, "more than 2000 repetitions"],
    [/(a{100}){100}/, "longer than 2000 bytes"],
    [/(a|b|c|d|e|f|g|h|i|j){100,}(a?){1000}/, "too many choices"],
    [new RegExp("(".repeat(150) + "a" + ")".repeat(150)), "more than 100 groups"],
    [/(((){2000}){2000}){2000}/, "too many"],
    [/(?:)/, "matches nothing but emptiness"],
  ])("refuses %s", (expression, message) => {
    expect(() => parseByteExpression(expression)).toThrow(message);
  });
});

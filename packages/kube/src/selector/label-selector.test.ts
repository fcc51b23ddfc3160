import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  everything,
  labelSelectorText,
  matchesLabels,
  nothing,
  parseLabelSelector,
  selectorOf,
  selectorOfLabels,
} from "./label-selector.ts";

const word = fc.constantFrom("a", "b", "in", "notin", "example.com/x", "7", "z_1");
const value = fc.constantFrom("", "a", "b", "in", "notin", "7", "-".padStart(2, "x") + "1");
const requirementTextOf = fc.oneof(
  word,
  word.map((key) => `!${key}`),
  fc.tuple(word, fc.constantFrom("=", "==", "!="), value).map(([key, operator, text]) => `${key} ${operator} ${text}`),
  fc.tuple(word, fc.constantFrom(">", "<"), fc.integer({ min: 0 })).map((parts) => parts.join("")),
  fc
    .tuple(word, fc.constantFrom("in", "notin"), fc.array(value, { minLength: 1, maxLength: 4 }))
    .map(([key, operator, values]) => `${key} ${operator} (${values.join(" , ")})`),
);

describe("parseLabelSelector", () => {
  it.each([
    ["", ""],
    ["  ", ""],
    ["a", "a"],
    ["!a", "!a"],
    ["! a", "!a"],
    ["a=b", "a=b"],
    ["a==b", "a==b"],
    ["a = b , c != d", "a=b,c!=d"],
    ["b,a", "a,b"],
    ["a=", "a="],
    ["a=,b=c", "a=,b=c"],
    ["x in (foo,,baz),y,z notin ()", "x in (,baz,foo),y,z notin ()"],
    ["a in (b)", "a in (b)"],
    ["a in(b,b)", "a in (b)"],
    ["a in (,)", "a in ()"],
    ["in in (in,notin)", "in in (in,notin)"],
    ["notin", "notin"],
    ["a>5", "a>5"],
    ["a<5", "a<5"],
    ["example.com/a=b", "example.com/a=b"],
  ])("reads %j as %j", (text, canonical) => {
    expect(labelSelectorText(parseLabelSelector(text))).toBe(canonical);
  });

  it.each([
    [",", "found ',', expected: !, identifier, or 'end of string'"],
    ["a,", "found '', expected: identifier after ','"],
    ["a b", "found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ["!a=b", "found '=', expected: ',' or 'end of string'"],
    ["a in b", "found 'b' expected: '('"],
    ["a in (b", "found '', expected: ',' or ')'"],
    ["a in (b c)", "found 'c', expected: ',' or ')'"],
    ["a=(b)", "found '(', expected: identifier"],
    ["!", "found '', expected: identifier"],
    ["a=b=c", "found '=', expected: ',' or 'end of string'"],
    ["a>b", "the value must be an integer"],
    ["a=-b", "a valid label must be an empty string or consist"],
    ["-a=b", "name part must consist of alphanumeric characters"],
  ])("refuses %j: %s", (text, reason) => {
    expect(() => parseLabelSelector(text)).toThrow(
      expect.objectContaining({ code: "FW_SELECTOR", message: expect.stringContaining(reason) }),
    );
  });

  it("reads back its own canonical text", () => {
    fc.assert(
      fc.property(fc.array(requirementTextOf, { maxLength: 5 }), (parts) => {
        const once = parseLabelSelector(parts.join(","));
        expect(parseLabelSelector(labelSelectorText(once))).toEqual(once);
      }),
    );
  });
});

describe("matchesLabels", () => {
  it.each([
    ["a", { a: "" }, true],
    ["a", {}, false],
    ["!a", {}, true],
    ["a=1", { a: "1" }, true],
    ["a!=1", {}, true],
    ["a notin (1)", {}, true],
    ["a notin (1)", { a: "1" }, false],
    ["a in (1,2)", { a: "2" }, true],
    ["a in ()", { a: "" }, true],
    ["a>5", { a: "6" }, true],
    ["a>5", { a: "x" }, false],
    ["a<5", { a: "5" }, false],
    ["a<5", {}, false],
    ["a=1,b=2", { a: "1" }, false],
    ["toString", {}, false],
  ] as const)("%j of %j is %s", (text, labels, expected) => {
    expect(matchesLabels(parseLabelSelector(text), labels)).toBe(expected);
  });

  it("matches everything for an empty selector and nothing for an absent one", () => {
    expect(selectorOf({})).toEqual(everything);
    expect(selectorOf({ matchLabels: {}, matchExpressions: [] })).toEqual(everything);
    expect(selectorOf(undefined)).toEqual(nothing);
    expect(matchesLabels(everything, undefined)).toBe(true);
    expect(matchesLabels(nothing, { a: "b" })).toBe(false);
    expect(labelSelectorText(nothing)).toBe("");
  });
});

describe("selectorOf", () => {
  it("joins labels and expressions, by key", () => {
    const selector = selectorOf({
      matchLabels: { team: "vision" },
      matchExpressions: [
        { key: "tier", operator: "In", values: ["b", "a"] },
        { key: "draining", operator: "DoesNotExist" },
        { key: "zone", operator: "NotIn", values: ["z"] },
        { key: "app", operator: "Exists" },
      ],
    });
    expect(labelSelectorText(selector)).toBe("app,!draining,team=vision,tier in (a,b),zone notin (z)");
  });

  it.each([
    [{ key: "a", operator: "in", values: ["b"] }, '"in" is not a valid label selector operator'],
    [{ key: "a", operator: "In" }, "values set can't be empty"],
    [{ key: "a", operator: "Exists", values: ["b"] }, "values set must be empty for exists"],
    [{ key: "a b", operator: "Exists" }, 'key "a b": name part'],
    [{ key: "a", operator: "In", values: ["b c"] }, 'value "b c": a valid label'],
  ])("refuses %j", (expression, reason) => {
    expect(() => selectorOf({ matchExpressions: [expression] })).toThrow(reason);
  });

  it("selects exactly the labels given", () => {
    expect(labelSelectorText(selectorOfLabels({ b: "2", a: "1" }))).toBe("a=1,b=2");
    expect(matchesLabels(selectorOfLabels(undefined), { a: "1" })).toBe(true);
  });
});

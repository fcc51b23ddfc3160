import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compile } from "./expression.ts";
import { escapedName, unescapedName } from "./property-names.ts";
import { dyn } from "./types.ts";

describe("any text as an expression", () => {
  it("is compiled or refused with a place in it, never anything else", () => {
    const word = fc.constantFrom(
      ..."self . ( ) [ ] { } , : ? ! - + * / % && || == != < <= in 'a' \"b 1 2u 3.5 true null has all map x # = b'' r'' \\ `a` // Object".split(
        " ",
      ),
    );
    const texts = fc.oneof(
      fc.array(word, { maxLength: 20 }).map((words) => words.join(" ")),
      fc.array(word, { maxLength: 20 }).map((words) => words.join("")),
      fc.string({ unit: "binary", maxLength: 40 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const { error, program } = compile(text, { variables: new Map([["self", dyn]]) });
        expect(program !== undefined || /^ERROR: <input>:\d+:\d+: /.test(error ?? "")).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it("reports every word that is none, and what is missing after it", () => {
    const { error } = compile("self.s == 'abc", { variables: new Map([["self", dyn]]) });
    expect(error).toBe(
      "ERROR: <input>:1:11: Syntax error: token recognition error at: ''abc'\n | self.s == 'abc\n | ..........^\n" +
        "ERROR: <input>:1:15: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n" +
        " | self.s == 'abc\n | ..............^",
    );
  });
});

// What kube-apiserver 1.36.3 said of a policy's rule.
describe("mistakes are told as ANTLR tells them", () => {
  it.each([
    ["self.", 6, "no viable alternative at input '.'"],
    ["self.(x)", 6, "no viable alternative at input '.('"],
    ["self[0", 7, "missing ']' at '<EOF>'"],
    ["(self", 6, "missing ')' at '<EOF>'"],
    ["[1,", 4, "missing ']' at '<EOF>'"],
    ["[1 2]", 4, "extraneous input '2' expecting {']', ','}"],
    ["[1,,2]", 4, "mismatched input ',' expecting ']'"],
    ["{1 2}", 4, "missing ':' at '2'"],
    ["self ? 1 2", 10, "missing ':' at '2'"],
    ["1,2", 2, "mismatched input ',' expecting <EOF>"],
    ["1)", 2, "extraneous input ')' expecting <EOF>"],
    ["self.a(1 2)", 10, "extraneous input '2' expecting ')'"],
  ])("%s", (text, column, problem) => {
    const { error = "" } = compile(text, { variables: new Map([["self", dyn]]) });
    expect(error.split("\n")[0]).toBe(`ERROR: <input>:1:${column}: Syntax error: ${problem}`);
  });

  it.each(["[,] == []", "{,} == {}", String.raw`r'\' == "\\"`])("%s is none", (text) => {
    expect(compile(text, { variables: new Map() }).error).toBeUndefined();
  });

  it("has no names in backquotes", () => {
    const { error } = compile("self.`a b`", { variables: new Map([["self", dyn]]) });
    expect(error).toBe("ERROR: <input>:1:6: unsupported syntax: '`'\n | self.`a b`\n | .....^");
  });
});

describe("names of properties", () => {
  it.each([
    ["a", "a"],
    ["namespace", "__namespace__"],
    ["x-y.z/w", "x__dash__y__dot__z__slash__w"],
    ["a__b", "a__underscores__b"],
    ["1a", undefined],
    ["a b", undefined],
  ])("%s is written %s", (name, escaped) => {
    expect(escapedName(name)).toBe(escaped);
    expect(unescapedName(escaped ?? name)).toBe(name);
  });

  it("come back as they were", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-zA-Z_./-][a-zA-Z0-9_./-]{0,12}$/), (name) => {
        expect(unescapedName(escapedName(name) ?? name)).toBe(name);
      }),
    );
  });
});

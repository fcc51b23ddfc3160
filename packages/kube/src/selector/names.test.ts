import { describe, expect, it } from "vitest";
import {
  dnsLabelProblems,
  dnsSubdomainProblems,
  labelKeyProblems,
  labelsProblems,
  labelValueProblems,
} from "./names.ts";

describe("labelKeyProblems", () => {
  it.each([["a"], ["A-b_c.9"], ["example.com/name"], ["a/b"], ["x".repeat(63)], [`${"a.".repeat(126)}a/b`]])(
    "takes %s",
    (key) => {
      expect(labelKeyProblems(key)).toEqual([]);
    },
  );

  it.each([
    ["", "name part must be non-empty"],
    ["/a", "prefix part must be non-empty"],
    ["a/", "name part must be non-empty"],
    ["a/b/c", "a valid label key must consist of alphanumeric characters"],
    ["-a", "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with"],
    ["é", "name part must consist of alphanumeric characters"],
    ["x".repeat(64), "name part must be no more than 63 bytes"],
    ["UP.com/a", "prefix part a lowercase RFC 1123 subdomain must consist of"],
    [`${"a.".repeat(127)}a/b`, "prefix part must be no more than 253 bytes"],
  ])("refuses %s: %s", (key, problem) => {
    expect(labelKeyProblems(key)).toContainEqual(expect.stringContaining(problem));
  });

  it("says the whole rule in the API server's words", () => {
    expect(labelKeyProblems("a b")).toEqual([
      "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    ]);
  });
});

describe("label values and names", () => {
  it("allow empty values, and 63 bytes at most", () => {
    expect(labelValueProblems("")).toEqual([]);
    expect(labelValueProblems("v".repeat(63))).toEqual([]);
    expect(labelValueProblems("v".repeat(64))).toEqual(["must be no more than 63 bytes"]);
    expect(labelValueProblems("a/b")).toEqual([expect.stringContaining("a valid label must be an empty string or")]);
  });

  it("tell a dotted name apart from a wrong one", () => {
    expect(dnsLabelProblems("web-1")).toEqual([]);
    expect(dnsLabelProblems("web.1")).toEqual(["must not contain dots"]);
    expect(dnsLabelProblems("Web")).toEqual([expect.stringContaining("a lowercase RFC 1123 label must consist")]);
    expect(dnsSubdomainProblems("web.1")).toEqual([]);
    expect(dnsSubdomainProblems("web..1")).toEqual([expect.stringContaining("a lowercase RFC 1123 subdomain")]);
  });

  it("name the label that is wrong", () => {
    expect(labelsProblems({ ok: "fine", "a b": "x", c: "-" })).toEqual([
      expect.stringMatching(/^"a b": name part/),
      expect.stringMatching(/^"c": "-": a valid label/),
    ]);
  });
});

import { describe, expect, it } from "vitest";
import { parseQuery } from "./query.ts";

describe("a query", () => {
  it.each([
    ["", []],
    [
      "a=1&b=%2F&a=2",
      [
        ["a", "1"],
        ["b", "/"],
        ["a", "2"],
      ],
    ],
    ["a", [["a", ""]]],
    ["labelSelector=%zz&limit=1", [["limit", "1"]]],
    ["a=1;b=2&c=3", [["c", "3"]]],
    ["a=%2&b=%", []],
    ["a=x%3By", [["a", "x;y"]]],
  ])("%j is read as Go reads it: what cannot be read is no parameter", (text, expected) => {
    expect([...parseQuery(text)]).toEqual(expected);
  });
});

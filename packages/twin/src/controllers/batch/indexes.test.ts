import fc from "fast-check";
import { expect, it } from "vitest";
import { formatIndexes, parseIndexes } from "./indexes.ts";

it("writes runs of indexes as the API does", () => {
  expect(formatIndexes(new Set([7, 0, 1, 2, 4, 5]))).toBe("0-2,4,5,7");
  expect(formatIndexes(new Set())).toBe("");
});

it("reads what it writes, and leaves out what is beyond the completions", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(60)), (indexes) => {
      expect(parseIndexes(formatIndexes(new Set(indexes)))).toEqual(new Set(indexes));
    }),
  );
  expect([...parseIndexes("0-9", 3)]).toEqual([0, 1, 2]);
});

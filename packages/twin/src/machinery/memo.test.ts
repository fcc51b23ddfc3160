import { expect, it } from "vitest";
import { createMemo } from "./memo.ts";

it("makes of each text once, and begins anew when there are too many", () => {
  const made: string[] = [];
  const memo = createMemo<string>(2);
  const upper = (text: string): string => (made.push(text), text.toUpperCase());
  expect(["a", "a", "b", "a", "c", "a"].map((text) => memo(text, upper))).toEqual(["A", "A", "B", "A", "C", "A"]);
  expect(made).toEqual(["a", "b", "c", "a"]);
});

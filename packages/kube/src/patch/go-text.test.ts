import { describe, expect, it } from "vitest";
import { goText } from "./go-text.ts";

describe("goText", () => {
  it.each([
    [{ b: [1, "x", null, true], a: {} }, "map[a:map[] b:[1 x <nil> true]]"],
    [1.5, "1.5"],
    [0.00001, "1e-05"],
    [1e21, "1e+21"],
    [100_000_000, "100000000"],
  ])("prints %j as Go does", (value, text) => {
    expect(goText(value)).toBe(text);
  });
});

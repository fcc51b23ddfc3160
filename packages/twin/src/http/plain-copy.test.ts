import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plainCopy } from "./plain-copy.ts";

describe("a copy without text", () => {
  it("is what the text would say", () => {
    const holds = fc.check(
      fc.property(fc.object({ maxDepth: 4, withNullPrototype: true, withDate: true, withBigInt: true }), (value) => {
        const copy = plainCopy(value, 1_000_000);
        return copy === undefined || isDeepStrictEqual(copy, JSON.parse(JSON.stringify(value)));
      }),
    );
    expect(holds).toMatchObject({ failed: false });
  });

  it("shares nothing with what it is of, and leaves out what is undefined", () => {
    const value = { a: { b: [1, "two", null] }, c: undefined };
    const copy = plainCopy(value, 1000) as { a: { b: unknown[] } };
    expect(copy).toStrictEqual({ a: { b: [1, "two", null] } });
    copy.a.b.push(3);
    expect(value.a.b).toHaveLength(3);
  });

  it.each<[string, object]>([
    ["fractions", { a: 0.5 }],
    ["large numbers", { a: 2 ** 53 }],
    ["numbers that are none", { a: Number.NaN }],
    ["negative zero", { a: -0 }],
    ["half of a character", { a: "\ud800" }],
    ["dates", { a: new Date(0) }],
    ["objects with a text of their own", { a: { toJSON: () => "text" } }],
    ["functions", { a: () => {} }],
    ["the prototype's name as a key", JSON.parse('{"__proto__":1}') as object],
    ["much text", { a: "x".repeat(1001) }],
    ["deep objects", Array.from({ length: 300 }).reduce<object>((inner) => ({ inner }), {})],
  ])("leaves %s to the text", (_, value) => {
    expect(plainCopy(value, 1000)).toBeUndefined();
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseQuantity, quantityFromJson } from "./parse-quantity.ts";
import { Quantity, type QuantityFormat } from "./quantity.ts";

const formats: readonly QuantityFormat[] = ["DecimalSI", "BinarySI", "DecimalExponent"];

const anyQuantity = fc
  .tuple(fc.bigInt(-(10n ** 22n), 10n ** 22n), fc.integer({ min: -9, max: 20 }), fc.constantFrom(...formats))
  .map(([coefficient, exponent, format]) => new Quantity(coefficient, exponent, format));

/** In nanos, which every quantity is a whole number of. */
const nanos = (quantity: Quantity): bigint => quantity.coefficient * 10n ** BigInt(quantity.exponent + 9);

describe("parseQuantity", () => {
  it.each([
    ["0", "0"],
    ["0Ki", "0"],
    ["100m", "100m"],
    ["0.1", "100m"],
    ["1000m", "1"],
    ["1500m", "1500m"],
    ["1000", "1k"],
    ["1024", "1024"],
    ["1Ki", "1Ki"],
    ["1024Ki", "1Mi"],
    ["1.5Gi", "1536Mi"],
    ["1536Mi", "1536Mi"],
    ["0.5Mi", "512Ki"],
    ["1000Ki", "1000Ki"],
    ["1023Mi", "1023Mi"],
    ["0.1Gi", "107374182400m"],
    ["512", "512"],
    ["12e6", "12e6"],
    ["12E6", "12E6"],
    ["1200e4", "12e6"],
    ["0.1n", "1n"],
    ["-0.1n", "-1n"],
    ["1.0000000001", "1000000001n"],
    ["8Ei", "9223372036854775807"],
    ["-8Ei", "-9223372036854775807"],
    ["9223372036854775808", "9223372036854775808"],
    ["100E", "100E"],
  ])("reads %s and writes %s", (text, canonical) => {
    expect(parseQuantity(text).toString()).toBe(canonical);
  });

  it.each([["+1"], ["01"], ["1."], ["1.500"], ["1E3"], ["+1Ki"]])(
    "keeps %s as it was written, as Kubernetes does",
    (text) => {
      const quantity = parseQuantity(text);
      expect(quantity.toString()).toBe(text);
      expect(quantity.add(Quantity.zero).toString()).not.toBe(text);
    },
  );

  it.each([[""], [" 1"], ["1 "], ["1_000"], ["0x1"], ["1e1e1"], ["1.2.3"], ["١"]])(
    "refuses %j as malformed",
    (text) => {
      expect(() => parseQuantity(text)).toThrow(
        expect.objectContaining({
          code: "FW_QUANTITY",
          message: expect.stringContaining("must match the regular expression"),
        }),
      );
    },
  );

  it.each([["1K"], ["--1"], ["1ki"], ["1e"], ["1e+"], ["1mm"], ["1KiK"], ["1e99999999999999999999"]])(
    "refuses the suffix of %j",
    (text) => {
      expect(() => parseQuantity(text)).toThrow(/unable to parse quantity's suffix/);
    },
  );

  it.each([[".e-10"], ["Ei"]])("refuses %j, which has no number", (text) => {
    expect(() => parseQuantity(text)).toThrow(/unable to parse numeric part/);
  });

  it("refuses a long wrong text in linear time", () => {
    const wrong = `${"1".repeat(200_000)}x`;
    expect(() => parseQuantity(wrong)).toThrow(/FW_|regular expression/);
  });

  it("writes from 1000E on an exponent instead of dropping it", () => {
    expect(parseQuantity("1000E").toString()).toBe("1e21");
    expect(parseQuantity("1000E").equals(parseQuantity("1e21"))).toBe(true);
  });

  it("reads numbers of JSON, and nothing as zero", () => {
    expect(quantityFromJson(2).equals(parseQuantity("2"))).toBe(true);
    expect(quantityFromJson(0.25).toString()).toBe("250m");
    expect(quantityFromJson(1e21).equals(parseQuantity("1e21"))).toBe(true);
    expect(quantityFromJson(" 3Gi ").toString()).toBe("3Gi");
    expect(quantityFromJson(null).isZero).toBe(true);
    expect(() => quantityFromJson({ cpu: 1 })).toThrow(/a string or a number/);
  });

  it("reads back the amount that it wrote", () => {
    fc.assert(
      fc.property(anyQuantity, (quantity) => {
        const again = parseQuantity(quantity.toString());
        const cappable = quantity.format === "BinarySI" && quantity.toString().endsWith("i");
        const capped = cappable && nanos(quantity.sign < 0 ? quantity.neg() : quantity) > (2n ** 63n - 1n) * 10n ** 9n;
        expect(capped ? again.value() ** 2n : nanos(again)).toBe(capped ? (2n ** 63n - 1n) ** 2n : nanos(quantity));
      }),
    );
  });

  it("writes decimal forms so that they come back the same", () => {
    const decimal = anyQuantity.filter(({ format }) => format !== "BinarySI");
    fc.assert(
      fc.property(decimal, (quantity) => {
        const text = quantity.toString();
        expect(parseQuantity(text).add(Quantity.zero).toString()).toBe(text);
      }),
    );
  });
});

describe("Quantity", () => {
  it("adds, subtracts, negates and multiplies exactly", () => {
    fc.assert(
      fc.property(anyQuantity, anyQuantity, fc.integer({ min: -1000, max: 1000 }), (left, right, factor) => {
        expect(nanos(left.add(right))).toBe(nanos(left) + nanos(right));
        expect(nanos(left.sub(right))).toBe(nanos(left) - nanos(right));
        expect(nanos(left.neg())).toBe(-nanos(left));
        expect(nanos(left.mul(factor))).toBe(nanos(left) * BigInt(factor));
      }),
    );
  });

  it("orders as the amounts do", () => {
    fc.assert(
      fc.property(anyQuantity, anyQuantity, (left, right) => {
        const difference = nanos(left) - nanos(right);
        expect(left.cmp(right)).toBe(difference < 0n ? -1 : difference > 0n ? 1 : 0);
        expect(left.equals(right)).toBe(difference === 0n);
      }),
    );
  });

  it("rounds values up, away from zero", () => {
    fc.assert(
      fc.property(anyQuantity, (quantity) => {
        for (const [rounded, unit] of [
          [quantity.value(), 10n ** 9n],
          [quantity.milliValue(), 10n ** 6n],
        ] as const) {
          const amount = nanos(quantity) < 0n ? -nanos(quantity) : nanos(quantity);
          expect(rounded < 0n ? -rounded : rounded).toBe((amount + unit - 1n) / unit);
          expect(rounded === 0n || rounded < 0n === quantity.sign < 0).toBe(true);
        }
      }),
    );
  });

  it("keeps its form in arithmetic, and takes the other's when it is zero", () => {
    expect(parseQuantity("1Gi").add(parseQuantity("1G")).toString()).toBe("2073741824");
    expect(parseQuantity("1Gi").add(parseQuantity("1Gi")).toString()).toBe("2Gi");
    expect(Quantity.zero.add(parseQuantity("1Gi")).toString()).toBe("1Gi");
    expect(Quantity.zero.sub(parseQuantity("1Gi")).toString()).toBe("-1Gi");
    expect(parseQuantity("2Gi").sub(parseQuantity("1024")).toString()).toBe("2097151Ki");
    expect(parseQuantity("1Ki").sub(parseQuantity("1")).toString()).toBe("1023");
  });

  it("compares astronomical amounts, and refuses to write them out", () => {
    const huge = parseQuantity("1e1000000000");
    expect(huge.cmp(parseQuantity("1Ei"))).toBe(1);
    expect(huge.neg().cmp(parseQuantity("1Ei"))).toBe(-1);
    expect(huge.cmp(parseQuantity("10e999999999"))).toBe(0);
    expect(() => huge.add(parseQuantity("1"))).toThrow(expect.objectContaining({ code: "FW_QUANTITY_RANGE" }));
  });

  it("goes into JSON as its text", () => {
    expect(JSON.stringify({ cpu: Quantity.ofMilli(1500), pods: Quantity.of(3n) })).toBe('{"cpu":"1500m","pods":"3"}');
  });
});

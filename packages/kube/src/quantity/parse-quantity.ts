import { FleetwrightError } from "../core/errors.ts";
import {
  binarySuffixes,
  decimalSuffixes,
  divideAwayFromZero,
  pow10,
  Quantity,
  smallestExponent,
  type QuantityFormat,
} from "./quantity.ts";

/** Binary quantities are capped at an int64 when they are parsed (decimal ones are not). */
const binaryCap = 2n ** 63n - 1n;

const binaryFactors = new Map<string, bigint>(
  binarySuffixes.slice(1).map((suffix, index) => [suffix, 1024n ** BigInt(index + 1)]),
);

/**
 * What apimachinery's scanner takes, which is more than the expression that its error message shows. No two parts can
 * match the same character: a long wrong text costs linear time.
 */
const quantityPattern = /^([+-]?)([0-9]*)(?:\.([0-9]*))?((?:[eEinumkKMGTP]+[-+]?|[-+])[0-9]*)?$/;
/** Kubernetes' message, known to its users word for word. */
const patternMessage = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/** Texts are few and come again with every object: 25 ns instead of 1,000. */
const maxRemembered = 4096;
const maxRememberedLength = 32;
const remembered = new Map<string, Quantity>();

/**
 * Reads a quantity: apimachinery's `ParseQuantity`, with everything it accepts and nothing else. Amounts finer than a
 * nano are rounded up (away from zero); binary ones are capped at ±(2^63-1).
 *
 * @throws {FleetwrightError} `FW_QUANTITY` with Kubernetes' own words
 */
export function parseQuantity(text: string): Quantity {
  const known = remembered.get(text);
  if (known) return known;
  const quantity = readQuantity(text);
  if (text.length <= maxRememberedLength) {
    if (remembered.size >= maxRemembered) remembered.clear();
    remembered.set(text, quantity);
  }
  return quantity;
}

/**
 * A quantity where an object holds one: a string (blanks around it are ignored) or a number; absent and `null` are
 * zero. This is `UnmarshalJSON`.
 *
 * @throws {FleetwrightError} `FW_QUANTITY`
 */
export function quantityFromJson(value: unknown): Quantity {
  if (value === null || value === undefined) return Quantity.zero;
  if (typeof value === "string") return parseQuantity(value.trim());
  if (typeof value === "number") return parseQuantity(String(value));
  throw invalid(JSON.stringify(value), "a quantity is a string or a number");
}

function readQuantity(text: string): Quantity {
  if (text === "0") return Quantity.zero;
  const match = text === "" ? null : quantityPattern.exec(text);
  if (!match) throw invalid(text, patternMessage);
  const [, sign = "", whole = "", fraction = "", suffix = ""] = match;
  const { exponent, factor, format } = readSuffix(text, suffix);
  const integer = whole.replace(/^0+/, "") || "0";
  const digits = integer + fraction;
  // apimachinery keeps exponents in an int32, and they wrap around.
  const scale = (exponent - fraction.length) | 0;
  const inInt64 =
    factor === undefined
      ? digits.length <= 18 && scale >= smallestExponent
      : fraction === "" && integer.length + decimalDigitsOf(factor) < 15;
  // Only the calculation in int64 takes a missing number for 0.
  if (!inInt64 && whole === "" && fraction === "") throw invalid(text, "unable to parse numeric part of quantity");
  const unsigned = BigInt(digits);
  const asWritten = factor === undefined ? scale % 3 === 0 && !/^0|000$/.test(digits) : unsigned % 8n !== 0n;
  return finish(sign === "-", unsigned * (factor ?? 1n), scale, format, inInt64 && asWritten ? text : undefined);
}

/** As apimachinery estimates them: 3 for each 1024. */
const decimalDigitsOf = (factor: bigint): number => ((factor.toString(2).length - 1) * 3) / 10;

function finish(
  negative: boolean,
  unsigned: bigint,
  scale: number,
  parsedFormat: QuantityFormat,
  text: string | undefined,
): Quantity {
  let amount = unsigned;
  let exponent = amount === 0n ? 0 : scale;
  let format = parsedFormat;
  if (exponent < smallestExponent) {
    amount = divideAwayFromZero(amount, smallestExponent - exponent);
    exponent = smallestExponent;
  }
  if (format === "BinarySI" && amount !== 0n) {
    // A binary amount's exponent is at most 0: only its fraction moves the point.
    const one = pow10(-exponent);
    if (amount > binaryCap * one) {
      amount = binaryCap;
      exponent = 0;
    } else if (amount < one) format = "DecimalSI";
  }
  return new Quantity(negative ? -amount : amount, exponent, format, text);
}

function readSuffix(
  text: string,
  suffix: string,
): { readonly exponent: number; readonly factor?: bigint; readonly format: QuantityFormat } {
  const decimal = decimalSuffixes.get(suffix);
  if (decimal !== undefined) return { exponent: decimal, format: "DecimalSI" };
  const factor = binaryFactors.get(suffix);
  if (factor !== undefined) return { exponent: 0, factor, format: "BinarySI" };
  if (/^[eE][+-]?[0-9]+$/.test(suffix)) {
    const exponent = BigInt(suffix.slice(suffix[1] === "+" ? 2 : 1));
    if (BigInt.asIntN(64, exponent) === exponent) {
      return { exponent: Number(BigInt.asIntN(32, exponent)), format: "DecimalExponent" };
    }
  }
  throw invalid(text, "unable to parse quantity's suffix");
}

function invalid(text: string, reason: string): FleetwrightError {
  const quoted = JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
  return new FleetwrightError("FW_QUANTITY", `quantity ${quoted}: ${reason}; write one like 500m, 2 or 16Gi`);
}

import { FleetwrightError } from "../core/errors.ts";

/** How a quantity is written: `2G`, `2Gi` or `2e9`. Arithmetic keeps the left side's, unless that is zero. */
export type QuantityFormat = "DecimalSI" | "BinarySI" | "DecimalExponent";

/** Kubernetes rounds anything finer up to this power of ten (nano). */
const smallestExponent = -9;

/** Binary quantities are capped at an int64 when they are parsed (decimal ones are not). */
const binaryCap = 2n ** 63n - 1n;

/**
 * Numbers whose exponents are farther apart than this are not added: `1e1000000000` is a valid quantity, and writing
 * it out would take all memory.
 */
const maxAlignment = 4096;

const decimalSuffixes = new Map<string, number>([
  ["n", -9],
  ["u", -6],
  ["m", -3],
  ["", 0],
  ["k", 3],
  ["M", 6],
  ["G", 9],
  ["T", 12],
  ["P", 15],
  ["E", 18],
]);
const suffixOfExponent = new Map<number, string>([...decimalSuffixes].map(([suffix, exponent]) => [exponent, suffix]));
const binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] as const;
const binaryFactors = new Map<string, bigint>(
  binarySuffixes.slice(1).map((suffix, index) => [suffix, 1024n ** BigInt(index + 1)]),
);

const powersOfTen: readonly bigint[] = Array.from({ length: 40 }, (_, exponent) => 10n ** BigInt(exponent));
const pow10 = (exponent: number): bigint => powersOfTen[exponent] ?? 10n ** BigInt(exponent);

/**
 * What apimachinery's scanner takes, which is more than the expression that its error message shows. No two parts can
 * match the same character: a long wrong text costs linear time.
 */
const quantityPattern = /^([+-]?)([0-9]*)(?:\.([0-9]*))?((?:[eEinumkKMGTP]+[-+]?|[-+])[0-9]*)?$/;
/** Kubernetes' message, known to its users word for word. */
const patternMessage = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/**
 * An amount of a resource: apimachinery's `resource.Quantity` (pkg/api/resource), immutable and exact.
 *
 * Parsing and writing agree with Kubernetes to the letter, so a text that Kubernetes keeps as the user wrote it (`+1`,
 * `1.500`) is kept here too. The one exception: decimal amounts from 1000E on have no suffix, and Kubernetes prints
 * `1` for `1000E`; this prints `1e21`. Arithmetic has no upper bound.
 *
 * @example
 * parseQuantity("1.5Gi").mul(4).toString() // "6Gi"
 * parseQuantity("100m").add(parseQuantity("1")).milliValue() // 1100n
 */
export class Quantity {
  /** The amount is `coefficient` × 10^`exponent`. */
  readonly coefficient: bigint;
  /** From -9 on. */
  readonly exponent: number;
  readonly format: QuantityFormat;
  #text: string | undefined;

  /** For amounts that are known already; texts go through {@link parseQuantity}. */
  constructor(coefficient: bigint, exponent: number, format: QuantityFormat, text?: string) {
    this.coefficient = coefficient;
    this.exponent = exponent;
    this.format = format;
    this.#text = text;
  }

  static readonly zero: Quantity = new Quantity(0n, 0, "DecimalSI", "0");

  /**
   * A whole number.
   *
   * @throws RangeError when a number is not whole
   */
  static of(value: number | bigint, format: QuantityFormat = "DecimalSI"): Quantity {
    return new Quantity(BigInt(value), 0, format);
  }

  /** Thousandths, as CPUs are counted. */
  static ofMilli(value: number | bigint, format: QuantityFormat = "DecimalSI"): Quantity {
    return new Quantity(BigInt(value), -3, format);
  }

  get isZero(): boolean {
    return this.coefficient === 0n;
  }

  /** -1, 0 or 1. */
  get sign(): -1 | 0 | 1 {
    return this.coefficient === 0n ? 0 : this.coefficient < 0n ? -1 : 1;
  }

  add(other: Quantity): Quantity {
    const format = this.isZero ? other.format : this.format;
    if (this.isZero) return new Quantity(other.coefficient, other.exponent, format);
    if (other.isZero) return new Quantity(this.coefficient, this.exponent, format);
    const exponent = Math.min(this.exponent, other.exponent);
    return new Quantity(this.#scaledTo(exponent) + other.#scaledTo(exponent), exponent, format);
  }

  sub(other: Quantity): Quantity {
    return this.add(other.neg());
  }

  neg(): Quantity {
    return new Quantity(-this.coefficient, this.exponent, this.format);
  }

  /**
   * Times a whole number.
   *
   * @throws RangeError when a number is not whole
   */
  mul(factor: number | bigint): Quantity {
    return new Quantity(this.coefficient * BigInt(factor), this.exponent, this.format);
  }

  /** Negative, zero or positive, for `sort`. */
  cmp(other: Quantity): -1 | 0 | 1 {
    if (this.exponent === other.exponent) return order(this.coefficient, other.coefficient);
    if (this.sign !== other.sign || this.sign === 0) return order(this.sign, other.sign);
    const difference = Math.abs(this.exponent - other.exponent);
    if (difference > maxAlignment) {
      const magnitude = order(this.#magnitude(), other.#magnitude());
      if (magnitude !== 0) return this.sign > 0 ? magnitude : magnitude === 1 ? -1 : 1;
    }
    const exponent = Math.min(this.exponent, other.exponent);
    return order(
      this.coefficient * pow10(this.exponent - exponent),
      other.coefficient * pow10(other.exponent - exponent),
    );
  }

  /** The same amount, however it is written: `1` equals `1000m`. */
  equals(other: Quantity): boolean {
    return this.cmp(other) === 0;
  }

  /** Rounded up to whole units, away from zero: Go's `Value()` without its overflow. */
  value(): bigint {
    return this.scaledValue(0);
  }

  /** Rounded up to thousandths, away from zero: Go's `MilliValue()` without its overflow. */
  milliValue(): bigint {
    return this.scaledValue(-3);
  }

  /** Units of 10^`exponent`, rounded up, away from zero. */
  scaledValue(exponent: number): bigint {
    if (this.exponent >= exponent) return this.#scaledTo(exponent);
    return divideAwayFromZero(this.coefficient, exponent - this.exponent);
  }

  /** The nearest floating point number, for metrics and charts. */
  toNumber(): number {
    return Number(`${this.coefficient}e${this.exponent}`);
  }

  /** As Kubernetes writes it. */
  toString(): string {
    return (this.#text ??= canonicalText(this));
  }

  toJSON(): string {
    return this.toString();
  }

  /** Digits before the decimal point: orders numbers of one sign. */
  #magnitude(): number {
    return (this.sign < 0 ? -this.coefficient : this.coefficient).toString().length + this.exponent;
  }

  #scaledTo(exponent: number): bigint {
    const difference = this.exponent - exponent;
    if (difference === 0 || this.isZero) return this.coefficient;
    if (difference > maxAlignment) {
      throw new FleetwrightError(
        "FW_QUANTITY_RANGE",
        `quantity "${this.toString()}" is too large to calculate with: write one below 1e${maxAlignment}`,
      );
    }
    return this.coefficient * pow10(difference);
  }
}

const order = <T extends number | bigint>(left: T, right: T): -1 | 0 | 1 => (left < right ? -1 : left > right ? 1 : 0);

function divideAwayFromZero(dividend: bigint, digits: number): bigint {
  if (dividend === 0n) return 0n;
  const step = dividend < 0n ? -1n : 1n;
  // 10^digits could be astronomically large; the quotient is then a fraction of one.
  if (digits > dividend.toString().length) return step;
  const divisor = pow10(digits);
  const quotient = dividend / divisor;
  return quotient * divisor === dividend ? quotient : quotient + step;
}

function canonicalText(quantity: Quantity): string {
  if (quantity.isZero) return "0";
  if (quantity.format === "BinarySI") {
    const text = binaryText(quantity);
    if (text !== undefined) return text;
  }
  const digits = quantity.coefficient.toString();
  const mantissa = digits.replace(/0+$/, "");
  let exponent = quantity.exponent + digits.length - mantissa.length;
  const padding = ((exponent % 3) + 3) % 3;
  exponent -= padding;
  const suffix = quantity.format === "DecimalExponent" ? undefined : suffixOfExponent.get(exponent);
  return `${mantissa}${"0".repeat(padding)}${suffix ?? (exponent === 0 ? "" : `e${exponent}`)}`;
}

/** `undefined` for what Kubernetes writes as decimal although it came as binary: below 1Ki, and fractions. */
function binaryText(quantity: Quantity): string | undefined {
  let amount = quantity.value();
  if (quantity.exponent < 0 && amount * pow10(-quantity.exponent) !== quantity.coefficient) return undefined;
  if (amount > -1024n && amount < 1024n) return undefined;
  let suffix = 0;
  while (suffix < binarySuffixes.length - 1 && amount % 1024n === 0n) {
    amount /= 1024n;
    suffix += 1;
  }
  return `${amount}${binarySuffixes[suffix]}`;
}

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
  return new FleetwrightError(
    "FW_QUANTITY",
    `quantity ${JSON.stringify(text)}: ${reason}; write one like 500m, 2 or 16Gi`,
  );
}

import { FleetwrightError } from "../core/errors.ts";

/** How a quantity is written: `2G`, `2Gi` or `2e9`. Arithmetic keeps the left side's, unless that is zero. */
export type QuantityFormat = "DecimalSI" | "BinarySI" | "DecimalExponent";

/** Kubernetes rounds anything finer up to this power of ten (nano). */
export const smallestExponent = -9;

/**
 * Numbers whose exponents are farther apart than this are not added: `1e1000000000` is a valid quantity, and writing
 * it out would take all memory.
 */
const maxAlignment = 4096;

/** Powers of ten by their suffix. */
export const decimalSuffixes: ReadonlyMap<string, number> = new Map<string, number>([
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
/** Powers of 1024 in order. */
export const binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] as const;
const powersOfTen: readonly bigint[] = Array.from({ length: 40 }, (_, exponent) => 10n ** BigInt(exponent));
export const pow10 = (exponent: number): bigint => powersOfTen[exponent] ?? 10n ** BigInt(exponent);

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

  /** For amounts that are known already; texts go through `parseQuantity`. */
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

/** Divides by 10^`digits`. */
export function divideAwayFromZero(dividend: bigint, digits: number): bigint {
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

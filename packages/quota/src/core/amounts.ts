import { FleetwrightError, Quantity, quantityFromJson, type QuantityFormat } from "@fleetwright/kube";
import { quotaErrors } from "../errors.ts";

/** Exact amounts by resource key, in billionths of the unit (a Quantity's smallest step). A key that is absent is zero. */
export type Amounts = ReadonlyMap<string, bigint>;

export const noAmounts: Amounts = new Map();

/** Parses a quantity map of an object. @param path where it stands, for the message @throws FW_QUOTA_QUANTITY */
export function parseAmounts(quantities: Readonly<Record<string, unknown>> | undefined, path: string): Amounts {
  const amounts = new Map<string, bigint>();
  for (const [key, value] of Object.entries(quantities ?? {}))
    amounts.set(key, parseAmount(value, `${path}["${key}"]`));
  return amounts;
}

/** One quantity in billionths. @throws FW_QUOTA_QUANTITY */
export function parseAmount(value: unknown, path: string): bigint {
  try {
    return quantityFromJson(value).scaledValue(-9);
  } catch (cause) {
    throw new FleetwrightError(
      quotaErrors.quantity,
      `${path}: ${JSON.stringify(value)} is not a quantity: write it as 2, 500m or 16Gi`,
      { cause },
    );
  }
}

/** `left + right`, per key. */
export function add(left: Amounts, right: Amounts): Amounts {
  if (left.size === 0) return right;
  if (right.size === 0) return left;
  const sum = new Map(left);
  addInto(sum, right);
  return sum;
}

export function addInto(sum: Map<string, bigint>, addend: Amounts): void {
  for (const [key, amount] of addend) sum.set(key, (sum.get(key) ?? 0n) + amount);
}

export function subtractFrom(difference: Map<string, bigint>, amounts: Amounts): void {
  for (const [key, amount] of amounts) {
    const left = (difference.get(key) ?? 0n) - amount;
    if (left === 0n) difference.delete(key);
    else difference.set(key, left);
  }
}

/** The greater of both, per key. */
export function max(left: Amounts, right: Amounts): Amounts {
  if (left.size === 0) return right;
  if (right.size === 0) return left;
  const greater = new Map(left);
  for (const [key, amount] of right) if (amount > (greater.get(key) ?? 0n)) greater.set(key, amount);
  return greater;
}

/** `left - right` where it is positive, per key. */
export function excess(left: Amounts, right: Amounts): Amounts {
  const over = new Map<string, bigint>();
  for (const [key, amount] of left) {
    const difference = amount - (right.get(key) ?? 0n);
    if (difference > 0n) over.set(key, difference);
  }
  return over;
}

export function times(amounts: Amounts, factor: bigint): Amounts {
  if (factor === 1n) return amounts;
  const product = new Map<string, bigint>();
  if (factor > 0n) for (const [key, amount] of amounts) product.set(key, amount * factor);
  return product;
}

/** Whether every key has the same amount in both; a zero is as good as an absent key. */
export function equal(left: Amounts, right: Amounts): boolean {
  for (const [key, amount] of left) if (amount !== (right.get(key) ?? 0n)) return false;
  for (const [key, amount] of right) if (!left.has(key) && amount !== 0n) return false;
  return true;
}

export function isZero(amounts: Amounts): boolean {
  for (const amount of amounts.values()) if (amount !== 0n) return false;
  return true;
}

/** Bytes are written with binary suffixes, everything else with decimal ones, as users write them. */
function formatOf(key: string): QuantityFormat {
  return /(^|[./])(memory|storage|ephemeral-storage)($|\.)|hugepages-/.test(key) ? "BinarySI" : "DecimalSI";
}

/** An amount as users write it: canonical, in the format that suits the key. */
export function printAmount(key: string, amount: bigint): string {
  return new Quantity(amount, -9, formatOf(key)).toString();
}

/** The amounts of `keys` as a quantity map; a key without an amount is `"0"`. */
export function printAmounts(
  amounts: Amounts,
  keys: Iterable<string> = amounts.keys(),
): Readonly<Record<string, string>> {
  return Object.fromEntries(Array.from(keys, (key) => [key, printAmount(key, amounts.get(key) ?? 0n)]));
}

import { isList, Mapping, OpaqueValue, sizeOf, type Value } from "./values.ts";

/** An expression did more work than it may: never absorbed by `&&` or `||`. */
export class CostLimitExceeded extends Error {
  override readonly name = "CostLimitExceeded";
  constructor() {
    super("operation cancelled: actual cost limit exceeded");
  }
}

/** Counts work as cel-go's `interpreter/runtimecost.go` does, and stops at the limit. */
export class CostMeter {
  readonly #limit: number;
  #spent = 0;
  constructor(limit: number) {
    this.#limit = limit;
  }
  get spent(): number {
    return this.#spent;
  }
  add(cost: number): void {
    this.#spent += cost;
    if (this.#spent > this.#limit) throw new CostLimitExceeded();
  }
}

/** Cost units of reading a character, and of a character of a regular expression. */
export const traversalFactor = 0.1;
export const regexFactor = 0.25;

const scan = (size: number, factor = traversalFactor): number => Math.ceil(size * factor);
const regexCost = (text: number, pattern: number): number => scan(1 + text) * scan(pattern, regexFactor);

type CallCost = (values: readonly Value[], result: Value, overload: string) => number;
const size = (values: readonly Value[], at: number): number => sizeOf(values[at] ?? null);
const first: CallCost = (values) => scan(size(values, 0));
const firstTwice: CallCost = (values) => scan(size(values, 0), 2 * traversalFactor);
const one: CallCost = () => 1;
const traversal: CallCost = ([value]) => traversalCost(value ?? null);

/** apiserver/pkg/cel/library/cost.go, `CallCost`. */
const libraryCosts: Readonly<Record<string, CallCost>> = {
  check: () => 350_000,
  ...Object.fromEntries(
    [
      ..."serviceAccount path group resource subresource namespace name allowed reason error errored".split(" "),
      ..."masked prefixLength family isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast".split(" "),
      ..."isGlobalUnicast format.named sign asInteger isInteger asApproximateFloat isGreaterThan isLessThan".split(" "),
      ..."compareTo add sub major minor patch getScheme getHostname getHost getPort getEscapedPath getQuery".split(" "),
    ].map((name) => [name, one]),
  ),
  ...Object.fromEntries("isSorted sum max min indexOf lastIndexOf".split(" ").map((name) => [name, traversal])),
  ...Object.fromEntries(
    "url lowerAscii upperAscii substring trim jsonpatch.escapeKey cidr isIP isCIDR quantity isQuantity semver isSemver"
      .split(" ")
      .map((name) => [name, first]),
  ),
  fieldSelector: (values) => selectorCost(size(values, 1)),
  labelSelector: (values) => selectorCost(size(values, 1)),
  replace: firstTwice,
  split: firstTwice,
  "ip.isCanonical": firstTwice,
  join: (_values, result) => scan(sizeOf(result), 2 * traversalFactor),
  find: (values) => regexCost(size(values, 0), size(values, 1)),
  findAll: (values) => regexCost(size(values, 0), size(values, 1)),
  ip: (values, _result, overload) => (overload === "cidr_ip" ? 1 : scan(size(values, 0))),
  containsIP: (values, _result, overload) =>
    scan(2 * size(values, 0)) + (overload === "cidr_contains_ip_string" ? scan(size(values, 1)) : 0),
  containsCIDR: (values, _result, overload) =>
    scan(2 * size(values, 0)) +
    scan(size(values, 0)) +
    1 +
    (overload === "cidr_contains_cidr_string" ? scan(size(values, 1)) : 0),
  validate: (values) => {
    const format = values[0];
    const { maximumRegexSize } = (format instanceof OpaqueValue ? format.value : {}) as { maximumRegexSize?: number };
    return regexCost(size(values, 1), maximumRegexSize ?? 1);
  },
};

/** A call that makes a list; comparing all items with each other counts twice (cel-go `ext/lists.go`). */
const newList = (items: number): number => 11 + Math.ceil(items);
const selfCompared =
  (factor: number, at = 0): CallCost =>
  (values) =>
    newList(factor * size(values, at) ** 2);
const setCost =
  (factor: number): CallCost =>
  (values) =>
    1 + factor * size(values, 0) * size(values, 1);

const overloadCosts: Readonly<Record<string, CallCost>> = {
  starts_with_string: first,
  ends_with_string: first,
  string_to_bytes: first,
  bytes_to_string: first,
  strings_quote: first,
  string_format: first,
  in_list: (values) => size(values, 1),
  equals: smaller,
  not_equals: smaller,
  add_string: (values) => scan(size(values, 0) + size(values, 1)),
  add_bytes: (values) => scan(size(values, 0) + size(values, 1)),
  matches: (values) => regexCost(size(values, 0), size(values, 1)),
  matches_string: (values) => regexCost(size(values, 0), size(values, 1)),
  contains_string: (values) => scan(size(values, 0)) * scan(size(values, 1)),
  list_sets_contains_list: setCost(1),
  list_sets_equivalent_list: setCost(2),
  list_sets_intersects_list: setCost(1),
  list_distinct: selfCompared(2),
  list_flatten: (values) => newList(size(values, 0)),
  list_flatten_int: (values) => newList(Number(values[1]) * size(values, 0)),
  list_reverse: (values) => newList(size(values, 0)),
  list_slice: (values) => newList(Math.max(0, Number(values[2]) - Number(values[1]))),
  lists_range: (values) => newList(Math.max(0, Number(values[0]))),
};

function smaller(values: readonly Value[]): number {
  return scan(Math.min(size(values, 0), size(values, 1)));
}

const sorts = /^list_[a-z]+_sort(?:ByAssociatedKeys)?$/;
const textual = /^list_(?:string|bytes)_/;
const orderings = /^(?:less|greater)(?:_equals)?_(?:string|bytes)$/;

/** What a call has cost. `&&`, `||` and `?:` cost nothing themselves. */
export function callCost(name: string, overload: string, values: readonly Value[], result: Value): number {
  // Values of libraries are compared at once.
  if (name === "_==_" && values[0] instanceof OpaqueValue) return 1;
  if (Object.hasOwn(libraryCosts, name) && !overload.startsWith("list_min") && !overload.startsWith("list_max")) {
    return libraryCosts[name]?.(values, result, overload) ?? 1;
  }
  if (Object.hasOwn(libraryCosts, name)) return traversal(values, result, overload);
  if (orderings.test(overload)) return smaller(values);
  if (sorts.test(overload))
    return selfCompared(textual.test(overload) ? 2 + traversalFactor : 2, values.length - 1)(values, result, overload);
  if (Object.hasOwn(overloadCosts, overload)) return overloadCosts[overload]?.(values, result, overload) ?? 1;
  return 1;
}

/** A list of requirements, at most one for every two characters. */
const selectorCost = (length: number): number =>
  10 + Math.ceil(length * traversalFactor) + Math.ceil(Math.ceil(length * 0.5) * 50);

function traversalCost(value: Value): number {
  if (typeof value === "string") return Math.floor(Buffer.byteLength(value) * traversalFactor);
  if (value instanceof Uint8Array) return Math.floor(value.length * traversalFactor);
  if (isList(value)) return value.reduce<number>((sum, item) => sum + traversalCost(item), 0);
  if (value instanceof Mapping) {
    return value
      .keys()
      .reduce<number>((sum, key) => sum + traversalCost(key) + traversalCost(value.get(key) ?? null), 0);
  }
  return 1;
}

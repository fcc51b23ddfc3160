import type { Library } from "./declarations.ts";
import { compareValues, doubleText } from "./library-standard.ts";
import { findAll } from "./regular-expressions.ts";
import { durationText, timestampText } from "./time-values.ts";
import {
  DurationValue,
  equal,
  EvaluationFailure,
  isList,
  Mapping,
  noSuchOverload,
  TimestampValue,
  typeNameOf,
  TypeValue,
  UnsignedValue,
  type Value,
} from "./values.ts";

/** No function may make a text larger than a request could have brought. */
const maximumText = 3 * 1024 * 1024;
const bounded = (length: number): void => {
  if (length > maximumText) throw new EvaluationFailure(`text of ${length} characters is too long`);
};

const characters = (text: string): string[] => Array.from(text);
const index = (at: bigint): number => Number(at);
const outOfRange = (at: bigint): EvaluationFailure => new EvaluationFailure(`index out of range: ${at}`);

function indexOf(text: string, part: string, from = 0n): bigint {
  const units = characters(text);
  const at = index(from);
  if (at < 0 || at > units.length) throw outOfRange(from);
  if (part === "") return from;
  const found = units.slice(at).join("").indexOf(part);
  return found < 0 ? -1n : BigInt(at + characters(units.slice(at).join("").slice(0, found)).length);
}

function lastIndexOf(text: string, part: string, from?: bigint): bigint {
  const units = characters(text);
  const width = characters(part).length;
  if (from !== undefined && (index(from) < 0 || index(from) > units.length)) throw outOfRange(from);
  if (part === "") return from ?? BigInt(units.length);
  const end = from === undefined ? units.length : Math.min(units.length, index(from) + width);
  const head = units.slice(0, end).join("");
  const found = head.lastIndexOf(part);
  return found < 0 ? -1n : BigInt(characters(head.slice(0, found)).length);
}

function substring(text: string, start: bigint, end?: bigint): string {
  const units = characters(text);
  if (index(start) < 0 || index(start) > units.length) throw outOfRange(start);
  if (end !== undefined && (index(end) < 0 || index(end) > units.length)) throw outOfRange(end);
  if (end !== undefined && start > end) {
    throw new EvaluationFailure(`invalid substring range. start: ${start}, end: ${end}`);
  }
  return units.slice(index(start), end === undefined ? undefined : index(end)).join("");
}

function replace(text: string, old: string, replacement: string, count = -1n): string {
  if (count === 0n) return text;
  const parts = old === "" ? ["", ...characters(text), ""] : text.split(old);
  const most = count < 0n ? parts.length - 1 : Math.min(Number(count), parts.length - 1);
  bounded(text.length + most * replacement.length);
  return (
    parts.slice(0, most + 1).join(replacement) + (most + 1 < parts.length ? old : "") + parts.slice(most + 1).join(old)
  );
}

function split(text: string, separator: string, count = -1n): string[] {
  if (count === 0n) return [];
  if (count === 1n) return [text];
  const parts = separator === "" ? characters(text) : text.split(separator);
  if (count < 0n || parts.length <= Number(count)) return parts;
  const most = Number(count) - 1;
  return [...parts.slice(0, most), parts.slice(most).join(separator)];
}

function join(list: readonly Value[], separator = ""): string {
  let length = 0;
  const texts = list.map((item) => {
    if (typeof item !== "string") throw noSuchOverload();
    length += item.length + separator.length;
    bounded(length);
    return item;
  });
  return texts.join(separator);
}

/** ASCII letters only, as the names say. */
const ascii = (change: (text: string) => string, letters: RegExp) => (text: string) => text.replaceAll(letters, change);

/** `%s` of `format`. */
function formatted(value: Value): string {
  if (typeof value === "string") return value;
  if (value === null || typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") return doubleText(value);
  if (value instanceof UnsignedValue) return String(value.value);
  if (value instanceof TimestampValue) return timestampText(value);
  if (value instanceof DurationValue) return durationText(value);
  if (value instanceof TypeValue) return value.name;
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (isList(value)) return `[${value.map(formatted).join(", ")}]`;
  if (value instanceof Mapping) {
    const entries = value.keys().map((key) => `${formatted(key)}: ${formatted(value.get(key) ?? null)}`);
    return `{${entries.sort().join(", ")}}`;
  }
  throw new EvaluationFailure(
    `error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ${typeNameOf(value)}`,
  );
}

const number = (value: Value): bigint | number | undefined =>
  value instanceof UnsignedValue
    ? value.value
    : typeof value === "bigint" || typeof value === "number"
      ? value
      : undefined;

function clause(verb: string, precision: number | undefined, value: Value): string {
  const wrong = (name: string, kinds: string) =>
    new EvaluationFailure(
      `error during formatting: ${name} clause can only be used on ${kinds}, was given ${typeNameOf(value)}`,
    );
  const amount = number(value);
  switch (verb) {
    case "s":
      return formatted(value);
    case "d":
      if (amount === undefined || (typeof amount === "number" && Number.isFinite(amount)))
        throw wrong("decimal", "integers");
      return typeof amount === "number" ? doubleText(amount) : String(amount);
    case "f":
    case "e": {
      if (amount === undefined) throw wrong(verb === "f" ? "fixed-point" : "scientific", "doubles");
      const double = Number(amount);
      if (!Number.isFinite(double)) return Number.isNaN(double) ? "NaN" : double > 0 ? "Infinity" : "-Infinity";
      if (verb === "f") return double.toFixed(precision ?? 6);
      const [digits = "", exponent = "0"] = double.toExponential(precision ?? 6).split("e");
      return `${digits}e${exponent.startsWith("-") ? "-" : "+"}${exponent.replace(/^[+-]/, "").padStart(2, "0")}`;
    }
    case "b":
      if (typeof value === "boolean") return value ? "1" : "0";
      if (typeof amount !== "bigint") throw wrong("binary", "integers and bools");
      return amount.toString(2);
    case "o":
      if (typeof amount !== "bigint") throw wrong("octal", "integers");
      return amount.toString(8);
    case "x":
    case "X": {
      const text =
        typeof amount === "bigint"
          ? amount.toString(16)
          : typeof value === "string" || value instanceof Uint8Array
            ? Buffer.from(value).toString("hex")
            : undefined;
      if (text === undefined) throw wrong("hex", "integers, byte buffers, and strings");
      return verb === "X" ? text.toUpperCase() : text;
    }
    default:
      throw new EvaluationFailure(`could not parse formatting clause: unrecognized formatting clause "${verb}"`);
  }
}

function format(pattern: string, values: readonly Value[]): string {
  let next = 0;
  let length = 0;
  return pattern.replaceAll(
    /%(?:(%)|(?:\.(\d{1,3}))?(.))|%$/gsu,
    (whole, percent?: string, precision?: string, verb?: string) => {
      if (percent !== undefined) return "%";
      if (whole === "%") throw new EvaluationFailure("unexpected end of string");
      const value = values[next];
      if (value === undefined) throw new EvaluationFailure(`index ${next} out of range`);
      next += 1;
      const text = clause(verb ?? "", precision === undefined ? undefined : Number(precision), value);
      length += text.length;
      bounded(length);
      return text;
    },
  );
}

/** Go's `strconv.Quote` of what can be printed and the simple escapes. */
function goQuote(text: string): string {
  const escapes: Readonly<Record<string, string>> = {
    "\u0007": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
  };
  return `"${characters(text)
    .map((char) => escapes[char] ?? char)
    .join("")}"`;
}

/** cel-go's `ext/strings.go` (version 2) and Kubernetes' `library/regex.go`. */
export const textLibrary: Library = {
  charAt: [
    [
      "string_char_at_int",
      ".(string, int) string",
      (text: string, at: bigint) => {
        const units = characters(text);
        if (index(at) < 0 || index(at) > units.length) throw outOfRange(at);
        return units[index(at)] ?? "";
      },
    ],
  ],
  indexOf: [
    ["string_index_of_string", ".(string, string) int", indexOf],
    ["string_index_of_string_int", ".(string, string, int) int", indexOf],
  ],
  lastIndexOf: [
    ["string_last_index_of_string", ".(string, string) int", lastIndexOf],
    ["string_last_index_of_string_int", ".(string, string, int) int", lastIndexOf],
  ],
  lowerAscii: [["string_lower_ascii", ".(string) string", ascii((text) => text.toLowerCase(), /[A-Z]+/g)]],
  upperAscii: [["string_upper_ascii", ".(string) string", ascii((text) => text.toUpperCase(), /[a-z]+/g)]],
  replace: [
    ["string_replace_string_string", ".(string, string, string) string", replace],
    ["string_replace_string_string_int", ".(string, string, string, int) string", replace],
  ],
  split: [
    ["string_split_string", ".(string, string) list(string)", split],
    ["string_split_string_int", ".(string, string, int) list(string)", split],
  ],
  substring: [
    ["string_substring_int", ".(string, int) string", substring],
    ["string_substring_int_int", ".(string, int, int) string", substring],
  ],
  trim: [["string_trim", ".(string) string", (text: string) => text.trim()]],
  format: [["string_format", ".(string, list(dyn)) string", format]],
  "strings.quote": [["strings_quote", "(string) string", goQuote]],
  join: [
    ["list_join", ".(list(string)) string", join],
    ["list_join_string", ".(list(string), string) string", join],
  ],
  find: [
    [
      "string_find_string",
      ".(string, string) string",
      (text: string, pattern: string) => findAll(text, pattern, 1)[0] ?? "",
    ],
  ],
  findAll: [
    [
      "string_find_all_string",
      ".(string, string) list(string)",
      (text: string, pattern: string) => findAll(text, pattern, Infinity),
    ],
    [
      "string_find_all_string_int",
      ".(string, string, int) list(string)",
      (text: string, pattern: string, most: bigint) => findAll(text, pattern, most < 0n ? Infinity : Number(most)),
    ],
  ],
  "jsonpatch.escapeKey": [
    [
      "string_jsonpatch_escapeKey_string",
      "(string) string",
      (key: string) => key.replaceAll("~", "~0").replaceAll("/", "~1"),
    ],
  ],
};

const comparable = ["int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"];
const summable = { int: 0n, uint: new UnsignedValue(0n), double: 0, duration: new DurationValue(0n) } as const;
type Ordered = Parameters<typeof compareValues>[0];
const ordered = (list: readonly Value[]): readonly Ordered[] => list as readonly Ordered[];

function extreme(list: readonly Value[], sign: 1 | -1, name: string): Value {
  const [first, ...rest] = ordered(list);
  if (first === undefined) throw new EvaluationFailure(`${name} called on empty list`);
  return rest.reduce((best, item) => (compareValues(item, best) * sign > 0 ? item : best), first);
}

function sum(list: readonly Value[], zero: Value): Value {
  if (typeof zero === "number") return list.reduce<number>((total, item) => total + Number(item), 0);
  const integer = (value: Value): bigint =>
    value instanceof UnsignedValue
      ? value.value
      : value instanceof DurationValue
        ? value.nanoseconds
        : (value as bigint);
  const total = list.reduce<bigint>((before, item) => before + integer(item), 0n);
  const wraps = zero instanceof UnsignedValue ? BigInt.asUintN(64, total) : BigInt.asIntN(64, total);
  if (wraps !== total)
    throw new EvaluationFailure(zero instanceof UnsignedValue ? "unsigned integer overflow" : "integer overflow");
  if (zero instanceof UnsignedValue) return new UnsignedValue(total);
  return zero instanceof DurationValue ? new DurationValue(total) : total;
}

function flatten(list: readonly Value[], depth = 1n): readonly Value[] {
  if (depth < 0n) throw new EvaluationFailure("level must be non-negative");
  const level = Number(depth > 250n ? 250n : depth);
  return level === 0 ? list : list.flatMap((item) => (isList(item) ? flatten(item, BigInt(level - 1)) : [item]));
}

const sortedBy = (list: readonly Value[], keys: readonly Value[]): readonly Value[] =>
  list
    .map((item, at) => ({ item, key: ordered(keys)[at] ?? 0n }))
    .sort((left, right) => compareValues(left.key, right.key))
    .map(({ item }) => item);

/** Kubernetes' `library/lists.go` and cel-go's `ext/lists.go` (version 3) and `ext/sets.go`. */
export const listLibrary: Library = {
  isSorted: comparable.map((type) => [
    `list_${type}_is_sorted_bool`,
    `.(list(${type})) bool`,
    (list: readonly Value[]) =>
      ordered(list).every((item, at) => {
        const before = ordered(list)[at - 1];
        return at === 0 || before === undefined || compareValues(before, item) <= 0;
      }),
  ]),
  sum: Object.entries(summable).map(([type, zero]) => [
    `list_${type}_sum_${type}`,
    `.(list(${type})) ${type}`,
    (list: readonly Value[]) => sum(list, zero),
  ]),
  max: comparable.map((type) => [
    `list_${type}_max_${type}`,
    `.(list(${type})) ${type}`,
    (list: readonly Value[]) => extreme(list, 1, "max"),
  ]),
  min: comparable.map((type) => [
    `list_${type}_min_${type}`,
    `.(list(${type})) ${type}`,
    (list: readonly Value[]) => extreme(list, -1, "min"),
  ]),
  indexOf: [
    [
      "list_a_index_of_int",
      ".(list(A), A) int",
      (list: readonly Value[], value: Value) => BigInt(list.findIndex((item) => equal(item, value))),
    ],
  ],
  lastIndexOf: [
    [
      "list_a_last_index_of_int",
      ".(list(A), A) int",
      (list: readonly Value[], value: Value) => BigInt(list.findLastIndex((item) => equal(item, value))),
    ],
  ],
  slice: [
    [
      "list_slice",
      ".(list(A), int, int) list(A)",
      (list: readonly Value[], start: bigint, end: bigint) => {
        if (start < 0n || end < 0n)
          throw new EvaluationFailure(`cannot slice(${start}, ${end}), negative indexes not supported`);
        if (start > end)
          throw new EvaluationFailure(
            `cannot slice(${start}, ${end}), start index must be less than or equal to end index`,
          );
        if (Number(end) > list.length)
          throw new EvaluationFailure(`cannot slice(${start}, ${end}), list is length ${list.length}`);
        return list.slice(Number(start), Number(end));
      },
    ],
  ],
  flatten: [
    ["list_flatten", ".(list(list(A))) list(A)", (list: readonly Value[]) => flatten(list)],
    ["list_flatten_int", ".(list(dyn), int) list(dyn)", flatten],
  ],
  sort: comparable.map((type) => [
    `list_${type}_sort`,
    `.(list(${type})) list(${type})`,
    (list: readonly Value[]) => sortedBy(list, list),
  ]),
  "@sortByAssociatedKeys": comparable.map((type) => [
    `list_${type}_sortByAssociatedKeys`,
    `.(list(A), list(${type})) list(A)`,
    sortedBy,
  ]),
  "lists.range": [
    [
      "lists_range",
      "(int) list(int)",
      (count: bigint) => {
        if (count > 1_000_000n) throw new EvaluationFailure(`lists.range(${count}) is too long`);
        return Array.from({ length: Math.max(0, Number(count)) }, (_, at) => BigInt(at));
      },
    ],
  ],
  reverse: [["list_reverse", ".(list(A)) list(A)", (list: readonly Value[]) => [...list].reverse()]],
  distinct: [
    [
      "list_distinct",
      ".(list(A)) list(A)",
      (list: readonly Value[]) => {
        const kept: Value[] = [];
        for (const item of list) if (!kept.some((known) => equal(known, item))) kept.push(item);
        return kept;
      },
    ],
  ],
  "sets.contains": [["list_sets_contains_list", "(list(A), list(A)) bool", contains]],
  "sets.equivalent": [
    [
      "list_sets_equivalent_list",
      "(list(A), list(A)) bool",
      (left: readonly Value[], right: readonly Value[]) => contains(left, right) && contains(right, left),
    ],
  ],
  "sets.intersects": [
    [
      "list_sets_intersects_list",
      "(list(A), list(A)) bool",
      (left: readonly Value[], right: readonly Value[]) =>
        left.some((item) => right.some((other) => equal(item, other))),
    ],
  ],
};

function contains(list: readonly Value[], part: readonly Value[]): boolean {
  return part.every((item) => list.some((other) => equal(item, other)));
}

import type { Library } from "./declarations.ts";
import { regularExpression } from "./regular-expressions.ts";
import { durationText, parseDuration, parseTimestamp, timestampText, zonedDate } from "./time-values.ts";
import {
  codePoints,
  DurationValue,
  equal,
  EvaluationFailure,
  LiteralMap,
  Mapping,
  none,
  OptionalValue,
  plainText,
  TimestampValue,
  typeNameOf,
  TypeValue,
  UnsignedValue,
  type Value,
} from "./values.ts";

const inRange = (value: bigint, word = "integer"): bigint => {
  if (BigInt.asIntN(64, value) === value) return value;
  throw new EvaluationFailure(`${word} overflow`);
};
const unsigned = (value: bigint): UnsignedValue => {
  if (BigInt.asUintN(64, value) === value) return new UnsignedValue(value);
  throw new EvaluationFailure("unsigned integer overflow");
};
const divisor = (value: bigint, word = "division"): bigint => {
  if (value === 0n) throw new EvaluationFailure(word === "division" ? "division by zero" : "modulus by zero");
  return value;
};
const duration = (value: bigint): DurationValue => new DurationValue(inRange(value, "duration"));
/** 0001-01-01 to 9999-12-31. */
const timestamp = (value: bigint): TimestampValue => {
  if (value < -62_135_596_800n * 1_000_000_000n || value >= 253_402_300_800n * 1_000_000_000n) {
    throw new EvaluationFailure("timestamp overflow");
  }
  return new TimestampValue(value);
};

type Ordered = boolean | bigint | number | string | UnsignedValue | Uint8Array | TimestampValue | DurationValue;
const orderKey = (value: Ordered): boolean | bigint | number | string => {
  if (value instanceof UnsignedValue) return value.value;
  if (value instanceof TimestampValue || value instanceof DurationValue) return value.nanoseconds;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  return value;
};

/** Negative, 0 or positive; NaN for numbers that have no order. */
export function compareValues(left: Ordered, right: Ordered): number {
  if (typeof left === "string" && typeof right === "string")
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
  const [leftKey, rightKey] = [orderKey(left), orderKey(right)];
  if (leftKey < rightKey) return -1;
  if (leftKey > rightKey) return 1;
  // oxlint-disable-next-line eqeqeq
  return leftKey == rightKey ? 0 : Number.NaN;
}

const orderedPairs: readonly (readonly [suffix: string, left: string, right: string])[] = [
  ["bool", "bool", "bool"],
  ["int64", "int", "int"],
  ["int64_double", "int", "double"],
  ["int64_uint64", "int", "uint"],
  ["uint64", "uint", "uint"],
  ["uint64_double", "uint", "double"],
  ["uint64_int64", "uint", "int"],
  ["double", "double", "double"],
  ["double_int64", "double", "int"],
  ["double_uint64", "double", "uint"],
  ["string", "string", "string"],
  ["bytes", "bytes", "bytes"],
  ["timestamp", "timestamp", "timestamp"],
  ["duration", "duration", "duration"],
];
const ordering = (prefix: string, holds: (order: number) => boolean): Library[string] =>
  orderedPairs.map(([suffix, left, right]) => [
    `${prefix}_${suffix}`,
    `(${left}, ${right}) bool`,
    (first: Ordered, second: Ordered) => holds(compareValues(first, second)),
  ]);

const isIn = (value: Value, list: readonly Value[]): boolean => list.some((item) => equal(item, value));

const position = (index: Value): number | undefined => {
  if (typeof index === "bigint") return Number(index);
  if (index instanceof UnsignedValue) return Number(index.value);
  return typeof index === "number" && Number.isInteger(index) ? index : undefined;
};
const itemOf = (list: readonly Value[], index: Value): Value | undefined => {
  const at = position(index);
  return at === undefined || at < 0 ? undefined : list[at];
};

function listItem(list: readonly Value[], index: Value): Value {
  const value = itemOf(list, index);
  if (value === undefined) throw new EvaluationFailure(`index out of bounds: ${plainText(index)}`);
  return value;
}

function mapItem(map: Mapping, key: Value): Value {
  const value = map.get(key);
  if (value === undefined) throw new EvaluationFailure(`no such key: ${plainText(key)}`);
  return value;
}

const maybe = (value: Value | undefined): OptionalValue => (value === undefined ? none : new OptionalValue(value));
const throughOptional =
  <T extends Value>(get: (container: T, key: Value) => Value | undefined) =>
  (optional: OptionalValue, key: Value) =>
    optional.value === undefined ? none : maybe(get(optional.value as T, key));
const mapValue = (map: Mapping, key: Value) => map.get(key);

const roundedToInt = (value: number): bigint => {
  if (!Number.isFinite(value) || Math.abs(value) >= 2 ** 63) throw new EvaluationFailure("integer overflow");
  return BigInt(Math.trunc(value));
};

const conversionFailure = (value: Value, to: string): EvaluationFailure =>
  new EvaluationFailure(`type conversion error from '${typeNameOf(value)}' to '${to}'`);

function textToInt(text: string): bigint {
  if (!/^[+-]?\d+$/.test(text))
    throw new EvaluationFailure(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  const value = BigInt(text.replace(/^\+/, ""));
  if (BigInt.asIntN(64, value) !== value) {
    throw new EvaluationFailure(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`);
  }
  return value;
}

function textToUint(text: string): UnsignedValue {
  if (!/^\d+$/.test(text))
    throw new EvaluationFailure(`strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
  return unsigned(BigInt(text));
}

function textToDouble(text: string): number {
  if (/^[+-]?(?:inf|infinity)$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  if (/^nan$/i.test(text)) return Number.NaN;
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) {
    throw new EvaluationFailure(`strconv.ParseFloat: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Number(text);
}

function textToBool(text: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new EvaluationFailure(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

function bytesToText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new EvaluationFailure("invalid UTF-8 in bytes, cannot convert to string");
  }
}

/** Go's `strconv.FormatFloat(x, 'g', -1, 64)`. */
export function doubleText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const [digits = "0", exponent = "0"] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 21) return Object.is(value, -0) ? "-0" : String(value);
  return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

type DatePart = (date: Date) => number;
const dayOfYear: DatePart = (date) =>
  Math.floor((Date.UTC(2000, date.getUTCMonth(), date.getUTCDate()) - Date.UTC(2000, 0, 1)) / 86_400_000) -
  (date.getUTCMonth() > 1 && !isLeapYear(date.getUTCFullYear()) ? 1 : 0);
const isLeapYear = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
const datePart = (id: string, part: DatePart): Library[string] => [
  [`timestamp_to_${id}`, ".(timestamp) int", (time: TimestampValue) => BigInt(part(zonedDate(time, "UTC")))],
  [
    `timestamp_to_${id}_with_tz`,
    ".(timestamp, string) int",
    (time: TimestampValue, zone: string) => BigInt(part(zonedDate(time, zone))),
  ],
];
const durationPart = (id: string, nanoseconds: bigint): Library[string][number] => [
  id,
  ".(duration) int",
  (value: DurationValue) => value.nanoseconds / nanoseconds,
];

/** cel-go's `common/stdlib` and optional values. */
export const standardLibrary: Library = {
  // `&&`, `||` and `?:` are run by the evaluator, which need not run all their parts.
  "_?_:_": [["conditional", "(bool, A, A) A", undefined]],
  "_&&_": [["logical_and", "(bool, bool) bool", undefined]],
  "_||_": [["logical_or", "(bool, bool) bool", undefined]],
  "@not_strictly_false": [["not_strictly_false", "(bool) bool", undefined]],
  "!_": [["logical_not", "(bool) bool", (value: boolean) => !value]],
  "_==_": [["equals", "(A, A) bool", equal]],
  "_!=_": [["not_equals", "(A, A) bool", (left: Value, right: Value) => !equal(left, right)]],
  "_<_": ordering("less", (order) => order < 0),
  "_<=_": ordering("less_equals", (order) => order <= 0),
  "_>_": ordering("greater", (order) => order > 0),
  "_>=_": ordering("greater_equals", (order) => order >= 0),
  "_+_": [
    [
      "add_bytes",
      "(bytes, bytes) bytes",
      (left: Uint8Array, right: Uint8Array) => new Uint8Array(Buffer.concat([left, right])),
    ],
    ["add_double", "(double, double) double", (left: number, right: number) => left + right],
    [
      "add_duration_duration",
      "(duration, duration) duration",
      (left: DurationValue, right: DurationValue) => duration(left.nanoseconds + right.nanoseconds),
    ],
    [
      "add_duration_timestamp",
      "(duration, timestamp) timestamp",
      (left: DurationValue, right: TimestampValue) => timestamp(left.nanoseconds + right.nanoseconds),
    ],
    [
      "add_timestamp_duration",
      "(timestamp, duration) timestamp",
      (left: TimestampValue, right: DurationValue) => timestamp(left.nanoseconds + right.nanoseconds),
    ],
    ["add_int64", "(int, int) int", (left: bigint, right: bigint) => inRange(left + right)],
    [
      "add_list",
      "(list(A), list(A)) list(A)",
      (left: readonly Value[], right: readonly Value[]) => [...left, ...right],
    ],
    ["add_string", "(string, string) string", (left: string, right: string) => left + right],
    [
      "add_uint64",
      "(uint, uint) uint",
      (left: UnsignedValue, right: UnsignedValue) => unsigned(left.value + right.value),
    ],
  ],
  "_-_": [
    ["subtract_double", "(double, double) double", (left: number, right: number) => left - right],
    [
      "subtract_duration_duration",
      "(duration, duration) duration",
      (left: DurationValue, right: DurationValue) => duration(left.nanoseconds - right.nanoseconds),
    ],
    ["subtract_int64", "(int, int) int", (left: bigint, right: bigint) => inRange(left - right)],
    [
      "subtract_timestamp_duration",
      "(timestamp, duration) timestamp",
      (left: TimestampValue, right: DurationValue) => timestamp(left.nanoseconds - right.nanoseconds),
    ],
    [
      "subtract_timestamp_timestamp",
      "(timestamp, timestamp) duration",
      (left: TimestampValue, right: TimestampValue) => duration(left.nanoseconds - right.nanoseconds),
    ],
    [
      "subtract_uint64",
      "(uint, uint) uint",
      (left: UnsignedValue, right: UnsignedValue) => unsigned(left.value - right.value),
    ],
  ],
  "_*_": [
    ["multiply_double", "(double, double) double", (left: number, right: number) => left * right],
    ["multiply_int64", "(int, int) int", (left: bigint, right: bigint) => inRange(left * right)],
    [
      "multiply_uint64",
      "(uint, uint) uint",
      (left: UnsignedValue, right: UnsignedValue) => unsigned(left.value * right.value),
    ],
  ],
  "_/_": [
    ["divide_double", "(double, double) double", (left: number, right: number) => left / right],
    ["divide_int64", "(int, int) int", (left: bigint, right: bigint) => inRange(left / divisor(right))],
    [
      "divide_uint64",
      "(uint, uint) uint",
      (left: UnsignedValue, right: UnsignedValue) => unsigned(left.value / divisor(right.value)),
    ],
  ],
  "_%_": [
    ["modulo_int64", "(int, int) int", (left: bigint, right: bigint) => left % divisor(right, "modulus")],
    [
      "modulo_uint64",
      "(uint, uint) uint",
      (left: UnsignedValue, right: UnsignedValue) => unsigned(left.value % divisor(right.value, "modulus")),
    ],
  ],
  "-_": [
    ["negate_double", "(double) double", (value: number) => -value],
    ["negate_int64", "(int) int", (value: bigint) => inRange(-value)],
  ],
  "_[_]": [
    ["index_list", "(list(A), int) A", listItem],
    ["index_map", "(map(A, B), A) B", mapItem],
    ["optional_list_index_int", "(optional(list(A)), int) optional(A)", throughOptional(itemOf)],
    ["optional_map_index_value", "(optional(map(A, B)), A) optional(B)", throughOptional(mapValue)],
  ],
  "_[?_]": [
    [
      "list_optindex_optional_int",
      "(list(A), int) optional(A)",
      (list: readonly Value[], index: Value) => maybe(itemOf(list, index)),
    ],
    ["optional_list_optindex_optional_int", "(optional(list(A)), int) optional(A)", throughOptional(itemOf)],
    ["map_optindex_optional_value", "(map(A, B), A) optional(B)", (map: Mapping, key: Value) => maybe(map.get(key))],
    ["optional_map_optindex_optional_value", "(optional(map(A, B)), A) optional(B)", throughOptional(mapValue)],
  ],
  "@in": [
    ["in_list", "(A, list(A)) bool", isIn],
    ["in_map", "(A, map(A, B)) bool", (key: Value, map: Mapping) => map.get(key) !== undefined],
  ],
  size: (
    [
      ["bytes", (value: Uint8Array) => BigInt(value.length)],
      ["list", (value: readonly Value[]) => BigInt(value.length)],
      ["map", (value: Mapping) => BigInt(value.size)],
      ["string", (value: string) => BigInt(codePoints(value))],
    ] as const
  ).flatMap(([type, apply]): Library[string] => {
    const parameter = type === "list" ? "list(A)" : type === "map" ? "map(A, B)" : type;
    return [
      [`size_${type}`, `(${parameter}) int`, apply],
      [`${type}_size`, `.(${parameter}) int`, apply],
    ];
  }),
  type: [["type", "(A) type(A)", (value: Value) => new TypeValue(typeNameOf(value))]],
  dyn: [["to_dyn", "(A) dyn", (value: Value) => value]],
  bool: [
    ["bool_to_bool", "(bool) bool", (value: boolean) => value],
    ["string_to_bool", "(string) bool", textToBool],
  ],
  bytes: [
    ["bytes_to_bytes", "(bytes) bytes", (value: Uint8Array) => value],
    ["string_to_bytes", "(string) bytes", (value: string) => new Uint8Array(Buffer.from(value))],
  ],
  double: [
    ["double_to_double", "(double) double", (value: number) => value],
    ["int64_to_double", "(int) double", Number],
    ["string_to_double", "(string) double", textToDouble],
    ["uint64_to_double", "(uint) double", ({ value }: UnsignedValue) => Number(value)],
  ],
  duration: [
    ["duration_to_duration", "(duration) duration", (value: DurationValue) => value],
    ["int64_to_duration", "(int) duration", (value: bigint) => new DurationValue(value)],
    ["string_to_duration", "(string) duration", parseDuration],
  ],
  int: [
    ["int64_to_int64", "(int) int", (value: bigint) => value],
    ["double_to_int64", "(double) int", roundedToInt],
    ["duration_to_int64", "(duration) int", (value: DurationValue) => value.nanoseconds],
    ["string_to_int64", "(string) int", textToInt],
    ["timestamp_to_int64", "(timestamp) int", (value: TimestampValue) => value.nanoseconds / 1_000_000_000n],
    ["uint64_to_int64", "(uint) int", ({ value }: UnsignedValue) => inRange(value)],
  ],
  uint: [
    ["uint64_to_uint64", "(uint) uint", (value: UnsignedValue) => value],
    [
      "double_to_uint64",
      "(double) uint",
      (value: number) => {
        if (!(value >= 0 && value < 2 ** 64)) throw new EvaluationFailure("unsigned integer overflow");
        return new UnsignedValue(BigInt(Math.trunc(value)));
      },
    ],
    ["int64_to_uint64", "(int) uint", unsigned],
    ["string_to_uint64", "(string) uint", textToUint],
  ],
  string: [
    ["string_to_string", "(string) string", (value: string) => value],
    ["bool_to_string", "(bool) string", String],
    ["bytes_to_string", "(bytes) string", bytesToText],
    ["double_to_string", "(double) string", doubleText],
    ["duration_to_string", "(duration) string", durationText],
    ["int64_to_string", "(int) string", String],
    ["timestamp_to_string", "(timestamp) string", timestampText],
    ["uint64_to_string", "(uint) string", ({ value }: UnsignedValue) => String(value)],
  ],
  timestamp: [
    ["timestamp_to_timestamp", "(timestamp) timestamp", (value: TimestampValue) => value],
    ["int64_to_timestamp", "(int) timestamp", (value: bigint) => timestamp(value * 1_000_000_000n)],
    ["string_to_timestamp", "(string) timestamp", parseTimestamp],
  ],
  contains: [["contains_string", ".(string, string) bool", (text: string, part: string) => text.includes(part)]],
  endsWith: [["ends_with_string", ".(string, string) bool", (text: string, part: string) => text.endsWith(part)]],
  startsWith: [["starts_with_string", ".(string, string) bool", (text: string, part: string) => text.startsWith(part)]],
  matches: [
    [
      "matches",
      "(string, string) bool",
      (text: string, pattern: string) => regularExpression(pattern).matcher(text).find(),
    ],
    [
      "matches_string",
      ".(string, string) bool",
      (text: string, pattern: string) => regularExpression(pattern).matcher(text).find(),
    ],
  ],
  getFullYear: datePart("year", (date) => date.getUTCFullYear()),
  getMonth: datePart("month", (date) => date.getUTCMonth()),
  getDayOfYear: datePart("day_of_year", dayOfYear),
  getDayOfMonth: datePart("day_of_month", (date) => date.getUTCDate() - 1),
  getDate: datePart("day_of_month_1_based", (date) => date.getUTCDate()),
  getDayOfWeek: datePart("day_of_week", (date) => date.getUTCDay()),
  getHours: [...datePart("hours", (date) => date.getUTCHours()), durationPart("duration_to_hours", 3_600_000_000_000n)],
  getMinutes: [
    ...datePart("minutes", (date) => date.getUTCMinutes()),
    durationPart("duration_to_minutes", 60_000_000_000n),
  ],
  getSeconds: [
    ...datePart("seconds", (date) => date.getUTCSeconds()),
    durationPart("duration_to_seconds", 1_000_000_000n),
  ],
  getMilliseconds: [
    ...datePart("milliseconds", (date) => date.getUTCMilliseconds()),
    [
      "duration_to_milliseconds",
      ".(duration) int",
      ({ nanoseconds }: DurationValue) => (nanoseconds / 1_000_000n) % 1000n,
    ],
  ],
  "optional.of": [["optional_of", "(A) optional(A)", (value: Value) => new OptionalValue(value)]],
  "optional.ofNonZeroValue": [
    ["optional_ofNonZeroValue", "(A) optional(A)", (value: Value) => (isZero(value) ? none : new OptionalValue(value))],
  ],
  "optional.none": [["optional_none", "() optional(A)", () => none]],
  "optional.unwrap": [["optional_unwrap", "(list(optional(A))) list(A)", unwrapped]],
  unwrapOpt: [["optional_unwrapOpt", ".(list(optional(A))) list(A)", unwrapped]],
  value: [
    [
      "optional_value",
      ".(optional(A)) A",
      ({ value }: OptionalValue) => {
        if (value === undefined) throw new EvaluationFailure("optional.none() dereference");
        return value;
      },
    ],
  ],
  hasValue: [["optional_hasValue", ".(optional(A)) bool", ({ value }: OptionalValue) => value !== undefined]],
  or: [
    [
      "optional_or_optional",
      ".(optional(A), optional(A)) optional(A)",
      (left: OptionalValue, right: OptionalValue) => (left.value === undefined ? right : left),
    ],
  ],
  orValue: [
    [
      "optional_orValue_value",
      ".(optional(A), A) A",
      ({ value }: OptionalValue, other: Value) => value ?? (value === undefined ? other : value),
    ],
  ],
  first: [["list_first", ".(list(A)) optional(A)", (list: readonly Value[]) => maybe(list[0])]],
  last: [["list_last", ".(list(A)) optional(A)", (list: readonly Value[]) => maybe(list.at(-1))]],
  "cel.@mapInsert": [
    [
      "@mapInsert_map_key_value",
      "(map(A, B), A, B) map(A, B)",
      (map: Mapping, key: Value, value: Value) => inserted(map, [[key, value]]),
    ],
    [
      "@mapInsert_map_map",
      "(map(A, B), map(A, B)) map(A, B)",
      (map: Mapping, added: Mapping) =>
        inserted(
          map,
          added.keys().map((key) => [key, added.get(key) ?? null]),
        ),
    ],
  ],
};

function inserted(map: Mapping, entries: readonly (readonly [Value, Value])[]): Mapping {
  // Only macros call this, and nobody else sees their map before the loop is over.
  const grown = map instanceof LiteralMap ? map : new LiteralMap(map.keys().map((key) => [key, map.get(key) ?? null]));
  for (const [key, value] of entries) grown.insert(key, value);
  return grown;
}

function unwrapped(list: readonly Value[]): readonly Value[] {
  return list.flatMap((item) => {
    if (!(item instanceof OptionalValue)) throw conversionFailure(item, "optional_type");
    return item.value === undefined ? [] : [item.value];
  });
}

function isZero(value: Value): boolean {
  if (value === null || value === false || value === 0n || value === 0 || value === "") return true;
  if (value instanceof UnsignedValue) return value.value === 0n;
  if (value instanceof DurationValue || value instanceof TimestampValue) return value.nanoseconds === 0n;
  if (value instanceof Mapping) return value.size === 0;
  return Array.isArray(value) || value instanceof Uint8Array ? value.length === 0 : false;
}

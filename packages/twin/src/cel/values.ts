import { typeText, type Type } from "./types.ts";

/** What expressions compute with: int is a bigint, double a number. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | readonly Value[]
  | UnsignedValue
  | TimestampValue
  | DurationValue
  | OptionalValue
  | TypeValue
  | OpaqueValue
  | Mapping;

export class UnsignedValue {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

/** Nanoseconds since the epoch. */
export class TimestampValue {
  readonly nanoseconds: bigint;
  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds;
  }
}

export class DurationValue {
  readonly nanoseconds: bigint;
  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds;
  }
}

export class OptionalValue {
  readonly value: Value | undefined;
  constructor(value: Value | undefined) {
    this.value = value;
  }
}
export const none = new OptionalValue(undefined);

export class TypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** A value of a library: a quantity, an address. */
export class OpaqueValue<T = unknown> {
  readonly typeName: string;
  readonly value: T;
  constructor(typeName: string, value: T) {
    this.typeName = typeName;
    this.value = value;
  }
}

/** Maps, and objects with fields. Keys of objects are their escaped names. */
export abstract class Mapping {
  /** An object's type; absent for maps. */
  readonly objectType: string | undefined = undefined;
  abstract get(key: Value): Value | undefined;
  abstract keys(): readonly Value[];
  get size(): number {
    return this.keys().length;
  }
}

const keyText = (key: Value): string | undefined => {
  if (typeof key === "string") return `s${key}`;
  if (typeof key === "boolean") return `b${key}`;
  if (typeof key === "bigint") return `n${key}`;
  if (key instanceof UnsignedValue) return `n${key.value}`;
  // Numbers of all types with the same value are the same key.
  if (typeof key === "number" && Number.isInteger(key)) return `n${BigInt(key)}`;
  return undefined;
};

/** A map that an expression made. */
export class LiteralMap extends Mapping {
  readonly #entries: Map<string, readonly [Value, Value]>;
  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    super();
    this.#entries = new Map();
    for (const [key, value] of entries) this.insert(key, value);
  }
  override get(key: Value): Value | undefined {
    const text = keyText(key);
    return text === undefined ? undefined : this.#entries.get(text)?.[1];
  }
  override keys(): readonly Value[] {
    return [...this.#entries.values()].map(([key]) => key);
  }
  override get size(): number {
    return this.#entries.size;
  }
  /** Only before the map is seen by anybody else. Throws when the key is there or cannot be one. */
  insert(key: Value, value: Value): void {
    const text = keyText(key);
    if (text === undefined) throw new EvaluationFailure(`unsupported key type: ${typeNameOf(key)}`);
    if (this.#entries.has(text)) throw new EvaluationFailure(`insert failed: key ${plainText(key)} already exists`);
    this.#entries.set(text, [key, value]);
  }
}

/** An object that an expression made (`Object.spec{…}`), with its fields in order. */
export class StructValue extends Mapping {
  override readonly objectType: string;
  readonly fields: ReadonlyMap<string, Value>;
  constructor(typeName: string, fields: ReadonlyMap<string, Value>) {
    super();
    this.objectType = typeName;
    this.fields = fields;
  }
  override get(key: Value): Value | undefined {
    return typeof key === "string" ? this.fields.get(key) : undefined;
  }
  override keys(): readonly Value[] {
    return [...this.fields.keys()];
  }
}

/** The expression fails: what `types.Err` says. Absorbed by `&&` and `||` where the other side decides. */
export class EvaluationFailure extends Error {
  override readonly name = "EvaluationFailure";
}

export const noSuchOverload = (): EvaluationFailure => new EvaluationFailure("no such overload");

export const isList = (value: Value): value is readonly Value[] => Array.isArray(value);

/** The name of a value's runtime type, as `type(x)` compares it. */
export function typeNameOf(value: Value): string {
  if (value === null) return "null_type";
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return "double";
    case "string":
      return "string";
    default:
      break;
  }
  if (isList(value)) return "list";
  if (value instanceof Uint8Array) return "bytes";
  if (value instanceof UnsignedValue) return "uint";
  if (value instanceof TimestampValue) return "google.protobuf.Timestamp";
  if (value instanceof DurationValue) return "google.protobuf.Duration";
  if (value instanceof OptionalValue) return "optional_type";
  if (value instanceof TypeValue) return "type";
  if (value instanceof OpaqueValue) return value.typeName;
  if (value instanceof Mapping) return value.objectType ?? "map";
  throw noSuchOverload();
}

/** The runtime name of a static type. */
function runtimeTypeName(type: Type): string {
  switch (type.kind) {
    case "null":
      return "null_type";
    case "timestamp":
      return "google.protobuf.Timestamp";
    case "duration":
      return "google.protobuf.Duration";
    case "list":
    case "map":
    case "type":
      return type.kind;
    case "optional":
      return "optional_type";
    default:
      return typeText(type);
  }
}

/** A type as a value. */
export const runtimeTypes = (type: Type): TypeValue => new TypeValue(runtimeTypeName(type));

/** Whether a value may be passed where a type is declared: only the outermost layer is looked at. */
export function isOfType(value: Value, type: Type): boolean {
  switch (type.kind) {
    case "dyn":
    case "error":
    case "parameter":
      return true;
    case "map":
      return value instanceof Mapping && value.objectType === undefined;
    case "list":
      return isList(value);
    case "optional":
      return value instanceof OptionalValue;
    case "type":
      return value instanceof TypeValue;
    default:
      return typeNameOf(value) === runtimeTypeName(type);
  }
}

/** `size()` of what has one, otherwise 1: what costs are counted with. */
export function sizeOf(value: Value): number {
  if (typeof value === "string") return codePoints(value);
  if (isList(value) || value instanceof Uint8Array) return value.length;
  if (value instanceof Mapping) return value.size;
  if (value instanceof OptionalValue && value.value !== undefined) return sizeOf(value.value);
  if (value instanceof OpaqueValue && typeof (value.value as { size?: unknown } | null)?.size === "number") {
    return (value.value as { size: number }).size;
  }
  return 1;
}

/** The number of Unicode code points. */
export function codePoints(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0xdc00 || unit > 0xdfff || at === 0) count += 1;
    else {
      const before = text.charCodeAt(at - 1);
      if (before < 0xd800 || before > 0xdbff) count += 1;
    }
  }
  return count;
}

/** A value in messages, as Go's `%v` writes it. */
export function plainText(value: Value): string {
  if (value instanceof UnsignedValue) return String(value.value);
  if (value === null || typeof value !== "object") return String(value);
  return typeNameOf(value);
}

const numeric = (value: Value): bigint | number | undefined => {
  if (value instanceof UnsignedValue) return value.value;
  return typeof value === "bigint" || typeof value === "number" ? value : undefined;
};

/** `==` of any two values: numbers by what they are, different types are different. */
export function equal(left: Value, right: Value): boolean {
  const leftNumber = numeric(left);
  const rightNumber = numeric(right);
  if (leftNumber !== undefined && rightNumber !== undefined) {
    // JavaScript compares integers of any size with doubles exactly.
    // oxlint-disable-next-line eqeqeq
    return leftNumber == rightNumber;
  }
  if (left === null || right === null || typeof left !== "object" || typeof right !== "object") return left === right;
  if (isList(left)) {
    return isList(right) && left.length === right.length && left.every((item, at) => equal(item, right[at] ?? null));
  }
  if (left instanceof Uint8Array) return right instanceof Uint8Array && Buffer.compare(left, right) === 0;
  if (left instanceof TimestampValue) return right instanceof TimestampValue && left.nanoseconds === right.nanoseconds;
  if (left instanceof DurationValue) return right instanceof DurationValue && left.nanoseconds === right.nanoseconds;
  if (left instanceof TypeValue) return right instanceof TypeValue && left.name === right.name;
  if (left instanceof OptionalValue) {
    if (!(right instanceof OptionalValue)) return false;
    if (left.value === undefined || right.value === undefined) return left.value === right.value;
    return equal(left.value, right.value);
  }
  if (left instanceof Mapping) return right instanceof Mapping && equalMappings(left, right);
  return left instanceof OpaqueValue && right instanceof OpaqueValue && equalOpaque(left, right);
}

function equalMappings(left: Mapping, right: Mapping): boolean {
  const keys = left.keys();
  return (
    keys.length === right.size &&
    keys.every((key) => {
      const other = right.get(key);
      return other !== undefined && equal(left.get(key) ?? null, other);
    })
  );
}

function equalOpaque(left: OpaqueValue, right: OpaqueValue): boolean {
  if (left.typeName !== right.typeName) return false;
  const value = left.value as { equals?: (other: unknown) => boolean } | null;
  return typeof value?.equals === "function" ? value.equals(right.value) : left.value === right.value;
}

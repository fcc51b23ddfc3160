import { setValue } from "./own-value.ts";
import type { Draft, DraftValue } from "../machinery/draft.ts";
import { isDraft } from "../machinery/draft.ts";
import { isUsualTime, readBase64, readMicroTime, readQuantity, readTime } from "./go-scalars.ts";
import type { GoField, GoStruct, GoType } from "./go-types.ts";
import { plainNumbers, WrittenNumber } from "./json-number.ts";

/** Ends decoding: an error of a type's own method, which Go does not collect. */
export class DecodeFailure extends Error {
  override readonly name = "DecodeFailure";
}

/** What decoding found besides the value. */
export interface DecodeFindings {
  /** The first value of a wrong type, as `json.UnmarshalTypeError` says it. */
  typeError: string | undefined;
  /** Paths of fields that the type has not, in the order of the text. */
  readonly unknown: string[];
}

/** Go keeps at most so many. */
export const maximumFindings = 100;

/** Structs within structs: far more than any kind nests, and few enough for the stack. */
const maximumNesting = 500;

interface Walk extends DecodeFindings {
  /** Names of fields on the way, with those of embedded structs. */
  readonly names: string[];
  /** The struct whose field is being read. */
  struct: string;
  /** `spec`, `.`, `containers`, `[`, `0`, `]`: joined only when it is needed. */
  readonly path: string[];
  readonly strict: boolean;
  nesting: number;
  readonly words: "json" | "converter";
  /** Empty lists are kept: kinds that are stored as JSON. */
  readonly keepsEmpty: boolean;
  /** Parts that have been read before: they are taken over as they are. */
  readonly known: ReadonlySet<unknown> | undefined;
}

/**
 * A parsed object as Go's type of it reads and writes it again: fields in Go's order, unknown ones gone, empty ones
 * left out or filled in as the type's tags say, quantities and times in their canonical form.
 */
export function decodeStruct(
  struct: GoStruct,
  value: Readonly<Draft>,
  options: {
    readonly strict: boolean;
    readonly keepsEmpty: boolean;
    /** Whose words errors have: Go's JSON decoder, or the converter that strategic merge patches go through. @default "json" */
    readonly words?: "json" | "converter";
    readonly known?: ReadonlySet<unknown> | undefined;
  },
): { readonly object: Draft; readonly findings: DecodeFindings } {
  const walk: Walk = {
    typeError: undefined,
    unknown: [],
    names: [],
    struct: "",
    path: [],
    nesting: 0,
    words: "json",
    known: undefined,
    ...options,
  };
  return { object: readStruct(walk, struct, value), findings: walk };
}

const wrongType = (walk: Walk, value: string, type: string): string =>
  walk.struct === ""
    ? `json: cannot unmarshal ${value} into Go value of type ${type}`
    : `json: cannot unmarshal ${value} into Go struct field ${walk.struct}.${walk.names.join(".")} of type ${type}`;

function mismatch(walk: Walk, value: unknown, type: GoType): undefined {
  walk.typeError ??=
    walk.words === "converter" ? converterProblem(value, type) : wrongType(walk, jsonKind(value), type.name);
  return undefined;
}

const reflectedKind = (value: unknown): string => {
  const number = typeof value === "number" ? value : value instanceof WrittenNumber ? Number(value.text) : undefined;
  if (number !== undefined) return Number.isInteger(number) ? "int64" : "float64";
  if (Array.isArray(value)) return "slice";
  return typeof value === "boolean" ? "bool" : typeof value === "string" ? "string" : "map";
};

/** apimachinery/pkg/runtime/converter.go */
function converterProblem(value: unknown, type: GoType): string {
  const kind = reflectedKind(value);
  switch (type.kind) {
    case "string":
      return kind === "int64" ? `cannot convert int64 to ${type.name}` : "unrecognized type: string";
    case "boolean":
      return "unrecognized type: bool";
    case "float":
      return "unrecognized type: float64";
    case "integer":
      return kind === "float64"
        ? `cannot convert float64 to ${type.name}`
        : `unrecognized type: ${type.unsigned ? "uint" : "int"}${type.bits}`;
    case "map":
      return `cannot restore map from ${kind}`;
    case "struct":
      return `cannot restore struct from: ${kind}`;
    default:
      return `cannot restore slice from ${kind}`;
  }
}

/** How Go's messages call a JSON value. */
export function jsonKind(value: unknown): string {
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number" || value instanceof WrittenNumber) return "number";
  return Array.isArray(value) ? "array" : "object";
}

/** A scalar that is read and written again without a change: nearly all are, and need no path for messages. */
function isKeptAsIs(type: GoType, value: DraftValue): boolean {
  const { kind } = type.kind === "pointer" ? type.element : type;
  switch (typeof value) {
    case "string":
      return kind === "string" || (kind === "time" && isUsualTime(value));
    case "boolean":
      return kind === "boolean";
    case "number":
      return kind === "integer" && value >= 0 && (value | 0) === value;
    default:
      return false;
  }
}

function readStruct(walk: Walk, struct: GoStruct, value: Readonly<Draft>): Draft {
  if (++walk.nesting > maximumNesting) {
    throw new DecodeFailure(`json: ${struct.name} is nested more than ${maximumNesting} times`);
  }
  const values: DraftValue[] = [];
  const { names, path } = walk;
  const outerStruct = walk.struct;
  const namesBefore = names.length;
  const pathBefore = path.length;
  for (const key of Object.keys(value)) {
    const field = struct.byName.get(key);
    if (field === undefined) {
      if (walk.strict && walk.unknown.length < maximumFindings) {
        walk.unknown.push(pathBefore === 0 ? key : `${path.join("")}.${key}`);
      }
      continue;
    }
    const given = value[key];
    if (isKeptAsIs(field.type, given) || walk.known?.has(given) === true) {
      values[field.index] = given;
      continue;
    }
    walk.struct = struct.name;
    for (const name of field.embedded) names.push(name);
    names.push(key);
    if (pathBefore > 0) path.push(".");
    path.push(key);
    values[field.index] = readValue(walk, field.type, given);
    names.length = namesBefore;
    path.length = pathBefore;
  }
  walk.struct = outerStruct;
  walk.nesting--;
  const out: Draft = {};
  for (const field of struct.fields) {
    const written = writtenValue(walk, field, values[field.index]);
    if (written !== undefined) out[field.name] = written;
  }
  return out;
}

/** What Go writes for a field; `undefined` leaves it out. */
function writtenValue(walk: Walk, field: GoField, value: DraftValue): DraftValue {
  if (value === undefined || value === null) return field.omitted ? undefined : zeroOf(field.type);
  const { kind } = field.type;
  if (kind === "pointer" || kind === "struct" || kind === "any" || kind === "lenient") return value;
  if (kind === "list" || kind === "map") {
    const empty = Array.isArray(value) ? value.length === 0 : isDraft(value) && isEmpty(value);
    if (!empty) return value;
    return field.omitted ? undefined : walk.keepsEmpty ? value : null;
  }
  return field.omitted && (value === "" || value === 0 || value === false) ? undefined : value;
}

function isEmpty(object: Draft): boolean {
  for (const key in object) if (Object.hasOwn(object, key)) return false;
  return true;
}

/** What Go writes for a value that was never set. */
function zeroOf(type: GoType): DraftValue {
  switch (type.kind) {
    case "string":
      return "";
    case "integer":
    case "float":
    case "intOrString":
      return 0;
    case "boolean":
      return false;
    case "quantity":
      return "0";
    case "struct": {
      const out: Draft = {};
      for (const field of type.struct().fields) if (!field.omitted) out[field.name] = zeroOf(field.type);
      return out;
    }
    default:
      return null;
  }
}

/** `undefined` for null and for what does not fit. */
function readValue(walk: Walk, type: GoType, value: DraftValue): DraftValue {
  if (value === null || value === undefined) return undefined;
  switch (type.kind) {
    case "string":
      return typeof value === "string" ? value : mismatch(walk, value, type);
    case "boolean":
      return typeof value === "boolean" ? value : mismatch(walk, value, type);
    case "integer":
      return readInteger(walk, type, value);
    case "float":
      if (typeof value === "number") return value;
      return (value as unknown) instanceof WrittenNumber
        ? (plainNumbers(value) as number)
        : mismatch(walk, value, type);
    case "pointer":
      return readValue(walk, type.element, value);
    case "struct":
      return isDraft(value) && !((value as unknown) instanceof WrittenNumber)
        ? readStruct(walk, type.struct(), value)
        : mismatch(walk, value, type);
    case "list":
      return Array.isArray(value) ? readList(walk, type.element, value) : mismatch(walk, value, type);
    case "map":
      return isDraft(value) && !((value as unknown) instanceof WrittenNumber)
        ? readMap(walk, type.element, value)
        : mismatch(walk, value, type);
    case "any":
      return plainNumbers(value) as DraftValue;
    case "lenient": {
      if (!isDraft(value)) return plainNumbers(value) as DraftValue;
      return readValue({ ...walk, strict: false, names: [], path: [], struct: "" }, type.type(), value);
    }
    case "bytes":
      return typeof value === "string" ? taken(readBase64(value)) : mismatch(walk, value, type);
    case "quantity":
      if (typeof value === "string") return taken(readQuantity(value));
      return taken(
        readQuantity((value as unknown) instanceof WrittenNumber ? numberText(value) : JSON.stringify(value)),
      );
    case "time":
    case "microTime":
      if (typeof value !== "string") throw new DecodeFailure(wrongType(walk, jsonKind(value), "string"));
      return taken(type.kind === "time" ? readTime(value) : readMicroTime(value));
    case "intOrString":
      return readIntOrString(walk, value);
  }
}

const numberText = (value: unknown): string => (value instanceof WrittenNumber ? value.text : String(value));

function taken(read: { readonly value: string; readonly problem?: undefined } | { readonly problem: string }): string {
  if (read.problem !== undefined) throw new DecodeFailure(read.problem);
  return read.value;
}

function readInteger(walk: Walk, type: GoType & { readonly kind: "integer" }, value: DraftValue): DraftValue {
  if (typeof value === "number") {
    const fits =
      Number.isInteger(value) && (type.bits === 64 || (value | 0) === value) && !(type.unsigned && value < 0);
    if (fits) return value;
    if (walk.words === "converter") return mismatch(walk, value, type);
    walk.typeError ??= wrongType(walk, `number ${value}`, type.name);
    return undefined;
  }
  if (!((value as unknown) instanceof WrittenNumber)) return mismatch(walk, value, type);
  const text = numberText(value);
  if (/^-?\d+$/.test(text) && text.length < 22) {
    const whole = BigInt(text);
    if (BigInt.asIntN(type.bits, whole) === whole && !(type.unsigned && whole < 0n)) return Number(whole) + 0;
  }
  walk.typeError ??= wrongType(walk, `number ${text}`, type.name);
  return undefined;
}

function readIntOrString(walk: Walk, value: DraftValue): DraftValue {
  if (typeof value === "string") return value;
  if (typeof value === "number" && (value | 0) === value) return value;
  const text = typeof value === "number" || (value as unknown) instanceof WrittenNumber ? ` ${numberText(value)}` : "";
  if (/^ -0$/.test(text)) return 0;
  throw new DecodeFailure(wrongType(walk, `${jsonKind(value)}${text}`, "int32"));
}

function readList(walk: Walk, element: GoType, values: readonly DraftValue[]): DraftValue[] {
  const { path } = walk;
  const before = path.length;
  const zero = element.kind === "pointer" ? null : undefined;
  return values.map((value, index) => {
    path.push("[", String(index), "]");
    const item = readValue(walk, element, value);
    path.length = before;
    return item === undefined ? (zero ?? zeroOf(element)) : item;
  });
}

function readMap(walk: Walk, element: GoType, values: Readonly<Draft>): Draft {
  const { path } = walk;
  const before = path.length;
  const out: Draft = {};
  // Go writes maps by key.
  const keys = Object.keys(values);
  if (keys.length > 1) keys.sort(byCode);
  for (const key of keys) {
    path.push(".", key);
    const item = readValue(walk, element, values[key]);
    path.length = before;
    setValue(out, key, item === undefined ? zeroOf(element) : item);
  }
  return out;
}

const byCode = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);

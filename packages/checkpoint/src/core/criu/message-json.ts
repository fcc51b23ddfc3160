import { isDeepStrictEqual } from "node:util";
import { fromBinary, ScalarType, toBinary } from "@bufbuild/protobuf";
import type { DescEnum, DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { ReflectList, ReflectMessage } from "@bufbuild/protobuf/reflect";
import { checkpointError } from "../../errors.ts";
import { fieldStyle } from "./messages.ts";
import { fromQuotedPrintable, toQuotedPrintable } from "./quoted-printable.ts";
import { countValues } from "./wire-count.ts";

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** Of one message. A process has at most 65,530 mappings unless its host was told otherwise (vm.max_map_count), each with nine fields. */
const valueLimit = 1_250_000;

/** How many values may still be made; shared by all messages that are held together. */
export interface ValueBudget {
  left: number;
}

/** CRIU's deepest message has five levels; unknown groups may nest, and are where a hostile one would. */
const nestingLimit = 32;

const sixtyFour: ReadonlySet<ScalarType> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
]);

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");

const broken = (message: string, cause?: unknown) => checkpointError("FW_CHECKPOINT_IMAGE", message, cause);

/** Bytes of base64 text with or without line breaks (crit breaks lines); throws FW_CHECKPOINT_IMAGE. */
export function bytesOfBase64(text: JsonValue | undefined, where: string): Uint8Array {
  if (typeof text !== "string") throw broken(`${where}: not base64 text`);
  const compact = text.replaceAll(/\s/g, "");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) throw broken(`${where}: not base64 text`);
  return Buffer.from(compact, "base64");
}

export const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function scalarToJson(field: DescField, scalar: ScalarType, value: unknown): JsonValue {
  const { hex, text } = fieldStyle(field);
  if (value instanceof Uint8Array) return text ? toQuotedPrintable(value) : base64(value);
  if (typeof value === "bigint" || sixtyFour.has(scalar)) {
    const number = BigInt(value as bigint | string);
    return hex && number >= 0n ? `0x${number.toString(16)}` : number.toString();
  }
  if (typeof value === "number") return hex && value >= 0 ? `0x${value.toString(16)}` : value;
  return value as string | boolean;
}

const enumToJson = (description: DescEnum, value: number): JsonValue => description.value[value]?.name ?? value;

function fieldToJson(message: ReflectMessage, field: DescField): JsonValue {
  if (field.fieldKind === "message") return reflectToJson(message.get(field));
  if (field.fieldKind === "enum") return enumToJson(field.enum, message.get(field));
  if (field.fieldKind === "scalar") return scalarToJson(field, field.scalar, message.get(field));
  if (field.fieldKind === "map") throw broken(`${field.toString()}: maps are not in CRIU's images`);
  const list = message.get(field) as ReflectList;
  return [...list].map((item) => {
    if (field.listKind === "message") return reflectToJson(item as ReflectMessage);
    if (field.listKind === "enum") return enumToJson(field.enum, item as number);
    return scalarToJson(field, field.scalar, item);
  });
}

function reflectToJson(message: ReflectMessage): JsonObject {
  const json: Record<string, JsonValue> = {};
  for (const field of message.desc.fields) if (message.isSet(field)) json[field.name] = fieldToJson(message, field);
  const unknown = message.getUnknown() ?? [];
  if (unknown.length > 0)
    json["$unknown"] = unknown.map(({ no, wireType, data }) => ({ field: no, wireType, data: base64(data) }));
  return json;
}

function canonicalBytes(descriptor: DescMessage, message: Message): Uint8Array | undefined {
  try {
    return toBinary(descriptor, message);
  } catch {
    // A required field is missing: what CRIU would refuse is kept as it is.
    return undefined;
  }
}

/**
 * One message as JSON in crit's shape: fields by their proto names, enums by name, hex where CRIU marks it, 64-bit numbers as decimal strings, bytes as base64.
 * Fields that CRIU 4.2 does not know are under `$unknown`; where the plain form could not give the same bytes again, they are under `$raw`.
 * Throws FW_CHECKPOINT_IMAGE and FW_CHECKPOINT_LIMIT (1,250,000 values, or what is left of `budget`), naming `where`.
 */
export function messageToJson(
  descriptor: DescMessage,
  bytes: Uint8Array,
  where: string,
  budget?: ValueBudget,
): JsonObject {
  const limit = Math.min(valueLimit, budget?.left ?? valueLimit);
  const values = countValues(descriptor, bytes, limit);
  if (values > limit)
    throw checkpointError("FW_CHECKPOINT_LIMIT", `${where}: more than the ${limit} values that may be decoded here`);
  if (budget !== undefined) budget.left -= values;
  let message: Message;
  try {
    message = fromBinary(descriptor, bytes, { recursionLimit: nestingLimit });
  } catch (error) {
    throw broken(
      `${where}: not a ${descriptor.name}: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
  const json = reflectToJson(reflect(descriptor, message));
  const canonical = canonicalBytes(descriptor, message);
  return canonical && Buffer.compare(canonical, bytes) === 0 ? json : { ...json, $raw: base64(bytes) };
}

function enumFromJson(description: DescEnum, value: JsonValue | undefined, where: string): number {
  if (typeof value === "number") return value;
  const found = description.values.find(({ name }) => name === value);
  if (found === undefined) throw broken(`${where}: ${JSON.stringify(value)} is none of ${description.name}`);
  return found.number;
}

function scalarFromJson(field: DescField, scalar: ScalarType, value: JsonValue | undefined, where: string): unknown {
  if (scalar === ScalarType.BYTES) {
    if (!fieldStyle(field).text) return bytesOfBase64(value, where);
    const bytes = typeof value === "string" ? fromQuotedPrintable(value) : undefined;
    if (bytes === undefined) throw broken(`${where}: not quoted-printable text`);
    return bytes;
  }
  if (scalar === ScalarType.STRING || scalar === ScalarType.BOOL) return value;
  if (typeof value === "string" && !/^(-?\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(value))
    throw broken(`${where}: ${JSON.stringify(value)} is no number`);
  if (typeof value !== "string" && !Number.isSafeInteger(value))
    throw broken(`${where}: ${JSON.stringify(value)} is no whole number that JSON holds exactly: write it as a string`);
  return sixtyFour.has(scalar) ? BigInt(value as string | number) : Number(value);
}

function setField(message: ReflectMessage, field: DescField, value: JsonValue | undefined, where: string): void {
  const nested = (descriptor: DescMessage, json: JsonValue | undefined, place: string): ReflectMessage => {
    if (!isObject(json)) throw broken(`${place}: not an object`);
    return jsonToReflect(descriptor, json, place);
  };
  if (field.fieldKind === "message") message.set(field, nested(field.message, value, where));
  else if (field.fieldKind === "enum") message.set(field, enumFromJson(field.enum, value, where));
  else if (field.fieldKind === "scalar") message.set(field, scalarFromJson(field, field.scalar, value, where));
  else if (field.fieldKind === "list") {
    if (!Array.isArray(value)) throw broken(`${where}: not a list`);
    const list = message.get(field) as ReflectList;
    for (const [index, item] of (value as readonly JsonValue[]).entries()) {
      const place = `${where}[${index}]`;
      if (field.listKind === "message") list.add(nested(field.message, item, place));
      else if (field.listKind === "enum") list.add(enumFromJson(field.enum, item, place));
      else list.add(scalarFromJson(field, field.scalar, item, place));
    }
  }
}

function jsonToReflect(descriptor: DescMessage, json: JsonObject, where: string): ReflectMessage {
  const message = reflect(descriptor);
  for (const field of descriptor.fields) {
    if (!Object.hasOwn(json, field.name)) continue;
    const place = `${where}.${field.name}`;
    try {
      setField(message, field, json[field.name], place);
    } catch (error) {
      if (error instanceof Error && "code" in error) throw error;
      throw broken(`${place}: ${error instanceof Error ? error.message : String(error)}`, error);
    }
  }
  const unknown = Object.hasOwn(json, "$unknown") ? json["$unknown"] : undefined;
  if (Array.isArray(unknown))
    message.setUnknown(
      (unknown as readonly JsonValue[]).map((field, index) => {
        const place = `${where}.$unknown[${index}]`;
        if (!isObject(field)) throw broken(`${place}: not an object`);
        return {
          no: Number(field["field"]),
          wireType: Number(field["wireType"]),
          data: bytesOfBase64(field["data"], `${place}.data`),
        };
      }),
    );
  return message;
}

/** What of `json` is not the message: beside `$raw`, what the framing adds to an entry. */
function bare(json: JsonObject, descriptor: DescMessage): JsonObject {
  const names = new Set(["$unknown", ...descriptor.fields.map(({ name }) => name)]);
  return Object.fromEntries(Object.entries(json).filter(([key, value]) => names.has(key) && value !== undefined));
}

/**
 * The bytes of a message's JSON. `$raw` is what is written as long as the fields beside it still say the same; once a field is changed, the fields are.
 * Throws FW_CHECKPOINT_IMAGE with the path of the field that cannot be written.
 */
export function jsonToMessage(descriptor: DescMessage, json: JsonObject, where: string): Uint8Array {
  const raw = Object.hasOwn(json, "$raw") ? json["$raw"] : undefined;
  if (raw !== undefined) {
    const bytes = bytesOfBase64(raw, `${where}.$raw`);
    const before = messageToJson(descriptor, bytes, `${where}.$raw`);
    if (isDeepStrictEqual(bare(before, descriptor), bare(json, descriptor))) return bytes;
  }
  const { message } = jsonToReflect(descriptor, json, where);
  try {
    return toBinary(descriptor, message);
  } catch (error) {
    throw broken(`${where}: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

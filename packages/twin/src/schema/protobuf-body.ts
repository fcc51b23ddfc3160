/** Objects of built-in kinds in protobuf, as kubectl and Go clients send them, to plain JSON. */
import { isDraft } from "../machinery/draft.ts";
import type { Draft, DraftValue } from "../machinery/draft.ts";
import type { GoField, GoStruct, GoType } from "./go-types.ts";
import { setValue } from "./own-value.ts";
import written from "./protobuf-fields.generated.json" with { type: "json" };
import { MessageReader, wireTypes } from "./protobuf-reader.ts";
import { DecodeFailure } from "./typed-value.ts";

/** `runtime.Unknown`: what is around every object. */
export interface ProtobufEnvelope {
  readonly apiVersion: string;
  readonly kind: string;
  readonly raw: Buffer;
}

const prefix = Buffer.from("k8s\0");

/** Messages within messages: more than any kind nests. */
const maximumNesting = 200;

/**
 * Takes an object out of its envelope (k8s.io/apimachinery/pkg/runtime/serializer/protobuf).
 *
 * @throws DecodeFailure in upstream's words
 */
export function openEnvelope(bytes: Buffer): ProtobufEnvelope {
  if (bytes.length === 0) throw new DecodeFailure("empty data");
  if (!bytes.subarray(0, prefix.length).equals(prefix)) {
    throw new DecodeFailure(
      `provided data does not appear to be a protobuf message, expected prefix [${[...prefix].join(" ")}]`,
    );
  }
  if (bytes.length === prefix.length) throw new DecodeFailure("empty body");
  let apiVersion = "";
  let kind = "";
  let raw: Buffer = Buffer.alloc(0);
  const unknown = new MessageReader("Unknown", bytes, prefix.length);
  while (unknown.next()) {
    if (unknown.number === 2) {
      expect(unknown, wireTypes.bytes, "raw");
      raw = bytes.subarray(unknown.start, unknown.end);
    } else if (unknown.number === 1) {
      const typeMeta = inside(unknown, "TypeMeta", bytes, "typeMeta");
      while (typeMeta.next()) {
        if (typeMeta.number === 1) apiVersion = textOf(typeMeta, bytes, "APIVersion");
        else if (typeMeta.number === 2) kind = textOf(typeMeta, bytes, "kind");
      }
    }
  }
  return { apiVersion, kind, raw };
}

/** An embedded struct is a message of its own, whose fields are the outer struct's in JSON. */
type Place = { readonly field: GoField } | { readonly embedded: string; readonly places: Places };
type Places = Map<number, Place>;

const numbersOf = written as Readonly<Record<string, string>>;
const placesOf = new WeakMap<GoStruct, Places>();

function placesFor(struct: GoStruct): Places {
  const known = placesOf.get(struct);
  if (known !== undefined) return known;
  const places: Places = new Map();
  const paths = (Object.hasOwn(numbersOf, struct.id) ? (numbersOf[struct.id] ?? "") : "").split(" ");
  for (const field of struct.fields) {
    const path = (paths[field.index] ?? "").split(".").map(Number);
    const last = path.pop() ?? 0;
    if (last === 0) continue;
    let inner = places;
    for (const [depth, number] of path.entries()) {
      const before = inner.get(number);
      if (before !== undefined && "places" in before) inner = before.places;
      else {
        const created: Places = new Map();
        inner.set(number, { embedded: field.embedded[depth] ?? "", places: created });
        inner = created;
      }
    }
    inner.set(last, { field });
  }
  placesOf.set(struct, places);
  return places;
}

/**
 * A message as JSON that `decodeStruct` can read; fields that the struct has not are left out, as Go does.
 *
 * @throws DecodeFailure in gogo's words
 */
export function messageToJson(struct: GoStruct, bytes: Buffer): Draft {
  const object: Draft = {};
  readMessage(object, struct.name, placesFor(struct), bytes, new MessageReader(struct.name, bytes), 1);
  return object;
}

function readMessage(
  into: Draft,
  name: string,
  places: Places,
  bytes: Buffer,
  reader: MessageReader,
  nesting: number,
): void {
  if (nesting > maximumNesting) throw new DecodeFailure(`proto: ${name}: nested more than ${maximumNesting} times`);
  while (reader.next()) {
    const place = places.get(reader.number);
    if (place === undefined) continue;
    if ("places" in place) {
      const embedded = inside(reader, place.embedded, bytes, place.embedded);
      readMessage(into, place.embedded, place.places, bytes, embedded, nesting + 1);
      continue;
    }
    const { field } = place;
    into[field.name] = readField(field, field.type, into[field.name], bytes, reader, nesting);
  }
}

/** `before`: what an earlier field of the same number brought; lists and maps grow. */
function readField(
  field: GoField,
  type: GoType,
  before: DraftValue,
  bytes: Buffer,
  reader: MessageReader,
  nesting: number,
): DraftValue {
  if (type.kind === "pointer") return readField(field, type.element, before, bytes, reader, nesting);
  if (type.kind === "list") {
    const list = Array.isArray(before) ? before : [];
    // Numbers may come packed.
    if (type.element.kind === "integer" && reader.wire === wireTypes.bytes) {
      const packed = inside(reader, field.name, bytes, field.name);
      while (packed.nextPacked()) list.push(integer(type.element, packed));
    } else list.push(readValue(field, type.element, bytes, reader, nesting));
    return list;
  }
  if (type.kind === "map") {
    const map = isDraft(before) ? before : {};
    let key = "";
    let value: DraftValue = zeroOf(type.element);
    const entry = inside(reader, field.name, bytes, field.name);
    while (entry.next()) {
      if (entry.number === 1) key = textOf(entry, bytes, field.name);
      else if (entry.number === 2) value = readValue(field, type.element, bytes, entry, nesting);
    }
    setValue(map, key, value);
    return map;
  }
  return readValue(field, type, bytes, reader, nesting);
}

/** Of a map's entry that says no value. */
const zeroOf = (type: GoType): DraftValue => (type.kind === "string" || type.kind === "bytes" ? "" : null);

function readValue(field: GoField, type: GoType, bytes: Buffer, reader: MessageReader, nesting: number): DraftValue {
  const { name } = field;
  switch (type.kind) {
    case "string":
      return textOf(reader, bytes, name);
    case "bytes":
      expect(reader, wireTypes.bytes, name);
      return bytes.toString("base64", reader.start, reader.end);
    case "boolean":
      expect(reader, wireTypes.varint, name);
      return reader.low !== 0 || reader.high !== 0;
    case "integer":
      expect(reader, wireTypes.varint, name);
      return integer(type, reader);
    case "float":
      expect(reader, wireTypes.fixed64, name);
      return bytes.readDoubleLE(reader.start);
    case "pointer":
      return readValue(field, type.element, bytes, reader, nesting);
    case "struct": {
      const struct = type.struct();
      const object: Draft = {};
      const message = inside(reader, struct.name, bytes, name);
      readMessage(object, struct.name, placesFor(struct), bytes, message, nesting + 1);
      return object;
    }
    // A named list is a message around it (`ExtraValue`).
    case "list": {
      const list: DraftValue[] = [];
      const message = inside(reader, type.name, bytes, name);
      while (message.next()) {
        if (message.number === 1) list.push(readValue(field, type.element, bytes, message, nesting));
      }
      return list;
    }
    case "map":
      throw new DecodeFailure(`proto: ${name}: a map of maps has no message`);
    case "quantity":
      return firstText(reader, type.name, bytes, name) || "0";
    case "time":
    case "microTime":
      return timeText(type.kind, reader, bytes, name);
    case "intOrString":
      return intOrString(reader, bytes, name);
    case "any":
      // A struct without fields.
      if (!wrappers.has(type.name)) return {};
      return rawJson(firstText(reader, type.name, bytes, name), name);
    case "lenient":
      return alternative(field, type.name, type.type(), bytes, reader, nesting + 1);
  }
}

/** Messages around JSON as text, in their first field. */
const wrappers: ReadonlySet<string> = new Set(["runtime.RawExtension", "v1.FieldsV1", "v1.JSON"]);

/** `JSONSchemaPropsOrArray`, `…OrBool` and `…OrStringArray`: JSON has the one or the other. */
function alternative(
  field: GoField,
  name: string,
  schema: GoType,
  bytes: Buffer,
  reader: MessageReader,
  nesting: number,
): DraftValue {
  const orBool = name.endsWith("OrBool");
  const orTexts = name.endsWith("OrStringArray");
  let allows = false;
  let one: DraftValue;
  const many: DraftValue[] = [];
  const message = inside(reader, name, bytes, field.name);
  while (message.next()) {
    if (message.number === (orBool ? 2 : 1)) one = readValue(field, schema, bytes, message, nesting);
    else if (orBool && message.number === 1) {
      expect(message, wireTypes.varint, field.name);
      allows = message.low !== 0 || message.high !== 0;
    } else if (message.number === 2) {
      many.push(orTexts ? textOf(message, bytes, field.name) : readValue(field, schema, bytes, message, nesting));
    }
  }
  if (orBool) return one ?? allows;
  return many.length > 0 ? many : (one ?? null);
}

function rawJson(text: string, name: string): DraftValue {
  if (text === "") return null;
  try {
    return JSON.parse(text) as DraftValue;
  } catch (error) {
    throw new DecodeFailure(`${name}: the JSON inside: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function intOrString(reader: MessageReader, bytes: Buffer, name: string): DraftValue {
  let isText = false;
  let number = 0;
  let text = "";
  const message = inside(reader, "IntOrString", bytes, name);
  while (message.next()) {
    if (message.number === 1) isText = message.low !== 0;
    else if (message.number === 2) number = message.low;
    else if (message.number === 3) text = textOf(message, bytes, name);
  }
  return isText ? text : number;
}

/** `null` for the zero time. */
function timeText(kind: "time" | "microTime", reader: MessageReader, bytes: Buffer, name: string): DraftValue {
  let seconds = 0;
  let nanos = 0;
  const message = inside(reader, "Timestamp", bytes, name);
  if (reader.start === reader.end) return null;
  while (message.next()) {
    if (message.number > 2) continue;
    expect(message, wireTypes.varint, message.number === 1 ? "seconds" : "nanos");
    if (message.number === 1) seconds = message.signed();
    else nanos = message.low;
  }
  const date = new Date(seconds * 1000);
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) throw new DecodeFailure("Time.MarshalJSON: year outside of range [0,9999]");
  if (seconds === zeroSeconds && (kind === "time" || nanos === 0)) return null;
  const text = date.toISOString().slice(0, -5);
  if (kind === "time") return `${text}Z`;
  return `${text}.${String(Math.trunc(nanos / 1000)).padStart(6, "0")}Z`;
}

/** Go's zero time, in Unix seconds. */
const zeroSeconds = -62_135_596_800;

function integer({ bits, unsigned }: GoType & { readonly kind: "integer" }, reader: MessageReader): number {
  if (bits === 32) return unsigned ? reader.low >>> 0 : reader.low;
  return unsigned ? reader.unsigned() : reader.signed();
}

function expect(reader: MessageReader, wire: number, name: string): void {
  if (reader.wire === wire) return;
  throw new DecodeFailure(`proto: wrong wireType = ${reader.wire} for field ${goName(name)}`);
}

/** The field's name in Go, from that in JSON. */
const goName = (name: string): string =>
  name === "metadata" ? "ObjectMeta" : name.charAt(0).toUpperCase() + name.slice(1);

/** Reads the message that a field holds. */
function inside(reader: MessageReader, message: string, bytes: Buffer, name: string): MessageReader {
  expect(reader, wireTypes.bytes, name);
  return new MessageReader(message, bytes, reader.start, reader.end);
}

function textOf(reader: MessageReader, bytes: Buffer, name: string): string {
  expect(reader, wireTypes.bytes, name);
  return bytes.toString("utf8", reader.start, reader.end);
}

/** The text that is a small message's only field. */
function firstText(reader: MessageReader, message: string, bytes: Buffer, name: string): string {
  let text = "";
  const inner = inside(reader, message, bytes, name);
  while (inner.next()) if (inner.number === 1) text = textOf(inner, bytes, name);
  return text;
}

/** Objects of built-in kinds in protobuf, as kubectl and Go clients send them, to plain JSON. */
import { isDraft } from "../machinery/draft.ts";
import type { Draft, DraftValue } from "../machinery/draft.ts";
import type { GoField, GoStruct, GoType } from "./go-types.ts";
import { setValue } from "./own-value.ts";
import written from "./protobuf-fields.generated.json" with { type: "json" };
import { wireFields, wireNumbers } from "./protobuf-reader.ts";
import type { WireField, WireType } from "./protobuf-reader.ts";
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
  const envelope: { apiVersion: string; kind: string; raw: Buffer } = {
    apiVersion: "",
    kind: "",
    raw: Buffer.alloc(0),
  };
  for (const field of wireFields("Unknown", bytes.subarray(prefix.length))) {
    if (field.number === 2) envelope.raw = bytesOf(field, "Raw");
    if (field.number !== 1) continue;
    for (const part of wireFields("TypeMeta", bytesOf(field, "TypeMeta"))) {
      if (part.number === 1) envelope.apiVersion = bytesOf(part, "APIVersion").toString();
      if (part.number === 2) envelope.kind = bytesOf(part, "Kind").toString();
    }
  }
  return envelope;
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
 * A message as JSON that {@link decodeStruct} can read; fields that the struct has not are left out, as Go does.
 *
 * @throws DecodeFailure in gogo's words
 */
export function messageToJson(struct: GoStruct, bytes: Buffer): Draft {
  const object: Draft = {};
  readMessage(object, struct.name, placesFor(struct), bytes, 1);
  return object;
}

function readMessage(into: Draft, name: string, places: Places, bytes: Buffer, nesting: number): void {
  if (nesting > maximumNesting) throw new DecodeFailure(`proto: ${name}: nested more than ${maximumNesting} times`);
  for (const wire of wireFields(name, bytes)) {
    const place = places.get(wire.number);
    if (place === undefined) continue;
    if ("places" in place) {
      readMessage(into, place.embedded, place.places, bytesOf(wire, place.embedded), nesting + 1);
      continue;
    }
    const { field } = place;
    setValue(into, field.name, readField(field, field.type, into[field.name], wire, nesting));
  }
}

/** `before`: what an earlier field of the same number brought; lists and maps grow. */
function readField(field: GoField, type: GoType, before: DraftValue, wire: WireField, nesting: number): DraftValue {
  if (type.kind === "pointer") return readField(field, type.element, before, wire, nesting);
  if (type.kind === "list") {
    const list = Array.isArray(before) ? before : [];
    // Numbers may come packed.
    if (type.element.kind === "integer" && wire.wire === "bytes") return list.concat(packed(field, type.element, wire));
    list.push(readValue(field, type.element, wire, nesting));
    return list;
  }
  if (type.kind === "map") {
    const map = isDraft(before) ? before : {};
    let key = "";
    let value: DraftValue = zeroOf(type.element);
    for (const part of wireFields(`${field.name} entry`, bytesOf(wire, field.name))) {
      if (part.number === 1) key = bytesOf(part, field.name).toString();
      if (part.number === 2) value = readValue(field, type.element, part, nesting);
    }
    setValue(map, key, value);
    return map;
  }
  return readValue(field, type, wire, nesting);
}

/** Of a map's entry that says no value. */
const zeroOf = (type: GoType): DraftValue => (type.kind === "string" || type.kind === "bytes" ? "" : null);

function packed(field: GoField, element: GoType & { readonly kind: "integer" }, wire: WireField): DraftValue[] {
  const values: DraftValue[] = [];
  // A packed list is its numbers one after the other: read as fields, each would need a tag before it.
  let rest = bytesOf(wire, field.name);
  while (rest.length > 0) {
    const length = rest.findIndex((byte) => byte < 0x80) + 1;
    if (length === 0) throw new DecodeFailure("unexpected EOF");
    const [number] = wireFields(field.name, Buffer.concat([Buffer.of(0x08), rest.subarray(0, length)]));
    if (number !== undefined) values.push(integer(element, number.value));
    rest = rest.subarray(length);
  }
  return values;
}

function readValue(field: GoField, type: GoType, wire: WireField, nesting: number): DraftValue {
  const { name } = field;
  switch (type.kind) {
    case "string":
      return bytesOf(wire, name).toString();
    case "bytes":
      return bytesOf(wire, name).toString("base64");
    case "boolean":
      return expect(wire, "varint", name).value !== 0n;
    case "integer":
      return integer(type, expect(wire, "varint", name).value);
    case "float":
      return expect(wire, "fixed64", name).bytes.readDoubleLE();
    case "pointer":
      return readValue(field, type.element, wire, nesting);
    case "struct": {
      const struct = type.struct();
      const object: Draft = {};
      readMessage(object, struct.name, placesFor(struct), bytesOf(wire, name), nesting + 1);
      return object;
    }
    // A named list is a message around it (`ExtraValue`).
    case "list": {
      const list: DraftValue[] = [];
      for (const part of wireFields(type.name, bytesOf(wire, name))) {
        if (part.number === 1) list.push(readValue(field, type.element, part, nesting));
      }
      return list;
    }
    case "map":
      throw new DecodeFailure(`proto: ${name}: a map of maps has no message`);
    case "quantity":
      return textOf(partsOf(type.name, wire, name).get(1), name) || "0";
    case "time":
    case "microTime":
      return timeText(type.kind, bytesOf(wire, name));
    case "intOrString": {
      const parts = partsOf(type.name, wire, name);
      const isText = (parts.get(1)?.value ?? 0n) !== 0n;
      return isText ? textOf(parts.get(3), name) : Number(BigInt.asIntN(32, parts.get(2)?.value ?? 0n));
    }
    case "any":
      // A struct without fields.
      if (!wrappers.has(type.name)) return {};
      return rawJson(textOf(partsOf(type.name, wire, name).get(1), name), name);
    case "lenient":
      return alternative(field, type.name, type.type(), bytesOf(wire, name), nesting + 1);
  }
}

/** Messages around JSON as text, in their first field. */
const wrappers: ReadonlySet<string> = new Set(["runtime.RawExtension", "v1.FieldsV1", "v1.JSON"]);

/** `JSONSchemaPropsOrArray`, `…OrBool` and `…OrStringArray`: JSON has the one or the other. */
function alternative(field: GoField, name: string, schema: GoType, bytes: Buffer, nesting: number): DraftValue {
  const orBool = name.endsWith("OrBool");
  let allows = false;
  let one: DraftValue;
  const many: DraftValue[] = [];
  for (const part of wireFields(name, bytes)) {
    if (part.number === (orBool ? 2 : 1)) one = readValue(field, schema, part, nesting);
    else if (orBool && part.number === 1) allows = expect(part, "varint", field.name).value !== 0n;
    else if (part.number === 2) {
      many.push(name.endsWith("OrStringArray") ? textOf(part, field.name) : readValue(field, schema, part, nesting));
    }
  }
  if (orBool) return one ?? allows;
  return many.length > 0 ? many : (one ?? null);
}

/** The fields of a small message, the last of each number. */
function partsOf(message: string, wire: WireField, name: string): ReadonlyMap<number, WireField> {
  const parts = new Map<number, WireField>();
  for (const part of wireFields(message, bytesOf(wire, name))) parts.set(part.number, part);
  return parts;
}

function rawJson(text: string, name: string): DraftValue {
  if (text === "") return null;
  try {
    return JSON.parse(text) as DraftValue;
  } catch (error) {
    throw new DecodeFailure(`${name}: the JSON inside: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** `null` for the zero time. */
function timeText(kind: "time" | "microTime", bytes: Buffer): DraftValue {
  if (bytes.length === 0) return null;
  let seconds = 0n;
  let nanos = 0n;
  for (const part of wireFields("Timestamp", bytes)) {
    if (part.number === 1) seconds = BigInt.asIntN(64, expect(part, "varint", "Seconds").value);
    if (part.number === 2) nanos = BigInt.asIntN(32, expect(part, "varint", "Nanos").value);
  }
  const date = new Date(Number(seconds) * 1000);
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) throw new DecodeFailure("Time.MarshalJSON: year outside of range [0,9999]");
  if (seconds === -62_135_596_800n && (kind === "time" || nanos === 0n)) return null;
  const text = date.toISOString().slice(0, -5);
  if (kind === "time") return `${text}Z`;
  return `${text}.${String(nanos / 1000n).padStart(6, "0")}Z`;
}

function integer(type: GoType & { readonly kind: "integer" }, bits: bigint): number {
  return Number(type.unsigned ? BigInt.asUintN(type.bits, bits) : BigInt.asIntN(type.bits, bits));
}

function expect(wire: WireField, expected: WireType, name: string): WireField {
  if (wire.wire === expected) return wire;
  throw new DecodeFailure(`proto: wrong wireType = ${wireNumbers[wire.wire]} for field ${goName(name)}`);
}

/** The field's name in Go, from that in JSON. */
const goName = (name: string): string =>
  name === "metadata" ? "ObjectMeta" : name.charAt(0).toUpperCase() + name.slice(1);

const bytesOf = (wire: WireField, name: string): Buffer => expect(wire, "bytes", name).bytes;

const textOf = (wire: WireField | undefined, name: string): string =>
  wire === undefined ? "" : bytesOf(wire, name).toString();

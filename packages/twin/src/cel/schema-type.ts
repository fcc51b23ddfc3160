import type { Schema } from "../machinery/schema.ts";
import { escapedName } from "./property-names.ts";
import { dyn, listOf, mapOf, scalar, type Type } from "./types.ts";

/** A schema as expressions see it: its type, and bounds of what a request can bring (apiserver/pkg/cel/common/schemas.go). */
export interface SchemaType {
  readonly type: Type;
  /** Items, entries or characters. */
  readonly maximumElements: number;
  /** Bytes of the smallest such value in JSON. */
  readonly minimumSize: number;
  readonly element?: SchemaType;
  /** By escaped name. */
  readonly fields?: ReadonlyMap<string, SchemaType>;
}

/** Bytes of the largest request. */
const maximumRequest = 3 * 1024 * 1024;

const simple = (type: Type, minimumSize: number, maximumElements = 0): SchemaType => ({
  type,
  minimumSize,
  maximumElements,
});
const text = simple(scalar("string"), 2, maximumRequest - 2);
const metadata: Schema = { type: "object", properties: { name: { type: "string" }, generateName: { type: "string" } } };

/** Resources have these whatever their schema says, and no more of them than these. */
export const withResourceFields = (schema: Schema): Schema => ({
  ...schema,
  type: "object",
  properties: { ...schema.properties, kind: { type: "string" }, apiVersion: { type: "string" }, metadata },
});

/** `undefined` for what expressions cannot see: values without a type. */
export function schemaType(schema: Schema, isResource: boolean): SchemaType | undefined {
  if (schema["x-kubernetes-int-or-string"] === true) {
    return simple(dyn, 1, schema.maxLength === undefined ? maximumRequest - 2 : Math.max(0, schema.maxLength) * 4);
  }
  const whole = isResource ? withResourceFields(schema) : schema;
  switch (whole.type) {
    case "array":
      return arrayType(whole);
    case "object":
      return typeof whole.additionalProperties === "object"
        ? mapType(whole, whole.additionalProperties)
        : objectType(whole);
    case "string":
      return stringType(whole);
    case "boolean":
      return simple(scalar("bool"), 4);
    case "number":
      return simple(scalar("double"), 1);
    case "integer":
      return simple(scalar("int"), 1);
    case undefined:
      return undefined;
  }
}

const typeOfPart = (schema: Schema): SchemaType | undefined =>
  schemaType(schema, schema["x-kubernetes-embedded-resource"] === true);

function arrayType({ items, maxItems }: Schema): SchemaType | undefined {
  const element = items === undefined ? undefined : typeOfPart(items);
  if (element === undefined) return undefined;
  return {
    type: listOf(element.type),
    element,
    minimumSize: 2,
    maximumElements:
      maxItems === undefined ? Math.floor((maximumRequest - 2) / (element.minimumSize + 1)) : Math.max(0, maxItems),
  };
}

function mapType({ maxProperties }: Schema, values: Schema): SchemaType | undefined {
  const element = typeOfPart(values);
  if (element === undefined) return undefined;
  return {
    type: mapOf(scalar("string"), element.type),
    element,
    minimumSize: 2,
    maximumElements:
      maxProperties === undefined
        ? Math.floor((maximumRequest - 2) / (element.minimumSize + 6))
        : Math.max(0, maxProperties),
  };
}

function objectType({ properties = {}, required = [] }: Schema): SchemaType {
  const fields = new Map<string, SchemaType>();
  let minimumSize = 2;
  for (const [name, property] of Object.entries(properties)) {
    const field = typeOfPart(property);
    if (field === undefined) continue;
    const escaped = escapedName(name);
    if (escaped !== undefined) fields.set(escaped, field);
    if (required.includes(name) && property.default === undefined) {
      minimumSize += Buffer.byteLength(name) + field.minimumSize + 4;
    }
  }
  return {
    type: { kind: "object", name: "object", field: (name) => fields.get(name)?.type },
    fields,
    minimumSize,
    maximumElements: 0,
  };
}

function stringType(schema: Schema): SchemaType {
  switch (schema.format) {
    case "byte":
      return simple(
        scalar("bytes"),
        2,
        schema.maxLength === undefined ? maximumRequest - 2 : Math.max(0, schema.maxLength),
      );
    case "duration":
      return simple(scalar("duration"), 3, 32);
    case "date":
      return simple(scalar("timestamp"), 12, 12);
    case "date-time":
      return simple(scalar("timestamp"), 21, 32);
    default:
      break;
  }
  if (schema.maxLength !== undefined) return { ...text, maximumElements: Math.max(0, schema.maxLength) * 4 };
  if (schema.enum === undefined || schema.enum.length === 0) return text;
  const lengths = schema.enum.map((value) => (typeof value === "string" ? Buffer.byteLength(value) : 0));
  return { ...text, maximumElements: Math.max(...lengths) };
}

/** Upstream knows no bound of keys and counts them as empty. */
const mapKey: SchemaType = { ...text, maximumElements: 0 };

/** The bound of the value at a path that begins with a variable of this type. */
export function sizeAt(
  root: SchemaType,
  path: readonly string[],
): { readonly min: number; readonly max: number } | undefined {
  let current: SchemaType | undefined = root;
  for (const part of path.slice(1)) {
    if (part === "@items" || part === "@values") current = current?.element;
    else if (part === "@keys") current = current?.type.kind === "map" ? mapKey : undefined;
    else current = current?.fields?.get(part);
    if (current === undefined) return undefined;
  }
  return { min: 0, max: current.maximumElements };
}

/** How often such a value can be in a request when nothing bounds it. */
export const maximumCardinality = ({ minimumSize }: SchemaType): number =>
  Math.floor(maximumRequest / (minimumSize + 1));

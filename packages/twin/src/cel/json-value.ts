import type { Schema } from "../machinery/schema.ts";
import { isDraft } from "../machinery/draft.ts";
import { escapedName, unescapedName } from "./property-names.ts";
import { withResourceFields } from "./schema-type.ts";
import { parseDuration, parseTimestamp } from "./time-values.ts";
import { EvaluationFailure, Mapping, type Value } from "./values.ts";

/** A JSON object as a map of strings; values are converted when they are asked for, once. */
class JsonMap extends Mapping {
  readonly #data: Readonly<Record<string, unknown>>;
  readonly #convert: (value: unknown) => Value;
  readonly #converted = new Map<string, Value>();
  constructor(data: Readonly<Record<string, unknown>>, convert: (value: unknown) => Value) {
    super();
    this.#data = data;
    this.#convert = convert;
  }
  override get(key: Value): Value | undefined {
    if (typeof key !== "string" || !Object.hasOwn(this.#data, key) || this.#data[key] === undefined) return undefined;
    const known = this.#converted.get(key);
    if (known !== undefined) return known;
    const value = this.#convert(this.#data[key]);
    this.#converted.set(key, value);
    return value;
  }
  override keys(): readonly string[] {
    return Object.keys(this.#data).filter((key) => this.#data[key] !== undefined);
  }
}

/** A JSON object with the fields of its schema; others cannot be seen. */
class JsonObject extends Mapping {
  override readonly objectType = "object";
  readonly #data: Readonly<Record<string, unknown>>;
  readonly #properties: Readonly<Record<string, Schema>>;
  readonly #converted = new Map<string, Value>();
  constructor(data: Readonly<Record<string, unknown>>, properties: Readonly<Record<string, Schema>>) {
    super();
    this.#data = data;
    this.#properties = properties;
  }
  override get(key: Value): Value | undefined {
    if (typeof key !== "string") return undefined;
    const known = this.#converted.get(key);
    if (known !== undefined) return known;
    const name = unescapedName(key);
    if (!Object.hasOwn(this.#data, name) || !Object.hasOwn(this.#properties, name)) return undefined;
    const schema = this.#properties[name];
    const data = this.#data[name];
    if (schema === undefined || data === undefined) return undefined;
    const value = schemaValue(data, schema, schema["x-kubernetes-embedded-resource"] === true);
    this.#converted.set(key, value);
    return value;
  }
  override keys(): readonly string[] {
    return Object.keys(this.#data).flatMap((name) =>
      Object.hasOwn(this.#properties, name) && this.#data[name] !== undefined ? [escapedName(name) ?? name] : [],
    );
  }
}

/** JSON without a schema: whole numbers are ints. */
export function dynamicValue(data: unknown): Value {
  if (data === null || data === undefined) return null;
  if (typeof data === "number") return Number.isInteger(data) ? BigInt(data) : data;
  if (typeof data === "string" || typeof data === "boolean") return data;
  if (Array.isArray(data)) return data.map(dynamicValue);
  return isDraft(data) ? new JsonMap(data, dynamicValue) : null;
}

/** JSON as its schema has it (apiextensions-apiserver's `UnstructuredToVal`). Throws EvaluationFailure where it does not fit. */
export function schemaValue(data: unknown, schema: Schema, isResource: boolean): Value {
  if (data === null || data === undefined) return null;
  if (schema["x-kubernetes-int-or-string"] === true) return dynamicValue(data);
  switch (schema.type) {
    case "array": {
      const { items } = schema;
      if (!Array.isArray(data) || items === undefined) throw mismatch(data, "array");
      return data.map((item: unknown) => schemaValue(item, items, items["x-kubernetes-embedded-resource"] === true));
    }
    case "object": {
      if (!isDraft(data)) throw mismatch(data, "object");
      const values = schema.additionalProperties;
      if (typeof values === "object") {
        return new JsonMap(data, (value) =>
          schemaValue(value, values, values["x-kubernetes-embedded-resource"] === true),
        );
      }
      return new JsonObject(data, (isResource ? withResourceFields(schema) : schema).properties ?? {});
    }
    case "string":
      if (typeof data !== "string") throw mismatch(data, "string");
      return stringValue(data, schema.format);
    case "boolean":
      if (typeof data !== "boolean") throw mismatch(data, "boolean");
      return data;
    case "number":
      if (typeof data !== "number") throw mismatch(data, "number");
      return data;
    case "integer":
      if (typeof data !== "number" || !Number.isInteger(data)) throw mismatch(data, "integer");
      return BigInt(data);
    case undefined:
      return dynamicValue(data);
  }
}

function stringValue(text: string, format: string | undefined): Value {
  switch (format) {
    case "byte":
      return new Uint8Array(Buffer.from(text, "base64"));
    case "duration":
      return parseDuration(text);
    case "date":
      return parseTimestamp(`${text}T00:00:00Z`);
    case "date-time":
      return parseTimestamp(text);
    default:
      return text;
  }
}

const mismatch = (data: unknown, wanted: string): EvaluationFailure =>
  new EvaluationFailure(`invalid data, expected ${wanted} type but got ${Array.isArray(data) ? "array" : typeof data}`);

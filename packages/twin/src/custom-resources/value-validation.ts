import { jsonEqual, type Json } from "@fleetwright/kube";
import { RE2JS } from "re2js";
import { isDraft, type Draft } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { fitsFormat, isKnownFormat } from "./formats.ts";
import { additionalOf, propertyOf } from "./structural-schema.ts";

/** No old value to compare with: at creation, and below lists whose items cannot be told apart. */
const unrelated = Symbol("unrelated");

interface Result {
  readonly errors: FieldError[];
  /** How much of the value was looked at with success: `oneOf` reports the errors of the alternative that fits best. */
  matches: number;
}

/** A value that is validated once more, with the place it has. */
interface Place {
  readonly path: string;
  /** Errors of the parts that equal the old value are let through (CRDValidationRatcheting, KEP-4008). */
  readonly old: unknown;
}

/**
 * What is wrong with a value by its schema, in the words of go-openapi's validation as kube-apiserver passes them on
 * (kube-openapi/pkg/validation/validate, apiextensions-apiserver/pkg/apiserver/validation).
 */
export function valueErrors(value: unknown, schema: Schema, path = ""): FieldError[] {
  return validate(value, schema, { path, old: unrelated }).errors;
}

/** `valueErrors` of a change: what was wrong before and has not changed is no error. */
export function changedValueErrors(value: unknown, old: unknown, schema: Schema, path = ""): FieldError[] {
  return validate(value, schema, { path, old: old === undefined ? unrelated : old }).errors;
}

function validate(value: unknown, schema: Schema, place: Place): Result {
  const result = validateFresh(value, schema, place);
  if (result.errors.length === 0 || place.old === unrelated) return result;
  if (!jsonEqual((value ?? null) as Json, (place.old ?? null) as Json)) return result;
  return { errors: [], matches: result.matches };
}

const typesOf = (schema: Schema): readonly string[] =>
  schema["x-kubernetes-int-or-string"] === true
    ? ["integer", "string"]
    : schema.type === undefined
      ? []
      : [schema.type];

/** Without a field of its own, as errors that are no `Validation` come out. */
const pathless = (message: string): FieldError => fieldErrors.invalid("<nil>", "", message);

function merge(into: Result, from: Result): void {
  into.errors.push(...from.errors);
  into.matches += from.matches;
}

function validateFresh(value: unknown, schema: Schema, place: Place): Result {
  const result: Result = { errors: [], matches: 0 };
  const typeError = typeErrorOf(value, schema, place.path);
  if (typeError === undefined) result.matches++;
  else result.errors.push(typeError);
  if (value !== null && value !== undefined) {
    validateJunctions(value, schema, place, result);
    if (typeof value === "string") result.errors.push(...stringErrors(value, schema, place.path));
    if (typeof value === "number") result.errors.push(...numberErrors(value, schema, place.path));
    if (Array.isArray(value)) validateList(value as unknown[], schema, place, result);
  }
  if (schema.enum !== undefined && schema.enum.length > 0) {
    if (schema.enum.some((allowed) => jsonEqual(allowed as Json, (value ?? null) as Json))) result.matches++;
    else {
      const allowed = schema.enum.map((item) => (typeof item === "string" ? item : JSON.stringify(item)));
      result.errors.push(fieldErrors.notSupported(place.path, value, allowed));
    }
  }
  if (isDraft(value)) validateMap(value, schema, place, result);
  return result;
}

const goTypeOf = (value: unknown): readonly [type: string, format: string] => {
  if (typeof value === "string") return ["string", ""];
  if (typeof value === "boolean") return ["boolean", ""];
  if (typeof value === "number") return Number.isInteger(value) ? ["integer", "int64"] : ["number", "float64"];
  return [Array.isArray(value) ? "array" : "object", ""];
};

function wrongType(path: string, type: string, data: string): FieldError {
  return fieldErrors.typeInvalid(path, data, `${path} in body must be of type ${type}: ${JSON.stringify(data)}`);
}

function typeErrorOf(value: unknown, schema: Schema, path: string): FieldError | undefined {
  const types = typesOf(schema);
  const format = schema.format !== undefined && isKnownFormat(schema.type, schema.format) ? schema.format : "";
  if (types.length === 0 && format === "") return undefined;
  const wanted = types.join(",");
  if (value === null || value === undefined) {
    return types.length > 0 && schema.nullable !== true ? wrongType(path, wanted, "null") : undefined;
  }
  const [type, valueFormat] = goTypeOf(value);
  const fits = types.includes(type) || (type === "integer" && types.includes("number"));
  const isTextOrList = typeof value === "string" || Array.isArray(value);
  if (!isTextOrList && format !== "" && !fits && valueFormat !== format) return wrongType(path, format, valueFormat);
  if (!types.includes("number") && !types.includes("integer") && format !== "" && isTextOrList) return undefined;
  return fits ? undefined : wrongType(path, wanted, type);
}

function validateJunctions(value: unknown, schema: Schema, place: Place, result: Result): void {
  const quoted = JSON.stringify(place.path);
  if (schema.anyOf !== undefined && schema.anyOf.length > 0) {
    const outcomes = schema.anyOf.map((option) => validate(value, option, place));
    const success = outcomes.find(({ errors }) => errors.length === 0);
    if (success !== undefined) merge(result, success);
    else {
      result.errors.push(pathless(`${quoted} must validate at least one schema (anyOf)`));
      const best = bestOf(outcomes);
      if (best !== undefined) merge(result, best);
    }
  }
  if (schema.oneOf !== undefined && schema.oneOf.length > 0) {
    const outcomes = schema.oneOf.map((option) => validate(value, option, place));
    const successes = outcomes.filter(({ errors }) => errors.length === 0);
    const [success] = successes;
    if (successes.length === 1 && success !== undefined) merge(result, success);
    else {
      const found = successes.length === 0 ? "Found none valid" : `Found ${successes.length} valid alternatives`;
      result.errors.push(pathless(`${quoted} must validate one and only one schema (oneOf). ${found}`));
      const best = successes.length === 0 ? bestOf(outcomes) : undefined;
      if (best !== undefined) merge(result, best);
    }
  }
  if (schema.allOf !== undefined && schema.allOf.length > 0) {
    const outcomes = schema.allOf.map((part) => validate(value, part, place));
    for (const outcome of outcomes) merge(result, outcome);
    const valid = outcomes.filter(({ errors }) => errors.length === 0).length;
    if (valid !== outcomes.length) {
      result.errors.push(
        pathless(`${quoted} must validate all the schemas (allOf)${valid === 0 ? ". None validated" : ""}`),
      );
    }
  }
  if (schema.not !== undefined && validate(value, schema.not, place).errors.length === 0) {
    result.errors.push(pathless(`${quoted} must not validate the schema (not)`));
  }
}

const bestOf = (outcomes: readonly Result[]): Result | undefined =>
  outcomes.reduce<Result | undefined>(
    (best, outcome) => (best === undefined || outcome.matches > best.matches ? outcome : best),
    undefined,
  );

const patterns = new Map<string, RE2JS | Error>();
const mostPatterns = 2000;

/** A schema's pattern in Go's syntax, compiled once; an Error when it cannot be. */
export function compilePattern(pattern: string): RE2JS | Error {
  const known = patterns.get(pattern);
  if (known !== undefined) return known;
  let compiled: RE2JS | Error;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (error) {
    compiled = error instanceof Error ? error : new Error(String(error));
  }
  if (patterns.size >= mostPatterns) patterns.clear();
  patterns.set(pattern, compiled);
  return compiled;
}

const lengthOf = (text: string): number => {
  let length = 0;
  for (const _ of text) length++;
  return length;
};

function stringErrors(value: string, schema: Schema, path: string): FieldError[] {
  const { maxLength, minLength, pattern, format } = schema;
  const errors: FieldError[] = [];
  // As upstream, only the first of the three.
  if (maxLength !== undefined && lengthOf(value) > maxLength) errors.push(fieldErrors.tooLong(path, maxLength));
  else if (minLength !== undefined && lengthOf(value) < minLength) {
    errors.push(fieldErrors.invalid(path, value, `${path} in body should be at least ${minLength} chars long`));
  } else if (pattern !== undefined && pattern !== "") {
    const compiled = compilePattern(pattern);
    if (compiled instanceof Error) {
      const problem = `${path} in body should match '${pattern}, but pattern is invalid: ${compiled.message}'`;
      errors.push(fieldErrors.invalid(path, value, problem));
    } else if (!compiled.matcher(value).find()) {
      errors.push(fieldErrors.invalid(path, value, `${path} in body should match '${pattern}'`));
    }
  }
  if (format !== undefined && isKnownFormat(schema.type, format) && !fitsFormat(format, value)) {
    const problem = `${path} in body must be of type ${format}: ${JSON.stringify(value)}`;
    errors.push(fieldErrors.typeInvalid(path, value, problem));
  }
  return errors;
}

function numberErrors(value: number, schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const invalid = (problem: string): void =>
    void errors.push(fieldErrors.invalid(path, value, `${path} in body ${problem}`));
  const { format, multipleOf, maximum, minimum } = schema;
  if (schema.type === "integer") {
    const limit = format === "int32" ? 2 ** 31 : 2 ** 63;
    if (!Number.isInteger(value) || value >= limit || value < -limit) {
      const named = format === "int32" || format === "int64" ? `with format ${format}` : "(default format)";
      errors.push(pathless(`Checked value must be of type integer ${named} in ${path}`));
    }
  }
  // Upstream compares integers with integers, and cuts off what the bound has behind the point.
  const bound = (number: number): number => (Number.isInteger(value) ? Math.trunc(number) : number);
  if (multipleOf !== undefined) {
    const factor = bound(multipleOf);
    const ratio = factor < 1 ? (1 / factor) * value : value / factor;
    if (factor <= 0) {
      const problem = `factor MultipleOf declared for ${path} must be positive: ${factor}`;
      errors.push(fieldErrors.invalid(path, value, problem));
    } else if (Math.abs(ratio - Math.round(ratio)) > 1e-9) invalid(`should be a multiple of ${factor}`);
  }
  if (maximum !== undefined) {
    const limit = bound(maximum);
    const exclusive = schema.exclusiveMaximum === true;
    if (exclusive ? value >= limit : value > limit) {
      invalid(`should be less than ${exclusive ? "" : "or equal to "}${limit}`);
    }
  }
  if (minimum !== undefined) {
    const limit = bound(minimum);
    const exclusive = schema.exclusiveMinimum === true;
    if (exclusive ? value <= limit : value < limit) {
      invalid(`should be greater than ${exclusive ? "" : "or equal to "}${limit}`);
    }
  }
  return errors;
}

/** The old item that an item of a list with keys was. */
function correlate(items: unknown, schema: Schema): (item: unknown) => unknown {
  if (schema["x-kubernetes-list-type"] !== "map" || !Array.isArray(items)) return () => unrelated;
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const keyOf = (item: unknown): string =>
    JSON.stringify(
      keys.map((key) => {
        if (!isDraft(item)) return null;
        return Object.hasOwn(item, key) ? item[key] : (propertyOf(schema.items, key)?.default ?? null);
      }),
    );
  const byKey = new Map((items as unknown[]).map((item) => [keyOf(item), item] as const));
  return (item) => byKey.get(keyOf(item)) ?? unrelated;
}

function validateList(value: readonly unknown[], schema: Schema, place: Place, result: Result): void {
  const { items, minItems, maxItems } = schema;
  const { path } = place;
  if (items !== undefined) {
    const oldOf = correlate(place.old, schema);
    for (const [index, item] of value.entries()) {
      merge(result, validate(item, items, { path: `${path}[${index}]`, old: oldOf(item) }));
    }
  }
  if (minItems !== undefined && value.length < minItems) {
    const problem = `${path} in body should have at least ${minItems} items`;
    result.errors.push(fieldErrors.invalid(path, value.length, problem));
  }
  if (maxItems !== undefined && value.length > maxItems) {
    result.errors.push(fieldErrors.tooMany(path, value.length, maxItems));
  }
}

function validateMap(value: Draft, schema: Schema, place: Place, result: Result): void {
  const { path, old } = place;
  const keys = Object.keys(value);
  const { minProperties, maxProperties } = schema;
  if (minProperties !== undefined && keys.length < minProperties) {
    const problem = `${path} in body should have at least ${minProperties} properties`;
    result.errors.push(fieldErrors.invalid(path, keys.length, problem));
  }
  if (maxProperties !== undefined && keys.length > maxProperties) {
    result.errors.push(fieldErrors.tooMany(path, keys.length, maxProperties));
  }
  const values = additionalOf(schema);
  for (const key of keys) {
    const property = propertyOf(schema, key);
    const below = path === "" ? key : `${path}.${key}`;
    if (property === undefined && schema.additionalProperties === false) {
      const problem = `${path}.${key} in body is a forbidden property`;
      result.errors.push(fieldErrors.invalid(path, key, problem));
    }
    const child = property ?? values;
    if (child === undefined) continue;
    const isTypeMeta = path === "" && (key === "kind" || key === "apiVersion");
    const oldChild = !isTypeMeta && isDraft(old) && Object.hasOwn(old, key) ? old[key] : unrelated;
    merge(result, validate(value[key], child, { path: below, old: oldChild }));
  }
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key)) result.errors.push(fieldErrors.required(path === "" ? key : `${path}.${key}`));
  }
}

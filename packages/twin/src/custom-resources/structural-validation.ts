import { jsonEqual, type Json } from "@fleetwright/kube";
import type { Schema } from "../machinery/schema.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { additionalOf, propertyOf } from "./structural-schema.ts";
import { compilePattern } from "./value-validation.ts";

type Level = "root" | "item" | "field";

const intOrString: readonly Schema[] = [{ type: "integer" }, { type: "string" }];

const isIntOrString = (options: readonly Schema[] | undefined): boolean =>
  options !== undefined && jsonEqual(options as unknown as Json, intOrString as unknown as Json);

/**
 * What keeps a schema from being structural: every field is specified outside of `allOf`, `anyOf`, `oneOf` and `not`, and
 * those only restrict values (KEP-693; apiextensions-apiserver/pkg/apiserver/schema/validation.go).
 */
export function structuralErrors(schema: Schema, path: string): FieldError[] {
  const errors = [...invariantErrors(schema, "root", path), ...completenessErrors(schema, schema, path, path)];
  const textOf = ({ field, message }: FieldError): string => `${field}: ${message}`;
  return errors.toSorted((left, right) => (textOf(left) < textOf(right) ? -1 : textOf(left) > textOf(right) ? 1 : 0));
}

const emptyType: Readonly<Record<Level, string>> = {
  root: "must not be empty at the root",
  item: "must not be empty for specified array items",
  field: "must not be empty for specified object fields",
};

function invariantErrors(schema: Schema, level: Level, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { type, items, properties, additionalProperties } = schema;
  const embedded = schema["x-kubernetes-embedded-resource"] === true;
  const preserves = schema["x-kubernetes-preserve-unknown-fields"] === true;
  const intOrText = schema["x-kubernetes-int-or-string"] === true;
  if (type === "array" && items === undefined) errors.push(fieldErrors.required(`${path}.items`, "must be specified"));
  if (items !== undefined) errors.push(...invariantErrors(items, "item", `${path}.items`));
  for (const [name, property] of Object.entries(properties ?? {})) {
    errors.push(...invariantErrors(property, "field", `${path}.properties[${name}]`));
  }
  if (additionalProperties !== undefined) {
    if (level === "root") {
      errors.push(fieldErrors.forbidden(`${path}.additionalProperties`, "must not be used at the root"));
    }
    const values = additionalOf(schema);
    if (values !== undefined) errors.push(...invariantErrors(values, "field", `${path}.additionalProperties`));
  }
  if (intOrText && preserves) {
    const problem = "must be false if x-kubernetes-int-or-string is true";
    errors.push(fieldErrors.invalid(`${path}.x-kubernetes-preserve-unknown-fields`, true, problem));
  }
  if (intOrText && embedded) {
    const problem = "must be false if x-kubernetes-int-or-string is true";
    errors.push(fieldErrors.invalid(`${path}.x-kubernetes-embedded-resource`, true, problem));
  }
  errors.push(...restrictionErrors(schema, isIntOrString(schema.anyOf), isIntOrString(schema.allOf?.[0]?.anyOf), path));
  if (embedded && type !== "object") {
    const problem = "must be object if x-kubernetes-embedded-resource is true";
    errors.push(
      type === undefined
        ? fieldErrors.required(`${path}.type`, problem)
        : fieldErrors.invalid(`${path}.type`, type, problem),
    );
  } else if (type === undefined && !intOrText && !preserves) {
    errors.push(fieldErrors.required(`${path}.type`, emptyType[level]));
  }
  if (embedded && additionalProperties !== undefined) {
    const problem = "must not be used if x-kubernetes-embedded-resource is set";
    errors.push(fieldErrors.forbidden(`${path}.additionalProperties`, problem));
  }
  if (level === "root" && type !== undefined && type !== "object") {
    errors.push(fieldErrors.invalid(`${path}.type`, type, "must be object at the root"));
  }
  errors.push(...metaErrors(schema, level, path));
  if (embedded && !preserves && Object.keys(properties ?? {}).length === 0) {
    const problem =
      "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
    errors.push(fieldErrors.required(`${path}.properties`, problem));
  }
  return errors;
}

function metaErrors(schema: Schema, level: Level, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const isResource = level === "root" || schema["x-kubernetes-embedded-resource"] === true;
  for (const name of ["kind", "apiVersion"]) {
    const property = propertyOf(schema, name);
    if (isResource && property !== undefined && property.type !== "string") {
      errors.push(fieldErrors.invalid(`${path}.properties[${name}].type`, property.type ?? "", "must be string"));
    }
  }
  const metadata = propertyOf(schema, "metadata");
  if (metadata === undefined) return errors;
  const metadataPath = `${path}.properties[metadata]`;
  if (isResource && metadata.type !== "object") {
    errors.push(fieldErrors.invalid(`${metadataPath}.type`, metadata.type ?? "", "must be object"));
  }
  if (level === "root") {
    const names = Object.keys(metadata.properties ?? {});
    const namesOnly = names.every((name) => name === "name" || name === "generateName");
    const { type: _, default: __, properties: ___, ...rest } = metadata;
    if (!namesOnly || Object.keys(rest).length > 0) {
      const problem =
        "must not specify anything other than name and generateName, but metadata is implicitly specified";
      errors.push(fieldErrors.forbidden(metadataPath, problem));
    }
  }
  return errors;
}

function restrictionErrors(
  schema: Schema,
  skipAnyOf: boolean,
  skipFirstAllOfAnyOf: boolean,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (!skipAnyOf) {
    for (const [index, option] of (schema.anyOf ?? []).entries()) {
      errors.push(...nestedErrors(option, false, `${path}.anyOf[${index}]`));
    }
  }
  for (const [index, part] of (schema.allOf ?? []).entries()) {
    errors.push(...nestedErrors(part, skipFirstAllOfAnyOf && index === 0, `${path}.allOf[${index}]`));
  }
  for (const [index, option] of (schema.oneOf ?? []).entries()) {
    errors.push(...nestedErrors(option, false, `${path}.oneOf[${index}]`));
  }
  if (schema.not !== undefined) errors.push(...nestedErrors(schema.not, false, `${path}.not`));
  if (schema.pattern !== undefined && schema.pattern !== "") {
    const compiled = compilePattern(schema.pattern);
    if (compiled instanceof Error) {
      const problem = `must be a valid regular expression, but isn't: ${compiled.message}`;
      errors.push(fieldErrors.invalid(`${path}.pattern`, schema.pattern, problem));
    }
  }
  return errors;
}

/** What a restriction must not say, with the words for it. */
const forbiddenNested = [
  ["default", "must be undefined to be structural"],
  ["title", "must be empty to be structural"],
  ["description", "must be empty to be structural"],
  ["nullable", "must be false to be structural"],
  ["x-kubernetes-preserve-unknown-fields", "must be false to be structural"],
  ["x-kubernetes-embedded-resource", "must be false to be structural"],
  ["x-kubernetes-int-or-string", "must be false to be structural"],
  ["x-kubernetes-list-map-keys", "must be empty to be structural"],
  ["x-kubernetes-list-type", "must be undefined to be structural"],
  ["x-kubernetes-map-type", "must be undefined to be structural"],
  ["x-kubernetes-validations", "must be empty to be structural"],
] as const satisfies readonly (readonly [keyof Schema, string])[];

function nestedErrors(schema: Schema, skipAnyOf: boolean, path: string): FieldError[] {
  const errors = restrictionErrors(schema, skipAnyOf, false, path);
  if (schema.items !== undefined) errors.push(...nestedErrors(schema.items, false, `${path}.items`));
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    errors.push(...nestedErrors(property, false, `${path}.properties[${name}]`));
  }
  if (schema.type !== undefined) errors.push(fieldErrors.forbidden(`${path}.type`, "must be empty to be structural"));
  if (schema.additionalProperties !== undefined) {
    errors.push(fieldErrors.forbidden(`${path}.additionalProperties`, "must be undefined to be structural"));
  }
  for (const [key, problem] of forbiddenNested) {
    const value = schema[key];
    const isEmpty =
      value === undefined || value === false || value === "" || (Array.isArray(value) && value.length === 0);
    if (!isEmpty) errors.push(fieldErrors.forbidden(`${path}.${key}`, problem));
  }
  if (propertyOf(schema, "metadata") !== undefined) {
    errors.push(fieldErrors.forbidden(`${path}.properties[metadata]`, "must not be specified in a nested context"));
  }
  return errors;
}

/** What restrictions name must be specified outside of them too (schema/complete.go). */
function completenessErrors(
  restriction: Schema,
  structural: Schema | undefined,
  path: string,
  restrictionPath: string,
): FieldError[] {
  const nested: (readonly [Schema, string])[] = [
    ...(restriction.not === undefined ? [] : [[restriction.not, "not"] as const]),
    ...(restriction.allOf ?? []).map((part, index) => [part, `allOf[${index}]`] as const),
    ...(restriction.anyOf ?? []).map((part, index) => [part, `anyOf[${index}]`] as const),
    ...(restriction.oneOf ?? []).map((part, index) => [part, `oneOf[${index}]`] as const),
  ];
  return nested.flatMap(([part, name]) => nestedCompleteness(part, structural, path, `${restrictionPath}.${name}`));
}

function nestedCompleteness(
  restriction: Schema,
  structural: Schema | undefined,
  path: string,
  restrictionPath: string,
): FieldError[] {
  if (structural === undefined) return [fieldErrors.required(path, `because it is defined in ${restrictionPath}`)];
  const errors = completenessErrors(restriction, structural, path, restrictionPath);
  if (restriction.items !== undefined) {
    errors.push(
      ...nestedCompleteness(restriction.items, structural.items, `${path}.items`, `${restrictionPath}.items`),
    );
  }
  for (const [name, property] of Object.entries(restriction.properties ?? {})) {
    const below = `${path}.properties[${name}]`;
    const restrictionBelow = `${restrictionPath}.properties[${name}]`;
    errors.push(...nestedCompleteness(property, propertyOf(structural, name), below, restrictionBelow));
  }
  return errors;
}

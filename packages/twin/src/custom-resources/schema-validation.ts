import { jsonEqual, type Json, type JSONSchemaProps } from "@fleetwright/kube";
import { compileSchemaRules } from "../cel/rules.ts";
import { copyJson, isDraft, type Draft } from "../machinery/draft.ts";
import type { Schema, ValidationRule } from "../machinery/schema.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { parseSimplePath } from "./json-path.ts";
import { pruneUnknownFields } from "./prune.ts";
import { additionalOf, propertyOf, structuralSchema } from "./structural-schema.ts";
import { structuralErrors } from "./structural-validation.ts";
import { valueErrors } from "./value-validation.ts";

const types: readonly string[] = ["array", "boolean", "integer", "number", "object", "string"];

/** Root fields that stay true when the status is validated alone. */
const rootFields: readonly string[] =
  "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations".split(
    " ",
  );

const goName = (key: string): string =>
  key.startsWith("x-kubernetes-")
    ? `X${key
        .slice("x-kubernetes-".length)
        .split("-")
        .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
        .join("")}`
    : key.charAt(0).toUpperCase() + key.slice(1);

interface Place {
  readonly path: string;
  readonly isRoot: boolean;
  readonly insideMeta: boolean;
  /** Why there may be no defaults. */
  readonly noDefaults: string | undefined;
}

/**
 * What is wrong with the schema of one version of a definition
 * (apiextensions-apiserver/pkg/apis/apiextensions/validation, validateCustomResourceDefinitionValidation).
 */
export function schemaErrors(props: JSONSchemaProps, path: string, hasStatus: boolean): FieldError[] {
  const schema = structuralSchema(props);
  const errors: FieldError[] = [];
  if (hasStatus) {
    if (schema.type !== "object" && schema.type !== undefined) {
      const problem =
        'only "object" is allowed as the type at the root of the schema if the status subresource is enabled';
      errors.push(fieldErrors.invalid(`${path}.type`, schema.type, problem));
    } else if (Object.keys(schema).some((key) => !rootFields.includes(goName(key)))) {
      const problem = `only [${rootFields.join(" ")}] fields are allowed at the root of the schema if the status subresource is enabled`;
      errors.push(fieldErrors.invalid(path, schema, problem));
    }
  }
  if (schema.nullable === true)
    errors.push(fieldErrors.forbidden(`${path}.nullable`, "nullable cannot be true at the root"));
  const structural = structuralErrors(schema, path);
  const defaults = structural.length > 0 ? [] : defaultErrors(schema, path);
  errors.push(...structural, ...defaults);
  errors.push(...nodeErrors(props, { path, isRoot: true, insideMeta: false, noDefaults: undefined }));
  if (errors.length === 0) {
    for (const error of compileSchemaRules(schema).errors) {
      errors.push({
        ...error,
        field: error.field === "" ? path : `${path}${error.field.startsWith(".") ? "" : "."}${error.field}`,
      });
    }
  }
  return errors;
}

/** Defaults must be valid and have no unknown fields (schema/defaulting/validation.go). */
function defaultErrors(root: Schema, rootPath: string): FieldError[] {
  const errors: FieldError[] = [];
  const walk = (schema: Schema, path: string, insideMeta: boolean): void => {
    const value = schema.default;
    if (value !== undefined && value !== null && !insideMeta) {
      if (isDraft(value)) {
        const pruned = copyJson(value) as Draft;
        const isResource = schema["x-kubernetes-embedded-resource"] === true;
        const holder: Draft = { value: pruned };
        if (isResource) pruneUnknownFields(pruned, schema);
        else pruneUnknownFields(holder, { properties: { value: schema } });
        if (!jsonEqual(pruned as Json, value as Json)) {
          errors.push(fieldErrors.invalid(`${path}.default`, value, "must not have unknown fields"));
        }
      }
      for (const error of valueErrors(value, schema)) {
        errors.push({ ...error, field: `${path}.default${error.field === "" ? "" : `.${error.field}`}` });
      }
    }
    if (schema.items !== undefined) walk(schema.items, `${path}.items`, insideMeta);
    const isResource = schema === root || schema["x-kubernetes-embedded-resource"] === true;
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      const isMeta = isResource && (name === "metadata" || name === "kind" || name === "apiVersion");
      walk(property, `${path}.properties[${name}]`, insideMeta || isMeta);
    }
  };
  walk(root, rootPath, false);
  return errors;
}

const unsupported = [
  "id",
  "additionalItems",
  "patternProperties",
  "definitions",
  "dependencies",
  "$ref",
] as const satisfies readonly (keyof JSONSchemaProps)[];

function nodeErrors(props: JSONSchemaProps, place: Place): FieldError[] {
  const { path, isRoot, insideMeta } = place;
  const schema = structuralSchema(props);
  const errors: FieldError[] = [];
  const type = props.type ?? "";
  if (type !== "" && type !== "null" && !types.includes(type)) {
    errors.push(fieldErrors.notSupported(`${path}.type`, type, types));
  }
  if (schema.default !== undefined && place.noDefaults !== undefined) {
    errors.push(fieldErrors.forbidden(`${path}.default`, `must not be set ${place.noDefaults}`));
  }
  for (const key of unsupported) {
    if (props[key] !== undefined) errors.push(fieldErrors.forbidden(`${path}.${key}`, `${key} is not supported`));
  }
  if (type === "null") {
    const problem = "type cannot be set to null, use nullable as an alternative";
    errors.push(fieldErrors.notSupported(`${path}.type`, type, types), fieldErrors.forbidden(`${path}.type`, problem));
  }
  if (Array.isArray(props.items)) {
    errors.push(fieldErrors.forbidden(`${path}.items`, "items must be a schema object and not an array"));
    return errors;
  }
  if (insideMeta && props["x-kubernetes-embedded-resource"] === true) {
    const problem = "must not be used inside of resource meta";
    errors.push(fieldErrors.forbidden(`${path}.x-kubernetes-embedded-resource`, problem));
  }
  if (props.uniqueItems === true) {
    const problem = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
    errors.push(fieldErrors.forbidden(`${path}.uniqueItems`, problem));
  }
  errors.push(...childErrors(schema, { ...place, isRoot: false }, isRoot));
  errors.push(...extensionErrors(schema, path), ...ruleTextErrors(schema, path));
  return errors;
}

function childErrors(schema: Schema, place: Place, isRoot: boolean): FieldError[] {
  const { path, insideMeta } = place;
  const errors: FieldError[] = [];
  const visit = (child: Schema, below: string, change: Partial<Place> = {}): void =>
    void errors.push(...nodeErrors(child as JSONSchemaProps, { ...place, ...change, path: `${path}.${below}` }));
  if (schema.additionalProperties !== undefined) {
    if (Object.keys(schema.properties ?? {}).length > 0 && schema.additionalProperties !== true) {
      const problem = "additionalProperties and properties are mutual exclusive";
      errors.push(fieldErrors.forbidden(`${path}.additionalProperties`, problem));
    }
    const values = additionalOf(schema);
    if (values !== undefined) {
      const noDefaults = insideMeta ? "inside additionalProperties applying to object metadata" : place.noDefaults;
      visit(values, "additionalProperties", { noDefaults });
    }
  }
  const isResource = isRoot || schema["x-kubernetes-embedded-resource"] === true;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const isMeta = isResource && (name === "metadata" || name === "kind" || name === "apiVersion");
    visit(property, `properties[${name}]`, {
      insideMeta: insideMeta || isMeta,
      noDefaults: isMeta && isRoot ? `in top-level ${name}` : place.noDefaults,
    });
  }
  if (schema.not !== undefined) visit(schema.not, "not");
  for (const key of ["allOf", "oneOf", "anyOf"] as const) {
    for (const [index, part] of (schema[key] ?? []).entries()) visit(part, `${key}[${index}]`);
  }
  if (schema.items !== undefined) visit(schema.items, "items");
  return errors;
}

function extensionErrors(schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const type = schema.type ?? "";
  const mapType: string | undefined = schema["x-kubernetes-map-type"];
  const listType: string | undefined = schema["x-kubernetes-list-type"];
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const wrongType = (wanted: string, key: string): FieldError => {
    const problem = `must be ${wanted} if ${key} is specified`;
    return type === ""
      ? fieldErrors.required(`${path}.type`, problem)
      : fieldErrors.invalid(`${path}.type`, type, problem);
  };
  if (schema["x-kubernetes-preserve-unknown-fields"] === false) {
    const field = `${path}.x-kubernetes-preserve-unknown-fields`;
    errors.push(fieldErrors.invalid(field, false, "must be true or undefined"));
  }
  if (mapType !== undefined && type !== "object") errors.push(wrongType("object", "x-kubernetes-map-type"));
  if (mapType !== undefined && mapType !== "atomic" && mapType !== "granular") {
    errors.push(fieldErrors.notSupported(`${path}.x-kubernetes-map-type`, mapType, ["atomic", "granular"]));
  }
  const { items } = schema;
  if (listType !== undefined && type !== "array") errors.push(wrongType("array", "x-kubernetes-list-type"));
  else if (listType === "set" && items !== undefined) {
    const problem = "must be atomic as item of a list with x-kubernetes-list-type=set";
    const itemListType = items["x-kubernetes-list-type"] ?? "atomic";
    if (items.type === "array" && itemListType !== "atomic") {
      errors.push(fieldErrors.invalid(`${path}.items.x-kubernetes-list-type`, itemListType, problem));
    }
    if (items.type === "object" && items["x-kubernetes-map-type"] !== "atomic") {
      const value = items["x-kubernetes-list-type"] ?? null;
      errors.push(fieldErrors.invalid(`${path}.items.x-kubernetes-map-type`, value, problem));
    }
  }
  if (listType !== undefined && !["atomic", "set", "map"].includes(listType)) {
    errors.push(fieldErrors.notSupported(`${path}.x-kubernetes-list-type`, listType, ["atomic", "set", "map"]));
  }
  if (keys.length > 0 && listType !== "map") {
    const problem = "must be map if x-kubernetes-list-map-keys is non-empty";
    errors.push(
      listType === undefined
        ? fieldErrors.required(`${path}.x-kubernetes-list-type`, problem)
        : fieldErrors.invalid(`${path}.x-kubernetes-list-type`, listType, problem),
    );
  }
  if (listType === "map") errors.push(...mapListErrors(schema, keys, path));
  if ((listType === "set" || listType === "map") && items?.nullable === true) {
    const problem = `cannot be nullable when x-kubernetes-list-type is ${listType}`;
    errors.push(fieldErrors.forbidden(`${path}.items.nullable`, problem));
  }
  return errors;
}

function mapListErrors({ items }: Schema, keys: readonly string[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (keys.length === 0) {
    const problem = "must not be empty if x-kubernetes-list-type is map";
    errors.push(fieldErrors.required(`${path}.x-kubernetes-list-map-keys`, problem));
  }
  if (items === undefined) {
    errors.push(fieldErrors.required(`${path}.items`, "must have a schema if x-kubernetes-list-type is map"));
    return errors;
  }
  if (items.type !== "object") {
    const problem = "must be object if parent array's x-kubernetes-list-type is map";
    errors.push(fieldErrors.invalid(`${path}.items.type`, items.type ?? "", problem));
    return errors;
  }
  const seen = new Set<string>();
  for (const key of keys) {
    const property = propertyOf(items, key);
    const keyPath = `${path}.items.properties[${key}]`;
    if (property === undefined) {
      const problem = "entries must all be names of item properties";
      errors.push(fieldErrors.invalid(`${path}.x-kubernetes-list-map-keys`, keys, problem));
    } else if (property.type === "array" || property.type === "object") {
      const problem = "must be a scalar type if parent array's x-kubernetes-list-type is map";
      errors.push(fieldErrors.invalid(`${keyPath}.type`, items.type, problem));
    }
    if (seen.has(key)) {
      const problem = "must not contain duplicate entries";
      errors.push(fieldErrors.invalid(`${path}.x-kubernetes-list-map-keys`, keys, problem));
    }
    seen.add(key);
    if (property === undefined) continue;
    const why = "this property is in x-kubernetes-list-map-keys, so it";
    if (items.required?.includes(key) !== true && property.default === undefined) {
      errors.push(fieldErrors.required(`${keyPath}.default`, `${why} must have a default or be a required property`));
    }
    if (property.nullable === true)
      errors.push(fieldErrors.forbidden(`${keyPath}.nullable`, `${why} cannot be nullable`));
  }
  return errors;
}

const reasons: readonly string[] = [
  "FieldValueDuplicate",
  "FieldValueForbidden",
  "FieldValueInvalid",
  "FieldValueRequired",
];

function ruleTextErrors(schema: Schema, path: string): FieldError[] {
  const rules = schema["x-kubernetes-validations"] ?? [];
  return rules.flatMap((rule, index) => ruleTexts(rule, schema, `${path}.x-kubernetes-validations[${index}]`));
}

const hasNewlines = (text: string): boolean => /[\n\r]/.test(text);

function ruleTexts(rule: ValidationRule, schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { message = "", messageExpression = "", fieldPath = "" } = rule;
  const ruleText = (rule.rule ?? "").trim();
  if (ruleText === "") errors.push(fieldErrors.required(`${path}.rule`, "rule is not specified"));
  else if (message !== "" && message.trim() === "") {
    errors.push(fieldErrors.invalid(`${path}.message`, message, "must be non-empty if specified"));
  } else if (hasNewlines(message.trim())) {
    errors.push(fieldErrors.invalid(`${path}.message`, message, "must not contain line breaks"));
  } else if (hasNewlines(ruleText) && message.trim() === "") {
    const problem = "message must be specified if rule contains line breaks";
    errors.push(fieldErrors.required(`${path}.message`, problem));
  }
  if (messageExpression !== "" && messageExpression.trim() === "") {
    const problem = "messageExpression must be non-empty if specified";
    errors.push(fieldErrors.required(`${path}.messageExpression`, problem));
  }
  if (rule.reason !== undefined && !reasons.includes(rule.reason)) {
    errors.push(fieldErrors.notSupported(`${path}.reason`, rule.reason, reasons));
  }
  if (fieldPath !== "") {
    if (fieldPath.trim() === "") {
      errors.push(fieldErrors.invalid(`${path}.fieldPath`, fieldPath, "must be non-empty if specified"));
    }
    if (hasNewlines(fieldPath)) {
      errors.push(fieldErrors.invalid(`${path}.fieldPath`, fieldPath, "must not contain line breaks"));
    }
    if (schemaAtPath(schema, fieldPath) === undefined) {
      errors.push(fieldErrors.invalid(`${path}.fieldPath`, fieldPath, "must be a valid path"));
    }
  }
  return errors;
}

/** The schema of the field at a simple path; undefined when the schema has none. */
export function schemaAtPath(schema: Schema, path: string): Schema | undefined {
  const steps = parseSimplePath(path);
  if (steps === undefined || steps.length === 0) return undefined;
  return steps.reduce<Schema | undefined>((at, step) => propertyOf(at, step) ?? additionalOf(at), schema);
}

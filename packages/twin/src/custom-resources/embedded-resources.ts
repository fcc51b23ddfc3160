import type { KubeObject } from "@fleetwright/kube";
import { dns1035LabelProblems, pathSegmentProblems } from "../kinds/name-checks.ts";
import { validateMetadata } from "../kinds/metadata.ts";
import { isDraft, typed, type Draft } from "../machinery/draft.ts";
import type { Schema } from "../machinery/schema.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { goStruct } from "../schema/go-types.ts";
import { DecodeFailure, decodeStruct } from "../schema/typed-value.ts";
import { additionalOf, propertyOf } from "./structural-schema.ts";

/** Whole objects within custom resources need a kind, and metadata as objects of the server have it (schema/objectmeta). */
export function embeddedResourceErrors(value: unknown, schema: Schema | undefined, path = ""): FieldError[] {
  if (schema === undefined) return [];
  if (Array.isArray(value)) {
    return (value as unknown[]).flatMap((item, index) =>
      embeddedResourceErrors(item, schema.items, `${path}[${index}]`),
    );
  }
  if (!isDraft(value)) return [];
  const errors = schema["x-kubernetes-embedded-resource"] === true ? resourceErrors(value, path) : [];
  const values = additionalOf(schema);
  for (const key of Object.keys(value)) {
    const property = propertyOf(schema, key);
    if (property !== undefined) {
      errors.push(...embeddedResourceErrors(value[key], property, path === "" ? key : `${path}.${key}`));
    } else if (values !== undefined) errors.push(...embeddedResourceErrors(value[key], values, `${path}[${key}]`));
  }
  return errors;
}

/**
 * Metadata of embedded resources as Go's type has it; answers the paths of what it does not know
 * (apiserver/schema/objectmeta/coerce.go). What is of a wrong type stays, for validation to refuse.
 */
export function coerceEmbeddedMetadata(value: unknown, schema: Schema | undefined, path = ""): string[] {
  if (schema === undefined) return [];
  if (Array.isArray(value)) {
    return (value as unknown[]).flatMap((item, index) =>
      coerceEmbeddedMetadata(item, schema.items, `${path}[${index}]`),
    );
  }
  if (!isDraft(value)) return [];
  const unknown: string[] = [];
  const at = (key: string): string => (path === "" ? key : `${path}.${key}`);
  const { metadata } = value;
  if (schema["x-kubernetes-embedded-resource"] === true && isDraft(metadata)) {
    const { object, findings } = coercedMetadata(metadata);
    if (findings.typeError === undefined) {
      value["metadata"] = object;
      unknown.push(...findings.unknown.map((field) => `${at("metadata")}.${field}`));
    }
  }
  const values = additionalOf(schema);
  for (const key of Object.keys(value)) {
    const property = propertyOf(schema, key) ?? values;
    if (property !== undefined) unknown.push(...coerceEmbeddedMetadata(value[key], property, at(key)));
  }
  return unknown;
}

function coercedMetadata(metadata: Draft): ReturnType<typeof decodeStruct> {
  const struct = goStruct("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
  const kept = { object: metadata, findings: { typeError: undefined, unknown: [] } };
  if (struct === undefined) return kept;
  try {
    return decodeStruct(struct, metadata, { strict: true, keepsEmpty: false });
  } catch (error) {
    if (error instanceof DecodeFailure) return kept;
    throw error;
  }
}

function resourceErrors(object: Draft, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { apiVersion, kind, metadata } = object;
  if (apiVersion === undefined) errors.push(fieldErrors.required(`${path}.apiVersion`));
  else if (typeof apiVersion !== "string") {
    errors.push(fieldErrors.invalid(`${path}.apiVersion`, apiVersion, "must be a string"));
  } else if (apiVersion === "") {
    errors.push(fieldErrors.invalid(`${path}.apiVersion`, apiVersion, "must not be empty"));
  } else if (apiVersion.split("/").length > 2) {
    const problem = `unexpected GroupVersion string: ${apiVersion}`;
    errors.push(fieldErrors.invalid(`${path}.apiVersion`, apiVersion, problem));
  }
  if (kind === undefined) errors.push(fieldErrors.required(`${path}.kind`));
  else if (typeof kind !== "string") errors.push(fieldErrors.invalid(`${path}.kind`, kind, "must be a string"));
  else if (kind === "") errors.push(fieldErrors.invalid(`${path}.kind`, kind, "must not be empty"));
  else {
    const problems = dns1035LabelProblems(kind.toLowerCase());
    if (problems.length > 0) {
      const text = `may have mixed case, but should otherwise match: ${problems.join(",")}`;
      errors.push(fieldErrors.invalid(`${path}.kind`, kind, text));
    }
  }
  if (isDraft(metadata)) errors.push(...metadataErrors(metadata, `${path}.metadata`));
  return errors;
}

function metadataErrors(metadata: Draft, path: string): FieldError[] {
  const name = typeof metadata["name"] === "string" && metadata["name"] !== "" ? metadata["name"] : "fakename";
  const namespaced = typeof metadata["namespace"] === "string" && metadata["namespace"] !== "";
  const object = typed<KubeObject>({ metadata: { ...metadata, name } });
  return validateMetadata(object, { namespaced, nameProblems: pathSegmentProblems, field: path });
}

import {
  jsonEqual,
  type CustomResourceDefinition,
  type CustomResourceDefinitionNames,
  type CustomResourceDefinitionVersion,
  type Json,
} from "@fleetwright/kube";
import { dns1035LabelProblems, dns1123SubdomainProblems } from "../kinds/name-checks.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { parseSimplePath } from "./json-path.ts";
import { schemaAtPath, schemaErrors } from "./schema-validation.ts";
import { structuralSchema } from "./structural-schema.ts";

/** What is wrong with a new definition (apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go). */
export function definitionErrors(definition: Readonly<CustomResourceDefinition>): FieldError[] {
  const { spec, metadata } = definition;
  const errors: FieldError[] = [];
  const { name = "" } = metadata;
  if (name !== "" && name !== `${spec.names.plural}.${spec.group}`) {
    errors.push(fieldErrors.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'));
  }
  errors.push(...specErrors(definition), ...definitionStatusErrors(definition), ...storedVersionErrors(definition));
  errors.push(...approvalErrors(definition, undefined));
  if (spec.preserveUnknownFields === true) errors.push(preserveForbidden);
  return errors;
}

const preserveForbidden = fieldErrors.invalid(
  "spec.preserveUnknownFields",
  true,
  "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
);

const immutable = (field: string, value: unknown, old: unknown): FieldError[] =>
  value === old ? [] : [fieldErrors.invalid(field, value, "field is immutable")];

/** What is wrong with a change of a definition: its names are fixed once they are established. */
export function definitionUpdateErrors(
  definition: Readonly<CustomResourceDefinition>,
  old: Readonly<CustomResourceDefinition>,
): FieldError[] {
  const { spec } = definition;
  const errors = specErrors(definition);
  const isEstablished = (old.status?.conditions ?? []).some(
    ({ type, status }) => type === "Established" && status === "True",
  );
  if (isEstablished) {
    errors.push(
      ...immutable("spec.scope", spec.scope, old.spec.scope),
      ...immutable("spec.names.kind", spec.names.kind, old.spec.names.kind),
    );
  }
  errors.push(
    ...immutable("spec.group", spec.group, old.spec.group),
    ...immutable("spec.names.plural", spec.names.plural, old.spec.names.plural),
    ...definitionStatusErrors(definition),
    ...storedVersionErrors(definition),
    ...approvalErrors(definition, old),
  );
  if (spec.preserveUnknownFields === true && old.spec.preserveUnknownFields !== true) errors.push(preserveForbidden);
  return errors;
}

/** What is wrong with a definition's status. */
export function definitionStatusErrors({ status }: Readonly<CustomResourceDefinition>): FieldError[] {
  return status?.acceptedNames === undefined ? [] : nameErrors(status.acceptedNames, "status.acceptedNames");
}

function specErrors({ spec }: Readonly<CustomResourceDefinition>): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.group === "") errors.push(fieldErrors.required("spec.group"));
  else {
    const problems = dns1123SubdomainProblems(spec.group);
    if (problems.length > 0) errors.push(fieldErrors.invalid("spec.group", spec.group, problems.join(",")));
    else if (!spec.group.includes(".")) {
      errors.push(fieldErrors.invalid("spec.group", spec.group, "should be a domain with at least one dot"));
    }
  }
  errors.push(...oneOf("spec.scope", spec.scope, ["Cluster", "Namespaced"]));
  for (const [index, { schema }] of spec.versions.entries()) {
    if (schema?.openAPIV3Schema === undefined) {
      errors.push(fieldErrors.required(`spec.versions[${index}].schema.openAPIV3Schema`));
    }
  }
  const shared = sharedParts(spec.versions);
  for (const [index, version] of spec.versions.entries()) {
    errors.push(...versionErrors(version, `spec.versions[${index}]`, (part) => !shared.has(part)));
  }
  if (new Set(spec.versions.map(({ name }) => name)).size !== spec.versions.length) {
    errors.push(fieldErrors.invalid("spec.versions", internalForm(spec.versions), "must contain unique version names"));
  }
  if (spec.versions.filter(({ storage }) => storage).length !== 1) {
    const problem = "must have exactly one version marked as storage version";
    errors.push(fieldErrors.invalid("spec.versions", internalForm(spec.versions), problem));
  }
  for (const key of ["plural", "singular", "kind", "listKind"] as const) {
    if ((spec.names[key] ?? "") === "") errors.push(fieldErrors.required(`spec.names.${key}`));
  }
  const [first] = spec.versions;
  const versionProblems = first === undefined ? [] : dns1035LabelProblems(first.name);
  if (first !== undefined && versionProblems.length > 0) {
    errors.push(fieldErrors.invalid("spec.version", first.name, versionProblems.join(",")));
  }
  errors.push(...nameErrors(spec.names, "spec.names"));
  if (first !== undefined) errors.push(...partErrors(first, "spec", (part) => shared.has(part)));
  errors.push(...conversionErrors(spec.conversion));
  return errors;
}

function oneOf(field: string, value: string, accepted: readonly string[]): FieldError[] {
  if (value === "") return [fieldErrors.required(field)];
  return accepted.includes(value) ? [] : [fieldErrors.notSupported(field, value, accepted)];
}

function nameErrors(names: CustomResourceDefinitionNames, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const check = (field: string, name: string, mixedCase: boolean): void => {
    const problems = name === "" ? [] : dns1035LabelProblems(mixedCase ? name.toLowerCase() : name);
    if (problems.length === 0) return;
    const prefix = mixedCase ? "may have mixed case, but should otherwise match: " : "";
    errors.push(fieldErrors.invalid(field, name, `${prefix}${problems.join(",")}`));
  };
  check(`${path}.plural`, names.plural, false);
  check(`${path}.singular`, names.singular ?? "", false);
  check(`${path}.kind`, names.kind, true);
  check(`${path}.listKind`, names.listKind ?? "", true);
  for (const [index, name] of (names.shortNames ?? []).entries()) check(`${path}.shortNames[${index}]`, name, false);
  if (names.kind !== "" && names.kind === names.listKind) {
    errors.push(fieldErrors.invalid(`${path}.listKind`, names.listKind, "kind and listKind may not be the same"));
  }
  for (const [index, name] of (names.categories ?? []).entries()) check(`${path}.categories[${index}]`, name, false);
  return errors;
}

function storedVersionErrors({ spec, status }: Readonly<CustomResourceDefinition>): FieldError[] {
  const stored = status?.storedVersions ?? [];
  const field = "status.storedVersions";
  if (stored.length === 0) {
    return [fieldErrors.invalid(field, status?.storedVersions ?? null, "must have at least one stored version")];
  }
  const errors: FieldError[] = [];
  for (const { name, storage } of spec.versions) {
    if (storage && !stored.includes(name)) {
      errors.push(fieldErrors.invalid(field, stored, `must have the storage version ${name}`));
    }
  }
  for (const [index, name] of stored.entries()) {
    if (spec.versions.some((version) => version.name === name)) continue;
    const problem = `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`;
    errors.push(fieldErrors.invalid(`${field}[${index}]`, name, problem));
  }
  return errors;
}

const mostSelectableFields = 8;

const versionParts = ["schema", "subresources", "additionalPrinterColumns", "selectableFields"] as const;
type VersionPart = (typeof versionParts)[number];

/** Upstream's internal form has what all versions have in common once, at the top, and reports it there. */
function sharedParts(versions: readonly CustomResourceDefinitionVersion[]): ReadonlySet<VersionPart> {
  const [first, ...rest] = versions;
  const same = (part: VersionPart): boolean =>
    first?.[part] !== undefined &&
    rest.every((version) => jsonEqual((version[part] ?? null) as Json, (first[part] ?? null) as Json));
  return new Set(versionParts.filter(same));
}

/** Versions as upstream's internal type writes them, which has no names for JSON. */
function internalForm(versions: readonly CustomResourceDefinitionVersion[]): readonly object[] {
  const shared = sharedParts(versions);
  return versions.map((version) => {
    const part = (name: VersionPart): unknown => (shared.has(name) ? null : (version[name] ?? null));
    return {
      Name: version.name,
      Served: version.served,
      Storage: version.storage,
      Deprecated: version.deprecated ?? false,
      DeprecationWarning: version.deprecationWarning ?? null,
      Schema: part("schema"),
      Subresources: part("subresources"),
      AdditionalPrinterColumns: part("additionalPrinterColumns"),
      SelectableFields: part("selectableFields"),
    };
  });
}

function partErrors(
  version: CustomResourceDefinitionVersion,
  path: string,
  has: (part: VersionPart) => boolean,
): FieldError[] {
  const errors: FieldError[] = [];
  const props = version.schema?.openAPIV3Schema;
  if (has("schema") && props !== undefined) {
    const hasStatus = version.subresources?.status !== undefined;
    const parent = path === "spec" ? "spec.validation" : `${path}.schema`;
    errors.push(...schemaErrors(props, `${parent}.openAPIV3Schema`, hasStatus));
  }
  if (has("subresources")) errors.push(...subresourceErrors(version, path));
  if (has("additionalPrinterColumns")) errors.push(...columnErrors(version, path));
  if (has("selectableFields")) errors.push(...selectableErrors(version, path));
  return errors;
}

function versionErrors(
  version: CustomResourceDefinitionVersion,
  path: string,
  has: (part: VersionPart) => boolean,
): FieldError[] {
  const errors: FieldError[] = [];
  const nameProblems = dns1035LabelProblems(version.name);
  if (nameProblems.length > 0) errors.push(fieldErrors.invalid(`${path}.name`, version.name, nameProblems.join(",")));
  for (const problem of deprecationProblems(version)) {
    errors.push(fieldErrors.invalid(`${path}.deprecationWarning`, version.deprecationWarning, problem));
  }
  errors.push(...partErrors(version, path, has));
  return errors;
}

function deprecationProblems({ deprecated, deprecationWarning }: CustomResourceDefinitionVersion): string[] {
  if (deprecationWarning === undefined) return [];
  if (deprecated !== true) return ["can only be set for deprecated versions"];
  const problems: string[] = [];
  if (Buffer.byteLength(deprecationWarning) > 256) problems.push("must be <= 256 characters long");
  if (deprecationWarning === "") problems.push("must not be an empty string");
  const index = deprecationWarning.search(/[^\P{C}]|(?! )\p{Z}/u);
  if (index >= 0) {
    const at = Buffer.byteLength(deprecationWarning.slice(0, index));
    problems.push(`must only contain printable UTF-8 characters; non-printable character found at index ${at}`);
  }
  return problems;
}

function pathErrors(path: string, field: string): FieldError[] {
  return path.startsWith(".") ? [] : [fieldErrors.invalid(field, path, "must be a simple json path starting with .")];
}

function subresourceErrors({ subresources }: CustomResourceDefinitionVersion, path: string): FieldError[] {
  const scale = subresources?.scale;
  if (scale === undefined) return [];
  const errors: FieldError[] = [];
  const check = (key: "specReplicasPath" | "statusReplicasPath", parent: string): void => {
    const field = `${path}.subresources.scale.${key}`;
    const value = scale[key];
    if (value === "") errors.push(fieldErrors.required(field));
    else if (!value.startsWith(".")) errors.push(...pathErrors(value, field));
    else if (!value.startsWith(`.${parent}.`)) {
      errors.push(fieldErrors.invalid(field, value, `should be a json path under .${parent}`));
    }
  };
  check("specReplicasPath", "spec");
  check("statusReplicasPath", "status");
  const selector = scale.labelSelectorPath;
  if (selector !== undefined && selector !== "") {
    const field = `${path}.subresources.scale.labelSelectorPath`;
    if (!selector.startsWith(".")) errors.push(...pathErrors(selector, field));
    else if (!selector.startsWith(".spec.") && !selector.startsWith(".status.")) {
      errors.push(fieldErrors.invalid(field, selector, "should be a json path under either .spec or .status"));
    }
  }
  return errors;
}

const columnTypes: readonly string[] = ["boolean", "date", "integer", "number", "string"];
const columnFormats: readonly string[] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

function columnErrors({ additionalPrinterColumns = [] }: CustomResourceDefinitionVersion, path: string): FieldError[] {
  return additionalPrinterColumns.flatMap(({ name, type, format = "", jsonPath }, index) => {
    const field = `${path}.additionalPrinterColumns[${index}]`;
    const errors: FieldError[] = [];
    const types = `must be one of ${columnTypes.join(",")}`;
    if (name === "") errors.push(fieldErrors.required(`${field}.name`));
    if (type === "") errors.push(fieldErrors.required(`${field}.type`, types));
    else if (!columnTypes.includes(type)) errors.push(fieldErrors.invalid(`${field}.type`, type, types));
    if (format !== "" && !columnFormats.includes(format)) {
      errors.push(fieldErrors.invalid(`${field}.format`, format, `must be one of ${columnFormats.join(",")}`));
    }
    if (jsonPath === "") errors.push(fieldErrors.required(`${field}.JSONPath`));
    else errors.push(...pathErrors(jsonPath, `${field}.JSONPath`));
    return errors;
  });
}

function selectableErrors(
  { selectableFields = [], schema }: CustomResourceDefinitionVersion,
  path: string,
): FieldError[] {
  const field = `${path}.selectableFields`;
  const props = schema?.openAPIV3Schema;
  if (selectableFields.length === 0) return [];
  if (props === undefined) {
    return [fieldErrors.invalid(field, "", "may only be set when `version.schema.openAPIV3Schema` is not included")];
  }
  const root = structuralSchema(props);
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [index, { jsonPath }] of selectableFields.entries()) {
    const at = `${field}[${index}].jsonPath`;
    if (jsonPath === "") {
      errors.push(fieldErrors.required(at));
      continue;
    }
    const found = schemaAtPath(root, jsonPath);
    if (found === undefined) {
      const problem = "is an invalid path: does not refer to a valid field";
      errors.push(fieldErrors.invalid(at, jsonPath, problem));
      continue;
    }
    if (parseSimplePath(jsonPath)?.[0] === "metadata") {
      errors.push(fieldErrors.invalid(at, jsonPath, "must not point to fields in metadata"));
    }
    if (!["string", "boolean", "integer"].includes(found.type ?? "")) {
      const problem =
        "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
      errors.push(fieldErrors.invalid(at, jsonPath, problem));
    }
    if (seen.has(jsonPath)) errors.push(fieldErrors.duplicate(at, jsonPath));
    seen.add(jsonPath);
  }
  if (seen.size > mostSelectableFields) errors.push(fieldErrors.tooMany(field, seen.size, mostSelectableFields));
  return errors;
}

function conversionErrors(conversion: CustomResourceDefinition["spec"]["conversion"]): FieldError[] {
  if (conversion === undefined) return [];
  const path = "spec.conversion";
  const errors = oneOf(`${path}.strategy`, conversion.strategy, ["None", "Webhook"]);
  const { webhook } = conversion;
  if (conversion.strategy !== "Webhook") {
    if (webhook?.clientConfig !== undefined) {
      const problem = "should not be set when strategy is not set to Webhook";
      errors.push(fieldErrors.forbidden(`${path}.webhookClientConfig`, problem));
    }
    if ((webhook?.conversionReviewVersions ?? []).length > 0) {
      const problem = "should not be set when strategy is not set to Webhook";
      errors.push(fieldErrors.forbidden(`${path}.conversionReviewVersions`, problem));
    }
    return errors;
  }
  const config = webhook?.clientConfig;
  const field = `${path}.webhookClientConfig`;
  if (config === undefined) errors.push(fieldErrors.required(field, "required when strategy is set to Webhook"));
  else if ((config.url === undefined) === (config.service === undefined)) {
    errors.push(fieldErrors.required(field, "exactly one of url or service is required"));
  } else if (config.url !== undefined && !config.url.startsWith("https://")) {
    const problem = `'https' is the only allowed URL scheme; desired format: https://host[/path]`;
    errors.push(fieldErrors.invalid(`${field}.url`, config.url, problem));
  }
  const versions = webhook?.conversionReviewVersions ?? [];
  if (versions.length === 0) errors.push(fieldErrors.required(`${path}.conversionReviewVersions`));
  else if (!versions.some((version) => version === "v1" || version === "v1beta1")) {
    const problem = "must include at least one of v1, v1beta1";
    errors.push(fieldErrors.invalid(`${path}.conversionReviewVersions`, versions, problem));
  }
  return errors;
}

const approvalAnnotation = "api-approved.kubernetes.io";

const isProtectedGroup = (group: string): boolean =>
  group === "k8s.io" || group.endsWith(".k8s.io") || group === "kubernetes.io" || group.endsWith(".kubernetes.io");

/** Groups of the community need a review of their API (KEP-1111). */
function approvalErrors(
  definition: Readonly<CustomResourceDefinition>,
  old: Readonly<CustomResourceDefinition> | undefined,
): FieldError[] {
  if (!isProtectedGroup(definition.spec.group)) return [];
  const approval = definition.metadata.annotations?.[approvalAnnotation] ?? "";
  if (old !== undefined && (old.metadata.annotations?.[approvalAnnotation] ?? "") === approval) return [];
  const field = `metadata.annotations[${approvalAnnotation}]`;
  const link = "see https://github.com/kubernetes/enhancements/pull/1111";
  if (approval === "") {
    const problem = `protected groups must have approval annotation ${JSON.stringify(approvalAnnotation)}, ${link}`;
    return [fieldErrors.required(field, problem)];
  }
  if (approval.startsWith("unapproved") || URL.canParse(approval)) return [];
  const problem = `protected groups must have approval annotation ${JSON.stringify(approvalAnnotation)} with either a URL or a reason starting with "unapproved", ${link}`;
  return [fieldErrors.invalid(field, approval, problem)];
}

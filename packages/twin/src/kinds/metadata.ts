import {
  labelKeyProblems,
  labelValueProblems,
  type KubeObject,
  type ObjectMeta,
  type OwnerReference,
} from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { labelName, subdomainName, type NameProblems } from "./name-checks.ts";

export interface MetadataRules {
  readonly namespaced: boolean;
  /** @default a DNS-1123 subdomain */
  readonly nameProblems?: NameProblems;
  /** @default "metadata" */
  readonly field?: string;
  /** Custom resources may have finalizers without a domain. @default false */
  readonly custom?: boolean;
}

const maxAnnotationBytes = 256 * 1024;
const maxFieldManagerBytes = 128;
const maxSubresourceBytes = 256;
/** pkg/apis/core/helper: finalizers that need no domain. */
const standardFinalizers: ReadonlySet<string> = new Set(["kubernetes", "orphan", "foregroundDeletion"]);

/**
 * What is wrong with an object's metadata at its creation, after its name was generated
 * (k8s.io/apimachinery/pkg/api/validation/objectmeta.go and, for finalizers, pkg/apis/core/validation).
 *
 * @example
 * validateMetadata(namespace, { namespaced: false, nameProblems: labelName })
 */
export function validateMetadata(object: KubeObject, rules: MetadataRules): FieldError[] {
  const { field = "metadata", nameProblems = subdomainName } = rules;
  const { name = "", generateName = "", namespace = "", generation = 0 } = object.metadata;
  const errors: FieldError[] = [];
  if (generateName !== "") {
    for (const problem of nameProblems(generateName, true)) {
      errors.push(fieldErrors.invalid(`${field}.generateName`, generateName, problem));
    }
  }
  if (name === "") errors.push(fieldErrors.required(`${field}.name`, "name or generateName is required"));
  else {
    for (const problem of nameProblems(name, false)) {
      errors.push(fieldErrors.invalid(`${field}.name`, name, problem));
    }
  }
  if (rules.namespaced) {
    if (namespace === "") errors.push(fieldErrors.required(`${field}.namespace`));
    else {
      for (const problem of labelName(namespace, false)) {
        errors.push(fieldErrors.invalid(`${field}.namespace`, namespace, problem));
      }
    }
  } else if (namespace !== "") errors.push(fieldErrors.forbidden(`${field}.namespace`, "not allowed on this type"));
  if (generation < 0) {
    errors.push(fieldErrors.invalid(`${field}.generation`, generation, "must be greater than or equal to 0"));
  }
  errors.push(
    ...labelErrors(object, field),
    ...annotationErrors(object.metadata.annotations, `${field}.annotations`),
    ...ownerErrors(object, field),
    ...finalizerErrors(object.metadata.finalizers ?? [], `${field}.finalizers`),
    ...managedFieldsErrors(object, field),
  );
  if (!rules.custom) errors.push(...unqualifiedFinalizers(object, field));
  return errors;
}

/** What an update may not do to metadata: the same source's `ValidateObjectMetaUpdate`. */
export function validateMetadataUpdate(
  object: KubeObject,
  old: KubeObject,
  rules: Pick<MetadataRules, "field" | "custom"> = {},
): FieldError[] {
  const { field = "metadata" } = rules;
  const { metadata } = object;
  const before = old.metadata;
  const errors: FieldError[] = [];
  if (before.deletionTimestamp !== undefined) {
    const had = new Set(before.finalizers);
    const added = [...new Set(metadata.finalizers)].filter((finalizer) => !had.has(finalizer)).toSorted();
    if (added.length > 0) {
      errors.push(
        fieldErrors.forbidden(
          `${field}.finalizers`,
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added
            .map((finalizer) => JSON.stringify(finalizer))
            .join(", ")}}`,
        ),
      );
    }
  }
  if ((metadata.resourceVersion ?? "") === "") {
    errors.push(fieldErrors.invalid(`${field}.resourceVersion`, "", "must be specified for an update"));
  }
  if ((metadata.generation ?? 0) < (before.generation ?? 0)) {
    errors.push(fieldErrors.invalid(`${field}.generation`, metadata.generation ?? 0, "must not be decremented"));
  }
  const keep = (name: string, now: unknown, then: unknown): void => {
    if (now !== then) errors.push(fieldErrors.invalid(`${field}.${name}`, now, "field is immutable"));
  };
  keep("name", metadata.name ?? "", before.name ?? "");
  keep("namespace", metadata.namespace ?? "", before.namespace ?? "");
  keep("uid", metadata.uid ?? "", before.uid ?? "");
  keep("creationTimestamp", metadata.creationTimestamp ?? null, before.creationTimestamp ?? null);
  keep("deletionTimestamp", metadata.deletionTimestamp ?? null, before.deletionTimestamp ?? null);
  keep(
    "deletionGracePeriodSeconds",
    metadata.deletionGracePeriodSeconds ?? null,
    before.deletionGracePeriodSeconds ?? null,
  );
  errors.push(
    ...labelErrors(object, field),
    ...annotationErrors(metadata.annotations, `${field}.annotations`),
    ...ownerErrors(object, field),
    ...managedFieldsErrors(object, field),
  );
  if (!rules.custom) errors.push(...unqualifiedFinalizers(object, field));
  return errors;
}

/** `ValidateAnnotations`: also of pod templates. */
export function annotationErrors(
  annotations: Readonly<Record<string, string>> | undefined,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    for (const problem of labelKeyProblems(key.toLowerCase())) errors.push(fieldErrors.invalid(field, key, problem));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > maxAnnotationBytes) errors.push(fieldErrors.tooLong(field, maxAnnotationBytes));
  return errors;
}

function labelErrors(object: KubeObject, field: string): FieldError[] {
  return Object.entries(object.metadata.labels ?? {}).flatMap(([key, value]) => [
    ...labelKeyProblems(key).map((problem) => fieldErrors.invalid(`${field}.labels`, key, problem)),
    ...labelValueProblems(value).map((problem) => fieldErrors.invalid(`${field}.labels`, value, problem)),
  ]);
}

function ownerErrors(object: KubeObject, parent: string): FieldError[] {
  const field = `${parent}.ownerReferences`;
  const references = object.metadata.ownerReferences ?? [];
  const errors: FieldError[] = [];
  let controller = "";
  for (const reference of references) {
    const { apiVersion = "", kind = "", name = "", uid = "" } = reference as Partial<OwnerReference>;
    const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
    const version = apiVersion.slice(apiVersion.indexOf("/") + 1);
    if (version === "") {
      errors.push(fieldErrors.invalid(`${field}.apiVersion`, apiVersion, "version must not be empty"));
    }
    for (const [part, value] of Object.entries({ kind, name, uid })) {
      if (value === "") errors.push(fieldErrors.invalid(`${field}.${part}`, value, "must not be empty"));
    }
    if (group === "" && version === "v1" && kind === "Event") {
      errors.push(fieldErrors.invalid(field, inOrder(reference), "/v1, Kind=Event is disallowed from being an owner"));
    }
    if (reference.controller !== true) continue;
    const current = `${kind}/${name}`;
    if (controller === "") controller = current;
    else {
      errors.push(
        fieldErrors.invalid(
          field,
          references.map(inOrder),
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${current}`,
        ),
      );
    }
  }
  return errors;
}

/** As Go writes the struct. */
function inOrder(reference: OwnerReference): object {
  const { apiVersion = "", kind = "", name = "", uid = "" } = reference as Partial<OwnerReference>;
  const { controller, blockOwnerDeletion } = reference;
  return { apiVersion, kind, name, uid, controller, blockOwnerDeletion };
}

function finalizerErrors(finalizers: readonly string[], field: string): FieldError[] {
  const errors = finalizers.flatMap((finalizer) =>
    labelKeyProblems(finalizer).map((problem) => fieldErrors.invalid(field, finalizer, problem)),
  );
  if (finalizers.includes("orphan") && finalizers.includes("foregroundDeletion")) {
    errors.push(fieldErrors.invalid(field, finalizers, "finalizer orphan and foregroundDeletion cannot be both set"));
  }
  return errors;
}

function unqualifiedFinalizers(object: KubeObject, field: string): FieldError[] {
  return (object.metadata.finalizers ?? []).flatMap((finalizer, index) =>
    finalizer.includes("/") || standardFinalizers.has(finalizer)
      ? []
      : [
          fieldErrors.invalid(
            `${field}.finalizers[${index}]`,
            finalizer,
            "name is neither a standard finalizer name nor is it fully qualified",
          ),
        ],
  );
}

function managedFieldsErrors(object: KubeObject, parent: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, entry] of (object.metadata.managedFields ?? []).entries()) {
    const field = `${parent}.managedFields[${index}]`;
    const {
      operation = "",
      fieldsType = "",
      manager = "",
      subresource = "",
    } = entry as {
      readonly operation?: string;
      readonly fieldsType?: string;
      readonly manager?: string;
      readonly subresource?: string;
    };
    if (operation !== "Apply" && operation !== "Update") {
      errors.push(fieldErrors.invalid(`${field}.operation`, operation, "must be `Apply` or `Update`"));
    }
    if (fieldsType !== "" && fieldsType !== "FieldsV1") {
      errors.push(fieldErrors.invalid(`${field}.fieldsType`, fieldsType, "must be `FieldsV1`"));
    }
    errors.push(...fieldManagerErrors(manager, `${field}.manager`));
    if (Buffer.byteLength(subresource) > maxSubresourceBytes) {
      errors.push(fieldErrors.tooLong(`${field}.subresource`, maxSubresourceBytes));
    }
  }
  return errors;
}

/** Managers are few, and every write names some. */
const goodManagers = new Set<string>();

/** `ValidateFieldManager`. */
function fieldManagerErrors(manager: string, field: string): FieldError[] {
  if (goodManagers.has(manager)) return [];
  const errors: FieldError[] = [];
  if (Buffer.byteLength(manager) > maxFieldManagerBytes) errors.push(fieldErrors.tooLong(field, maxFieldManagerBytes));
  let position = 0;
  for (const character of manager) {
    if (!/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(character)) {
      const code = `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
      errors.push(fieldErrors.invalid(field, manager, `invalid character ${code} (at position ${position})`));
    }
    position += Buffer.byteLength(character);
  }
  if (errors.length === 0 && goodManagers.size < 1000) goodManagers.add(manager);
  return errors;
}

const keptByStatus = ["labels", "annotations", "finalizers", "ownerReferences"] as const;

/** `ResetObjectMetaForStatus`: for kinds whose `/status` may not change metadata. */
export function keepMetadata(metadata: Mutable<ObjectMeta>, old: ObjectMeta): void {
  for (const field of keptByStatus) {
    if (old[field] === undefined) delete metadata[field];
    else Object.assign(metadata, { [field]: old[field] });
  }
}

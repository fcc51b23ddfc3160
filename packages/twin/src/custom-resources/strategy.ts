import type { CustomResourceDefinitionVersion, KubeObject } from "@fleetwright/kube";
import { compileSchemaRules } from "../cel/rules.ts";
import { copyJson, isDraft, untyped, type Draft } from "../machinery/draft.ts";
import type { Strategy } from "../machinery/kind.ts";
import type { RequestContext } from "../machinery/request.ts";
import type { Schema } from "../machinery/schema.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { applyDefaults, pruneForbiddenNulls } from "./defaulting.ts";
import { coerceEmbeddedMetadata, embeddedResourceErrors } from "./embedded-resources.ts";
import { parseSimplePath, valueAtPath } from "./json-path.ts";
import { listUniquenessErrors } from "./list-uniqueness.ts";
import { pruneUnknownFields } from "./prune.ts";
import { scaleErrors } from "./scale.ts";
import { propertyOf } from "./structural-schema.ts";
import { changedValueErrors, valueErrors } from "./value-validation.ts";

const blocking: ReadonlySet<FieldError["type"]> = new Set([
  "FieldValueNotSupported",
  "FieldValueRequired",
  "FieldValueTooLong",
  "FieldValueTooMany",
  "FieldValueTypeInvalid",
]);

/** Rules see only objects whose types are right. */
const rulesSkipped = fieldErrors.invalid(
  "<nil>",
  null,
  "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
);

/** A field that selectors may name, with its steps. */
interface Selectable {
  readonly name: string;
  readonly steps: readonly string[];
}

/** How custom resources of one version behave (apiextensions-apiserver/pkg/registry/customresource/strategy.go). */
export function customResourceStrategy(version: CustomResourceDefinitionVersion, schema: Schema): Strategy {
  const hasStatus = version.subresources?.status !== undefined;
  const scale = version.subresources?.scale;
  const rules = compileSchemaRules(schema);
  const statusSchema = propertyOf(schema, "status");
  const selectable: readonly Selectable[] = (version.selectableFields ?? []).map(({ jsonPath }) => ({
    name: jsonPath.replace(/^\./, ""),
    steps: parseSimplePath(jsonPath) ?? [],
  }));

  function ruleErrors(
    object: Draft,
    old: Draft | undefined,
    errors: readonly FieldError[],
    context: RequestContext,
  ): readonly FieldError[] {
    if (!rules.hasRules) return [];
    if (errors.some(({ type }) => blocking.has(type))) return [rulesSkipped];
    return rules.validate(object, old, "", (text) => context.warn(text));
  }

  const uniquenessErrors = (object: Draft, old: Draft | undefined): FieldError[] => {
    const errors = listUniquenessErrors(object, schema);
    return errors.length > 0 && old !== undefined && listUniquenessErrors(old, schema).length > 0 ? [] : errors;
  };

  function validate(value: Readonly<KubeObject>, context: RequestContext): readonly FieldError[] {
    const object = untyped(value);
    const errors = [
      ...valueErrors(object, schema),
      ...scaleErrors(object, scale, "all"),
      ...embeddedResourceErrors(object, schema),
      ...uniquenessErrors(object, undefined),
    ];
    return [...errors, ...ruleErrors(object, undefined, errors, context)];
  }

  function validateUpdate(
    value: Readonly<KubeObject>,
    oldValue: Readonly<KubeObject>,
    context: RequestContext,
  ): readonly FieldError[] {
    const object = untyped(value);
    const old = untyped(oldValue);
    const errors = [
      ...changedValueErrors(object, old, schema),
      ...scaleErrors(object, scale, "all"),
      ...embeddedResourceErrors(object, schema),
      ...uniquenessErrors(object, old),
    ];
    return [...errors, ...ruleErrors(object, old, errors, context)];
  }

  function validateStatusUpdate(
    value: Readonly<KubeObject>,
    oldValue: Readonly<KubeObject>,
    context: RequestContext,
  ): readonly FieldError[] {
    const object = untyped(value);
    const old = untyped(oldValue);
    const errors = [
      ...(object["status"] === undefined || statusSchema === undefined
        ? []
        : changedValueErrors(object["status"], old["status"], statusSchema, "status")),
      ...scaleErrors(object, scale, "status"),
      ...uniquenessErrors(object, old),
    ];
    return [...errors, ...ruleErrors(object, old, errors, context)];
  }

  return {
    hasGeneration: true,
    hasStatus,
    allowUnconditionalUpdate: false,
    defaults(value) {
      const object = untyped(value);
      pruneForbiddenNulls(object, schema);
      applyDefaults(object, schema);
      pruneUnknownFields(object, schema);
      coerceEmbeddedMetadata(object, schema);
    },
    prepareForStatusUpdate(value, oldValue) {
      // Nothing but the status is taken from an update of it, and who wrote it.
      const metadata = untyped(copyJson(oldValue.metadata));
      delete metadata["managedFields"];
      const { managedFields } = untyped(value.metadata);
      if (managedFields !== undefined) metadata["managedFields"] = managedFields;
      untyped(value)["metadata"] = metadata;
    },
    validate,
    validateUpdate,
    validateStatusUpdate,
    beforeStore(value) {
      // What is read from storage has its defaults, also for the status that was dropped at creation
      // (apiextensions-apiserver/pkg/apiserver/customresource_handler.go, unstructuredDefaulter).
      const object = untyped(value);
      if (hasStatus && object["status"] === undefined) applyDefaults(object, schema);
    },
    warnings: finalizerWarnings,
    selectableFields: selectable.map(({ name }) => name),
    fieldValue(object, field) {
      const steps = selectable.find(({ name }) => name === field)?.steps;
      const value = steps === undefined ? undefined : valueAtPath(untyped(object), steps);
      return value === undefined || value === null || isDraft(value) || Array.isArray(value) ? "" : String(value);
    },
  };
}

const standardFinalizers: ReadonlySet<string> = new Set(["orphan", "foregroundDeletion", "kubernetes"]);

function finalizerWarnings(object: Readonly<KubeObject>, old: Readonly<KubeObject> | undefined): readonly string[] {
  const before = new Set(old?.metadata.finalizers ?? []);
  const added = (object.metadata.finalizers ?? []).filter((finalizer) => !before.has(finalizer));
  return added.toSorted().flatMap((finalizer) => {
    if (finalizer.includes("/") || standardFinalizers.has(finalizer)) return [];
    const path = finalizer.includes(".") ? " including a path (/)" : "";
    return [
      `metadata.finalizers: ${JSON.stringify(finalizer)}: prefer a domain-qualified finalizer name${path} to avoid accidental conflicts with other finalizer writers`,
    ];
  });
}

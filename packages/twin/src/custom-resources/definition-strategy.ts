import {
  jsonEqual,
  type CustomResourceDefinition,
  type CustomResourceDefinitionSpec,
  type CustomResourceDefinitionStatus,
  type Json,
} from "@fleetwright/kube";
import { isDraft, type Mutable } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import type { Schema } from "../machinery/schema.ts";
import { definitionErrors, definitionStatusErrors, definitionUpdateErrors } from "./definition-validation.ts";
import { isKnownFormat } from "./formats.ts";
import { structuralSchema } from "./structural-schema.ts";

type Definition = Mutable<CustomResourceDefinition>;

const cleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

/** The version that is stored now belongs to those of which objects may be stored. */
function recordStorageVersion(definition: Definition): void {
  const stored = definition.spec.versions.find(({ storage }) => storage)?.name;
  if (stored === undefined) return;
  const status: Mutable<CustomResourceDefinitionStatus> = (definition.status ??= {});
  const versions = (status.storedVersions ??= []);
  if (!versions.includes(stored)) versions.push(stored);
}

/** What Go writes of a status that has been given to nobody: conditions that are null. */
const asNew = (): Mutable<CustomResourceDefinitionStatus> =>
  JSON.parse('{"conditions":null,"acceptedNames":{"plural":"","kind":""}}') as Mutable<CustomResourceDefinitionStatus>;

function setDefaults({ spec }: Definition): void {
  const { names } = spec;
  if (names.singular === undefined || names.singular === "") names.singular = names.kind.toLowerCase();
  if ((names.listKind === undefined || names.listKind === "") && names.kind !== "") {
    names.listKind = `${names.kind}List`;
  }
  spec.conversion ??= { strategy: "None" };
  const clientConfig = spec.conversion.webhook?.clientConfig;
  const service: unknown = clientConfig?.service;
  if (isDraft(service)) service["port"] ??= 443;
}

/** Formats that say nothing to this server. */
function unknownFormats(spec: CustomResourceDefinitionSpec): string[] {
  const formats: string[] = [];
  const walk = (schema: Schema): void => {
    const { format, type } = schema;
    if (format !== undefined && format !== "" && !isKnownFormat(type, format)) formats.push(format);
    const nested = [
      schema.items,
      ...(schema.allOf ?? []),
      ...(schema.anyOf ?? []),
      ...(schema.oneOf ?? []),
      schema.not,
      ...Object.values(schema.properties ?? {}),
      typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined,
    ];
    for (const child of nested) if (child !== undefined) walk(child);
  };
  for (const { schema } of spec.versions) walk(structuralSchema(schema?.openAPIV3Schema));
  return formats;
}

/** CustomResourceDefinition (apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go, apis/apiextensions/v1/defaults.go). */
export const customResourceDefinitionStrategy = defineStrategy<CustomResourceDefinition>({
  hasGeneration: true,
  hasStatus: true,
  allowUnconditionalUpdate: false,
  defaults: setDefaults,
  prepareForCreate(definition) {
    definition.status = asNew();
    recordStorageVersion(definition);
  },
  prepareForUpdate: recordStorageVersion,
  validate: definitionErrors,
  validateUpdate: definitionUpdateErrors,
  validateStatusUpdate: (definition) => definitionStatusErrors(definition),
  // A definition goes after its objects: the first DELETE only marks it, and the finalizer holds it from then on.
  isHeld: ({ metadata }) => metadata.deletionTimestamp === undefined,
  markDeleting(definition) {
    const finalizers = (definition.metadata.finalizers ??= []);
    if (!finalizers.includes(cleanupFinalizer)) finalizers.push(cleanupFinalizer);
  },
  warnings(definition, old) {
    const before = new Set(old === undefined ? [] : unknownFormats(old.spec));
    if (old !== undefined && jsonEqual(old.spec as unknown as Json, definition.spec as unknown as Json)) return [];
    return unknownFormats(definition.spec)
      .filter((format) => !before.has(format))
      .map((format) => `unrecognized format ${JSON.stringify(format)}`);
  },
});

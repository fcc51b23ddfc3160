import {
  jsonEqual,
  type CustomResourceDefinition,
  type CustomResourceDefinitionStatus,
  type Json,
} from "@fleetwright/kube";
import { structuralSchema } from "./structural-schema.ts";
import { structuralErrors } from "./structural-validation.ts";

type Status = CustomResourceDefinitionStatus;
type Condition = NonNullable<Status["conditions"]>[number];
type Names = NonNullable<Status["acceptedNames"]>;

/** `apiextensionshelpers.SetCRDCondition`: the time moves with the status only. */
function withCondition(conditions: readonly Condition[], condition: Condition, now: string): readonly Condition[] {
  const index = conditions.findIndex(({ type }) => type === condition.type);
  const old = conditions[index];
  const lastTransitionTime =
    old !== undefined && old.status === condition.status ? (old.lastTransitionTime ?? now) : now;
  const { type, status, reason, message } = condition;
  const next: Condition = { lastTransitionTime, message: message ?? "", reason: reason ?? "", status, type };
  return index < 0 ? [...conditions, next] : conditions.with(index, next);
}

/** What a name would clash with: accepted names of the group's other definitions. */
function usedNames(definition: CustomResourceDefinition, others: readonly CustomResourceDefinition[]) {
  const resources = new Set<string>();
  const kinds = new Set<string>();
  for (const { spec, status } of others) {
    const accepted = status?.acceptedNames;
    if (spec.group !== definition.spec.group || accepted === undefined) continue;
    for (const name of [accepted.plural, accepted.singular, ...(accepted.shortNames ?? [])]) {
      if (name !== undefined && name !== "") resources.add(name);
    }
    for (const name of [accepted.kind, accepted.listKind]) if (name !== undefined && name !== "") kinds.add(name);
  }
  return { resources, kinds };
}

interface Naming {
  readonly names: Names;
  readonly accepted: Condition;
}

/** `calculateNamesAndConditions` of upstream's naming controller. */
function acceptNames(definition: CustomResourceDefinition, others: readonly CustomResourceDefinition[]): Naming {
  const { resources, kinds } = usedNames(definition, others);
  const asked = definition.spec.names;
  const had = definition.status?.acceptedNames;
  let names: Names = { plural: had?.plural ?? "", kind: had?.kind ?? "", ...had };
  let refused: Condition | undefined;
  const refuse = (reason: string, message: string): void => {
    refused = { type: "NamesAccepted", status: "False", reason, message };
  };
  const inUse = (name: string): string => `${JSON.stringify(name)} is already in use`;
  const take = (key: "plural" | "singular" | "kind" | "listKind", used: ReadonlySet<string>, reason: string): void => {
    const name = asked[key] ?? "";
    if (name !== (had?.[key] ?? "") && used.has(name)) refuse(reason, inUse(name));
    else names = { ...names, [key]: name };
  };
  take("plural", resources, "PluralConflict");
  take("singular", resources, "SingularConflict");
  const own = new Set(had?.shortNames ?? []);
  const clashes = (asked.shortNames ?? []).filter((name) => !own.has(name) && resources.has(name));
  if (clashes.length > 0) {
    const texts = clashes.map(inUse);
    refuse("ShortNamesConflict", texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`);
  } else if (asked.shortNames !== undefined) names = { ...names, shortNames: asked.shortNames };
  else {
    const { shortNames: _, ...rest } = names;
    names = rest;
  }
  take("kind", kinds, "KindConflict");
  take("listKind", kinds, "ListKindConflict");
  const { categories: _, ...rest } = names;
  names = asked.categories === undefined ? rest : { ...rest, categories: asked.categories };
  return {
    names,
    accepted: refused ?? {
      type: "NamesAccepted",
      status: "True",
      reason: "NoConflicts",
      message: "no conflicts found",
    },
  };
}

/** Definitions from before structural schemas were required have what is wrong with theirs as a condition. */
function violations(definition: CustomResourceDefinition): Condition | undefined {
  if (definition.spec.preserveUnknownFields === true) {
    return {
      type: "NonStructuralSchema",
      status: "True",
      reason: "Violations",
      message: "spec.preserveUnknownFields: Invalid value: true: must be false",
    };
  }
  const errors = definition.spec.versions.flatMap(({ schema }, index) =>
    schema?.openAPIV3Schema === undefined
      ? []
      : structuralErrors(structuralSchema(schema.openAPIV3Schema), `spec.versions[${index}].schema.openAPIV3Schema`),
  );
  if (errors.length === 0) return undefined;
  const texts = errors.map(({ field, message }) => `${field}: ${message}`);
  const message = texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`;
  return { type: "NonStructuralSchema", status: "True", reason: "Violations", message };
}

/**
 * The status that a definition should have beside the others: accepted names, and the conditions NamesAccepted,
 * Established, NonStructuralSchema and Terminating of upstream's controllers in one step. Undefined when it has it already.
 * @param nowMs for transition times
 */
export function reconcileDefinition(
  definition: CustomResourceDefinition,
  others: readonly CustomResourceDefinition[],
  nowMs: number,
): CustomResourceDefinitionStatus | undefined {
  const now = `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
  const old = definition.status;
  const { names, accepted } = acceptNames(definition, others);
  let conditions: readonly Condition[] = old?.conditions ?? [];
  conditions = withCondition(conditions, accepted, now);
  const established = conditions.find(({ type }) => type === "Established");
  if (established?.status !== "True") {
    conditions = withCondition(
      conditions,
      accepted.status === "True"
        ? {
            type: "Established",
            status: "True",
            reason: "InitialNamesAccepted",
            message: "the initial names have been accepted",
          }
        : { type: "Established", status: "False", reason: "NotAccepted", message: "not all names are accepted" },
      now,
    );
  }
  const violation = violations(definition);
  if (violation !== undefined) conditions = withCondition(conditions, violation, now);
  else conditions = conditions.filter(({ type }) => type !== "NonStructuralSchema");
  if (definition.metadata.deletionTimestamp !== undefined && !conditions.some(({ type }) => type === "Terminating")) {
    conditions = withCondition(
      conditions,
      {
        type: "Terminating",
        status: "True",
        reason: "InstanceDeletionInProgress",
        message: "CustomResource deletion is in progress",
      },
      now,
    );
  }
  const stored = definition.spec.versions.find(({ storage }) => storage)?.name;
  const storedVersions = old?.storedVersions ?? [];
  const status: CustomResourceDefinitionStatus = {
    ...old,
    conditions,
    acceptedNames: names,
    storedVersions:
      stored === undefined || storedVersions.includes(stored) ? storedVersions : [...storedVersions, stored],
  };
  return jsonEqual(status as unknown as Json, (old ?? {}) as unknown as Json) ? undefined : status;
}

import {
  jsonEqual,
  type Json,
  type PersistentVolumeClaim,
  type PodTemplateSpec,
  type StatefulSet,
  type Volume,
} from "@fleetwright/kube";
import { copyJson, type Mutable } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { labelName } from "./name-checks.ts";
import { defaultPodTemplate } from "./pod-defaults.ts";
import { dropDisabledFields } from "./pod-dropped-fields.ts";
import { podTemplateErrors } from "./pod-validation.ts";
import { templateWarnings } from "./pod-warnings.ts";
import { dnsLabelErrors, labelsErrors, nonNegativeErrors } from "./value-checks.ts";
import {
  alwaysRunningErrors,
  amountOf,
  collisionErrors,
  intOrPercentErrors,
  labelsValue,
  replicaStatusErrors,
  requiredSelectorErrors,
  selectorMatch,
  strategyValue,
  whenChanged,
} from "./workload-checks.ts";

type Spec = NonNullable<StatefulSet["spec"]>;

function updateStrategyErrors(strategy: Spec["updateStrategy"]): FieldError[] {
  const field = "spec.updateStrategy";
  const type = strategy?.type ?? "";
  const rolling = strategy?.rollingUpdate;
  if (type === "") return [fieldErrors.required(field)];
  if (type === "OnDelete") {
    return rolling === undefined
      ? []
      : [
          fieldErrors.invalid(
            `${field}.rollingUpdate`,
            { Partition: rolling.partition ?? 0, MaxUnavailable: rolling.maxUnavailable ?? null },
            "only allowed for updateStrategy 'RollingUpdate'",
          ),
        ];
  }
  if (type !== "RollingUpdate")
    return [fieldErrors.invalid(field, strategyValue(strategy), "must be 'RollingUpdate' or 'OnDelete'")];
  if (rolling === undefined) return [];
  const errors = nonNegativeErrors(`${field}.rollingUpdate.partition`, rolling.partition ?? 0);
  if (rolling.maxUnavailable !== undefined) {
    const at = `${field}.rollingUpdate.maxUnavailable`;
    const problems = intOrPercentErrors(at, rolling.maxUnavailable);
    if (amountOf(rolling.maxUnavailable) === 0) {
      problems.push(fieldErrors.invalid(at, rolling.maxUnavailable, "cannot be 0"));
    }
    errors.push(...problems);
  }
  return errors;
}

function retentionErrors(policy: Spec["persistentVolumeClaimRetentionPolicy"]): FieldError[] {
  return (["whenDeleted", "whenScaled"] as const).flatMap((when) => {
    const value = policy?.[when] ?? "";
    return value === "Retain" || value === "Delete"
      ? []
      : [fieldErrors.notSupported(`spec.persistentVolumeClaimRetentionPolicy.${when}`, value, ["Retain", "Delete"])];
  });
}

const accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/** The parts of `ValidatePersistentVolumeClaimSpec` that say what a claim cannot do without. */
function claimErrors(claim: PersistentVolumeClaim, field: string): FieldError[] {
  const modes = claim.spec?.accessModes ?? [];
  const errors: FieldError[] = [];
  if (modes.length === 0) {
    errors.push(fieldErrors.required(`${field}.accessModes`, "at least 1 access mode is required"));
  }
  for (const mode of modes) {
    if (!accessModes.includes(mode)) errors.push(fieldErrors.notSupported(`${field}.accessModes`, mode, accessModes));
  }
  if (modes.includes("ReadWriteOncePod") && modes.length > 1) {
    errors.push(fieldErrors.forbidden(`${field}.accessModes`, "may not use ReadWriteOncePod with other access modes"));
  }
  if (claim.spec?.resources?.requests?.["storage"] === undefined) {
    errors.push(fieldErrors.required(`${field}.resources[storage]`));
  }
  return errors;
}

/** The template as the controller will use it: hostnames are its own, claims of the set are volumes. */
function effectiveTemplate(spec: Spec): PodTemplateSpec {
  const template: Mutable<PodTemplateSpec> = copyJson(spec.template) as Mutable<PodTemplateSpec>;
  if (!template.spec) return template;
  delete template.spec.subdomain;
  delete template.spec.hostname;
  const claims = (spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata?.name ?? "");
  if (claims.length > 0) {
    const others = (template.spec.volumes ?? []).filter(({ name }) => !claims.includes(name));
    const own = [...new Set(claims)].map((name): Mutable<Volume> => ({
      name,
      persistentVolumeClaim: { claimName: name },
    }));
    template.spec.volumes = [...own, ...others];
  }
  return template;
}

function statefulSetErrors(
  statefulSet: StatefulSet,
  skip: { readonly claims?: boolean; readonly serviceName?: boolean; readonly template?: boolean } = {},
): FieldError[] {
  const { spec } = statefulSet;
  if (spec === undefined) return [];
  const errors: FieldError[] = [];
  const policy = spec.podManagementPolicy ?? "";
  if (policy === "") errors.push(fieldErrors.required("spec.podManagementPolicy"));
  else if (policy !== "OrderedReady" && policy !== "Parallel") {
    errors.push(fieldErrors.invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"));
  }
  errors.push(
    ...updateStrategyErrors(spec.updateStrategy),
    ...retentionErrors(spec.persistentVolumeClaimRetentionPolicy),
  );
  if (skip.claims !== true) {
    for (const [index, claim] of (spec.volumeClaimTemplates ?? []).entries()) {
      errors.push(...claimErrors(claim, `spec.volumeClaimTemplates[${index}].spec`));
    }
  }
  errors.push(
    ...nonNegativeErrors("spec.replicas", spec.replicas ?? 0),
    ...nonNegativeErrors("spec.minReadySeconds", spec.minReadySeconds ?? 0),
    ...nonNegativeErrors("spec.ordinals.start", spec.ordinals?.start ?? 0),
  );
  if (skip.serviceName !== true && spec.serviceName) {
    errors.push(...dnsLabelErrors("spec.serviceName", spec.serviceName));
  }
  errors.push(...requiredSelectorErrors("spec.selector", spec.selector, "statefulset"));
  const match = selectorMatch(spec.selector, spec.template?.metadata?.labels);
  if (match === "malformed") errors.push(fieldErrors.invalid("spec.selector", spec.selector));
  else {
    if (match === "misses") {
      errors.push(
        fieldErrors.invalid(
          "spec.template.metadata.labels",
          labelsValue(spec.template?.metadata?.labels),
          "`selector` does not match template `labels`",
        ),
      );
    }
    if (skip.template !== true) errors.push(...podTemplateErrors(effectiveTemplate(spec), "spec.template"));
    errors.push(...labelsErrors(spec.template?.metadata?.labels, "spec.template.labels"));
  }
  return [...errors, ...alwaysRunningErrors(spec.template, "spec.template", "StatefulSet")];
}

const mayChange = [
  "replicas",
  "template",
  "updateStrategy",
  "minReadySeconds",
  "ordinals",
  "revisionHistoryLimit",
  "persistentVolumeClaimRetentionPolicy",
] as const;

function fixedPart(spec: Spec | undefined): Json {
  const fixed = new Map<string, unknown>(Object.entries(spec ?? {}));
  for (const field of mayChange) fixed.delete(field);
  return Object.fromEntries(fixed) as Json;
}

/** MaxUnavailableStatefulSet is off by default. */
function dropFields(statefulSet: Mutable<StatefulSet>, old: Readonly<StatefulSet> | undefined): void {
  dropDisabledFields(statefulSet.spec?.template.spec, old?.spec?.template.spec);
  const rolling = statefulSet.spec?.updateStrategy?.rollingUpdate;
  if (rolling && old?.spec?.updateStrategy?.rollingUpdate?.maxUnavailable === undefined) delete rolling.maxUnavailable;
}

const statusNames = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];

/** pkg/registry/apps/statefulset. */
export const statefulSetStrategy = defineStrategy<StatefulSet>({
  hasGeneration: true,
  hasStatus: true,
  nameProblems: labelName,
  defaults(statefulSet) {
    statefulSet.spec ??= { selector: {}, template: { metadata: {} } };
    const { spec } = statefulSet;
    spec.template ??= { metadata: {} };
    defaultPodTemplate(spec.template);
    spec.podManagementPolicy ||= "OrderedReady";
    const strategy = (spec.updateStrategy ??= {});
    if (!strategy.type) {
      strategy.type = "RollingUpdate";
      strategy.rollingUpdate ??= {};
    }
    if (strategy.type === "RollingUpdate" && strategy.rollingUpdate) strategy.rollingUpdate.partition ??= 0;
    const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {});
    retention.whenDeleted ||= "Retain";
    retention.whenScaled ||= "Retain";
    spec.replicas ??= 1;
    spec.revisionHistoryLimit ??= 10;
    for (const claim of spec.volumeClaimTemplates ?? []) {
      claim.kind = "PersistentVolumeClaim";
      claim.apiVersion = "v1";
      claim.metadata ??= {};
      claim.spec ??= {};
      claim.spec.volumeMode ??= "Filesystem";
      claim.spec.resources ??= {};
      claim.status ??= {};
      claim.status.phase ||= "Pending";
    }
    const status = (statefulSet.status ??= { replicas: 0 });
    status.replicas ??= 0;
    status.availableReplicas ??= 0;
  },
  prepareForCreate(statefulSet) {
    statefulSet.status = { replicas: 0, availableReplicas: 0 };
    dropFields(statefulSet, undefined);
  },
  prepareForUpdate: dropFields,
  validate: (statefulSet) => statefulSetErrors(statefulSet),
  validateUpdate(statefulSet, old) {
    const tolerant = { claims: true, serviceName: true };
    const template = statefulSetErrors(old, tolerant).length > 0;
    const errors = statefulSetErrors(statefulSet, { ...tolerant, template });
    if (!jsonEqual(fixedPart(statefulSet.spec), fixedPart(old.spec))) {
      errors.push(
        fieldErrors.forbidden(
          "spec",
          "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ),
      );
    }
    return errors;
  },
  validateStatusUpdate: ({ status }, old) => [
    ...replicaStatusErrors({ ...status }, statusNames, "status.readyReplicas"),
    ...collisionErrors(status?.collisionCount, old.status?.collisionCount),
  ],
  warnings(statefulSet, old) {
    const warnings = whenChanged(statefulSet.spec, old?.spec, () =>
      templateWarnings(statefulSet.spec?.template, old?.spec?.template, "spec.template"),
    );
    if ((statefulSet.spec?.revisionHistoryLimit ?? 0) < 0) {
      warnings.push(
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended",
      );
    }
    return warnings;
  },
});

import {
  jsonEqual,
  type ControllerRevision,
  type DaemonSet,
  type Deployment,
  type Json,
  type ReplicaSet,
} from "@fleetwright/kube";
import { isDraft } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { defaultPodTemplate } from "./pod-defaults.ts";
import { dropDisabledFields } from "./pod-dropped-fields.ts";
import { podTemplateErrors } from "./pod-validation.ts";
import { templateWarnings } from "./pod-warnings.ts";
import { immutableErrors, labelSelectorErrors, nonNegativeErrors } from "./value-checks.ts";
import {
  alwaysRunningErrors,
  amountOf,
  collisionErrors,
  countersErrors,
  intOrPercentErrors,
  labelsValue,
  longRunningTemplateErrors,
  replicaStatusErrors,
  requiredSelectorErrors,
  selectorMatch,
  strategyValue,
  whenChanged,
} from "./workload-checks.ts";

/** Objects that Go's decoder always has are there, if only empty. */
const emptyTemplate = { metadata: {}, spec: { containers: [] } };

const sameJson = (a: unknown, b: unknown): boolean => jsonEqual((a ?? null) as Json, (b ?? null) as Json);

const deploymentStatusNames = ["updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"];

function deploymentStrategyErrors(strategy: NonNullable<Deployment["spec"]>["strategy"]): FieldError[] {
  const type = strategy?.type ?? "";
  const rolling = strategy?.rollingUpdate;
  const field = "spec.strategy";
  if (type === "Recreate") {
    return rolling === undefined
      ? []
      : [fieldErrors.forbidden(`${field}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'")];
  }
  if (type !== "RollingUpdate")
    return [fieldErrors.notSupported(field, strategyValue(strategy), ["Recreate", "RollingUpdate"])];
  const errors = [
    ...intOrPercentErrors(`${field}.rollingUpdate.maxUnavailable`, rolling?.maxUnavailable).filter(
      ({ message }) => !message.endsWith("than 100%"),
    ),
    ...intOrPercentErrors(`${field}.rollingUpdate.maxSurge`, rolling?.maxSurge).filter(
      // A surge may be more than everything.
      ({ message }) => !message.endsWith("than 100%"),
    ),
  ];
  if (amountOf(rolling?.maxUnavailable) === 0 && amountOf(rolling?.maxSurge) === 0) {
    errors.push(
      fieldErrors.invalid(
        `${field}.rollingUpdate.maxUnavailable`,
        rolling?.maxUnavailable,
        "may not be 0 when `maxSurge` is 0",
      ),
    );
  }
  return [
    ...errors,
    ...intOrPercentErrors(`${field}.rollingUpdate.maxUnavailable`, rolling?.maxUnavailable).filter(({ message }) =>
      message.endsWith("than 100%"),
    ),
  ];
}

/** What ReplicaSets and Deployments check alike: selector and template. */
function selectedTemplateErrors(spec: NonNullable<ReplicaSet["spec"] | Deployment["spec"]>): FieldError[] {
  const errors = requiredSelectorErrors("spec.selector", spec.selector, "deployment");
  if (selectorMatch(spec.selector, spec.template?.metadata?.labels) === "malformed") {
    errors.push(fieldErrors.invalid("spec.selector", spec.selector, "invalid label selector"));
    return errors;
  }
  return [
    ...errors,
    ...longRunningTemplateErrors(spec.template ?? emptyTemplate, spec.selector, "spec.template", "ReplicaSet"),
  ];
}

function deploymentErrors(deployment: Deployment): FieldError[] {
  const { spec } = deployment;
  if (spec === undefined) return [];
  const errors = [
    ...nonNegativeErrors("spec.replicas", spec.replicas ?? 0),
    ...selectedTemplateErrors(spec),
    ...deploymentStrategyErrors(spec.strategy),
    ...countersErrors("spec", {
      minReadySeconds: spec.minReadySeconds,
      revisionHistoryLimit: spec.revisionHistoryLimit,
      progressDeadlineSeconds: spec.progressDeadlineSeconds,
    }),
  ];
  const deadline = spec.progressDeadlineSeconds;
  if (deadline !== undefined && deadline <= (spec.minReadySeconds ?? 0)) {
    errors.push(fieldErrors.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"));
  }
  return errors;
}

/** pkg/registry/apps/deployment. */
export const deploymentStrategy = defineStrategy<Deployment>({
  countsAnnotations: true,
  hasGeneration: true,
  hasStatus: true,
  defaults(deployment) {
    deployment.spec ??= { selector: {}, template: { metadata: {} } };
    const { spec } = deployment;
    spec.template ??= { metadata: {} };
    defaultPodTemplate(spec.template);
    spec.replicas ??= 1;
    const strategy = (spec.strategy ??= {});
    strategy.type ||= "RollingUpdate";
    if (strategy.type === "RollingUpdate") {
      const rolling = (strategy.rollingUpdate ??= {});
      rolling.maxUnavailable ??= "25%";
      rolling.maxSurge ??= "25%";
    }
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    deployment.status ??= {};
  },
  prepareForCreate(deployment) {
    deployment.status = {};
    dropDisabledFields(deployment.spec?.template.spec, undefined);
  },
  prepareForUpdate(deployment, old) {
    dropDisabledFields(deployment.spec?.template.spec, old.spec?.template.spec);
  },
  validate: deploymentErrors,
  validateUpdate: (deployment, old) => [
    ...deploymentErrors(deployment),
    ...immutableErrors("spec.selector", deployment.spec?.selector, old.spec?.selector),
  ],
  validateStatusUpdate: (deployment, old) => [
    ...replicaStatusErrors({ ...deployment.status }, deploymentStatusNames),
    ...collisionErrors(deployment.status?.collisionCount, old.status?.collisionCount),
  ],
  warnings: (deployment, old) =>
    whenChanged(deployment.spec, old?.spec, () =>
      templateWarnings(deployment.spec?.template, old?.spec?.template, "spec.template"),
    ),
});

const replicaSetStatusNames = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];

const replicaSetErrors = (replicaSet: ReplicaSet): FieldError[] =>
  replicaSet.spec === undefined
    ? []
    : [
        ...nonNegativeErrors("spec.replicas", replicaSet.spec.replicas ?? 0),
        ...nonNegativeErrors("spec.minReadySeconds", replicaSet.spec.minReadySeconds ?? 0),
        ...selectedTemplateErrors(replicaSet.spec),
      ];

/** pkg/registry/apps/replicaset. */
export const replicaSetStrategy = defineStrategy<ReplicaSet>({
  hasGeneration: true,
  hasStatus: true,
  defaults(replicaSet) {
    replicaSet.spec ??= { selector: {} };
    const template = (replicaSet.spec.template ??= { metadata: {} });
    defaultPodTemplate(template);
    replicaSet.spec.replicas ??= 1;
    replicaSet.status ??= { replicas: 0 };
    replicaSet.status.replicas ??= 0;
  },
  prepareForCreate(replicaSet) {
    replicaSet.status = { replicas: 0 };
    dropDisabledFields(replicaSet.spec?.template?.spec, undefined);
  },
  prepareForUpdate(replicaSet, old) {
    dropDisabledFields(replicaSet.spec?.template?.spec, old.spec?.template?.spec);
  },
  validate: replicaSetErrors,
  validateUpdate: (replicaSet, old) => [
    ...replicaSetErrors(replicaSet),
    ...immutableErrors("spec.selector", replicaSet.spec?.selector, old.spec?.selector),
  ],
  validateStatusUpdate: (replicaSet) => replicaStatusErrors({ ...replicaSet.status }, replicaSetStatusNames),
  warnings: (replicaSet, old) =>
    whenChanged(replicaSet.spec, old?.spec, () =>
      templateWarnings(replicaSet.spec?.template, old?.spec?.template, "spec.template"),
    ),
});

function daemonUpdateErrors(strategy: NonNullable<DaemonSet["spec"]>["updateStrategy"]): FieldError[] {
  const field = "spec.updateStrategy";
  const type = strategy?.type ?? "";
  if (type === "OnDelete") return [];
  if (type !== "RollingUpdate")
    return [fieldErrors.notSupported(field, strategyValue(strategy), ["RollingUpdate", "OnDelete"])];
  const rolling = strategy?.rollingUpdate;
  if (rolling === undefined) return [fieldErrors.required(`${field}.rollingUpdate`)];
  const errors = [
    ...intOrPercentErrors(`${field}.rollingUpdate.maxUnavailable`, rolling.maxUnavailable),
    ...intOrPercentErrors(`${field}.rollingUpdate.maxSurge`, rolling.maxSurge),
  ];
  const unavailable = amountOf(rolling.maxUnavailable) !== 0;
  const surge = amountOf(rolling.maxSurge) !== 0;
  if (unavailable && surge) {
    errors.push(
      fieldErrors.invalid(
        `${field}.rollingUpdate.maxSurge`,
        rolling.maxSurge,
        "may not be set when maxUnavailable is non-zero",
      ),
    );
  } else if (!unavailable && !surge) {
    errors.push(fieldErrors.required(`${field}.rollingUpdate.maxUnavailable`, "cannot be 0 when maxSurge is 0"));
  }
  return errors;
}

function daemonSetErrors(daemonSet: DaemonSet): FieldError[] {
  const { spec } = daemonSet;
  if (spec === undefined) return [];
  const errors = labelSelectorErrors("spec.selector", spec.selector);
  const template = spec.template ?? emptyTemplate;
  if (selectorMatch(spec.selector, template.metadata?.labels) === "misses") {
    errors.push(
      fieldErrors.invalid(
        "spec.template.metadata.labels",
        labelsValue(template.metadata?.labels),
        "`selector` does not match template `labels`",
      ),
    );
  }
  if (selectorMatch(spec.selector, undefined) === "empty") {
    errors.push(fieldErrors.invalid("spec.selector", spec.selector, "empty selector is invalid for daemonset"));
  }
  errors.push(
    ...podTemplateErrors(template, "spec.template"),
    ...alwaysRunningErrors(template, "spec.template", "DaemonSet"),
    ...nonNegativeErrors("spec.minReadySeconds", spec.minReadySeconds ?? 0),
    ...daemonUpdateErrors(spec.updateStrategy),
    ...nonNegativeErrors("spec.revisionHistoryLimit", spec.revisionHistoryLimit ?? 0),
  );
  return errors;
}

const templateGeneration = "deprecated.daemonset.template.generation";

/** pkg/registry/apps/daemonset. The generation of the template lives in an annotation since apps/v1. */
export const daemonSetStrategy = defineStrategy<DaemonSet>({
  hasGeneration: true,
  hasStatus: true,
  defaults(daemonSet) {
    daemonSet.spec ??= { selector: {}, template: { metadata: {} } };
    const { spec } = daemonSet;
    spec.template ??= { metadata: {} };
    defaultPodTemplate(spec.template);
    const strategy = (spec.updateStrategy ??= {});
    strategy.type ||= "RollingUpdate";
    if (strategy.type === "RollingUpdate") {
      const rolling = (strategy.rollingUpdate ??= {});
      rolling.maxUnavailable ??= 1;
      rolling.maxSurge ??= 0;
    }
    spec.revisionHistoryLimit ??= 10;
    const status = (daemonSet.status ??= {
      currentNumberScheduled: 0,
      numberMisscheduled: 0,
      desiredNumberScheduled: 0,
      numberReady: 0,
    });
    status.currentNumberScheduled ??= 0;
    status.numberMisscheduled ??= 0;
    status.desiredNumberScheduled ??= 0;
    status.numberReady ??= 0;
  },
  prepareForCreate(daemonSet) {
    daemonSet.status = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 };
    dropDisabledFields(daemonSet.spec?.template.spec, undefined);
    const asked = Number(daemonSet.metadata.annotations?.[templateGeneration] ?? "0");
    daemonSet.metadata.annotations = {
      ...daemonSet.metadata.annotations,
      [templateGeneration]: String(asked >= 1 ? asked : 1),
    };
  },
  prepareForUpdate(daemonSet, old) {
    dropDisabledFields(daemonSet.spec?.template.spec, old.spec?.template.spec);
    const before = Number(old.metadata.annotations?.[templateGeneration] ?? "1");
    const same = sameJson(daemonSet.spec?.template, old.spec?.template);
    daemonSet.metadata.annotations = {
      ...daemonSet.metadata.annotations,
      [templateGeneration]: String(same ? before : before + 1),
    };
  },
  validate: daemonSetErrors,
  validateUpdate: (daemonSet, old) => [
    ...immutableErrors("spec.selector", daemonSet.spec?.selector, old.spec?.selector),
    ...daemonSetErrors(daemonSet),
  ],
  validateStatusUpdate: ({ status }, old) => [
    ...countersErrors("status", {
      currentNumberScheduled: status?.currentNumberScheduled,
      numberMisscheduled: status?.numberMisscheduled,
      desiredNumberScheduled: status?.desiredNumberScheduled,
      numberReady: status?.numberReady,
      observedGeneration: status?.observedGeneration,
      updatedNumberScheduled: status?.updatedNumberScheduled,
      numberAvailable: status?.numberAvailable,
      numberUnavailable: status?.numberUnavailable,
      collisionCount: status?.collisionCount,
    }),
    ...collisionErrors(status?.collisionCount, old.status?.collisionCount),
  ],
  warnings: (daemonSet, old) =>
    whenChanged(daemonSet.spec, old?.spec, () =>
      templateWarnings(daemonSet.spec?.template, old?.spec?.template, "spec.template"),
    ),
});

const revisionErrors = (revision: ControllerRevision): FieldError[] =>
  nonNegativeErrors("revision", revision.revision ?? 0);

/** pkg/registry/apps/controllerrevision. */
export const controllerRevisionStrategy = defineStrategy<ControllerRevision>({
  defaults(revision) {
    revision.revision ??= 0;
  },
  validate(revision) {
    const errors = revisionErrors(revision);
    if (revision.data === undefined || revision.data === null) {
      errors.push(fieldErrors.required("data", "data is mandatory"));
    } else if (!isDraft(revision.data)) errors.push(fieldErrors.required("data", "data must be a valid JSON object"));
    return errors;
  },
  validateUpdate: (revision, old) => [...revisionErrors(revision), ...immutableErrors("data", revision.data, old.data)],
});

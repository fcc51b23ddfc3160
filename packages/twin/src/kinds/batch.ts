import {
  jsonEqual,
  type CronJob,
  type Job,
  type JobSpec,
  type Json,
  type PodTemplateSpec,
  scheduleProblem,
  timeZoneProblems,
} from "@fleetwright/kube";
import { copyJson, type Mutable } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { indexesOf, jobSpecErrors, jobTemplateErrors } from "./batch-job-spec.ts";

import { validateMetadata, validateMetadataUpdate } from "./metadata.ts";
import { dns1123LabelProblems } from "./name-checks.ts";
import { defaultPodTemplate } from "./pod-defaults.ts";
import { dropDisabledFields } from "./pod-dropped-fields.ts";
import { templateWarnings } from "./pod-warnings.ts";
import { immutableErrors, labelSelectorErrors, nonNegativeErrors } from "./value-checks.ts";
import { countersErrors, labelsValue, selectorMatch, selectorValue } from "./workload-checks.ts";

const uidLabel = "batch.kubernetes.io/controller-uid";
const nameLabel = "batch.kubernetes.io/job-name";
const generated = (job: Job): Record<string, string> => ({
  [uidLabel]: job.metadata.uid ?? "",
  [nameLabel]: job.metadata.name ?? "",
  "controller-uid": job.metadata.uid ?? "",
  "job-name": job.metadata.name ?? "",
});

/** `SetDefaults_PodFailurePolicyOnPodConditionsPattern`. */
function defaultConditions(spec: Mutable<JobSpec>): void {
  for (const { onPodConditions } of spec.podFailurePolicy?.rules ?? []) {
    for (const pattern of onPodConditions ?? []) pattern.status ||= "True";
  }
}

function defaultJobSpec(spec: Mutable<JobSpec>): void {
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : 2_147_483_647;
  spec.completionMode ??= "NonIndexed";
  spec.suspend ??= false;
  spec.podReplacementPolicy ??= spec.podFailurePolicy ? "Failed" : "TerminatingOrFailed";
  spec.manualSelector ??= false;
}

/** `generateSelector`: labels that only this job's pods have. */
function generateSelector(job: Mutable<Job>): void {
  if (!job.spec || job.spec.manualSelector === true) return;
  const metadata = (job.spec.template.metadata ??= {});
  // Labels that the job has from its template are the template's, with what is added to them.
  const shared = metadata.labels !== undefined && job.metadata.labels === metadata.labels;
  metadata.labels = { ...generated(job), ...metadata.labels };
  // Upstream defaults what it reads from storage once more: a job without labels gets those that its template has now.
  const none = Object.keys(job.metadata.labels ?? {}).length === 0;
  if (shared || none) job.metadata.labels = { ...metadata.labels };
  const selector = (job.spec.selector ??= {});
  selector.matchLabels = { [uidLabel]: job.metadata.uid ?? "", ...selector.matchLabels };
}

function generatedSelectorErrors(job: Job): FieldError[] {
  const { spec } = job;
  if (!spec?.selector || spec.manualSelector === true) return [];
  const labels = spec.template.metadata?.labels ?? {};
  const expected = generated(job);
  const errors: FieldError[] = [];
  for (const label of ["controller-uid", "job-name", uidLabel, nameLabel]) {
    const value = labels[label];
    const field = `spec.template.metadata.labels`;
    if (value === undefined) errors.push(fieldErrors.required(`${field}[${label}]`, `must be '${expected[label]}'`));
    else if (value !== expected[label]) {
      errors.push(fieldErrors.invalid(`${field}[${label}]`, labelsValue(labels), `must be '${expected[label]}'`));
    }
  }
  if (selectorMatch(spec.selector, expected) === "misses") {
    errors.push(fieldErrors.invalid("spec.selector", selectorValue(spec.selector), "`selector` not auto-generated"));
  }
  return errors;
}

function jobErrors(job: Job): FieldError[] {
  const { spec } = job;
  if (!spec) return [];
  const errors = [...generatedSelectorErrors(job), ...jobSpecErrors(spec, "spec")];
  if (spec.selector === undefined) errors.push(fieldErrors.required("spec.selector"));
  else errors.push(...labelSelectorErrors("spec.selector", spec.selector));
  if (selectorMatch(spec.selector, spec.template.metadata?.labels) === "misses") {
    errors.push(
      fieldErrors.invalid(
        "spec.template.metadata.labels",
        labelsValue(spec.template.metadata?.labels),
        "`selector` does not match template `labels`",
      ),
    );
  }
  if (spec.completionMode === "Indexed" && (spec.completions ?? 0) > 0) {
    const host = `${job.metadata.name ?? ""}-${(spec.completions ?? 0) - 1}`;
    if (dns1123LabelProblems(host).length > 0) {
      errors.push(
        fieldErrors.invalid(
          "metadata.name",
          job.metadata.name,
          `will not able to create pod with invalid DNS label: ${host}`,
        ),
      );
    }
  }
  return errors;
}

const isTrue = (job: Job, type: string): boolean =>
  (job.status?.conditions ?? []).some((condition) => condition.type === type && condition.status === "True");

/** The template of a job that does not run may change where pods go and what they get. */
function templateUpdateErrors(job: Job, old: Job): FieldError[] {
  const before = old.spec?.template;
  const now = job.spec?.template;
  if (!before || !now) return [];
  const pausable =
    old.spec?.suspend === true &&
    (old.status?.startTime === undefined || isTrue(old, "Suspended")) &&
    (old.status?.active ?? 0) === 0;
  if (!pausable) return immutableErrors("spec.template", now, before);
  const allowed = copyJson(before) as Mutable<PodTemplateSpec>;
  const next = copyJson(now) as Mutable<PodTemplateSpec>;
  const keep = <T extends object>(target: T, source: T, names: readonly (keyof T)[]): void => {
    for (const name of names) {
      if (source[name] === undefined) delete target[name];
      else target[name] = source[name];
    }
  };
  if (allowed.metadata && next.metadata) keep(allowed.metadata, next.metadata, ["annotations", "labels"]);
  if (allowed.spec && next.spec) {
    keep(allowed.spec, next.spec, ["nodeSelector", "tolerations", "schedulingGates"]);
    const nodeAffinity = next.spec.affinity?.nodeAffinity;
    if (nodeAffinity !== undefined || allowed.spec.affinity !== undefined) {
      allowed.spec.affinity = { ...allowed.spec.affinity, ...(nodeAffinity === undefined ? {} : { nodeAffinity }) };
    }
    for (const part of ["containers", "initContainers"] as const) {
      for (const [index, container] of (allowed.spec[part] ?? []).entries()) {
        const other = next.spec[part]?.[index];
        if (other?.name === container.name) keep(container, other, ["resources"]);
      }
    }
  }
  return immutableErrors("spec.template.spec", next.spec, allowed.spec);
}

function jobUpdateErrors(job: Job, old: Job): FieldError[] {
  const errors = [
    ...validateMetadata(job, { namespaced: true }),
    ...jobErrors(job),
    ...validateMetadataUpdate(job, old),
  ];
  const { spec } = job;
  const before = old.spec;
  if (!spec || !before) return errors;
  if (spec.completionMode !== "Indexed" || spec.completions === undefined || before.completions === undefined) {
    errors.push(...immutableErrors("spec.completions", spec.completions, before.completions));
  } else if (spec.completions !== before.completions && spec.completions !== spec.parallelism) {
    errors.push(
      fieldErrors.invalid("spec.completions", spec.completions, "can only be modified in tandem with spec.parallelism"),
    );
  }
  errors.push(
    ...immutableErrors("spec.selector", spec.selector, before.selector),
    ...templateUpdateErrors(job, old),
    ...immutableErrors("spec.completionMode", spec.completionMode, before.completionMode),
    ...immutableErrors("spec.podFailurePolicy", spec.podFailurePolicy, before.podFailurePolicy),
    ...immutableErrors("spec.backoffLimitPerIndex", spec.backoffLimitPerIndex, before.backoffLimitPerIndex),
    ...immutableErrors("spec.managedBy", spec.managedBy, before.managedBy),
    ...immutableErrors("spec.successPolicy", spec.successPolicy, before.successPolicy),
  );
  return errors;
}

const conditionError = (detail: string): FieldError => ({
  type: "FieldValueInvalid",
  field: "status.conditions",
  message: `Invalid value: ${detail}`,
});

function finishedErrors(job: Job, old: Job): FieldError[] {
  const status = job.status ?? {};
  const [complete, failed] = [isTrue(job, "Complete"), isTrue(job, "Failed")];
  const errors: FieldError[] = [];
  const changed = complete !== isTrue(old, "Complete") || failed !== isTrue(old, "Failed");
  if (!changed) return errors;
  if (complete && failed) errors.push(conditionError("cannot set Complete=True and Failed=true conditions"));
  if (complete && isTrue(job, "FailureTarget")) {
    errors.push(conditionError("cannot set Complete=True and FailureTarget=true conditions"));
  }
  if (complete && status.completionTime === undefined) {
    errors.push(fieldErrors.required("status.completionTime", "completionTime is required for Complete jobs"));
  }
  if (failed && !isTrue(job, "FailureTarget")) {
    errors.push(conditionError("cannot set Failed=True condition without the FailureTarget=true condition"));
  }
  if (complete && !isTrue(job, "SuccessCriteriaMet")) {
    errors.push(conditionError("cannot set Complete=True condition without the SuccessCriteriaMet=true condition"));
  }
  if (!complete && !failed) return errors;
  if ((status.active ?? 0) > 0) {
    errors.push(fieldErrors.invalid("status.active", status.active, "active>0 is invalid for finished job"));
  }
  if (status.startTime === undefined) {
    errors.push(fieldErrors.required("status.startTime", "startTime is required for finished job"));
  }
  const uncounted = status.uncountedTerminatedPods;
  if ((uncounted?.failed ?? []).length + (uncounted?.succeeded ?? []).length > 0) {
    errors.push(fieldErrors.invalid("status.uncountedTerminatedPods", uncounted, "must be empty for finished job"));
  }
  if ((status.terminating ?? 0) > 0) {
    errors.push(
      fieldErrors.invalid("status.terminating", status.terminating, "terminating>0 is invalid for finished job"),
    );
  }
  return errors;
}

/** `ValidateJobUpdateStatus`; rules about a part hold only when the part changes, as upstream has it. */
function jobStatusErrors(job: Job, old: Job): FieldError[] {
  const status = job.status ?? {};
  const before = old.status ?? {};
  const errors = countersErrors("status", {
    active: status.active,
    succeeded: status.succeeded,
    failed: status.failed,
    ready: status.ready,
    terminating: status.terminating,
  });
  errors.push(...finishedErrors(job, old));
  if (
    status.completionTime !== undefined &&
    status.completionTime !== before.completionTime &&
    !isTrue(job, "Complete")
  ) {
    errors.push(
      fieldErrors.invalid(
        "status.completionTime",
        status.completionTime,
        "cannot set completionTime when there is no Complete=True condition",
      ),
    );
  }
  if (status.completedIndexes !== before.completedIndexes && status.completedIndexes) {
    const indexed = job.spec?.completionMode === "Indexed";
    const problem = indexesOf(status.completedIndexes, job.spec?.completions ?? Number.MAX_SAFE_INTEGER);
    if (typeof problem === "string") {
      errors.push(
        fieldErrors.invalid(
          "status.completedIndexes",
          status.completedIndexes,
          `error parsing completedIndexes: ${problem}`,
        ),
      );
    }
    if (!indexed) {
      errors.push(
        fieldErrors.invalid(
          "status.completedIndexes",
          status.completedIndexes,
          "cannot set non-empty completedIndexes when non-indexed completion mode",
        ),
      );
    }
  }
  if (
    (status.ready ?? 0) > (status.active ?? 0) &&
    (status.ready !== before.ready || status.active !== before.active)
  ) {
    errors.push(fieldErrors.invalid("status.ready", status.ready, "cannot set more ready pods than active"));
  }
  for (const type of ["Failed", "Complete", "FailureTarget"]) {
    if (isTrue(old, type) && !isTrue(job, type)) {
      errors.push(conditionError(`cannot disable the terminal ${type}=True condition`));
    }
  }
  for (const name of ["failed", "succeeded"] as const) {
    if ((status[name] ?? 0) < (before[name] ?? 0)) {
      errors.push(fieldErrors.invalid(`status.${name}`, status[name] ?? 0, `cannot decrease the ${name} counter`));
    }
  }
  if (before.startTime !== undefined && status.startTime !== before.startTime && job.spec?.suspend !== true) {
    errors.push(
      fieldErrors.invalid(
        "status.startTime",
        status.startTime ?? null,
        "field is immutable for unsuspended job once set",
      ),
    );
  }
  if (isTrue(old, "SuccessCriteriaMet") && !isTrue(job, "SuccessCriteriaMet")) {
    errors.push(conditionError("cannot disable the SuccessCriteriaMet=True condition"));
  }
  return errors;
}

const nameWarning = (name: string | undefined): string[] => {
  const problems = dns1123LabelProblems(name ?? "");
  return problems.length === 0
    ? []
    : [
        `metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [${problems.join(" ")}]`,
      ];
};

/** pkg/registry/batch/job. */
export const jobStrategy = defineStrategy<Job>({
  hasGeneration: true,
  hasStatus: true,
  defaultPropagation: "orphan",
  deleteWarnings: [
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
  ],
  selectableFields: ["status.successful"],
  fieldValue: (job, field) => (field === "status.successful" ? String(job.status?.succeeded ?? 0) : ""),
  defaults(job) {
    job.spec ??= { template: { metadata: {} } };
    job.spec.template ??= { metadata: {} };
    defaultConditions(job.spec);
    defaultPodTemplate(job.spec.template);
    defaultJobSpec(job.spec);
    const labels = job.spec.template.metadata?.labels;
    if (labels && Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = labels;
    job.status ??= {};
  },
  prepareForCreate(job) {
    generateSelector(job);
    job.status = {};
    dropDisabledFields(job.spec?.template.spec, undefined);
  },
  prepareForUpdate(job, old) {
    dropDisabledFields(job.spec?.template.spec, old.spec?.template.spec);
  },
  validate: jobErrors,
  validateUpdate: jobUpdateErrors,
  validateStatusUpdate: jobStatusErrors,
  warnings: (job, old) =>
    old !== undefined && jsonEqual((job.spec ?? null) as Json, (old.spec ?? null) as Json)
      ? []
      : [
          ...(old === undefined ? nameWarning(job.metadata.name) : []),
          ...templateWarnings(job.spec?.template, old?.spec?.template, "spec.template"),
        ],
});

const concurrencyPolicies = ["Allow", "Forbid", "Replace"];

function cronJobErrors(cronJob: CronJob, old?: CronJob): FieldError[] {
  const { spec } = cronJob;
  if (!spec) return [];
  const errors: FieldError[] = [];
  const schedule = spec.schedule ?? "";
  if (schedule === "") errors.push(fieldErrors.required("spec.schedule"));
  else {
    const problem = scheduleProblem(schedule);
    if (problem !== undefined) errors.push(fieldErrors.invalid("spec.schedule", schedule, problem));
    const tolerated = old?.spec?.schedule.includes("TZ") === true;
    if (schedule.includes("TZ") && (!tolerated || spec.timeZone !== undefined)) {
      errors.push(
        fieldErrors.invalid(
          "spec.schedule",
          schedule,
          tolerated
            ? "cannot use both timeZone field and TZ or CRON_TZ in schedule"
            : "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ),
      );
    }
  }
  errors.push(...nonNegativeErrors("spec.startingDeadlineSeconds", spec.startingDeadlineSeconds ?? 0));
  if (spec.timeZone !== undefined && spec.timeZone !== old?.spec?.timeZone) {
    for (const problem of timeZoneProblems(spec.timeZone)) {
      errors.push(fieldErrors.invalid("spec.timeZone", spec.timeZone, problem));
    }
  }
  const policy = spec.concurrencyPolicy ?? "";
  if (!concurrencyPolicies.includes(policy)) {
    errors.push(
      policy === ""
        ? fieldErrors.required("spec.concurrencyPolicy")
        : fieldErrors.notSupported("spec.concurrencyPolicy", policy, concurrencyPolicies),
    );
  }
  if (spec.jobTemplate?.spec) errors.push(...jobTemplateErrors(spec.jobTemplate.spec, "spec.jobTemplate.spec"));
  return [
    ...errors,
    ...countersErrors("spec", {
      successfulJobsHistoryLimit: spec.successfulJobsHistoryLimit,
      failedJobsHistoryLimit: spec.failedJobsHistoryLimit,
    }),
  ];
}

/** A CronJob's jobs have eleven more characters in their names. */
const longestName = 52;

/** pkg/registry/batch/cronjob. */
export const cronJobStrategy = defineStrategy<CronJob>({
  hasGeneration: true,
  hasStatus: true,
  defaults(cronJob) {
    cronJob.spec ??= { schedule: "", jobTemplate: {} };
    const { spec } = cronJob;
    spec.concurrencyPolicy ||= "Allow";
    spec.suspend ??= false;
    spec.successfulJobsHistoryLimit ??= 3;
    spec.failedJobsHistoryLimit ??= 1;
    spec.jobTemplate ??= {};
    spec.jobTemplate.metadata ??= {};
    const jobSpec = (spec.jobTemplate.spec ??= { template: { metadata: {} } });
    jobSpec.template ??= { metadata: {} };
    defaultConditions(jobSpec);
    defaultPodTemplate(jobSpec.template);
    cronJob.status ??= {};
  },
  prepareForCreate(cronJob) {
    cronJob.status = {};
    dropDisabledFields(cronJob.spec?.jobTemplate.spec?.template.spec, undefined);
  },
  prepareForUpdate(cronJob, old) {
    dropDisabledFields(cronJob.spec?.jobTemplate.spec?.template.spec, old.spec?.jobTemplate.spec?.template.spec);
  },
  validate(cronJob) {
    const errors = cronJobErrors(cronJob);
    const name = cronJob.metadata.name ?? "";
    if (Buffer.byteLength(name) > longestName) {
      errors.push(fieldErrors.invalid("metadata.name", name, `must be no more than ${longestName} characters`));
    }
    return errors;
  },
  validateUpdate: (cronJob, old) => cronJobErrors(cronJob, old),
  warnings: (cronJob, old) => [
    ...(old === undefined ? nameWarning(cronJob.metadata.name) : []),
    ...(cronJob.spec?.schedule.includes("TZ") === true && old?.spec?.schedule.includes("TZ") === true
      ? ["spec.schedule: cannot use TZ or CRON_TZ in schedule, use timeZone field instead"]
      : []),
    ...templateWarnings(
      cronJob.spec?.jobTemplate.spec?.template,
      old?.spec?.jobTemplate.spec?.template,
      "spec.jobTemplate.spec.template",
    ),
  ],
});

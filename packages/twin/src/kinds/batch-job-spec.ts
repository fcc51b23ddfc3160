import type { JobSpec, LabelSelector } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { podTemplateErrors } from "./pod-validation.ts";
import { nonNegativeErrors, qualifiedNameErrors } from "./value-checks.ts";
import { countersErrors } from "./workload-checks.ts";

/** pkg/apis/batch/validation: what a Job's spec, and that of a CronJob's template, must be. */
const listed = (values: readonly string[]): string => `[${values.map((value) => JSON.stringify(value)).join(" ")}]`;
const failureActions = ["Count", "FailIndex", "FailJob", "Ignore"];
const conditionStatuses = ["False", "True", "Unknown"];
const ruleLimit = 20;
const exitCodeLimit = 255;

type FailureRule = NonNullable<NonNullable<JobSpec["podFailurePolicy"]>["rules"]>[number];

/** `field.Invalid` of a value that is not printed (`OmitValueType`). */
const invalidWhole = (field: string, detail: string): FieldError => ({
  type: "FieldValueInvalid",
  field,
  message: `Invalid value: ${detail}`,
});

function exitCodeErrors(
  codes: NonNullable<FailureRule["onExitCodes"]>,
  field: string,
  containers: readonly string[],
): FieldError[] {
  const errors: FieldError[] = [];
  const operator = codes.operator ?? "";
  if (operator === "") {
    errors.push(fieldErrors.required(`${field}.operator`, `valid values: ${listed(["In", "NotIn"])}`));
  } else if (operator !== "In" && operator !== "NotIn") {
    errors.push(fieldErrors.notSupported(`${field}.operator`, operator, ["In", "NotIn"]));
  }
  if (codes.containerName !== undefined && !containers.includes(codes.containerName)) {
    errors.push(
      fieldErrors.invalid(
        `${field}.containerName`,
        codes.containerName,
        "must be one of the container or initContainer names in the pod template",
      ),
    );
  }
  const values = codes.values ?? [];
  if (values.length === 0) {
    errors.push(fieldErrors.invalid(`${field}.values`, codes.values ?? null, "at least one value is required"));
  } else if (values.length > exitCodeLimit) {
    errors.push(fieldErrors.tooMany(`${field}.values`, values.length, exitCodeLimit));
  }
  const seen = new Set<number>();
  let ordered = true;
  for (const [index, value] of values.entries()) {
    const at = `${field}.values[${index}]`;
    if (operator === "In" && value === 0) {
      errors.push(fieldErrors.invalid(at, value, "must not be 0 for the In operator"));
    }
    if (seen.has(value)) errors.push(fieldErrors.duplicate(at, value));
    seen.add(value);
    if ((values[index - 1] ?? value) > value) ordered = false;
  }
  if (!ordered) errors.push(fieldErrors.invalid(`${field}.values`, values, "must be ordered"));
  return errors;
}

function failureRuleErrors(
  spec: JobSpec,
  rule: FailureRule,
  field: string,
  containers: readonly string[],
): FieldError[] {
  const errors: FieldError[] = [];
  const action = rule.action ?? "";
  if (action === "") {
    errors.push(fieldErrors.required(`${field}.action`, `valid values: ${listed(failureActions)}`));
  } else if (action === "FailIndex") {
    if (spec.backoffLimitPerIndex === undefined) {
      errors.push(fieldErrors.invalid(`${field}.action`, action, "requires the backoffLimitPerIndex to be set"));
    }
  } else if (!failureActions.includes(action)) {
    errors.push(fieldErrors.notSupported(`${field}.action`, action, failureActions));
  }
  const patterns = rule.onPodConditions ?? [];
  if (rule.onExitCodes) errors.push(...exitCodeErrors(rule.onExitCodes, `${field}.onExitCodes`, containers));
  if (patterns.length > ruleLimit) {
    errors.push(fieldErrors.tooMany(`${field}.onPodConditions`, patterns.length, ruleLimit));
  }
  for (const [index, { type, status = "" }] of patterns.entries()) {
    const at = `${field}.onPodConditions[${index}]`;
    errors.push(...qualifiedNameErrors(`${at}.type`, type ?? ""));
    if (status === "") {
      errors.push(fieldErrors.required(`${at}.status`, `valid values: ${listed(conditionStatuses)}`));
    } else if (!conditionStatuses.includes(status)) {
      errors.push(fieldErrors.notSupported(`${at}.status`, status, conditionStatuses));
    }
  }
  if (rule.onExitCodes && patterns.length > 0) {
    errors.push(invalidWhole(field, "specifying both OnExitCodes and OnPodConditions is not supported"));
  }
  if (!rule.onExitCodes && patterns.length === 0) {
    errors.push(invalidWhole(field, "specifying one of OnExitCodes and OnPodConditions is required"));
  }
  return errors;
}

function failurePolicyErrors(spec: JobSpec, field: string): FieldError[] {
  const rules = spec.podFailurePolicy?.rules ?? [];
  const pod = spec.template?.spec;
  const containers = [...(pod?.containers ?? []), ...(pod?.initContainers ?? [])].map(({ name }) => name);
  return [
    ...(rules.length > ruleLimit ? [fieldErrors.tooMany(`${field}.rules`, rules.length, ruleLimit)] : []),
    ...rules.flatMap((rule, index) => failureRuleErrors(spec, rule, `${field}.rules[${index}]`, containers)),
  ];
}

/** `validateIndexesFormat`: how many indexes a text such as `0,2-5` names, or what is wrong with it. */
export function indexesOf(text: string, completions: number): number | string {
  if (text === "") return 0;
  let last: number | undefined;
  let total = 0;
  for (const part of text.split(",")) {
    const limits = part.split("-");
    if (limits.length > 2)
      return `the fragment ${JSON.stringify(part)} violates the requirement that an index interval can have at most two parts separated by '-'`;
    const [first = "", second] = limits;
    for (const limit of limits) {
      if (!/^[+-]?[0-9]+$/.test(limit)) return `cannot convert string to integer for index: ${JSON.stringify(limit)}`;
      if (Number(limit) >= completions) return `too large index: ${JSON.stringify(limit)}`;
    }
    const start = Number(first);
    if (last !== undefined && last >= start) return `non-increasing order, previous: ${last}, current: ${start}`;
    last = start;
    if (second === undefined) total += 1;
    else {
      const end = Number(second);
      if (start >= end) return `non-increasing order, previous: ${start}, current: ${end}`;
      total += end - start + 1;
      last = end;
    }
  }
  return total;
}

function successPolicyErrors(spec: JobSpec, field: string): FieldError[] {
  const rules = spec.successPolicy?.rules ?? [];
  const completions = spec.completions ?? 0;
  const errors: FieldError[] = [];
  if (rules.length === 0) {
    errors.push(
      fieldErrors.required(
        `${field}.rules`,
        "at least one rules must be specified when the successPolicy is specified",
      ),
    );
  }
  if (rules.length > ruleLimit) errors.push(fieldErrors.tooMany(`${field}.rules`, rules.length, ruleLimit));
  for (const [index, { succeededCount, succeededIndexes }] of rules.entries()) {
    const at = `${field}.rules[${index}]`;
    if (succeededCount === undefined && succeededIndexes === undefined) {
      errors.push(fieldErrors.required(at, "at least one of succeededCount or succeededIndexes must be specified"));
    }
    const total = succeededIndexes === undefined ? undefined : indexesOf(succeededIndexes, completions);
    if (typeof total === "string") {
      errors.push(
        fieldErrors.invalid(`${at}.succeededIndexes`, succeededIndexes, `error parsing succeededIndexes: ${total}`),
      );
    }
    if (succeededCount === undefined) continue;
    errors.push(...nonNegativeErrors(`${at}.succeededCount`, succeededCount));
    if (succeededCount > completions) {
      errors.push(
        fieldErrors.invalid(
          `${at}.succeededCount`,
          succeededCount,
          `must be less than or equal to ${completions} (the number of specified completions)`,
        ),
      );
    }
    const named = typeof total === "number" ? total : 0;
    if (total !== undefined && succeededCount > named) {
      errors.push(
        fieldErrors.invalid(
          `${at}.succeededCount`,
          succeededCount,
          `must be less than or equal to ${named} (the number of indexes in the specified succeededIndexes field)`,
        ),
      );
    }
  }
  return errors;
}

const indexLimit = 100_000;
const highCompletionsLimit = 10_000;

function completionModeErrors(spec: JobSpec, field: string): FieldError[] {
  const { completionMode = "NonIndexed", completions, parallelism = 0, maxFailedIndexes, backoffLimitPerIndex } = spec;
  const errors: FieldError[] = [];
  const refuse = (name: string, value: unknown, detail: string): void => {
    errors.push(fieldErrors.invalid(`${field}.${name}`, value, detail));
  };
  if (completionMode === "NonIndexed") {
    if (backoffLimitPerIndex !== undefined) {
      refuse("backoffLimitPerIndex", backoffLimitPerIndex, "requires indexed completion mode");
    }
    if (maxFailedIndexes !== undefined)
      refuse("maxFailedIndexes", maxFailedIndexes, "requires indexed completion mode");
    return errors;
  }
  if (completionMode !== "Indexed") {
    return [fieldErrors.notSupported(`${field}.completionMode`, completionMode, ["NonIndexed", "Indexed"])];
  }
  if (completions === undefined) {
    errors.push(fieldErrors.required(`${field}.completions`, "when completion mode is Indexed"));
  }
  if (parallelism > indexLimit) {
    refuse("parallelism", parallelism, `must be less than or equal to ${indexLimit} when completion mode is Indexed`);
  }
  const failed = maxFailedIndexes ?? 0;
  if (completions !== undefined && failed > completions) {
    refuse("maxFailedIndexes", failed, "must be less than or equal to completions");
  }
  if (failed > indexLimit) refuse("maxFailedIndexes", failed, `must be less than or equal to ${indexLimit}`);
  if ((completions ?? 0) > indexLimit && backoffLimitPerIndex !== undefined) {
    if (maxFailedIndexes === undefined) {
      errors.push(
        fieldErrors.required(`${field}.maxFailedIndexes`, `must be specified when completions is above ${indexLimit}`),
      );
    }
    const rule = `must be less than or equal to ${highCompletionsLimit} when completions are above ${indexLimit} and used with backoff limit per index`;
    if (parallelism > highCompletionsLimit) refuse("parallelism", parallelism, rule);
    if (failed > highCompletionsLimit) refuse("maxFailedIndexes", failed, rule);
  }
  return errors;
}

function managedByErrors(field: string, value: string): FieldError[] {
  const errors: FieldError[] = [];
  const slash = value.indexOf("/");
  if (value === "") errors.push(fieldErrors.required(field));
  else if (slash === -1)
    errors.push(fieldErrors.invalid(field, value, 'must be a domain-prefixed path (such as "acme.io/foo")'));
  else errors.push(...qualifiedNameErrors(field, value));
  if (Buffer.byteLength(value) > 63) errors.push(fieldErrors.tooLong(field, 63));
  return errors;
}

/** `validateJobSpec`: all but the selector. */
export function jobSpecErrors(spec: JobSpec, field: string): FieldError[] {
  const errors = countersErrors(field, {
    parallelism: spec.parallelism,
    completions: spec.completions,
    activeDeadlineSeconds: spec.activeDeadlineSeconds,
    backoffLimit: spec.backoffLimit,
    ttlSecondsAfterFinished: spec.ttlSecondsAfterFinished,
    backoffLimitPerIndex: spec.backoffLimitPerIndex,
    maxFailedIndexes: spec.maxFailedIndexes,
  });
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    errors.push(fieldErrors.required(`${field}.backoffLimitPerIndex`, "when maxFailedIndexes is specified"));
  }
  if (spec.managedBy !== undefined) errors.push(...managedByErrors(`${field}.managedBy`, spec.managedBy));
  errors.push(...completionModeErrors(spec, field));
  if (spec.podFailurePolicy) errors.push(...failurePolicyErrors(spec, `${field}.podFailurePolicy`));
  if (spec.successPolicy) {
    errors.push(
      ...(spec.completionMode === "Indexed"
        ? successPolicyErrors(spec, `${field}.successPolicy`)
        : [
            fieldErrors.invalid(
              `${field}.successPolicy`,
              { Rules: spec.successPolicy.rules ?? null },
              "requires indexed completion mode",
            ),
          ]),
    );
  }
  const replacement = spec.podReplacementPolicy;
  const replacements = spec.podFailurePolicy ? ["Failed"] : ["Failed", "TerminatingOrFailed"];
  if (replacement !== undefined && !replacements.includes(replacement)) {
    errors.push(fieldErrors.notSupported(`${field}.podReplacementPolicy`, replacement, replacements));
  }
  errors.push(...podTemplateErrors(spec.template, `${field}.template`));
  const restartPolicy = spec.template?.spec?.restartPolicy ?? "";
  const at = `${field}.template.spec.restartPolicy`;
  if (restartPolicy === "Always" || restartPolicy === "") {
    errors.push(fieldErrors.required(at, 'valid values: "OnFailure", "Never"'));
  } else if (restartPolicy !== "OnFailure" && restartPolicy !== "Never") {
    errors.push(fieldErrors.notSupported(at, restartPolicy, ["OnFailure", "Never"]));
  } else if (spec.podFailurePolicy && restartPolicy !== "Never") {
    errors.push(fieldErrors.invalid(at, restartPolicy, 'only "Never" is supported when podFailurePolicy is specified'));
  }
  return errors;
}

/** The selector of a CronJob's jobs is always made for them. */
export function jobTemplateErrors(spec: JobSpec, field: string): FieldError[] {
  const errors = jobSpecErrors(spec, field);
  const selector: LabelSelector | undefined = spec.selector;
  if (selector !== undefined) {
    errors.push(fieldErrors.invalid(`${field}.selector`, selector, "`selector` will be auto-generated"));
  }
  if (spec.manualSelector === true) {
    errors.push(fieldErrors.notSupported(`${field}.manualSelector`, true, ["nil", "false"]));
  }
  return errors;
}

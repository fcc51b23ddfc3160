import {
  jsonEqual,
  type Json,
  labelSelectorText,
  matchesLabels,
  selectorOf,
  type IntOrString,
  type LabelSelector,
  type PodTemplateSpec,
} from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { podTemplateErrors } from "./pod-validation.ts";
import { labelSelectorErrors, nonNegativeErrors } from "./value-checks.ts";

/** Counters that must not be negative, where they are set. */
export const countersErrors = (field: string, counters: Readonly<Record<string, number | undefined>>): FieldError[] =>
  Object.entries(counters).flatMap(([name, count]) => nonNegativeErrors(`${field}.${name}`, count ?? 0));

const percentOf = (value: IntOrString | undefined): number | undefined =>
  typeof value === "string" && /^[0-9]+%$/.test(value) ? Number(value.slice(0, -1)) : undefined;

/** `getIntOrPercentValue`: the number in front of the percent sign, or the number; what is neither counts as 0. */
export const amountOf = (value: IntOrString | undefined): number =>
  percentOf(value) ?? (typeof value === "number" ? value : Number.parseInt(value ?? "", 10) || 0);

/** `ValidatePositiveIntOrPercent` and `IsNotMoreThan100Percent`. */
export function intOrPercentErrors(field: string, value: IntOrString | undefined): FieldError[] {
  if (typeof value === "string") {
    const percent = percentOf(value);
    if (percent === undefined) {
      return [
        fieldErrors.invalid(
          field,
          value,
          "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ),
      ];
    }
    return percent > 100 ? [fieldErrors.invalid(field, value, "must not be greater than 100%")] : [];
  }
  return nonNegativeErrors(field, value ?? 0);
}

/** Counters of a status that may not exceed `replicas`. */
export function replicaStatusErrors(
  status: Readonly<Record<string, unknown>>,
  names: readonly string[],
  readyName = "readyReplicas",
): FieldError[] {
  const count = (name: string): number => {
    const value = status[name];
    return typeof value === "number" ? value : 0;
  };
  const errors = ["replicas", ...names, "observedGeneration", "collisionCount", "terminatingReplicas"].flatMap((name) =>
    nonNegativeErrors(`status.${name}`, count(name)),
  );
  for (const name of names) {
    if (name === "unavailableReplicas" || count(name) <= count("replicas")) continue;
    errors.push(fieldErrors.invalid(`status.${name}`, count(name), "cannot be greater than status.replicas"));
  }
  if (count("availableReplicas") > count("readyReplicas")) {
    errors.push(
      fieldErrors.invalid(
        "status.availableReplicas",
        count("availableReplicas"),
        `cannot be greater than ${readyName}`,
      ),
    );
  }
  return errors;
}

/** `IsDecremented` of a status's collisionCount. */
export function collisionErrors(now: number | undefined, before: number | undefined): FieldError[] {
  if (before === undefined || (now ?? -1) >= before) return [];
  return [fieldErrors.invalid("status.collisionCount", now ?? 0, "cannot be decremented")];
}

/** A selector as upstream prints it into an error: Go's field order, without what is empty. */
export const selectorValue = (selector: LabelSelector): unknown => ({
  ...(selector.matchLabels === undefined ? {} : { matchLabels: labelsValue(selector.matchLabels) }),
  ...(selector.matchExpressions === undefined ? {} : { matchExpressions: selector.matchExpressions }),
});

const isEmpty = (selector: LabelSelector): boolean =>
  Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length === 0;

/** A selector that must be there, say something, and be well formed. */
export function requiredSelectorErrors(field: string, selector: LabelSelector | undefined, kind: string): FieldError[] {
  if (selector === undefined) return [fieldErrors.required(field)];
  const errors = labelSelectorErrors(field, selector);
  if (isEmpty(selector)) {
    errors.push(fieldErrors.invalid(field, selectorValue(selector), `empty selector is invalid for ${kind}`));
  }
  return errors;
}

/** Whether a selector can be compiled, and what it says of a template's labels. */
export function selectorMatch(
  selector: LabelSelector | undefined,
  labels: Readonly<Record<string, string>> | undefined,
): "malformed" | "empty" | "matches" | "misses" {
  try {
    if (selector !== undefined && isEmpty(selector)) return "empty";
    return matchesLabels(selectorOf(selector), labels) ? "matches" : "misses";
  } catch {
    return "malformed";
  }
}

/** Labels as Go prints a map: by key. */
export const labelsValue = (labels: Readonly<Record<string, string>> | undefined): unknown =>
  labels === undefined
    ? null
    : Object.fromEntries(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));

/** What a rolling update strategy that does not fit is printed as: Go's names. */
export const strategyValue = (
  strategy: { readonly type?: string; readonly rollingUpdate?: object } | undefined,
): unknown => ({ Type: strategy?.type ?? "", RollingUpdate: strategy?.rollingUpdate ?? null });

/** The text of a selector as a Scale says it: `a=b,c in (d,e)`. */
export const scaleSelectorText = (selector: LabelSelector | undefined): string =>
  labelSelectorText(selectorOf(selector));

/** Warnings about a spec are given when it is new or changes, as its generation does. */
export const whenChanged = (now: unknown, before: unknown, warnings: () => string[]): string[] =>
  before !== undefined && jsonEqual((now ?? null) as Json, before as Json) ? [] : warnings();

/** A template whose pods run until they are deleted, and whose labels the selector finds. */
export function longRunningTemplateErrors(
  template: PodTemplateSpec,
  selector: LabelSelector | undefined,
  field: string,
  kind: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (selectorMatch(selector, template.metadata?.labels) === "misses") {
    errors.push(
      fieldErrors.invalid(
        `${field}.metadata.labels`,
        labelsValue(template.metadata?.labels),
        "`selector` does not match template `labels`",
      ),
    );
  }
  errors.push(...podTemplateErrors(template, field));
  return [...errors, ...alwaysRunningErrors(template, field, kind)];
}

/** Templates of controllers that replace pods: restarted always, without a deadline. */
export function alwaysRunningErrors(template: PodTemplateSpec, field: string, kind: string): FieldError[] {
  const errors: FieldError[] = [];
  const restartPolicy = template.spec?.restartPolicy ?? "";
  if (restartPolicy !== "Always") {
    errors.push(fieldErrors.notSupported(`${field}.spec.restartPolicy`, restartPolicy, ["Always"]));
  }
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    errors.push(
      fieldErrors.forbidden(`${field}.spec.activeDeadlineSeconds`, `activeDeadlineSeconds in ${kind} is not Supported`),
    );
  }
  return errors;
}

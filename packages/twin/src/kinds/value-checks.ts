import {
  labelKeyProblems,
  labelValueProblems,
  parseQuantity,
  Quantity,
  jsonEqual,
  type Json,
  type LabelSelector,
} from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { dns1123LabelProblems, portNameProblems } from "./name-checks.ts";

/** A required text that may be missing all the same: Go reads it as empty. */
export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** Each problem of a value as a field error. */
export const invalidFor = (field: string, value: unknown, problems: readonly string[]): FieldError[] =>
  problems.map((problem) => fieldErrors.invalid(field, value, problem));

/** Required, and one of a set; `supported` as upstream sorts it. */
export function oneOf(field: string, value: string, supported: readonly string[]): FieldError[] {
  if (value === "") return [fieldErrors.required(field)];
  return supported.includes(value) ? [] : [fieldErrors.notSupported(field, value, supported)];
}

/** `ValidateLabels`. */
export const labelsErrors = (labels: Readonly<Record<string, string>> | undefined, field: string): FieldError[] =>
  Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...invalidFor(field, key, labelKeyProblems(key)),
    ...invalidFor(field, value, labelValueProblems(value)),
  ]);

export const qualifiedNameErrors = (field: string, name: string): FieldError[] =>
  invalidFor(field, name, labelKeyProblems(name));

export const dnsLabelErrors = (field: string, name: string): FieldError[] =>
  invalidFor(field, name, dns1123LabelProblems(name));

export const portErrors = (field: string, port: number): FieldError[] =>
  port >= 1 && port <= 65_535 ? [] : [fieldErrors.invalid(field, port, "must be between 1 and 65535, inclusive")];

/** `ValidatePortNumOrName`. */
export const portOrNameErrors = (field: string, port: number | string): FieldError[] =>
  typeof port === "number" ? portErrors(field, port) : invalidFor(field, port, portNameProblems(port));

export const nonNegativeErrors = (field: string, value: number): FieldError[] =>
  value < 0 ? [fieldErrors.invalid(field, value, "must be greater than or equal to 0")] : [];

/** `ValidateNonnegativeQuantity`. */
export const nonNegativeQuantityErrors = (field: string, text: string): FieldError[] =>
  quantityOf(text).sign < 0
    ? [fieldErrors.invalid(field, quantityOf(text).toString(), "must be greater than or equal to 0")]
    : [];

/** Decoding has refused what is no quantity. */
export const quantityOf = (text: string): Quantity => (typeof text === "string" ? parseQuantity(text) : Quantity.zero);

/** `ValidateImmutableField`: absent and empty are the same to Go. */
export function immutableErrors(field: string, value: unknown, old: unknown): FieldError[] {
  const json = (part: unknown): Json => (part === undefined ? null : part) as Json;
  return jsonEqual(json(value), json(old)) ? [] : [fieldErrors.invalid(field, value, "field is immutable")];
}

/** `ValidateLabelSelector` (apimachinery pkg/apis/meta/v1/validation). */
export function labelSelectorErrors(field: string, selector: LabelSelector | undefined): FieldError[] {
  if (selector === undefined) return [];
  const errors = labelsErrors(selector.matchLabels, `${field}.matchLabels`);
  for (const [index, requirement] of (selector.matchExpressions ?? []).entries()) {
    const at = `${field}.matchExpressions[${index}]`;
    const { key, operator, values = [] } = requirement;
    if (operator === "In" || operator === "NotIn") {
      if (values.length === 0) {
        errors.push(fieldErrors.required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      }
    } else if (operator === "Exists" || operator === "DoesNotExist") {
      if (values.length > 0) {
        errors.push(
          fieldErrors.forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
        );
      }
    } else errors.push(fieldErrors.invalid(`${at}.operator`, operator, "not a valid selector operator"));
    errors.push(...invalidFor(`${at}.key`, key, labelKeyProblems(key)));
    for (const [position, value] of values.entries()) {
      errors.push(...invalidFor(`${at}.values[${position}]`, value, labelValueProblems(value)));
    }
  }
  return errors;
}

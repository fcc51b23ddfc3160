import { parseQuantity, type Container } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import type { Amounts } from "./pod-level-resources.ts";
import {
  allowsOvercommit,
  containerResourceErrors,
  resourceAmountErrors,
  resourceNameErrors,
} from "./resource-names.ts";
import { dnsLabelErrors } from "./value-checks.ts";

type Resources = NonNullable<Container["resources"]>;
type NameErrors = (field: string, name: string) => FieldError[];

const isHugePages = (name: string): boolean => name.startsWith("hugepages-");
const isComputing = (name: string): boolean => name === "cpu" || name === "memory";

/** `IsHugePageResourceValueDivisible`. */
function hugePagesErrors(field: string, name: string, text: string): FieldError[] {
  if (!isHugePages(name)) return [];
  const quantity = parseQuantity(text);
  let page = 0n;
  try {
    page = parseQuantity(name.slice("hugepages-".length)).milliValue();
  } catch {
    page = 0n;
  }
  if (page > 0n && page % 1000n === 0n && quantity.milliValue() % page === 0n) return [];
  return [
    fieldErrors.invalid(
      field,
      quantity.toString(),
      `${quantity.toString()} is not positive integer multiple of ${name}`,
    ),
  ];
}

function claimErrors(claims: Resources["claims"], podClaims: readonly string[], field: string): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  const partly = new Set<string>();
  for (const [index, { name, request = "" }] of (claims ?? []).entries()) {
    const at = `${field}[${index}]`;
    if (!name) {
      errors.push(fieldErrors.required(at));
      continue;
    }
    if (seen.has(name)) errors.push(fieldErrors.duplicate(at, name));
    else {
      const key = request === "" ? name : `${name}/${request}`;
      if (request !== "") errors.push(...dnsLabelErrors(`${at}.request`, request));
      if (seen.has(key)) errors.push(fieldErrors.duplicate(at, key));
      else if (request === "" && partly.has(name)) errors.push(fieldErrors.duplicate(at, name));
      seen.add(key);
      if (request !== "") partly.add(name);
    }
    if (!podClaims.includes(name)) {
      const known = podClaims.length === 0 ? " which is empty" : `: ${podClaims.toSorted().join(", ")}`;
      errors.push({
        type: "FieldValueNotFound",
        field: at,
        message: `Not found: ${JSON.stringify(name)}: must be one of the names in pod.spec.resourceClaims${known}`,
      });
    }
  }
  return errors;
}

function requirementsErrors(
  resources: Resources,
  field: string,
  podClaims: readonly string[],
  nameErrors: NameErrors,
): FieldError[] {
  const errors: FieldError[] = [];
  const limits: Amounts = resources.limits ?? {};
  const requests: Amounts = resources.requests ?? {};
  for (const [name, text] of Object.entries(limits)) {
    const at = `${field}.limits[${name}]`;
    errors.push(...nameErrors(at, name), ...resourceAmountErrors(at, name, text), ...hugePagesErrors(at, name, text));
  }
  for (const [name, text] of Object.entries(requests)) {
    const at = `${field}.requests[${name}]`;
    errors.push(...nameErrors(at, name), ...resourceAmountErrors(at, name, text));
    const request = parseQuantity(text);
    const limitText = Object.hasOwn(limits, name) ? limits[name] : undefined;
    if (limitText !== undefined) {
      const limit = parseQuantity(limitText);
      const rule =
        !allowsOvercommit(name) && !request.equals(limit)
          ? "equal to"
          : request.cmp(limit) > 0
            ? "less than or equal to"
            : undefined;
      if (rule !== undefined) {
        errors.push(
          fieldErrors.invalid(
            `${field}.requests`,
            request.toString(),
            `must be ${rule} ${name} limit of ${limit.toString()}`,
          ),
        );
      }
    } else if (!allowsOvercommit(name)) {
      errors.push(fieldErrors.required(`${field}.limits`, "Limit must be set for non overcommitable resources"));
    }
    errors.push(...hugePagesErrors(at, name, text));
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHugePages) && !names.some(isComputing)) {
    errors.push(fieldErrors.forbidden(field, "HugePages require cpu or memory"));
  }
  return [...errors, ...claimErrors(resources.claims, podClaims, `${field}.claims`)];
}

/** `ValidateContainerResourceRequirements`. */
export const containerResourcesErrors = (
  resources: Container["resources"],
  field: string,
  podClaims: readonly string[],
): FieldError[] =>
  resources === undefined ? [] : requirementsErrors(resources, field, podClaims, containerResourceErrors);

const podLevelNames = ["cpu", "hugepages-", "memory"];

/** `validatePodResourceRequirements`: of a whole pod (KEP-2837). */
export const podResourcesErrors = (resources: Resources, field: string, podClaims: readonly string[]): FieldError[] =>
  requirementsErrors(resources, field, podClaims, (at, name) => {
    const errors = resourceNameErrors(at, name);
    if (errors.length > 0 || isComputing(name) || isHugePages(name)) return errors;
    return [fieldErrors.notSupported(at, name, podLevelNames)];
  });

/** Overhead is checked as limits are, path included. */
export const overheadErrors = (overhead: Amounts, field: string): FieldError[] =>
  requirementsErrors({ limits: overhead }, field, [], containerResourceErrors);

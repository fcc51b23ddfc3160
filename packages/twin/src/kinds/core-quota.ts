import {
  labelKeyProblems,
  Quantity,
  type LimitRange,
  type LimitRangeItem,
  type ResourceQuota,
} from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import {
  allowsOvercommit,
  containerResourceErrors,
  isQuotaResource,
  quotaResourceErrors,
  resourceAmountErrors,
  resourceNameErrors,
  roundAmounts,
} from "./resource-names.ts";
import { invalidFor, quantityOf, textOf } from "./value-checks.ts";

type Amounts = Readonly<Record<string, string>>;

function limitTypeErrors(field: string, type: string): FieldError[] {
  const errors = invalidFor(field, type, labelKeyProblems(type));
  const standard = ["Pod", "Container", "PersistentVolumeClaim"];
  if (errors.length > 0 || type.includes("/") || standard.includes(type)) return errors;
  return [fieldErrors.invalid(field, type, "must be a standard limit type or fully qualified")];
}

/** `ValidateLimitRange` (pkg/apis/core/validation/validation.go). */
function limitRangeErrors(range: LimitRange): FieldError[] {
  const errors: FieldError[] = [];
  const types = new Set<string>();
  for (const [index, limit] of (range.spec?.limits ?? []).entries()) {
    const field = `spec.limits[${index}]`;
    const type = textOf(limit.type);
    errors.push(...limitTypeErrors(`${field}.type`, type));
    if (types.has(type)) errors.push(fieldErrors.duplicate(`${field}.type`, type));
    types.add(type);
    errors.push(...limitErrors(limit, field));
  }
  return errors;
}

function limitErrors(limit: LimitRangeItem, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { min = {}, max = {}, maxLimitRequestRatio = {} } = limit;
  const type = textOf(limit.type);
  const nameErrors = type === "Pod" || type === "Container" ? containerResourceErrors : resourceNameErrors;
  const names = new Set<string>();
  const check = (part: string, amounts: Amounts): void => {
    for (const name of Object.keys(amounts)) {
      errors.push(...nameErrors(`${field}.${part}[${name}]`, name));
      names.add(name);
    }
  };
  check("max", max);
  check("min", min);
  let byDefault: Amounts = limit.default ?? {};
  let requests: Amounts = limit.defaultRequest ?? {};
  if (type === "Pod") {
    for (const [part, amounts] of Object.entries({ default: byDefault, defaultRequest: requests })) {
      if (Object.keys(amounts).length > 0) {
        errors.push(fieldErrors.forbidden(`${field}.${part}`, "may not be specified when `type` is 'Pod'"));
      }
    }
    byDefault = requests = {};
  } else {
    check("default", byDefault);
    check("defaultRequest", requests);
  }
  if (type === "PersistentVolumeClaim" && !Object.hasOwn(min, "storage") && !Object.hasOwn(max, "storage")) {
    errors.push(
      fieldErrors.required(
        `${field}.limits`,
        "either minimum or maximum storage value is required, but neither was provided",
      ),
    );
  }
  check("maxLimitRequestRatio", maxLimitRequestRatio);
  for (const name of names) {
    errors.push(...relationErrors(name, field, { min, max, byDefault, requests, ratio: maxLimitRequestRatio }));
  }
  return errors;
}

function relationErrors(
  name: string,
  field: string,
  amounts: Readonly<Record<"min" | "max" | "byDefault" | "requests" | "ratio", Amounts>>,
): FieldError[] {
  const errors: FieldError[] = [];
  const of = (part: Amounts): Quantity | undefined =>
    Object.hasOwn(part, name) ? quantityOf(part[name] ?? "0") : undefined;
  const min = of(amounts.min);
  const max = of(amounts.max);
  const limit = of(amounts.byDefault);
  const request = of(amounts.requests);
  const ratio = of(amounts.ratio);
  const greater = (left: Quantity | undefined, right: Quantity | undefined): boolean =>
    left !== undefined && right !== undefined && left.cmp(right) > 0;
  const refuse = (part: string, value: Quantity | undefined, detail: string): void => {
    errors.push(fieldErrors.invalid(`${field}.${part}[${name}]`, value?.toString(), detail));
  };
  if (greater(min, max)) refuse("min", min, `min value ${min} is greater than max value ${max}`);
  if (greater(min, request)) {
    refuse("defaultRequest", request, `min value ${min} is greater than default request value ${request}`);
  }
  if (greater(request, max)) {
    refuse("defaultRequest", request, `default request value ${request} is greater than max value ${max}`);
  }
  if (greater(request, limit)) {
    refuse("defaultRequest", request, `default request value ${request} is greater than default limit value ${limit}`);
  }
  if (greater(min, limit)) refuse("default", min, `min value ${min} is greater than default value ${limit}`);
  if (greater(limit, max)) refuse("default", max, `default value ${limit} is greater than max value ${max}`);
  if (ratio && ratio.cmp(Quantity.of(1)) < 0) refuse("maxLimitRequestRatio", ratio, `ratio ${ratio} is less than 1`);
  if (ratio && min && max) {
    const largest = max.toNumber() / min.toNumber();
    if (ratio.toNumber() > largest) {
      refuse("maxLimitRequestRatio", ratio, `ratio ${ratio} is greater than max/min = ${largest.toFixed(6)}`);
    }
  }
  if (!allowsOvercommit(name) && limit && request && !limit.equals(request)) {
    refuse(
      "defaultRequest",
      request,
      `default value ${limit} must equal to defaultRequest value ${request} in ${name}`,
    );
  }
  return errors;
}

/** pkg/registry/core/limitrange. */
export const limitRangeStrategy = defineStrategy<LimitRange>({
  allowCreateOnUpdate: true,
  defaults(range) {
    for (const item of range.spec?.limits ?? []) {
      for (const part of ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] as const) {
        roundAmounts(item[part]);
      }
      if (item.type !== "Container") continue;
      const limits = { ...item.max, ...item.default };
      const requests = { ...item.min, ...limits, ...item.defaultRequest };
      if (Object.keys(limits).length > 0) item.default = limits;
      if (Object.keys(requests).length > 0) item.defaultRequest = requests;
    }
  },
  prepareForCreate(range) {
    const { name = "", ...rest } = range.metadata;
    // Upstream's name is another UUID; nothing else is as sure to be one of its own.
    if (name === "") range.metadata = { name: otherUid(rest.uid ?? ""), ...rest };
  },
  validate: limitRangeErrors,
});

const otherUid = (uid: string): string => `${uid.slice(24, 32)}${uid.slice(8, 24)}${uid.slice(32)}${uid.slice(0, 8)}`;

const podScopes = ["Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"];
const scopes: ReadonlySet<string> = new Set([...podScopes, "BestEffort", "VolumeAttributesClass"]);
const existsOnly: ReadonlySet<string> = new Set([
  "BestEffort",
  "NotBestEffort",
  "Terminating",
  "NotTerminating",
  "CrossNamespacePodAffinity",
]);
const podCompute: ReadonlySet<string> = new Set([
  "pods",
  "cpu",
  "memory",
  "limits.cpu",
  "limits.memory",
  "requests.cpu",
  "requests.memory",
]);

function scopeTakes(scope: string, resource: string): boolean {
  if (podScopes.includes(scope)) return podCompute.has(resource);
  if (scope === "BestEffort") return resource === "pods";
  if (scope === "VolumeAttributesClass")
    return resource === "persistentvolumeclaims" || resource === "requests.storage";
  return true;
}

const conflicting = (of: ReadonlySet<string>): boolean =>
  (of.has("BestEffort") && of.has("NotBestEffort")) || (of.has("Terminating") && of.has("NotTerminating"));

function amountsErrors(amounts: Amounts | undefined, field: string): FieldError[] {
  return Object.entries(amounts ?? {}).flatMap(([name, amount]) => [
    ...quotaResourceErrors(`${field}[${name}]`, name),
    ...resourceAmountErrors(`${field}[${name}]`, name, amount),
  ]);
}

/** `ValidateResourceQuotaSpec`. */
function quotaErrors(quota: ResourceQuota): FieldError[] {
  const spec = quota.spec ?? {};
  const errors = amountsErrors(spec.hard, "spec.hard");
  const hard = Object.keys(spec.hard ?? {}).toSorted();
  const listed = spec.scopes ?? [];
  const misfits = (scope: string): number =>
    hard.filter((name) => isQuotaResource(name) && !scopeTakes(scope, name)).length;
  for (const scope of listed) {
    if (!scopes.has(scope)) errors.push(fieldErrors.invalid("spec.scopes", listed, "unsupported scope"));
    for (let misfit = misfits(scope); misfit > 0; misfit--) {
      errors.push(fieldErrors.invalid("spec.scopes", listed, "unsupported scope applied to resource"));
    }
  }
  if (conflicting(new Set(listed))) errors.push(fieldErrors.invalid("spec.scopes", listed, "conflicting scopes"));
  const expressions = spec.scopeSelector?.matchExpressions ?? [];
  const field = "spec.scopeSelector.matchExpressions";
  for (const { scopeName, operator, values = [] } of expressions) {
    if (!scopes.has(scopeName)) errors.push(fieldErrors.invalid(`${field}.scopeName`, scopeName, "unsupported scope"));
    for (let misfit = misfits(scopeName); misfit > 0; misfit--) {
      const selector = {
        MatchExpressions: expressions.map((expression) => ({
          ScopeName: expression.scopeName,
          Operator: expression.operator,
          Values: expression.values ?? null,
        })),
      };
      errors.push(fieldErrors.invalid(field, selector, "unsupported scope applied to resource"));
    }
    if (existsOnly.has(scopeName) && operator !== "Exists") {
      errors.push(
        fieldErrors.invalid(
          `${field}.operator`,
          operator,
          "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
        ),
      );
    }
    if (operator === "In" || operator === "NotIn") {
      if (values.length === 0) {
        errors.push(
          fieldErrors.required(
            `${field}.values`,
            "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
          ),
        );
      }
    } else if (operator === "Exists" || operator === "DoesNotExist") {
      if (values.length > 0) {
        errors.push(
          fieldErrors.invalid(
            `${field}.values`,
            values,
            "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
          ),
        );
      }
    } else errors.push(fieldErrors.invalid(`${field}.operator`, operator, "not a valid selector operator"));
  }
  if (conflicting(new Set(expressions.map(({ scopeName }) => scopeName)))) {
    errors.push(fieldErrors.invalid(field, spec.scopes ?? null, "conflicting scopes"));
  }
  return errors;
}

const quotaStatusErrors = (quota: ResourceQuota): FieldError[] => [
  ...amountsErrors(quota.status?.hard, "status.hard"),
  ...amountsErrors(quota.status?.used, "status.used"),
];

/** pkg/registry/core/resourcequota. */
export const resourceQuotaStrategy = defineStrategy<ResourceQuota>({
  hasStatus: true,
  defaults(quota) {
    roundAmounts(quota.spec?.hard);
    roundAmounts(quota.status?.hard);
    roundAmounts(quota.status?.used);
  },
  validate: quotaErrors,
  validateUpdate(quota, old) {
    const errors = quotaErrors(quota);
    const now = new Set(quota.spec?.scopes);
    const before = new Set(old.spec?.scopes);
    if (now.symmetricDifference(before).size > 0) {
      errors.push(fieldErrors.invalid("spec.scopes", quota.spec?.scopes ?? null, "field is immutable"));
    }
    return errors;
  },
  validateStatusUpdate: quotaStatusErrors,
  warnings(quota, old) {
    if (old !== undefined) return [];
    const hard = quota.spec?.hard ?? {};
    return ["cpu", "memory", "storage", "ephemeral-storage"].flatMap((name) => {
      const plain = name === "cpu" || name === "memory" ? name : `requests.${name}`;
      const requested = Object.hasOwn(hard, `requests.${name}`) ? `requests.${name}` : plain;
      const limited = `limits.${name}`;
      const [request, limit] = [hard[requested], hard[limited]];
      if (request === undefined || limit === undefined || quantityOf(request).cmp(quantityOf(limit)) <= 0) return [];
      return [`ResourceQuota ${requested} (${request}) should be less than ${limited} (${limit})`];
    });
  },
});

import {
  parseQuantity,
  type AutoscalingHorizontalPodAutoscaler,
  type HorizontalPodAutoscaler,
  type HPAScalingRules,
  type MetricSpec,
} from "@fleetwright/kube";
import { copyJson, type Mutable } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { autoscalerFromV1 } from "./autoscaling-conversion.ts";
import { pathSegmentProblems } from "./name-checks.ts";
import { containerResourceErrors } from "./resource-names.ts";
import { dnsLabelErrors, invalidFor, nonNegativeErrors, nonNegativeQuantityErrors } from "./value-checks.ts";

type Reference = HorizontalPodAutoscaler["spec"]["scaleTargetRef"];
type Target = NonNullable<MetricSpec["resource"]>["target"];

const longestPeriodSeconds = 1800;
const longestWindowSeconds = 3600;
const defaultUtilization = 80;

/** What is wrong with a reference's apiVersion; `coreAllowed` where the group may be empty. */
function apiVersionProblem(apiVersion: string, coreAllowed: boolean): string | undefined {
  const slashes = apiVersion.split("/").length - 1;
  if (slashes > 1) return `unexpected GroupVersion string: ${apiVersion}`;
  return slashes === 1 || coreAllowed ? undefined : "apiVersion must specify API group";
}

function referenceErrors(
  reference: Reference,
  field: string,
  rules: { readonly coreAllowed: boolean; readonly anyVersion: boolean },
): FieldError[] {
  const errors: FieldError[] = [];
  for (const part of ["kind", "name"] as const) {
    const value = reference?.[part] ?? "";
    if (value === "") errors.push(fieldErrors.required(`${field}.${part}`));
    else errors.push(...invalidFor(`${field}.${part}`, value, pathSegmentProblems(value, false)));
  }
  const apiVersion = reference?.apiVersion ?? "";
  const problem = rules.anyVersion ? undefined : apiVersionProblem(apiVersion, rules.coreAllowed);
  if (problem !== undefined) errors.push(fieldErrors.invalid(`${field}.apiVersion`, apiVersion, problem));
  return errors;
}

function targetErrors(target: Target, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const type = target?.type ?? "";
  if (type === "") errors.push(fieldErrors.required(`${field}.type`, "must specify a metric target type"));
  if (!["Utilization", "Value", "AverageValue"].includes(type)) {
    errors.push(fieldErrors.invalid(`${field}.type`, type, "must be either Utilization, Value, or AverageValue"));
  }
  for (const part of ["value", "averageValue"] as const) {
    const value = target?.[part];
    if (value !== undefined && parseQuantity(value).sign <= 0) {
      errors.push(fieldErrors.invalid(`${field}.${part}`, value, "must be positive"));
    }
  }
  if (target?.averageUtilization !== undefined && target.averageUtilization < 1) {
    errors.push(
      fieldErrors.invalid(`${field}.averageUtilization`, target.averageUtilization, "must be greater than 0"),
    );
  }
  return errors;
}

function identifierErrors(name: string, field: string): FieldError[] {
  return name === ""
    ? [fieldErrors.required(`${field}.name`, "must specify a metric name")]
    : invalidFor(`${field}.name`, name, pathSegmentProblems(name, false));
}

/** A resource's target is a raw value or a share of the requests, not both. */
function utilizationErrors(target: Target, field: string): FieldError[] {
  const errors = targetErrors(target, field);
  const [utilization, raw] = [target?.averageUtilization, target?.averageValue];
  if (utilization === undefined && raw === undefined) {
    errors.push(
      fieldErrors.required(`${field}.averageUtilization`, "must set either a target raw value or a target utilization"),
    );
  }
  if (utilization !== undefined && raw !== undefined) {
    errors.push(
      fieldErrors.forbidden(`${field}.averageValue`, "may not set both a target raw value and a target utilization"),
    );
  }
  return errors;
}

function sourceErrors(metric: MetricSpec, source: string, field: string): FieldError[] {
  const { object, external, pods, resource, containerResource } = metric;
  if (source === "object" && object) {
    const errors = [
      ...referenceErrors(object.describedObject, `${field}.describedObject`, { coreAllowed: true, anyVersion: false }),
      ...identifierErrors(object.metric?.name ?? "", `${field}.metric`),
      ...targetErrors(object.target, `${field}.target`),
    ];
    if (object.target?.value === undefined && object.target?.averageValue === undefined) {
      errors.push(
        fieldErrors.required(`${field}.target.averageValue`, "must set either a target value or averageValue"),
      );
    }
    return errors;
  }
  if (source === "external" && external) {
    const { value, averageValue } = external.target ?? {};
    const errors = [
      ...identifierErrors(external.metric?.name ?? "", `${field}.metric`),
      ...targetErrors(external.target, `${field}.target`),
    ];
    if (value === undefined && averageValue === undefined) {
      errors.push(
        fieldErrors.required(
          `${field}.target.averageValue`,
          "must set either a target value for metric or a per-pod target",
        ),
      );
    }
    if (value !== undefined && averageValue !== undefined) {
      errors.push(
        fieldErrors.forbidden(
          `${field}.target.value`,
          "may not set both a target value for metric and a per-pod target",
        ),
      );
    }
    return errors;
  }
  if (source === "pods" && pods) {
    const errors = [
      ...identifierErrors(pods.metric?.name ?? "", `${field}.metric`),
      ...targetErrors(pods.target, `${field}.target`),
    ];
    if (pods.target?.averageValue === undefined) {
      errors.push(fieldErrors.required(`${field}.target.averageValue`, "must specify a positive target averageValue"));
    }
    return errors;
  }
  if (source === "resource" && resource) {
    return [
      ...(resource.name ? [] : [fieldErrors.required(`${field}.name`, "must specify a resource name")]),
      ...utilizationErrors(resource.target, `${field}.target`),
    ];
  }
  if (source === "containerResource" && containerResource) {
    return [
      ...(containerResource.name
        ? containerResourceErrors(`${field}.name`, containerResource.name)
        : [fieldErrors.required(`${field}.name`, "must specify a resource name")]),
      ...(containerResource.container
        ? dnsLabelErrors(`${field}.container`, containerResource.container)
        : [fieldErrors.required(`${field}.container`, "must specify a container")]),
      ...utilizationErrors(containerResource.target, `${field}.target`),
    ];
  }
  return [];
}

const sources = ["object", "external", "pods", "resource", "containerResource"] as const;
const sourceTypes = ["ContainerResource", "External", "Object", "Pods", "Resource"];

function metricErrors(metric: MetricSpec, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const type = metric.type ?? "";
  if (type === "") errors.push(fieldErrors.required(`${field}.type`, "must specify a metric source type"));
  const known = sourceTypes.includes(type);
  if (!known) errors.push(fieldErrors.notSupported(`${field}.type`, type, sourceTypes));
  const present = sources.filter((source) => metric[source] !== undefined);
  const [first] = present;
  if (first !== undefined) errors.push(...sourceErrors(metric, first, `${field}.${first}`));
  const expected = known ? `${type.slice(0, 1).toLowerCase()}${type.slice(1)}` : "";
  if (!known) errors.push(fieldErrors.notSupported(`${field}.type`, type, sourceTypes));
  else if (!present.some((source) => source === expected)) {
    errors.push(fieldErrors.required(`${field}.${expected}`, "must populate information for the given metric source"));
  }
  if (present.length !== 1) {
    for (const source of present.filter((name) => name !== expected)) {
      errors.push(fieldErrors.forbidden(`${field}.${source}`, "must populate the given metric source only"));
    }
  }
  return errors;
}

const selectPolicies = ["Disabled", "Max", "Min"];

function rulesErrors(rules: HPAScalingRules | undefined, field: string): FieldError[] {
  if (rules === undefined) return [];
  const errors: FieldError[] = [];
  const window = rules.stabilizationWindowSeconds;
  if (window !== undefined && window < 0) {
    errors.push(
      fieldErrors.invalid(`${field}.stabilizationWindowSeconds`, window, "must be greater than or equal to zero"),
    );
  }
  if (window !== undefined && window > longestWindowSeconds) {
    errors.push(
      fieldErrors.invalid(
        `${field}.stabilizationWindowSeconds`,
        window,
        `must be less than or equal to ${longestWindowSeconds}`,
      ),
    );
  }
  if (rules.selectPolicy !== undefined && !selectPolicies.includes(rules.selectPolicy)) {
    errors.push(fieldErrors.notSupported(`${field}.selectPolicy`, rules.selectPolicy, selectPolicies));
  }
  const policies = rules.policies ?? [];
  if (policies.length === 0) {
    errors.push(fieldErrors.required(`${field}.policies`, "must specify at least one Policy"));
  }
  for (const [index, { type = "", value = 0, periodSeconds = 0 }] of policies.entries()) {
    const at = `${field}.policies[${index}]`;
    if (type !== "Pods" && type !== "Percent") {
      errors.push(fieldErrors.notSupported(`${at}.type`, type, ["Percent", "Pods"]));
    }
    if (value <= 0) errors.push(fieldErrors.invalid(`${at}.value`, value, "must be greater than zero"));
    if (periodSeconds <= 0) {
      errors.push(fieldErrors.invalid(`${at}.periodSeconds`, periodSeconds, "must be greater than zero"));
    }
    if (periodSeconds > longestPeriodSeconds) {
      errors.push(
        fieldErrors.invalid(
          `${at}.periodSeconds`,
          periodSeconds,
          `must be less than or equal to ${longestPeriodSeconds}`,
        ),
      );
    }
  }
  if (rules.tolerance !== undefined) errors.push(...nonNegativeQuantityErrors(`${field}.tolerance`, rules.tolerance));
  return errors;
}

function autoscalerErrors(autoscaler: HorizontalPodAutoscaler, old?: HorizontalPodAutoscaler): FieldError[] {
  const { minReplicas, maxReplicas, scaleTargetRef, metrics = [], behavior } = autoscaler.spec;
  const errors: FieldError[] = [];
  const fewest = old?.spec.minReplicas === 0 ? 0 : 1;
  if (minReplicas !== undefined && minReplicas < fewest) {
    errors.push(fieldErrors.invalid("spec.minReplicas", minReplicas, `must be greater than or equal to ${fewest}`));
  }
  if (maxReplicas === 0) errors.push(fieldErrors.required("spec.maxReplicas", "must be set and greater than 0"));
  else if (maxReplicas < 0) {
    errors.push(fieldErrors.invalid("spec.maxReplicas", maxReplicas, "must be greater than or equal to 1"));
  }
  if (minReplicas !== undefined && maxReplicas < minReplicas) {
    errors.push(fieldErrors.invalid("spec.maxReplicas", maxReplicas, "must be greater than or equal to `minReplicas`"));
  }
  const before = old?.spec.scaleTargetRef;
  errors.push(
    ...referenceErrors(scaleTargetRef, "spec.scaleTargetRef", {
      anyVersion:
        before !== undefined &&
        before.apiVersion === scaleTargetRef?.apiVersion &&
        before.kind === scaleTargetRef?.kind,
      coreAllowed: scaleTargetRef?.kind === "ReplicationController",
    }),
    ...metrics.flatMap((metric, index) => metricErrors(metric, `spec.metrics[${index}]`)),
  );
  if (minReplicas === 0 && !metrics.some(({ type }) => type === "Object" || type === "External")) {
    errors.push(
      fieldErrors.forbidden(
        "spec.metrics",
        "must specify at least one Object or External metric to support scaling to zero replicas",
      ),
    );
  }
  return [
    ...errors,
    ...rulesErrors(behavior?.scaleUp, "spec.behavior.scaleUp"),
    ...rulesErrors(behavior?.scaleDown, "spec.behavior.scaleDown"),
  ];
}

const scaleUpRules: HPAScalingRules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: "Max",
  policies: [
    { type: "Pods", value: 4, periodSeconds: 15 },
    { type: "Percent", value: 100, periodSeconds: 15 },
  ],
};
const scaleDownRules: HPAScalingRules = {
  selectPolicy: "Max",
  policies: [{ type: "Percent", value: 100, periodSeconds: 15 }],
};

const statusErrors = ({ status }: HorizontalPodAutoscaler | AutoscalingHorizontalPodAutoscaler): FieldError[] => [
  ...nonNegativeErrors("status.currentReplicas", status?.currentReplicas ?? 0),
  ...nonNegativeErrors("status.desiredReplicas", status?.desiredReplicas ?? 0),
];

// Go's type has no omitempty here: an absent list is sent as null.
const nullList = null as unknown as undefined;

/** autoscaling/v2, the stored version. */
export const autoscalerStrategy = defineStrategy<HorizontalPodAutoscaler>({
  hasStatus: true,
  defaults(autoscaler) {
    autoscaler.spec ??= { maxReplicas: 0, scaleTargetRef: { kind: "", name: "" } };
    const { spec } = autoscaler;
    spec.minReplicas ??= 1;
    if ((spec.metrics ?? []).length === 0) {
      spec.metrics = [
        {
          type: "Resource",
          resource: { name: "cpu", target: { type: "Utilization", averageUtilization: defaultUtilization } },
        },
      ];
    }
    if (spec.behavior) {
      spec.behavior.scaleUp = { ...(copyJson(scaleUpRules) as Mutable<HPAScalingRules>), ...spec.behavior.scaleUp };
      spec.behavior.scaleDown = {
        ...(copyJson(scaleDownRules) as Mutable<HPAScalingRules>),
        ...spec.behavior.scaleDown,
      };
    }
    const status = (autoscaler.status ??= { desiredReplicas: 0 });
    status.desiredReplicas ??= 0;
    if (status.currentMetrics === undefined) Object.assign(status, { currentMetrics: nullList });
  },
  prepareForCreate(autoscaler) {
    autoscaler.status = { desiredReplicas: 0 };
    Object.assign(autoscaler.status, { currentMetrics: nullList });
  },
  validate: (autoscaler) => autoscalerErrors(autoscaler),
  validateUpdate: autoscalerErrors,
  validateStatusUpdate: statusErrors,
});

/** autoscaling/v1: validated as what it becomes. */
export const autoscalerV1Strategy = defineStrategy<AutoscalingHorizontalPodAutoscaler>({
  hasStatus: true,
  defaults(autoscaler) {
    autoscaler.spec ??= { maxReplicas: 0, scaleTargetRef: { kind: "", name: "" } };
    autoscaler.spec.minReplicas ??= 1;
    const status = (autoscaler.status ??= { currentReplicas: 0, desiredReplicas: 0 });
    status.currentReplicas ??= 0;
    status.desiredReplicas ??= 0;
  },
  prepareForCreate(autoscaler) {
    autoscaler.status = { currentReplicas: 0, desiredReplicas: 0 };
  },
  validate: (autoscaler) => autoscalerErrors(autoscalerFromV1(autoscaler)),
  validateUpdate: (autoscaler, old) => autoscalerErrors(autoscalerFromV1(autoscaler), autoscalerFromV1(old)),
  validateStatusUpdate: statusErrors,
  beforeStore(autoscaler) {
    // The answer is what is read again from what is stored: v2, with v2's default.
    const { spec } = autoscaler;
    if (spec.targetCPUUtilizationPercentage !== undefined) return;
    const cpu = autoscalerFromV1(autoscaler).spec?.metrics?.find(({ resource }) => resource?.name === "cpu");
    const utilization = cpu?.resource?.target.averageUtilization;
    if (utilization !== undefined) spec.targetCPUUtilizationPercentage = utilization;
  },
});

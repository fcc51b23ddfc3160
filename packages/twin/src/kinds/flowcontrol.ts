import type { FlowcontrolSubject, FlowSchema, PriorityLevelConfiguration } from "@fleetwright/kube";
import { defineStrategy, type Strategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { dns1123LabelProblems, dns1123SubdomainProblems } from "./name-checks.ts";
import { invalidFor } from "./value-checks.ts";

const group = "flowcontrol.apiserver.k8s.io";
const maxPrecedence = 10_000;
const maxQueues = 10_000_000;
const verbs: readonly string[] = [
  "create",
  "delete",
  "deletecollection",
  "get",
  "list",
  "patch",
  "proxy",
  "update",
  "watch",
];

type FlowRule = NonNullable<NonNullable<FlowSchema["spec"]>["rules"]>[number];
type ResourceRule = NonNullable<FlowRule["resourceRules"]>[number];
type NonResourceRule = NonNullable<FlowRule["nonResourceRules"]>[number];

const subjectFields = { ServiceAccount: "serviceAccount", User: "user", Group: "group" } as const;

function subjectErrors(subject: FlowcontrolSubject, field: string): FieldError[] {
  const kind = subject.kind as keyof typeof subjectFields;
  if (!Object.hasOwn(subjectFields, kind)) {
    return [fieldErrors.notSupported(`${field}.kind`, kind ?? "", ["Group", "ServiceAccount", "User"])];
  }
  const errors: FieldError[] = [];
  const own = subjectFields[kind];
  const value = subject[own];
  if (value === undefined) {
    errors.push(fieldErrors.required(`${field}.${own}`, `${own} is required when subject kind is '${kind}'`));
  } else if ((value.name ?? "") === "") errors.push(fieldErrors.required(`${field}.${own}.name`));
  else if (kind === "ServiceAccount" && value.name !== "*") {
    errors.push(...invalidFor(`${field}.${own}.name`, value.name, dns1123SubdomainProblems(value.name)));
  }
  if (kind === "ServiceAccount" && subject.serviceAccount !== undefined) {
    const namespace = subject.serviceAccount.namespace ?? "";
    const path = `${field}.${own}.namespace`;
    if (namespace === "") {
      errors.push(fieldErrors.required(path, "must specify namespace for service account"));
    } else errors.push(...invalidFor(path, namespace, dns1123LabelProblems(namespace)));
  }
  for (const [otherKind, other] of Object.entries(subjectFields)) {
    if (other !== own && subject[other] !== undefined) {
      errors.push(
        fieldErrors.forbidden(`${field}.${other}`, `${other} is forbidden when subject kind is not '${otherKind}'`),
      );
    }
  }
  return errors;
}

function verbErrors(given: readonly string[], field: string): FieldError[] {
  if (given.length === 0) return [fieldErrors.required(field, "verbs must contain at least one value")];
  if (given.includes("*")) {
    return given.length === 1
      ? []
      : [fieldErrors.invalid(field, given, "if '*' is present, must not specify other verbs")];
  }
  return given.every((verb) => verbs.includes(verb)) ? [] : [fieldErrors.notSupported(field, given, verbs)];
}

function listErrors(given: readonly string[], field: string, empty: string, others: string): FieldError[] {
  if (given.length === 0) return [fieldErrors.required(field, empty)];
  return given.length > 1 && given.includes("*")
    ? [fieldErrors.invalid(field, given, `if '*' is present, must not specify other ${others}`)]
    : [];
}

function resourceRuleErrors(rule: ResourceRule, field: string): FieldError[] {
  const { namespaces = [], clusterScope = false } = rule;
  const errors = [
    ...verbErrors(rule.verbs ?? [], `${field}.verbs`),
    ...listErrors(
      rule.apiGroups ?? [],
      `${field}.apiGroups`,
      "resource rules must supply at least one api group",
      "api groups",
    ),
    ...listErrors(
      rule.resources ?? [],
      `${field}.resources`,
      "resource rules must supply at least one resource",
      "resources",
    ),
  ];
  const path = `${field}.namespaces`;
  if (namespaces.length === 0) {
    if (!clusterScope) {
      errors.push(
        fieldErrors.required(path, "resource rules that are not cluster scoped must supply at least one namespace"),
      );
    }
  } else if (namespaces.includes("*")) errors.push(...listErrors(namespaces, path, "", "namespaces"));
  else {
    for (const [index, namespace] of namespaces.entries()) {
      for (const problem of dns1123LabelProblems(namespace)) {
        const detail = `each member of this list must be '*' or a DNS-1123 label; ${problem}`;
        errors.push(fieldErrors.invalid(`${path}[${index}]`, namespace, detail));
      }
    }
  }
  return errors;
}

function pathErrors(path: string, field: string): FieldError[] {
  if (path === "") return [fieldErrors.invalid(field, path, "must not be empty")];
  if (path === "/") return [];
  if (!path.startsWith("/")) return [fieldErrors.invalid(field, path, "must start with slash")];
  if (path.includes(" ")) return [fieldErrors.invalid(field, path, "must not contain white-space")];
  if (path.includes("//")) return [fieldErrors.invalid(field, path, "must not contain double slash")];
  const wildcards = path.split("*").length - 1;
  if (wildcards > 1 || (wildcards === 1 && !path.endsWith("*"))) {
    return [fieldErrors.invalid(field, path, "wildcard can only do suffix matching")];
  }
  return [];
}

function nonResourceRuleErrors(rule: NonResourceRule, field: string): FieldError[] {
  const urls = rule.nonResourceURLs ?? [];
  const path = `${field}.nonResourceURLs`;
  return [
    ...verbErrors(rule.verbs ?? [], `${field}.verbs`),
    ...(urls.length === 0 || urls.includes("*")
      ? listErrors(urls, path, "nonResourceURLs must contain at least one value", "non-resource URLs")
      : urls.flatMap((url, index) => pathErrors(url, `${path}[${index}]`))),
  ];
}

function flowRuleErrors(rule: FlowRule, field: string): FieldError[] {
  const { resourceRules = [], nonResourceRules = [] } = rule;
  const subjects = rule.subjects ?? [];
  return [
    ...(subjects.length === 0
      ? [fieldErrors.required(`${field}.subjects`, "subjects must contain at least one value")]
      : subjects.flatMap((subject, index) => subjectErrors(subject, `${field}.subjects[${index}]`))),
    ...(resourceRules.length === 0 && nonResourceRules.length === 0
      ? [fieldErrors.required(field, "at least one of resourceRules and nonResourceRules has to be non-empty")]
      : []),
    ...resourceRules.flatMap((one, index) => resourceRuleErrors(one, `${field}.resourceRules[${index}]`)),
    ...nonResourceRules.flatMap((one, index) => nonResourceRuleErrors(one, `${field}.nonResourceRules[${index}]`)),
  ];
}

function schemaErrors({ metadata, spec }: FlowSchema): FieldError[] {
  const errors: FieldError[] = [];
  const { matchingPrecedence = 0, distinguisherMethod, priorityLevelConfiguration, rules = [] } = spec ?? {};
  const precedence = "spec.matchingPrecedence";
  if (matchingPrecedence <= 0) {
    errors.push(fieldErrors.invalid(precedence, matchingPrecedence, "must be a positive value"));
  }
  if (matchingPrecedence > maxPrecedence) {
    errors.push(fieldErrors.invalid(precedence, matchingPrecedence, `must not be greater than ${maxPrecedence}`));
  }
  if (matchingPrecedence === 1 && metadata.name !== "exempt") {
    errors.push(
      fieldErrors.invalid(
        precedence,
        matchingPrecedence,
        "only the schema named 'exempt' may have matchingPrecedence 1",
      ),
    );
  }
  const methods = ["ByNamespace", "ByUser"];
  if (distinguisherMethod !== undefined && !methods.includes(distinguisherMethod.type)) {
    errors.push(fieldErrors.notSupported("spec.distinguisherMethod.type", distinguisherMethod, methods));
  }
  const level = priorityLevelConfiguration?.name ?? "";
  const path = "spec.priorityLevelConfiguration.name";
  errors.push(
    ...(level === ""
      ? [fieldErrors.required(path, "must reference a priority level")]
      : invalidFor(path, level, dns1123SubdomainProblems(level))),
    ...rules.flatMap((rule, index) => flowRuleErrors(rule, `spec.rules[${index}]`)),
  );
  return errors;
}

function sharesErrors(
  given: { readonly nominalConcurrencyShares?: number; readonly lendablePercent?: number },
  field: string,
): FieldError[] {
  const { nominalConcurrencyShares = 0, lendablePercent = 0 } = given;
  return [
    ...(nominalConcurrencyShares < 0
      ? [
          fieldErrors.invalid(
            `${field}.nominalConcurrencyShares`,
            nominalConcurrencyShares,
            "must be a non-negative integer",
          ),
        ]
      : []),
    ...(lendablePercent < 0 || lendablePercent > 100
      ? [fieldErrors.invalid(`${field}.lendablePercent`, lendablePercent, "must be between 0 and 100, inclusive")]
      : []),
  ];
}

type Limited = NonNullable<NonNullable<PriorityLevelConfiguration["spec"]>["limited"]>;

function responseErrors({ limitResponse }: Limited): FieldError[] {
  const field = "spec.limited.limitResponse";
  const { type = "", queuing } = limitResponse ?? {};
  if (type === "") return [fieldErrors.required(`${field}.type`)];
  if (type === "Reject") {
    return queuing === undefined
      ? []
      : [fieldErrors.forbidden(`${field}.queuing`, "must be nil if limited.limitResponse.type is not Limited")];
  }
  if (type !== "Queue") return [fieldErrors.notSupported(`${field}.type`, type, ["Queue", "Reject"])];
  if (queuing === undefined) {
    return [fieldErrors.required(`${field}.queuing`, "must not be empty if limited.limitResponse.type is Limited")];
  }
  const { queues = 0, handSize = 0, queueLengthLimit = 0 } = queuing;
  const errors: FieldError[] = [];
  const path = `${field}.queuing`;
  if (queueLengthLimit <= 0) {
    errors.push(fieldErrors.invalid(`${path}.queueLengthLimit`, queueLengthLimit, "must be positive"));
  }
  if (queues <= 0) errors.push(fieldErrors.invalid(`${path}.queues`, queues, "must be positive"));
  else if (queues > maxQueues) {
    errors.push(fieldErrors.invalid(`${path}.queues`, queues, `must not be greater than ${maxQueues}`));
  }
  if (handSize <= 0) errors.push(fieldErrors.invalid(`${path}.handSize`, handSize, "must be positive"));
  else if (handSize > queues) {
    errors.push(fieldErrors.invalid(`${path}.handSize`, handSize, `should not be greater than queues (${queues})`));
  }
  return errors;
}

function levelErrors({ metadata, spec }: PriorityLevelConfiguration): FieldError[] {
  const { type = "", exempt, limited } = spec ?? {};
  const errors: FieldError[] = [];
  if ((metadata.name === "exempt") !== (type === "Exempt")) {
    errors.push(fieldErrors.invalid("spec.type", type, "must be 'Exempt' if and only if `name` is 'exempt'"));
  }
  if (type === "") errors.push(fieldErrors.required("spec.type"));
  else if (type === "Exempt") {
    if (limited !== undefined) {
      errors.push(fieldErrors.forbidden("spec.limited", "must be nil if the type is not Limited"));
    }
    if (exempt !== undefined) errors.push(...sharesErrors(exempt, "spec.exempt"));
  } else if (type === "Limited") {
    if (exempt !== undefined) {
      errors.push(fieldErrors.forbidden("spec.exempt", "must be nil if the type is Limited"));
    }
    if (limited === undefined) {
      errors.push(fieldErrors.required("spec.limited", "must not be empty when type is Limited"));
    } else {
      errors.push(...sharesErrors(limited, "spec.limited"), ...responseErrors(limited));
      if (limited.borrowingLimitPercent !== undefined && limited.borrowingLimitPercent < 0) {
        errors.push(
          fieldErrors.invalid(
            "spec.limited.borrowingLimitPercent",
            limited.borrowingLimitPercent,
            "if specified, must be a non-negative integer",
          ),
        );
      }
    }
  } else errors.push(fieldErrors.notSupported("spec.type", type, ["Exempt", "Limited"]));
  return errors;
}

const flowSchemaStrategy = defineStrategy<FlowSchema>({
  hasStatus: true,
  hasGeneration: true,
  defaults({ spec }) {
    if (spec !== undefined && (spec.matchingPrecedence ?? 0) === 0) spec.matchingPrecedence = 1000;
  },
  validate: schemaErrors,
});

const priorityLevelStrategy = defineStrategy<PriorityLevelConfiguration>({
  hasStatus: true,
  hasGeneration: true,
  defaults({ spec }) {
    if (spec?.exempt !== undefined) {
      spec.exempt.nominalConcurrencyShares ??= 0;
      spec.exempt.lendablePercent ??= 0;
    }
    if (spec?.limited === undefined) return;
    spec.limited.nominalConcurrencyShares ??= 30;
    spec.limited.lendablePercent ??= 0;
    const queuing = spec.limited.limitResponse?.queuing;
    if (queuing === undefined) return;
    // Zero means the default too: the fields are no pointers upstream.
    queuing.handSize ||= 8;
    queuing.queues ||= 64;
    queuing.queueLengthLimit ||= 50;
  },
  validate: levelErrors,
});

/** pkg/registry/flowcontrol, pkg/apis/flowcontrol, by `group/Kind`. */
export const flowcontrolStrategies: Readonly<Record<string, Strategy>> = {
  [`${group}/FlowSchema`]: flowSchemaStrategy,
  [`${group}/PriorityLevelConfiguration`]: priorityLevelStrategy,
};

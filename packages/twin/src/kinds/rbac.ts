import {
  type ClusterRole,
  type ClusterRoleBinding,
  type PolicyRule,
  type Role,
  type RoleBinding,
  type Subject,
} from "@fleetwright/kube";
import { defineStrategy, type Strategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { dns1123SubdomainProblems, pathSegmentProblems } from "./name-checks.ts";
import { invalidFor, labelSelectorErrors } from "./value-checks.ts";

const group = "rbac.authorization.k8s.io";

/** `ValidatePolicyRule` (pkg/apis/rbac/validation). */
function ruleErrors(rule: PolicyRule, namespaced: boolean, field: string): FieldError[] {
  const { verbs, nonResourceURLs = [], apiGroups = [], resources = [], resourceNames = [] } = rule;
  const errors: FieldError[] = [];
  if ((verbs ?? []).length === 0) {
    errors.push(fieldErrors.required(`${field}.verbs`, "verbs must contain at least one value"));
  }
  if (nonResourceURLs.length > 0) {
    const urls = `${field}.nonResourceURLs`;
    if (namespaced) {
      errors.push(fieldErrors.invalid(urls, nonResourceURLs, "namespaced rules cannot apply to non-resource URLs"));
    }
    if (apiGroups.length > 0 || resources.length > 0 || resourceNames.length > 0) {
      errors.push(
        fieldErrors.invalid(
          urls,
          nonResourceURLs,
          "rules cannot apply to both regular resources and non-resource URLs",
        ),
      );
    }
    return errors;
  }
  if (apiGroups.length === 0) {
    errors.push(fieldErrors.required(`${field}.apiGroups`, "resource rules must supply at least one api group"));
  }
  if (resources.length === 0) {
    errors.push(fieldErrors.required(`${field}.resources`, "resource rules must supply at least one resource"));
  }
  return errors;
}

const rulesErrors = (rules: readonly PolicyRule[] | undefined, namespaced: boolean): FieldError[] =>
  (rules ?? []).flatMap((rule, index) => ruleErrors(rule, namespaced, `rules[${index}]`));

function subjectErrors(subject: Subject, namespaced: boolean, field: string): FieldError[] {
  const { kind, apiGroup = "", namespace = "" } = subject;
  const name = subject.name ?? "";
  const errors: FieldError[] = [];
  if (name === "") errors.push(fieldErrors.required(`${field}.name`));
  switch (kind) {
    case "ServiceAccount":
      if (name !== "") errors.push(...invalidFor(`${field}.name`, name, dns1123SubdomainProblems(name)));
      if (apiGroup !== "") errors.push(fieldErrors.notSupported(`${field}.apiGroup`, apiGroup, [""]));
      if (!namespaced && namespace === "") errors.push(fieldErrors.required(`${field}.namespace`));
      break;
    case "User":
    case "Group":
      if (apiGroup !== group) errors.push(fieldErrors.notSupported(`${field}.apiGroup`, apiGroup, [group]));
      break;
    default:
      errors.push(fieldErrors.notSupported(`${field}.kind`, kind ?? "", ["ServiceAccount", "User", "Group"]));
  }
  return errors;
}

type Binding = ClusterRoleBinding | RoleBinding;

function bindingErrors({ roleRef, subjects = [] }: Binding, namespaced: boolean): FieldError[] {
  const { apiGroup = "", kind } = roleRef;
  const name = roleRef.name ?? "";
  const kinds = namespaced ? ["Role", "ClusterRole"] : ["ClusterRole"];
  return [
    ...(apiGroup === group ? [] : [fieldErrors.notSupported("roleRef.apiGroup", apiGroup, [group])]),
    ...(kinds.includes(kind) ? [] : [fieldErrors.notSupported("roleRef.kind", kind ?? "", kinds)]),
    ...(name === ""
      ? [fieldErrors.required("roleRef.name")]
      : invalidFor("roleRef.name", name, pathSegmentProblems(name, false))),
    ...subjects.flatMap((subject, index) => subjectErrors(subject, namespaced, `subjects[${index}]`)),
  ];
}

function roleRefErrors(binding: Binding, old: Binding): FieldError[] {
  // The internal type has no names for JSON but Go's.
  const inOrder = ({ roleRef: { apiGroup = "", kind, name } }: Binding): object => ({
    APIGroup: apiGroup,
    Kind: kind,
    Name: name,
  });
  return JSON.stringify(inOrder(binding)) === JSON.stringify(inOrder(old))
    ? []
    : [fieldErrors.invalid("roleRef", inOrder(binding), "cannot change roleRef")];
}

/** Names are what a path can hold: `system:masters`. */
const nameProblems = (name: string): readonly string[] => pathSegmentProblems(name, false);

const common = { allowCreateOnUpdate: true, allowUnconditionalUpdate: true, nameProblems } as const;

const roleStrategy = defineStrategy<Role>({
  ...common,
  validate: ({ rules }) => rulesErrors(rules, true),
});

const clusterRoleStrategy = defineStrategy<ClusterRole>({
  ...common,
  validate({ rules, aggregationRule }) {
    const field = "aggregationRule.clusterRoleSelectors";
    const selectors = aggregationRule?.clusterRoleSelectors ?? [];
    return [
      ...rulesErrors(rules, false),
      ...(aggregationRule !== undefined && selectors.length === 0
        ? [fieldErrors.required(field, "at least one clusterRoleSelector required if aggregationRule is non-nil")]
        : []),
      ...selectors.flatMap((selector, index) => labelSelectorErrors(`${field}[${index}]`, selector as never)),
    ];
  },
});

const bindingStrategy = (namespaced: boolean): Strategy =>
  defineStrategy<ClusterRoleBinding | RoleBinding>({
    ...common,
    defaults(binding) {
      if (binding.roleRef !== undefined && (binding.roleRef.apiGroup ?? "") === "") binding.roleRef.apiGroup = group;
      for (const subject of binding.subjects ?? []) {
        const isAccount = subject.kind !== "User" && subject.kind !== "Group";
        if (!isAccount && (subject.apiGroup ?? "") === "") subject.apiGroup = group;
      }
    },
    validate: (binding) => bindingErrors(binding, namespaced),
    validateUpdate: (binding, old) => [...bindingErrors(binding, namespaced), ...roleRefErrors(binding, old)],
  });

/** Roles and bindings (pkg/registry/rbac, pkg/apis/rbac), by `group/Kind`. */
export const rbacStrategies: Readonly<Record<string, Strategy>> = {
  [`${group}/Role`]: roleStrategy,
  [`${group}/ClusterRole`]: clusterRoleStrategy,
  [`${group}/RoleBinding`]: bindingStrategy(true),
  [`${group}/ClusterRoleBinding`]: bindingStrategy(false),
};

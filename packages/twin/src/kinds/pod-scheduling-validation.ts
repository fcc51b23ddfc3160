import { labelValueProblems, type LabelSelector, type PodSpec, type Toleration } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { labelName, subdomainName } from "./name-checks.ts";
import { invalidFor, labelSelectorErrors, qualifiedNameErrors, textOf } from "./value-checks.ts";

type Affinity = NonNullable<PodSpec["affinity"]>;
type NodeAffinity = NonNullable<Affinity["nodeAffinity"]>;
type NodeTerm = NonNullable<
  NodeAffinity["requiredDuringSchedulingIgnoredDuringExecution"]
>["nodeSelectorTerms"][number];
type Requirement = NonNullable<NodeTerm["matchExpressions"]>[number];
type PodTerm = NonNullable<
  NonNullable<Affinity["podAffinity"]>["requiredDuringSchedulingIgnoredDuringExecution"]
>[number];

function requirementErrors(
  { key, operator, values = [] }: Requirement,
  field: string,
  anyValue: boolean,
): FieldError[] {
  const errors: FieldError[] = [];
  if (operator === "In" || operator === "NotIn") {
    if (values.length === 0) {
      errors.push(fieldErrors.required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    }
  } else if (operator === "Exists" || operator === "DoesNotExist") {
    if (values.length > 0) {
      errors.push(
        fieldErrors.forbidden(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
      );
    }
  } else if (operator === "Gt" || operator === "Lt") {
    if (values.length !== 1) {
      errors.push(
        fieldErrors.required(`${field}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"),
      );
    }
  } else errors.push(fieldErrors.invalid(`${field}.operator`, operator ?? "", "not a valid selector operator"));
  errors.push(...qualifiedNameErrors(`${field}.key`, key ?? ""));
  if (!anyValue) {
    for (const [index, value] of values.entries()) {
      errors.push(...invalidFor(`${field}.values[${index}]`, value, labelValueProblems(value)));
    }
  }
  return errors;
}

function fieldRequirementErrors({ key, operator, values = [] }: Requirement, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (operator !== "In" && operator !== "NotIn") {
    errors.push(fieldErrors.invalid(`${field}.operator`, operator ?? "", "not a valid selector operator"));
  } else if (values.length !== 1) {
    errors.push(
      fieldErrors.required(
        `${field}.values`,
        "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
      ),
    );
  }
  if (key !== "metadata.name") {
    return [...errors, fieldErrors.invalid(`${field}.key`, key ?? "", "not a valid field selector key")];
  }
  return [
    ...errors,
    ...values.flatMap((value, index) => invalidFor(`${field}.values[${index}]`, value, subdomainName(value, false))),
  ];
}

const nodeTermErrors = (term: NodeTerm, field: string, anyValue: boolean): FieldError[] => [
  ...(term.matchExpressions ?? []).flatMap((requirement, index) =>
    requirementErrors(requirement, `${field}.matchExpressions[${index}]`, anyValue),
  ),
  ...(term.matchFields ?? []).flatMap((requirement, index) =>
    fieldRequirementErrors(requirement, `${field}.matchFields[${index}]`),
  ),
];

const weightErrors = (weight: number, field: string): FieldError[] =>
  weight > 0 && weight <= 100 ? [] : [fieldErrors.invalid(`${field}.weight`, weight, "must be in the range 1-100")];

function nodeAffinityErrors(affinity: NodeAffinity, field: string): FieldError[] {
  const required = affinity.requiredDuringSchedulingIgnoredDuringExecution;
  const at = `${field}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`;
  const terms = required?.nodeSelectorTerms ?? [];
  return [
    ...(required && terms.length === 0
      ? [fieldErrors.required(at, "must have at least one node selector term")]
      : terms.flatMap((term, index) => nodeTermErrors(term, `${at}[${index}]`, false))),
    ...(affinity.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap(({ weight, preference }, index) => {
      const preferred = `${field}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`;
      return [...weightErrors(weight, preferred), ...nodeTermErrors(preference ?? {}, `${preferred}.preference`, true)];
    }),
  ];
}

/** `ValidateMatchLabelKeysAndMismatchLabelKeys`. */
function labelKeysErrors(
  match: readonly string[],
  mismatch: readonly string[],
  selector: LabelSelector | undefined,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const [name, keys] of [
    ["matchLabelKeys", match],
    ["mismatchLabelKeys", mismatch],
  ] as const) {
    if (keys.length === 0) continue;
    if (selector === undefined) {
      errors.push(fieldErrors.forbidden(`${field}.${name}`, "must not be specified when labelSelector is not set"));
    } else errors.push(...keys.flatMap((key, index) => qualifiedNameErrors(`${field}.${name}[${index}]`, key)));
  }
  const seen = new Set(Object.keys(selector?.matchLabels ?? {}));
  for (const { key } of selector?.matchExpressions ?? []) {
    const index = match.indexOf(key);
    if (index !== -1 && seen.has(key)) {
      errors.push(fieldErrors.invalid(`${field}[${index}]`, key, "exists in both matchLabelKeys and labelSelector"));
    }
    seen.add(key);
  }
  for (const [index, key] of match.entries()) {
    if (!mismatch.includes(key)) continue;
    errors.push(
      fieldErrors.invalid(
        `${field}.matchLabelKeys[${index}]`,
        key,
        "exists in both matchLabelKeys and mismatchLabelKeys",
      ),
    );
  }
  return errors;
}

const podTermErrors = (term: PodTerm, field: string): FieldError[] => [
  ...labelSelectorErrors(`${field}.labelSelector`, term.labelSelector),
  ...labelSelectorErrors(`${field}.namespaceSelector`, term.namespaceSelector),
  ...(term.namespaces ?? []).flatMap((name) => invalidFor(`${field}.namespace`, name, labelName(name, false))),
  ...labelKeysErrors(term.matchLabelKeys ?? [], term.mismatchLabelKeys ?? [], term.labelSelector, field),
  ...(term.topologyKey ? [] : [fieldErrors.required(`${field}.topologyKey`, "can not be empty")]),
  ...qualifiedNameErrors(`${field}.topologyKey`, term.topologyKey ?? ""),
];

/** `validateAffinity`. */
export function affinityErrors(affinity: Affinity | undefined, field: string): FieldError[] {
  if (affinity === undefined) return [];
  return [
    ...(affinity.nodeAffinity ? nodeAffinityErrors(affinity.nodeAffinity, `${field}.nodeAffinity`) : []),
    ...(["podAffinity", "podAntiAffinity"] as const).flatMap((part) => {
      const at = `${field}.${part}`;
      return [
        ...(affinity[part]?.requiredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((term, index) =>
          podTermErrors(term, `${at}.requiredDuringSchedulingIgnoredDuringExecution[${index}]`),
        ),
        ...(affinity[part]?.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((term, index) => {
          const preferred = `${at}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`;
          return [
            ...weightErrors(term.weight, preferred),
            ...podTermErrors(term.podAffinityTerm, `${preferred}.podAffinityTerm`),
          ];
        }),
      ];
    }),
  ];
}

const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/** `ValidateTolerations`. */
export function tolerationsErrors(tolerations: readonly Toleration[] | undefined, field: string): FieldError[] {
  return (tolerations ?? []).flatMap(({ key, operator = "", value = "", effect = "", tolerationSeconds }, index) => {
    const at = `${field}[${index}]`;
    const errors = key ? qualifiedNameErrors(`${at}.key`, key) : [];
    if (!key && operator !== "Exists") {
      errors.push(
        fieldErrors.invalid(
          `${at}.operator`,
          operator,
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    }
    if (tolerationSeconds !== undefined && effect !== "NoExecute") {
      errors.push(
        fieldErrors.invalid(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"),
      );
    }
    if (operator === "" || operator === "Equal") {
      const problems = labelValueProblems(value);
      if (problems.length > 0) errors.push(fieldErrors.invalid(`${at}.operator`, value, problems.join(";")));
    } else if (operator === "Exists") {
      if (value !== "") {
        errors.push(fieldErrors.invalid(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'"));
      }
    } else {
      // Comparisons are an alpha feature, which the refusal names all the same.
      const known = operator === "Lt" || operator === "Gt" ? ["Equal", "Exists", "Lt", "Gt"] : ["Equal", "Exists"];
      errors.push(fieldErrors.notSupported(`${at}.operator`, operator, known));
    }
    if (effect !== "" && !effects.includes(effect)) {
      errors.push(fieldErrors.notSupported(`${at}.effect`, effect, effects));
    }
    return errors;
  });
}

const positiveErrors = (value: number, field: string): FieldError[] =>
  value > 0 ? [] : [fieldErrors.invalid(field, value, "must be greater than zero")];

/** `validateTopologySpreadConstraints`. */
export function spreadErrors(constraints: PodSpec["topologySpreadConstraints"], field: string): FieldError[] {
  const pairs = (constraints ?? []).map((one) => `{${one.topologyKey ?? ""}, ${one.whenUnsatisfiable ?? ""}}`);
  return (constraints ?? []).flatMap((constraint, index) => {
    const at = `${field}[${index}]`;
    const { maxSkew, topologyKey, minDomains, labelSelector } = constraint;
    const action = constraint.whenUnsatisfiable ?? "";
    const errors = positiveErrors(maxSkew ?? 0, `${at}.maxSkew`);
    if (!topologyKey) errors.push(fieldErrors.required(`${at}.topologyKey`, "can not be empty"));
    if (action !== "DoNotSchedule" && action !== "ScheduleAnyway") {
      errors.push(fieldErrors.notSupported(`${at}.whenUnsatisfiable`, action, ["DoNotSchedule", "ScheduleAnyway"]));
    }
    const pair = pairs[index] ?? "";
    if (pairs.lastIndexOf(pair) > index) {
      errors.push(fieldErrors.duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, pair));
    }
    if (minDomains !== undefined) {
      errors.push(...positiveErrors(minDomains, `${at}.minDomains`));
      if (action !== "DoNotSchedule") {
        errors.push(
          fieldErrors.invalid(
            `${at}.minDomains`,
            minDomains,
            `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${action}`,
          ),
        );
      }
    }
    for (const policy of ["nodeAffinityPolicy", "nodeTaintsPolicy"] as const) {
      const value = constraint[policy];
      if (value !== undefined && value !== "Honor" && value !== "Ignore") {
        errors.push(fieldErrors.notSupported(`${at}.${policy}`, value, ["Honor", "Ignore"]));
      }
    }
    return [
      ...errors,
      ...labelKeysErrors(constraint.matchLabelKeys ?? [], [], labelSelector, at),
      ...labelSelectorErrors(`${at}.labelSelector`, labelSelector),
    ];
  });
}

/** `validateSchedulingGates` and readiness gates. */
export function gatesErrors(spec: PodSpec, field: string): FieldError[] {
  const seen = new Set<string>();
  return [
    ...(spec.readinessGates ?? []).flatMap(({ conditionType }, index) =>
      qualifiedNameErrors(`${field}.readinessGates[${index}].conditionType`, conditionType ?? ""),
    ),
    ...(spec.schedulingGates ?? []).flatMap((gate, index) => {
      const name = textOf(gate.name);
      const at = `${field}.schedulingGates[${index}]`;
      const errors = qualifiedNameErrors(at, name);
      if (seen.has(name)) errors.push(fieldErrors.duplicate(at, name));
      seen.add(name);
      return errors;
    }),
  ];
}

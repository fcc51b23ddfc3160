import {
  labelKeyProblems,
  labelValueProblems,
  type Lease,
  type PriorityClass,
  type RuntimeClass,
  type Toleration,
} from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, refusals, type FieldError } from "../machinery/status-error.ts";
import { dns1123LabelProblems } from "./name-checks.ts";
import { containerResourceErrors, resourceAmountErrors } from "./resource-names.ts";
import { immutableErrors, invalidFor, labelsErrors, qualifiedNameErrors, textOf } from "./value-checks.ts";

const highestUserPriority = 1_000_000_000;
const systemClasses = new Map([
  ["system-node-critical", 2_000_001_000],
  ["system-cluster-critical", 2_000_000_000],
]);

function systemClassProblem({ metadata: { name = "" }, value = 0, globalDefault = false }: PriorityClass): string {
  const known = systemClasses.get(name);
  if (known === undefined) return `${name} is not a known system priority class`;
  if (known !== value) return `value of ${name} PriorityClass must be ${known}`;
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : "";
}

/** pkg/registry/scheduling/priorityclass. */
export const priorityClassStrategy = defineStrategy<PriorityClass>({
  defaults(priorityClass) {
    priorityClass.preemptionPolicy ??= "PreemptLowerPriority";
  },
  prepareForCreate(priorityClass) {
    priorityClass.metadata.generation = 1;
  },
  validate(priorityClass) {
    const errors: FieldError[] = [];
    const { value = 0, preemptionPolicy } = priorityClass;
    if ((priorityClass.metadata.name ?? "").startsWith("system-")) {
      const problem = systemClassProblem(priorityClass);
      if (problem !== "") {
        errors.push(
          fieldErrors.forbidden(
            "metadata.name",
            `priority class names with 'system-' prefix are reserved for system use only. error: ${problem}`,
          ),
        );
      }
    } else if (value > highestUserPriority) {
      errors.push(
        fieldErrors.forbidden("value", `maximum allowed value of a user defined priority is ${highestUserPriority}`),
      );
    }
    const policies = ["PreemptLowerPriority", "Never"];
    if (preemptionPolicy === "") errors.push(fieldErrors.required("preemptionPolicy"));
    else if (preemptionPolicy !== undefined && !policies.includes(preemptionPolicy)) {
      errors.push(fieldErrors.notSupported("preemptionPolicy", preemptionPolicy, policies));
    }
    return errors;
  },
  checkDelete({ metadata: { name = "" } }, { info }) {
    // Upstream looks at the name in a DELETE, which deletions of collections are not.
    if (info.verb !== "delete" || !systemClasses.has(name)) return;
    const subject = { group: "scheduling.k8s.io", resource: "priorityclasses" };
    throw refusals.forbidden(subject, name, "this is a system priority class and cannot be deleted");
  },
  validateUpdate(priorityClass, old) {
    const changed = (priorityClass.value ?? 0) !== (old.value ?? 0);
    return [
      ...(changed ? [fieldErrors.forbidden("value", "may not be changed in an update.")] : []),
      ...immutableErrors("preemptionPolicy", priorityClass.preemptionPolicy ?? null, old.preemptionPolicy ?? null),
    ];
  },
});

const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

function tolerationErrors(tolerations: readonly Toleration[], parent: string): FieldError[] {
  const seen = new Set<string>();
  const duplicates: FieldError[] = [];
  const errors = tolerations.flatMap((toleration, index) => {
    const field = `${parent}[${index}]`;
    const { key = "", operator = "", value = "", effect = "", tolerationSeconds } = toleration;
    const identity = JSON.stringify([key, operator, value, effect]);
    if (seen.has(identity)) {
      duplicates.push(
        fieldErrors.duplicate(field, {
          Key: key,
          Operator: operator,
          Value: value,
          Effect: effect,
          TolerationSeconds: tolerationSeconds ?? null,
        }),
      );
    }
    seen.add(identity);
    const found = key === "" ? [] : invalidFor(`${field}.key`, key, labelKeyProblems(key));
    if (key === "" && operator !== "Exists") {
      found.push(
        fieldErrors.invalid(
          `${field}.operator`,
          operator,
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    }
    if (tolerationSeconds !== undefined && effect !== "NoExecute") {
      found.push(
        fieldErrors.invalid(`${field}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"),
      );
    }
    if (operator === "Equal" || operator === "") {
      const problems = labelValueProblems(value);
      if (problems.length > 0) found.push(fieldErrors.invalid(`${field}.operator`, value, problems.join(";")));
    } else if (operator === "Exists") {
      if (value !== "") {
        found.push(fieldErrors.invalid(`${field}.operator`, value, "value must be empty when `operator` is 'Exists'"));
      }
    } else {
      const supported = operator === "Lt" || operator === "Gt" ? ["Equal", "Exists", "Lt", "Gt"] : ["Equal", "Exists"];
      found.push(fieldErrors.notSupported(`${field}.operator`, operator, supported));
    }
    if (effect !== "" && !effects.includes(effect)) {
      found.push(fieldErrors.notSupported(`${field}.effect`, effect, effects));
    }
    return found;
  });
  return [...errors, ...duplicates];
}

const deprecatedNodeLabels = new Map([
  ["beta.kubernetes.io/arch", 'deprecated since v1.14; use "kubernetes.io/arch" instead'],
  ["beta.kubernetes.io/os", 'deprecated since v1.14; use "kubernetes.io/os" instead'],
  ["failure-domain.beta.kubernetes.io/region", 'deprecated since v1.17; use "topology.kubernetes.io/region" instead'],
  ["failure-domain.beta.kubernetes.io/zone", 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'],
  ["beta.kubernetes.io/instance-type", 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'],
]);

/** pkg/registry/node/runtimeclass. */
export const runtimeClassStrategy = defineStrategy<RuntimeClass>({
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate(runtimeClass) {
    const handler = textOf(runtimeClass.handler);
    const errors =
      handler === ""
        ? [fieldErrors.required("handler")]
        : invalidFor("handler", handler, dns1123LabelProblems(handler));
    for (const [name, amount] of Object.entries(runtimeClass.overhead?.podFixed ?? {})) {
      const field = `overhead.limits[${name}]`;
      errors.push(...containerResourceErrors(field, name), ...resourceAmountErrors(field, name, amount));
    }
    const { nodeSelector, tolerations = [] } = runtimeClass.scheduling ?? {};
    errors.push(...labelsErrors(nodeSelector, "scheduling.nodeSelector"));
    errors.push(...tolerationErrors(tolerations, "scheduling.tolerations"));
    return errors;
  },
  validateUpdate: (runtimeClass, old) => immutableErrors("handler", runtimeClass.handler, old.handler),
  warnings: (runtimeClass) =>
    Object.keys(runtimeClass.scheduling?.nodeSelector ?? {}).flatMap((label) => {
      const message = deprecatedNodeLabels.get(label);
      return message === undefined ? [] : [`scheduling.nodeSelector: ${message}`];
    }),
});

function leaseErrors(lease: Lease): FieldError[] {
  const { leaseDurationSeconds, leaseTransitions, strategy, preferredHolder = "" } = lease.spec ?? {};
  const errors: FieldError[] = [];
  if (leaseDurationSeconds !== undefined && leaseDurationSeconds <= 0) {
    errors.push(fieldErrors.invalid("spec.leaseDurationSeconds", leaseDurationSeconds, "must be greater than 0"));
  }
  if (leaseTransitions !== undefined && leaseTransitions < 0) {
    errors.push(fieldErrors.invalid("spec.leaseTransitions", leaseTransitions, "must be greater than or equal to 0"));
  }
  if (strategy !== undefined) {
    const field = "spec.strategy.strategy";
    if (strategy.includes("/")) errors.push(...qualifiedNameErrors(field, strategy));
    else if (strategy !== "OldestEmulationVersion") {
      errors.push(fieldErrors.notSupported(field, strategy, ["OldestEmulationVersion"]));
    }
  }
  if (preferredHolder !== "" && (strategy ?? "") === "") {
    errors.push(fieldErrors.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined"));
  }
  return errors;
}

/** pkg/registry/coordination/lease. */
export const leaseStrategy = defineStrategy<Lease>({
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  // Coordinated leader election (KEP-4355) is off by default.
  prepareForCreate({ spec }) {
    delete spec?.strategy;
    delete spec?.preferredHolder;
  },
  prepareForUpdate({ spec }, old) {
    if (old.spec?.strategy === undefined) delete spec?.strategy;
    if (old.spec?.preferredHolder === undefined) delete spec?.preferredHolder;
  },
  validate: leaseErrors,
});

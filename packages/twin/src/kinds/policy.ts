import type { PodDisruptionBudget } from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { labelSelectorErrors } from "./value-checks.ts";
import { countersErrors, intOrPercentErrors } from "./workload-checks.ts";

const evictionPolicies = ["AlwaysAllow", "IfHealthyBudget"];

function budgetErrors(budget: PodDisruptionBudget): FieldError[] {
  const spec = budget.spec ?? {};
  const errors: FieldError[] = [];
  if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined) {
    errors.push(
      fieldErrors.invalid(
        "spec",
        {
          MinAvailable: spec.minAvailable,
          Selector: spec.selector ?? null,
          MaxUnavailable: spec.maxUnavailable,
          UnhealthyPodEvictionPolicy: spec.unhealthyPodEvictionPolicy ?? null,
        },
        "minAvailable and maxUnavailable cannot be both set",
      ),
    );
  }
  if (spec.minAvailable !== undefined) errors.push(...intOrPercentErrors("spec.minAvailable", spec.minAvailable));
  if (spec.maxUnavailable !== undefined) errors.push(...intOrPercentErrors("spec.maxUnavailable", spec.maxUnavailable));
  errors.push(...labelSelectorErrors("spec.selector", spec.selector));
  const policy = spec.unhealthyPodEvictionPolicy;
  if (policy !== undefined && !evictionPolicies.includes(policy)) {
    errors.push(fieldErrors.notSupported("spec.unhealthyPodEvictionPolicy", policy, evictionPolicies));
  }
  return errors;
}

/** pkg/registry/policy/poddisruptionbudget. */
export const podDisruptionBudgetStrategy = defineStrategy<PodDisruptionBudget>({
  hasGeneration: true,
  hasStatus: true,
  defaults(budget) {
    budget.spec ??= {};
    const status = (budget.status ??= { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 });
    status.disruptionsAllowed ??= 0;
    status.currentHealthy ??= 0;
    status.desiredHealthy ??= 0;
    status.expectedPods ??= 0;
  },
  prepareForCreate(budget) {
    budget.status = { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 };
  },
  validate: budgetErrors,
  validateStatusUpdate: ({ status }) =>
    countersErrors("status", {
      disruptionsAllowed: status?.disruptionsAllowed,
      currentHealthy: status?.currentHealthy,
      desiredHealthy: status?.desiredHealthy,
      expectedPods: status?.expectedPods,
    }),
});

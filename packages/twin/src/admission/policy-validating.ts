import {
  ValidatingAdmissionPolicies,
  ValidatingAdmissionPolicyBindings,
  type KubeObject,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
  type Validation,
} from "@fleetwright/kube";
import type { Type } from "../cel/types.ts";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import type { Authorize } from "../machinery/authorizer.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { statusError, type StatusError } from "../machinery/status-error.ts";
import {
  BudgetExceeded,
  compileAdmission,
  conditionsHold,
  Evaluation,
  policyBudget,
  type AdmissionExpression,
  type ExpressionInput,
  type ExpressionScope,
  type Outcome,
} from "./policy-expressions.ts";
import { policyForm } from "./policy-matching.ts";
import { collectParams, PolicyConfigurationError, resourceOf } from "./policy-params.ts";
import { refusal } from "./refusal.ts";
import { inForm, isAdmissionConfiguration } from "./webhook-matching.ts";

export interface PolicyDependencies {
  readonly server: ServerAccess;
  readonly authorize: Authorize;
}

/** Why a policy does not let a request pass. */
interface Denial {
  readonly policy: string;
  readonly binding: string | undefined;
  readonly message: string;
  readonly reason: string;
}

/** What comes of one policy with one parameter. */
interface Decision {
  readonly message: string;
  readonly reason: string;
}

const maximumMessage = 5 * 1024;

/** ValidatingAdmissionPolicy (apiserver/pkg/admission/plugin/policy/validating). */
export function validatingPolicyPlugin(deps: PolicyDependencies): AdmissionPlugin {
  return {
    name: "ValidatingAdmissionPolicy",
    handles: () => true,
    async validate(attributes) {
      if (isAdmissionConfiguration(attributes)) return;
      const { objects } = deps.server;
      const policies = objects.list(ValidatingAdmissionPolicies);
      if (policies.length === 0) return;
      const bindings = objects.list(ValidatingAdmissionPolicyBindings);
      const denials: Denial[] = [];
      for (const policy of policies) {
        const own = bindings.filter(({ spec }) => spec.policyName === policy.metadata.name);
        if (own.length > 0) denials.push(...(await policyDenials(policy, own, attributes, deps)));
      }
      if (denials[0] !== undefined) throw denialStatus(denials[0], attributes);
    },
  };
}

async function policyDenials(
  policy: ValidatingAdmissionPolicy,
  bindings: readonly ValidatingAdmissionPolicyBinding[],
  attributes: AdmissionAttributes,
  deps: PolicyDependencies,
): Promise<readonly Denial[]> {
  const name = policy.metadata.name ?? "";
  const ignores = policy.spec?.failurePolicy === "Ignore";
  const configuration = (binding: string | undefined, error: unknown): readonly Denial[] => {
    if (!(error instanceof PolicyConfigurationError)) throw error;
    const message = `failed to configure ${binding === undefined ? "policy" : "binding"}: ${error.message}`;
    return ignores ? [] : [{ policy: name, binding, message, reason: "" }];
  };
  let form: ReturnType<typeof policyForm>;
  try {
    form = policyForm(policy.spec?.matchConstraints, attributes, deps.server);
    if (form !== undefined && policy.spec?.paramKind !== undefined) resourceOf(policy.spec.paramKind, deps.server);
  } catch (error) {
    return configuration(undefined, error);
  }
  if (form === undefined) return [];
  const object = await inForm(attributes.object, attributes.served, form.served);
  const oldObject = await inForm(attributes.oldObject, attributes.served, form.served);
  const denials: Denial[] = [];
  for (const binding of bindings) {
    const bindingName = binding.metadata.name ?? "";
    let params: readonly (KubeObject | undefined)[];
    try {
      if (policyForm(binding.spec.matchResources, attributes, deps.server) === undefined) continue;
      params = collectParams(policy.spec?.paramKind, binding.spec.paramRef, attributes.namespace, deps.server);
    } catch (error) {
      denials.push(...configuration(bindingName, error));
      continue;
    }
    for (const param of params) {
      const input: ExpressionInput = { attributes, form, object, oldObject, params: param, ...deps };
      const { decisions, errors } = decide(policy, input);
      for (const decision of decisions) {
        if (binding.spec.validationActions.includes("Deny")) {
          denials.push({ policy: name, binding: bindingName, ...decision });
        }
        if (binding.spec.validationActions.includes("Warn")) {
          attributes.context.warn(
            `Validation failed for ValidatingAdmissionPolicy '${name}' with binding '${bindingName}': ${decision.message}`,
          );
        }
      }
      for (const message of errors) denials.push({ policy: name, binding: bindingName, message, reason: "" });
    }
  }
  return denials;
}

interface CompiledPolicy {
  readonly variables: readonly (AdmissionExpression & { readonly name: string })[];
  readonly conditions: readonly AdmissionExpression[];
  readonly validations: readonly {
    readonly validation: Validation;
    readonly expression: AdmissionExpression;
    readonly message: AdmissionExpression | undefined;
  }[];
  readonly annotations: readonly AdmissionExpression[];
}

const compiledPolicies = new WeakMap<ValidatingAdmissionPolicy, CompiledPolicy>();

/** A policy's variables in order: each may use those before it. */
export function compileVariables(
  variables: readonly { readonly name: string; readonly expression: string }[],
  scope: ExpressionScope,
): {
  readonly compiled: readonly (AdmissionExpression & { readonly name: string })[];
  readonly types: ReadonlyMap<string, Type>;
} {
  const types = new Map<string, Type>();
  const compiled = variables.map(({ name, expression }) => {
    const result = compileAdmission(expression, { ...scope, variables: new Map(types) }, []);
    types.set(name, result.program?.checked.result ?? { kind: "dyn" });
    return { ...result, name };
  });
  return { compiled, types };
}

function compiledPolicy(policy: ValidatingAdmissionPolicy): CompiledPolicy {
  const known = compiledPolicies.get(policy);
  if (known !== undefined) return known;
  const { spec = {} } = policy;
  const scope = { hasParams: spec.paramKind !== undefined, hasAuthorizer: true };
  const { compiled, types } = compileVariables(spec.variables ?? [], scope);
  const composed = { ...scope, variables: types };
  const result: CompiledPolicy = {
    variables: compiled,
    conditions: (spec.matchConditions ?? []).map(({ expression }) => compileAdmission(expression, scope, ["bool"])),
    validations: (spec.validations ?? []).map((validation) => ({
      validation,
      expression: compileAdmission(validation.expression, composed, ["bool"]),
      message:
        (validation.messageExpression ?? "") === ""
          ? undefined
          : compileAdmission(validation.messageExpression ?? "", { ...composed, hasAuthorizer: false }, ["string"]),
    })),
    annotations: (spec.auditAnnotations ?? []).map(({ valueExpression }) =>
      compileAdmission(valueExpression, { ...composed, hasAuthorizer: false }, ["string", "null"]),
    ),
  };
  compiledPolicies.set(policy, result);
  return result;
}

function decide(
  policy: ValidatingAdmissionPolicy,
  input: ExpressionInput,
): { readonly decisions: readonly Decision[]; readonly errors: readonly string[] } {
  const failurePolicy = policy.spec?.failurePolicy;
  const failure = (message: string): readonly Decision[] =>
    failurePolicy === "Ignore" ? [] : [{ message, reason: "" }];
  const compiled = compiledPolicy(policy);
  const { matches, error } = conditionsHold(compiled.conditions, input, failurePolicy);
  if (error !== undefined) return { decisions: failure(error), errors: [] };
  if (!matches) return { decisions: [], errors: [] };
  const evaluation = new Evaluation(input, policyBudget, compiled.variables);
  const decisions: Decision[] = [];
  try {
    // All rules are evaluated before any message: their budget is one.
    const outcomes = compiled.validations.map(({ expression }) => evaluation.run(expression));
    for (const [at, { validation, message }] of compiled.validations.entries()) {
      const outcome = outcomes[at];
      if (outcome === undefined || outcome.value === true) continue;
      if (outcome.error !== undefined) decisions.push(...failure(outcome.error));
      else {
        const text = messageText(message === undefined ? undefined : evaluation.run(message));
        decisions.push({
          message: text ?? (validation.message?.trim() || `failed expression: ${validation.expression.trim()}`),
          reason: validation.reason ?? "Invalid",
        });
      }
    }
    const errors: string[] = [];
    const annotations = new Evaluation(input, policyBudget, compiled.variables);
    for (const annotation of compiled.annotations) {
      const outcome = annotations.run(annotation);
      if (outcome.error !== undefined && failurePolicy !== "Ignore") errors.push(outcome.error);
    }
    return { decisions, errors };
  } catch (thrown) {
    if (thrown instanceof BudgetExceeded) return { decisions: failure(thrown.message), errors: [] };
    throw thrown;
  }
}

/** What a `messageExpression` says, when that can be shown. */
function messageText(outcome: Outcome | undefined): string | undefined {
  if (typeof outcome?.value !== "string") return undefined;
  const text = outcome.value.trim();
  return text === "" || text.includes("\n") || Buffer.byteLength(text) > maximumMessage ? undefined : text;
}

const codes: Readonly<Record<string, number>> = {
  Forbidden: 403,
  Unauthorized: 401,
  RequestEntityTooLarge: 413,
  Invalid: 422,
};

function denialStatus({ policy, binding, message, reason }: Denial, attributes: AdmissionAttributes): StatusError {
  const by = binding === undefined ? `'${policy}'` : `'${policy}' with binding '${binding}'`;
  const text = `ValidatingAdmissionPolicy ${by} denied request: ${message}`;
  const { status } = refusal(attributes, text);
  const given = reason === "" ? "Invalid" : reason;
  return statusError(codes[given] ?? 422, given, status.message ?? text, {
    ...status.details,
    causes: [...(status.details?.causes ?? []), { message: text }],
  });
}

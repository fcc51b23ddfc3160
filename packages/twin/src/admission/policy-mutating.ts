import {
  MutatingAdmissionPolicies,
  MutatingAdmissionPolicyBindings,
  type JsonPatchOperation,
  type KubeObject,
  type MutatingAdmissionPolicy,
  type Mutation,
} from "@fleetwright/kube";
import { EvaluationFailure, isList, StructValue } from "../cel/values.ts";
import { checkTypeNames, jsonOf } from "../cel/value-json.ts";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import { isDraft, type Draft } from "../machinery/draft.ts";
import { statusError, type StatusError } from "../machinery/status-error.ts";
import {
  BudgetExceeded,
  compileAdmission,
  conditionsHold,
  Evaluation,
  policyBudget,
  type AdmissionExpression,
  type ExpressionInput,
} from "./policy-expressions.ts";
import { policyForm } from "./policy-matching.ts";
import { decodeChanged } from "./webhook-decoding.ts";
import { patchedBy } from "./webhook-patch.ts";
import { atomicParts, mergeConfiguration, sameObject } from "./policy-merge.ts";
import { collectParams, PolicyConfigurationError, resourceOf } from "./policy-params.ts";
import { compileVariables, type PolicyDependencies } from "./policy-validating.ts";
import { refusal } from "./refusal.ts";
import { inForm, isAdmissionConfiguration, replaceContents, type MatchedForm } from "./webhook-matching.ts";

/** One policy with one binding and one parameter. */
interface Invocation {
  readonly policy: MutatingAdmissionPolicy;
  readonly binding: string;
  readonly param: KubeObject | undefined;
  readonly form: MatchedForm;
}

/** The mutation does not work out. */
class MutationFailure extends Error {
  override readonly name = "MutationFailure";
}

/** MutatingAdmissionPolicy (apiserver/pkg/admission/plugin/policy/mutating). */
export function mutatingPolicyPlugin(deps: PolicyDependencies): AdmissionPlugin {
  return {
    name: "MutatingAdmissionPolicy",
    handles: () => true,
    async admit(attributes) {
      if (isAdmissionConfiguration(attributes)) return;
      const policies = deps.server.objects.list(MutatingAdmissionPolicies);
      if (policies.length === 0) return;
      const errors: string[] = [];
      const invocations = policies.flatMap((policy) => invocationsOf(policy, attributes, deps, errors));
      let lastChange = -1;
      for (const [at, invocation] of invocations.entries()) {
        if (await invoke(invocation, attributes, deps, errors)) lastChange = at;
      }
      // Those that ran before somebody else's change may see it, once.
      for (const [at, invocation] of invocations.entries()) {
        if (at >= lastChange || invocation.policy.spec?.reinvocationPolicy !== "IfNeeded") continue;
        await invoke(invocation, attributes, deps, errors);
      }
      if (errors.length > 0) throw denialStatus(errors, attributes);
    },
  };
}

const fails = ({ spec }: MutatingAdmissionPolicy): boolean => spec?.failurePolicy !== "Ignore";

function invocationsOf(
  policy: MutatingAdmissionPolicy,
  attributes: AdmissionAttributes,
  { server }: PolicyDependencies,
  errors: string[],
): readonly Invocation[] {
  const name = policy.metadata.name ?? "";
  const bindings = server.objects.list(MutatingAdmissionPolicyBindings).filter(({ spec }) => spec?.policyName === name);
  if (bindings.length === 0) return [];
  const note = (binding: string | undefined, error: unknown): readonly Invocation[] => {
    if (!(error instanceof PolicyConfigurationError)) throw error;
    const by = binding === undefined ? `policy ${JSON.stringify(name)}` : `policy '${name}' with binding '${binding}'`;
    const what = binding === undefined ? "policy" : "binding";
    if (fails(policy)) errors.push(`${by} denied request: failed to configure ${what}: ${error.message}`);
    return [];
  };
  let form: MatchedForm | undefined;
  try {
    form = policyForm(policy.spec?.matchConstraints, attributes, server);
    if (form !== undefined && policy.spec?.paramKind !== undefined) resourceOf(policy.spec.paramKind, server);
  } catch (error) {
    return note(undefined, error);
  }
  if (form === undefined) return [];
  const matched = form;
  return bindings.flatMap((binding) => {
    const bindingName = binding.metadata.name ?? "";
    try {
      if (policyForm(binding.spec?.matchResources, attributes, server) === undefined) return [];
      const params = collectParams(policy.spec?.paramKind, binding.spec?.paramRef, attributes.namespace, server);
      return params.map((param) => ({ policy, binding: bindingName, param, form: matched }));
    } catch (error) {
      return note(bindingName, error);
    }
  });
}

interface CompiledPolicy {
  readonly variables: readonly (AdmissionExpression & { readonly name: string })[];
  readonly conditions: readonly AdmissionExpression[];
  readonly mutations: readonly AdmissionExpression[];
}

const compiledPolicies = new WeakMap<MutatingAdmissionPolicy, CompiledPolicy>();

function compiledPolicy(policy: MutatingAdmissionPolicy): CompiledPolicy {
  const known = compiledPolicies.get(policy);
  if (known !== undefined) return known;
  const { spec = {} } = policy;
  const scope = { hasParams: spec.paramKind !== undefined, hasAuthorizer: true, hasPatchTypes: true };
  const { compiled, types } = compileVariables(spec.variables ?? [], scope);
  const result: CompiledPolicy = {
    variables: compiled,
    conditions: (spec.matchConditions ?? []).map(({ expression }) =>
      compileAdmission(expression, { ...scope, hasPatchTypes: false }, ["bool"]),
    ),
    mutations: (spec.mutations ?? []).map((mutation) =>
      compileAdmission(
        (mutation.patchType === "JSONPatch" ? mutation.jsonPatch : mutation.applyConfiguration)?.expression ?? "",
        { ...scope, variables: types },
        mutation.patchType === "JSONPatch" ? ["list(JSONPatch)"] : ["Object"],
      ),
    ),
  };
  compiledPolicies.set(policy, result);
  return result;
}

/** Whether the object has changed. */
async function invoke(
  { policy, binding, param, form }: Invocation,
  attributes: AdmissionAttributes,
  deps: PolicyDependencies,
  errors: string[],
): Promise<boolean> {
  if (attributes.object === undefined) return false;
  const compiled = compiledPolicy(policy);
  const note = (message: string): void => {
    const by = `policy '${policy.metadata.name ?? ""}' with binding '${binding}' denied request`;
    if (fails(policy)) errors.push(`${by}: ${message}`);
  };
  const before = await inForm(attributes.object, attributes.served, form.served);
  const oldObject = await inForm(attributes.oldObject, attributes.served, form.served);
  if (before === undefined) return false;
  let object: Draft = before;
  const input = (): ExpressionInput => ({ attributes, form, object, oldObject, params: param, ...deps });
  const { matches, error } = conditionsHold(compiled.conditions, input(), policy.spec?.failurePolicy);
  if (error !== undefined) note(error);
  if (!matches) return false;
  for (const [at, mutation] of (policy.spec?.mutations ?? []).entries()) {
    const expression = compiled.mutations[at];
    if (expression === undefined) continue;
    try {
      const evaluation = new Evaluation(input(), policyBudget, compiled.variables);
      object = decodeChanged(patched(mutation, expression, evaluation, object, form), form.served, attributes);
    } catch (thrown) {
      if (thrown instanceof MutationFailure || thrown instanceof BudgetExceeded) note(thrown.message);
      else throw thrown;
    }
  }
  if (sameObject(before, object)) return false;
  const back = await inForm(object, form.served, attributes.served);
  if (back !== undefined) replaceContents(attributes.object, back);
  return true;
}

function patched(
  mutation: Mutation,
  expression: AdmissionExpression,
  evaluation: Evaluation,
  object: Draft,
  form: MatchedForm,
): Draft {
  if (expression.program === undefined) throw new MutationFailure(expression.error);
  const { value, error } = evaluation.run(expression);
  if (error !== undefined) throw new MutationFailure(error);
  try {
    if (mutation.patchType === "JSONPatch") {
      if (!isList(value)) throw new MutationFailure("type mismatch: JSONPatchType.expression should evaluate to array");
      return applyOperations(object, value.map(operationOf));
    }
    if (!(value instanceof StructValue)) {
      throw new MutationFailure("unsupported return type from ApplyConfiguration expression");
    }
    typeNames(value, "Object");
    const configuration = jsonOf(value);
    const { schema } = form.served;
    const atomics = atomicParts(schema, configuration);
    if (atomics.length > 0) {
      const parts = atomics.join(", ");
      throw new MutationFailure(
        `error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${parts}`,
      );
    }
    const merged = mergeConfiguration(schema, object, configuration);
    return isDraft(merged) ? merged : object;
  } catch (failure) {
    if (failure instanceof EvaluationFailure) throw new MutationFailure(failure.message);
    throw failure;
  }
}

function typeNames(value: StructValue, expected: string): void {
  try {
    checkTypeNames(value, expected);
  } catch (error) {
    if (error instanceof EvaluationFailure) throw new MutationFailure(`type mismatch: ${error.message}`);
    throw error;
  }
}

function operationOf(value: unknown): JsonPatchOperation {
  if (!(value instanceof StructValue) || value.objectType !== "JSONPatch") {
    throw new MutationFailure("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch");
  }
  const held = value.fields.get("value");
  if (held instanceof StructValue) typeNames(held, held.objectType);
  const operation = jsonOf(value);
  return operation as unknown as JsonPatchOperation;
}

function applyOperations(object: Draft, operations: readonly JsonPatchOperation[]): Draft {
  const outcome = patchedBy(object, operations);
  if (outcome.object !== undefined) return outcome.object;
  // A test that fails is how a patch says that there is nothing to do.
  if (outcome.operation === "test") return object;
  throw new MutationFailure(`JSON Patch: ${outcome.error}`);
}

function denialStatus(messages: readonly string[], attributes: AdmissionAttributes): StatusError {
  const { status } = refusal(attributes, "admission request denied by policy");
  return statusError(403, "Invalid", messages[0] ?? "", {
    ...status.details,
    causes: [...(status.details?.causes ?? []), ...messages.map((message) => ({ message }))],
  });
}

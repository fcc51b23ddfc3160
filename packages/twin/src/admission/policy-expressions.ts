import { Namespaces, type UserInfo } from "@fleetwright/kube";
import { compile, type Program } from "../cel/expression.ts";
import { dynamicValue, schemaValue } from "../cel/json-value.ts";
import { authorizerValue, requestResourceValue } from "../cel/library-authorizer.ts";
import { CostLimitExceeded } from "../cel/runtime-cost.ts";
import { schemaType } from "../cel/schema-type.ts";
import { dyn, opaque, scalar, typeText, type ObjectType, type Type } from "../cel/types.ts";
import { EvaluationFailure, Mapping, type Value } from "../cel/values.ts";
import type { AdmissionAttributes } from "../machinery/admission.ts";
import type { Authorize } from "../machinery/authorizer.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import type { Schema } from "../machinery/schema.ts";
import type { MatchedForm } from "./webhook-matching.ts";
import { admissionRequest } from "./webhook-review.ts";

/** What the expressions of one policy, and of one webhook's conditions, may cost (apiserver/pkg/apis/cel/config.go). */
export const policyBudget = 10_000_000;
const conditionBudget = 2_500_000;

const text: Schema = { type: "string" };
const texts: Schema = { type: "array", items: text };
const map = (additionalProperties: Schema): Schema => ({ type: "object", additionalProperties });
const object = (properties: Readonly<Record<string, Schema>>): Schema => ({ type: "object", properties });
const anything: Schema = { "x-kubernetes-int-or-string": true };
const groupVersion = { group: text, version: text };

/** apiserver/pkg/admission/plugin/cel/compile.go, `BuildRequestType`. */
const requestSchema = object({
  kind: object({ ...groupVersion, kind: text }),
  resource: object({ ...groupVersion, resource: text }),
  subResource: text,
  requestKind: object({ ...groupVersion, kind: text }),
  requestResource: object({ ...groupVersion, resource: text }),
  requestSubResource: text,
  name: text,
  namespace: text,
  operation: text,
  userInfo: object({ username: text, uid: text, groups: texts, extra: map(texts) }),
  dryRun: { type: "boolean" },
  options: anything,
});
const time: Schema = { type: "string", format: "date-time" };
const namespaceSchema = object({
  metadata: object({
    name: text,
    generateName: text,
    namespace: text,
    labels: map(text),
    annotations: map(text),
    UID: text,
    creationTimestamp: time,
    deletionGracePeriodSeconds: { type: "integer" },
    deletionTimestamp: time,
    generation: { type: "integer" },
    resourceVersion: text,
    finalizers: texts,
  }),
  spec: object({ finalizers: texts }),
  status: object({ phase: text }),
});

const named = (schema: Schema, name: string): Type => {
  const type = schemaType(schema, false)?.type ?? dyn;
  return type.kind === "object" ? { ...type, name } : type;
};
const requestType = named(requestSchema, "kubernetes.AdmissionRequest");
const namespaceType = named(namespaceSchema, "kubernetes.Namespace");

/** What the expressions of a policy may name. */
export interface ExpressionScope {
  readonly hasParams: boolean;
  readonly hasAuthorizer: boolean;
  /** The policy's own variables so far. */
  readonly variables?: ReadonlyMap<string, Type>;
  /** `Object.spec{…}` and `JSONPatch{…}`. */
  readonly hasPatchTypes?: boolean;
}

const patchFields: Readonly<Record<string, Type>> = {
  op: scalar("string"),
  path: scalar("string"),
  from: scalar("string"),
  value: dyn,
};

/** Types of patches: `Object` and all below it take any field; their names are checked against where they are used. */
function patchType(name: string): ObjectType | undefined {
  if (name === "JSONPatch") {
    return {
      kind: "object",
      name,
      field: (field) => (Object.hasOwn(patchFields, field) ? patchFields[field] : undefined),
    };
  }
  return name === "Object" || name.startsWith("Object.") ? { kind: "object", name, field: () => dyn } : undefined;
}

/** An expression of a policy or a match condition; the error is what upstream writes into status and answers. */
export type AdmissionExpression =
  | { readonly source: string; readonly program: Program; readonly error?: undefined }
  | { readonly source: string; readonly program?: undefined; readonly error: string };

/** Compiles an expression whose result must be of one of the types. */
export function compileAdmission(
  source: string,
  scope: ExpressionScope,
  results: readonly string[],
): AdmissionExpression {
  const { variables: known = new Map<string, Type>() } = scope;
  const variables = new Map<string, Type>([
    ["object", dyn],
    ["oldObject", dyn],
    ["request", requestType],
    ["namespaceObject", namespaceType],
    ["variables", { kind: "object", name: "kubernetes.variables", field: (name) => known.get(name) }],
  ]);
  if (scope.hasParams) variables.set("params", dyn);
  if (scope.hasAuthorizer) {
    variables.set("authorizer", opaque("kubernetes.authorization.Authorizer"));
    variables.set("authorizer.requestResource", opaque("kubernetes.authorization.ResourceCheck"));
  }
  const { program, error } = compile(source, {
    variables,
    ...(scope.hasPatchTypes === true ? { objectType: patchType } : {}),
  });
  if (program === undefined) return { source, error: `compilation failed: ${error}` };
  const result = typeText(program.checked.result);
  if (results.length > 0 && !results.includes(result)) {
    const wanted = results.map((name) => (name === "null" ? "null_type" : name)).join(" ");
    return {
      source,
      error: `must evaluate to ${results.length === 1 ? wanted : `one of [${wanted}]`} but got ${result}`,
    };
  }
  return { source, program };
}

/** One request as expressions see it. */
export interface ExpressionInput {
  readonly attributes: AdmissionAttributes;
  readonly form: MatchedForm;
  readonly object: Draft | undefined;
  readonly oldObject: Draft | undefined;
  /** Absent: null. */
  readonly params?: object | undefined;
  readonly server: ServerAccess;
  readonly authorize: Authorize;
}

/** The evaluation as a whole is over: out of budget. */
export class BudgetExceeded extends Error {
  override readonly name = "BudgetExceeded";
  constructor() {
    super("validation failed due to running out of cost budget, no further validation rules will be run");
  }
}

/** What an expression came to. */
export type Outcome =
  | { readonly value: Value; readonly error?: undefined }
  | { readonly value?: undefined; readonly error: string };

/** Runs a policy's expressions for one request, within one budget. */
export class Evaluation {
  readonly #variables: (name: string) => Value | undefined;
  #budget: number;

  constructor(
    input: ExpressionInput,
    budget: number,
    own?: readonly (AdmissionExpression & { readonly name: string })[],
  ) {
    this.#budget = budget;
    const made = new Map<string, Value>();
    const makers = variableMakers(input);
    if (own !== undefined && own.length > 0)
      makers.set("variables", () => new LazyVariables(own, (expression) => this.#spend(expression)));
    this.#variables = (name) => {
      const known = made.get(name);
      if (known !== undefined) return known;
      const value = makers.get(name)?.();
      if (value !== undefined) made.set(name, value);
      return value;
    };
  }

  get remaining(): number {
    return this.#budget;
  }

  /** Throws BudgetExceeded. */
  run(expression: AdmissionExpression): Outcome {
    if (expression.program === undefined) return { error: `compilation error: ${expression.error}` };
    try {
      return { value: this.#spend(expression) };
    } catch (error) {
      if (error instanceof CostLimitExceeded || error instanceof EvaluationFailure) {
        return { error: `expression '${expression.source}' resulted in error: ${error.message}` };
      }
      throw error;
    }
  }

  #spend({ program, error, source }: AdmissionExpression): Value {
    if (program === undefined) throw new EvaluationFailure(error ?? source);
    let spent = 0;
    try {
      return program.run(this.#variables, (cost) => (spent = cost));
    } finally {
      this.#budget -= spent;
      // oxlint-disable-next-line no-unsafe-finally
      if (this.#budget < 0) throw new BudgetExceeded();
    }
  }
}

/** A policy's variables: each is evaluated when it is first asked for. */
class LazyVariables extends Mapping {
  override readonly objectType = "kubernetes.variables";
  readonly #expressions: ReadonlyMap<string, AdmissionExpression>;
  readonly #run: (expression: AdmissionExpression) => Value;
  readonly #known = new Map<string, Value>();

  constructor(
    expressions: readonly (AdmissionExpression & { readonly name: string })[],
    run: (expression: AdmissionExpression) => Value,
  ) {
    super();
    this.#expressions = new Map(expressions.map((expression) => [expression.name, expression]));
    this.#run = run;
  }
  override get(key: Value): Value | undefined {
    if (typeof key !== "string") return undefined;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const expression = this.#expressions.get(key);
    if (expression === undefined) return undefined;
    try {
      const value = this.#run(expression);
      this.#known.set(key, value);
      return value;
    } catch (error) {
      if (!(error instanceof EvaluationFailure)) throw error;
      throw new EvaluationFailure(`composited variable ${JSON.stringify(key)} fails to evaluate: ${error.message}`);
    }
  }
  override keys(): readonly Value[] {
    return [...this.#expressions.keys()];
  }
}

function variableMakers(input: ExpressionInput): Map<string, () => Value> {
  const { attributes, form, server, authorize } = input;
  const user: UserInfo = attributes.user;
  return new Map<string, () => Value>([
    ["object", () => dynamicValue(input.object)],
    ["oldObject", () => dynamicValue(input.oldObject)],
    ["params", () => dynamicValue(input.params)],
    ["request", () => schemaValue(admissionRequest(attributes, form), requestSchema, false)],
    [
      "namespaceObject",
      () => {
        const isNamespace = attributes.kind.group === "" && attributes.kind.kind === "Namespace";
        if (attributes.namespace === "" || isNamespace) return null;
        const namespace = server.objects.get(Namespaces, { name: attributes.namespace });
        return schemaValue(namespace ?? null, namespaceSchema, false);
      },
    ],
    ["variables", () => new LazyVariables([], () => null)],
    ["authorizer", () => authorizerValue(authorize, user)],
    [
      "authorizer.requestResource",
      () =>
        requestResourceValue(authorize, user, {
          ...attributes.resource,
          subresource: attributes.subresource,
          namespace: attributes.namespace,
          name: attributes.name,
        }),
    ],
  ]);
}

export interface ConditionResult {
  readonly matches: boolean;
  /** Why it cannot be said, when that refuses the request. */
  readonly error?: string;
}

/** Match conditions of a webhook or a policy (…/webhook/matchconditions/matcher.go). */
export function conditionsHold(
  conditions: readonly AdmissionExpression[],
  input: ExpressionInput,
  failurePolicy: string | undefined,
): ConditionResult {
  if (conditions.length === 0) return { matches: true };
  const failed = (error: string): ConditionResult =>
    failurePolicy === "Ignore" ? { matches: false } : { matches: false, error };
  const evaluation = new Evaluation(input, conditionBudget);
  const errors: string[] = [];
  try {
    // All are evaluated: one that says no decides, whatever fails before it.
    const outcomes = conditions.map((condition) => evaluation.run(condition));
    for (const { value, error } of outcomes) {
      if (error !== undefined) errors.push(error);
      if (value === false) return { matches: false };
    }
  } catch (error) {
    if (error instanceof BudgetExceeded) return failed(error.message);
    throw error;
  }
  if (errors.length === 0) return { matches: true };
  return failed(errors.length === 1 ? (errors[0] ?? "") : `[${[...new Set(errors)].join(", ")}]`);
}

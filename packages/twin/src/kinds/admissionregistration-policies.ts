import type {
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  Mutation,
  ParamKind,
  ParamRef,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  Variable,
} from "@fleetwright/kube";
import { compileAdmission, type ExpressionScope } from "../admission/policy-expressions.ts";
import { compileVariables } from "../admission/policy-validating.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { matchConditionErrors, matchResourcesErrors, supported } from "./admissionregistration-rules.ts";
import { dns1035LabelProblems, dns1123SubdomainProblems, pathSegmentProblems } from "./name-checks.ts";
import { invalidFor, labelSelectorErrors, qualifiedNameErrors, textOf } from "./value-checks.ts";

const failurePolicies = ["Fail", "Ignore"];
const reservedNames = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);
const hasNewline = (text: string): boolean => /[\n\r]/.test(text);

function requiredOneOf(field: string, value: string | undefined, known: readonly string[]): readonly FieldError[] {
  return value === undefined || value === "" ? [fieldErrors.required(field)] : supported(field, value, known);
}

function expressionErrors(
  field: string,
  expression: string,
  scope: ExpressionScope,
  results: readonly string[],
): readonly FieldError[] {
  const { error } = compileAdmission(expression, scope, results);
  return error === undefined ? [] : [fieldErrors.invalid(field, expression, error)];
}

function paramKindErrors(field: string, { apiVersion = "", kind = "" }: ParamKind): readonly FieldError[] {
  const errors: FieldError[] = [];
  const place = `${field}.apiVersion`;
  const parts = apiVersion === "/" ? [""] : apiVersion.split("/");
  if (apiVersion === "") errors.push(fieldErrors.required(place));
  else if (parts.length > 2) {
    errors.push(fieldErrors.invalid(place, apiVersion, `unexpected GroupVersion string: ${apiVersion}`));
  } else {
    const [group, version] = parts.length === 2 ? [parts[0] ?? "", parts[1] ?? ""] : ["", parts[0] ?? ""];
    const groupProblems = group === "" ? [] : dns1123SubdomainProblems(group);
    if (groupProblems.length > 0) errors.push(fieldErrors.invalid(place, group, groupProblems.join(",")));
    const versionProblems = dns1035LabelProblems(version);
    if (version === "") errors.push(fieldErrors.invalid(place, apiVersion, "version must be specified"));
    else if (versionProblems.length > 0) errors.push(fieldErrors.invalid(place, version, versionProblems.join(",")));
  }
  const kindProblems = dns1035LabelProblems(kind.toLowerCase());
  if (kind === "") errors.push(fieldErrors.required(`${field}.kind`));
  else if (kindProblems.length > 0) {
    const detail = `may have mixed case, but should otherwise match: ${kindProblems.join(",")}`;
    errors.push(fieldErrors.invalid(`${field}.kind`, kind, detail));
  }
  return errors;
}

function variableErrors(
  variables: readonly Variable[],
  scope: ExpressionScope,
): { readonly errors: readonly FieldError[]; readonly scope: ExpressionScope } {
  const { compiled, types } = compileVariables(variables, scope);
  const errors = variables.flatMap((variable, at) => {
    const [name, expression] = [textOf(variable.name), textOf(variable.expression)];
    const field = `spec.variables[${at}]`;
    const own: FieldError[] = [];
    if (name.trim() === "") own.push(fieldErrors.required(`${field}.name`, "name is not specified"));
    else if (!/^[_a-zA-Z][_a-zA-Z0-9]*$/.test(name) || reservedNames.has(name)) {
      own.push(fieldErrors.invalid(`${field}.name`, name, "must be a valid CEL identifier"));
    }
    const error = compiled[at]?.error;
    if (expression.trim() === "") {
      own.push(fieldErrors.required(`${field}.expression`, "expression is not specified"));
    } else if (error !== undefined) own.push(fieldErrors.invalid(`${field}.expression`, expression, error));
    return own;
  });
  return { errors, scope: { ...scope, variables: types } };
}

/** What both kinds of policies have. */
function policyErrors(
  spec: NonNullable<MutatingAdmissionPolicy["spec"]> | NonNullable<ValidatingAdmissionPolicy["spec"]>,
  old: typeof spec | undefined,
): readonly FieldError[] {
  const conditions = (part: typeof spec) => JSON.stringify([part.paramKind ?? null, part.matchConditions ?? []]);
  const sameConditions = old !== undefined && conditions(old) === conditions(spec);
  return [
    ...requiredOneOf("spec.failurePolicy", spec.failurePolicy, failurePolicies),
    ...(spec.paramKind === undefined ? [] : paramKindErrors("spec.paramKind", spec.paramKind)),
    ...(spec.matchConstraints === undefined
      ? [fieldErrors.required("spec.matchConstraints")]
      : matchResourcesErrors("spec.matchConstraints", spec.matchConstraints)),
    ...(spec.matchConstraints !== undefined && (spec.matchConstraints.resourceRules ?? []).length === 0
      ? [fieldErrors.required("spec.matchConstraints.resourceRules")]
      : []),
    ...(sameConditions
      ? []
      : matchConditionErrors("spec.matchConditions", spec.matchConditions ?? [], spec.paramKind !== undefined)),
  ];
}

/** `validateValidatingAdmissionPolicy`. */
export function validatingPolicyErrors(
  policy: ValidatingAdmissionPolicy,
  old: ValidatingAdmissionPolicy | undefined,
): readonly FieldError[] {
  const { spec = {}, metadata } = policy;
  const errors: FieldError[] = [];
  const own: FieldError[] = [];
  const { errors: wrongVariables, scope } = variableErrors(spec.variables ?? [], {
    hasParams: spec.paramKind !== undefined,
    hasAuthorizer: true,
  });
  const { validations = [], auditAnnotations = [] } = spec;
  if (validations.length === 0 && auditAnnotations.length === 0) {
    const detail = "validations or auditAnnotations must contain at least one item";
    own.push(fieldErrors.required("spec.validations", detail), fieldErrors.required("spec.auditAnnotations", detail));
  }
  for (const [at, { expression = "", message = "", messageExpression = "", reason }] of validations.entries()) {
    const field = `spec.validations[${at}]`;
    if (expression.trim() === "") own.push(fieldErrors.required(`${field}.expression`, "expression is not specified"));
    else own.push(...expressionErrors(`${field}.expression`, expression, scope, ["bool"]));
    if (messageExpression !== "" && messageExpression.trim() === "") {
      own.push(fieldErrors.invalid(`${field}.messageExpression`, messageExpression, "must be non-empty if specified"));
    } else if (messageExpression !== "") {
      const place = `${field}.messageExpression`;
      own.push(...expressionErrors(place, messageExpression, { ...scope, hasAuthorizer: false }, ["string"]));
    }
    if (message !== "" && message.trim() === "") {
      own.push(fieldErrors.invalid(`${field}.message`, message, "must be non-empty if specified"));
    } else if (hasNewline(message.trim())) {
      own.push(fieldErrors.invalid(`${field}.message`, message, "must not contain line breaks"));
    }
    own.push(...supported(`${field}.reason`, reason, ["Forbidden", "Invalid", "RequestEntityTooLarge"]));
  }
  if (auditAnnotations.length > 20) {
    own.push(
      fieldErrors.invalid("spec.auditAnnotations", auditAnnotations, "must not have more than 20 auditAnnotations"),
    );
  }
  const keys = new Set<string>();
  for (const [at, { key = "", valueExpression = "" }] of auditAnnotations.entries()) {
    const field = `spec.auditAnnotations[${at}]`;
    if ((metadata.name ?? "") === "") {
      own.push(fieldErrors.invalid(`${field}.key`, key, "requires metadata.name be non-empty"));
    } else own.push(...qualifiedNameErrors(`${field}.key`, `${metadata.name}/${key}`));
    const text = valueExpression.trim();
    const place = `${field}.valueExpression`;
    if (text === "") own.push(fieldErrors.required(place, "valueExpression is not specified"));
    else if (Buffer.byteLength(text) > 5 * 1024) {
      own.push(fieldErrors.required(place, "must not exceed 5120 bytes in length"));
    } else own.push(...expressionErrors(place, text, scope, ["string", "null"]));
    if (keys.has(key)) own.push(fieldErrors.duplicate(`${field}.key`, key));
    keys.add(key);
  }
  errors.push(...policyErrors(spec, old?.spec), ...wrongVariables, ...own);
  return errors;
}

function mutationErrors(mutation: Mutation, field: string, scope: ExpressionScope): readonly FieldError[] {
  const { jsonPatch, applyConfiguration } = mutation;
  const patchType = textOf(mutation.patchType);
  if (patchType === "") return [fieldErrors.required(`${field}.patchType`)];
  if (patchType !== "JSONPatch" && patchType !== "ApplyConfiguration") {
    return supported(`${field}.patchType`, patchType, ["ApplyConfiguration", "JSONPatch"]);
  }
  const isJson = patchType === "JSONPatch";
  const [name, other] = isJson ? ["jsonPatch", "applyConfiguration"] : ["applyConfiguration", "jsonPatch"];
  const wanted = isJson ? jsonPatch : applyConfiguration;
  const unwanted = isJson ? applyConfiguration : jsonPatch;
  const errors: FieldError[] = [];
  const place = `${field}.${name}.expression`;
  const expression = (wanted?.expression ?? "").trim();
  if (wanted === undefined) {
    errors.push(fieldErrors.required(`${field}.${name}`, `must be specified when patchType is ${patchType}`));
  } else if (expression === "") errors.push(fieldErrors.required(place));
  else {
    const results = isJson ? ["list(JSONPatch)"] : ["Object"];
    errors.push(...expressionErrors(place, expression, { ...scope, hasPatchTypes: true }, results));
  }
  if (unwanted !== undefined) {
    const detail = `must not be specified when patchType is ${patchType}`;
    errors.push(fieldErrors.invalid(`${field}.${other}`, `{${other}}`, detail));
  }
  return errors;
}

/** `validateMutatingAdmissionPolicy`. */
export function mutatingPolicyErrors(
  { spec = {} }: MutatingAdmissionPolicy,
  old: MutatingAdmissionPolicy | undefined,
): readonly FieldError[] {
  const { errors: wrongVariables, scope } = variableErrors(spec.variables ?? [], {
    hasParams: spec.paramKind !== undefined,
    hasAuthorizer: true,
    hasPatchTypes: true,
  });
  const operations = (spec.matchConstraints?.resourceRules ?? []).flatMap(({ operations: named = [] }) => named);
  const { mutations = [] } = spec;
  return [
    ...policyErrors(spec, old?.spec),
    ...operations.flatMap((operation) =>
      supported("spec.matchConstraints.resourceRules.operations", operation, ["*", "CONNECT", "CREATE", "UPDATE"]),
    ),
    ...wrongVariables,
    ...(mutations.length === 0
      ? [fieldErrors.required("spec.mutations", "mutations must contain at least one item")]
      : mutations.flatMap((mutation, at) => mutationErrors(mutation, `spec.mutations[${at}]`, scope))),
    ...requiredOneOf("spec.reinvocationPolicy", spec.reinvocationPolicy, ["IfNeeded", "Never"]),
  ];
}

function paramRefErrors(field: string, paramRef: ParamRef | undefined): readonly FieldError[] {
  if (paramRef === undefined) return [];
  const { name = "", selector, parameterNotFoundAction: action = "" } = paramRef;
  const exclusive = "name and selector are mutually exclusive";
  const errors: FieldError[] = [];
  if (name !== "") {
    errors.push(...invalidFor(`${field}.name`, name, pathSegmentProblems(name, false)));
    if (selector !== undefined) errors.push(fieldErrors.forbidden(`${field}.name`, exclusive));
  }
  if (selector !== undefined) {
    errors.push(...labelSelectorErrors(`${field}.selector`, selector));
    if (name !== "") errors.push(fieldErrors.forbidden(`${field}.selector`, exclusive));
  }
  if (name === "" && selector === undefined) {
    errors.push(fieldErrors.required(field, "one of name or selector must be specified"));
  }
  errors.push(...requiredOneOf(`${field}.parameterNotFoundAction`, action, ["Deny", "Allow"]));
  return errors;
}

function policyNameErrors(name: string): readonly FieldError[] {
  if (name === "") return [fieldErrors.required("spec.policyName")];
  return invalidFor("spec.policyName", name, dns1123SubdomainProblems(name));
}

/** `validateValidatingAdmissionPolicyBinding`. */
export function validatingBindingErrors({ spec }: Partial<ValidatingAdmissionPolicyBinding>): readonly FieldError[] {
  const actions = spec?.validationActions ?? [];
  const field = "spec.validationActions";
  const errors: FieldError[] = [
    ...policyNameErrors(spec?.policyName ?? ""),
    ...paramRefErrors("spec.paramRef", spec?.paramRef),
    ...matchResourcesErrors("spec.matchResources", spec?.matchResources),
  ];
  for (const [at, action] of actions.entries()) {
    errors.push(...supported(`${field}[${at}]`, action, ["Audit", "Deny", "Warn"]));
    if (actions.indexOf(action) < at) errors.push(fieldErrors.duplicate(`${field}[${at}]`, action));
  }
  if (actions.includes("Deny") && actions.includes("Warn")) {
    const detail =
      "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
    errors.push(fieldErrors.invalid(field, actions, detail));
  }
  if (actions.length === 0) errors.push(fieldErrors.required(field, "at least one validation action is required"));
  return errors;
}

/** `validateMutatingAdmissionPolicyBinding`. */
export const mutatingBindingErrors = ({ spec }: MutatingAdmissionPolicyBinding): readonly FieldError[] => [
  ...policyNameErrors(spec?.policyName ?? ""),
  ...paramRefErrors("spec.paramRef", spec?.paramRef),
  ...matchResourcesErrors("spec.matchResources", spec?.matchResources),
];

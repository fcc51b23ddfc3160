import type { Schema, ValidationRule } from "../machinery/schema.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { estimateCost } from "./cost-estimate.ts";
import { compile, type Program } from "./expression.ts";
import { fieldPathOf } from "./field-path.ts";
import { maximumCardinality, sizeAt, type SchemaType } from "./schema-type.ts";
import { optionalOf } from "./types.ts";

/** The estimated cost of one expression times how often it may run, and of all of a definition. */
const expressionLimit = 10_000_000;
const definitionLimit = 100_000_000;
/** Go's largest uint64. */
const mostCost = 2 ** 64;

export interface CompiledRule {
  readonly rule: ValidationRule;
  /** Absent when the rule is empty or does not compile. */
  readonly program: Program | undefined;
  readonly error: string;
  readonly message: Program | undefined;
  readonly usesOldSelf: boolean;
  /** Where its errors are, below the value; `""`: at the value. */
  readonly fieldPath: string;
  /** At most, of one evaluation. */
  readonly cost: number;
  readonly messageError: string;
  readonly messageCost: number;
}

/** Every rule of one level, compiled for the level's type (apiextensions-apiserver `compilation.go`). */
export function compileRules(
  rules: readonly ValidationRule[],
  schema: Schema,
  type: SchemaType,
): readonly CompiledRule[] {
  return rules.map((rule) => compileRule(rule, schema, type));
}

function compileRule(rule: ValidationRule, schema: Schema, self: SchemaType): CompiledRule {
  const compiled: CompiledRule = {
    rule,
    program: undefined,
    error: "",
    message: undefined,
    usesOldSelf: false,
    fieldPath: "",
    cost: 0,
    messageError: "",
    messageCost: 0,
  };
  if ((rule.rule ?? "").trim() === "") return compiled;
  const variables = new Map([
    ["self", self.type],
    ["oldSelf", rule.optionalOldSelf === true ? optionalOf(self.type) : self.type],
  ]);
  const { program, error } = compile(rule.rule, { variables });
  if (program === undefined) return { ...compiled, error: `compilation failed: ${error}` };
  if (program.checked.result.kind !== "bool") {
    return { ...compiled, error: "cel expression must evaluate to a bool" };
  }
  const costOf = ({ checked }: Program) => estimateCost(checked, (path) => sizeAt(self, path)).max;
  const usable = {
    ...compiled,
    program,
    usesOldSelf: program.checked.usedVariables.has("oldSelf"),
    cost: costOf(program),
    fieldPath: rule.fieldPath === undefined || rule.fieldPath === "" ? "" : (fieldPathOf(rule.fieldPath, schema) ?? ""),
  };
  if (rule.messageExpression === undefined || rule.messageExpression === "") return usable;
  const message = compile(rule.messageExpression, { variables });
  if (message.program === undefined) {
    return { ...usable, messageError: `messageExpression compilation failed: ${message.error}` };
  }
  if (message.program.checked.result.kind !== "string") {
    return { ...usable, messageError: "messageExpression must evaluate to a string" };
  }
  return { ...usable, message: message.program, messageCost: costOf(message.program) };
}

/** What a rule looks like in an error: upstream marshals its internal type. */
const ruleValue = (rule: ValidationRule): unknown => ({
  Rule: rule.rule,
  Message: rule.message ?? "",
  MessageExpression: rule.messageExpression ?? "",
  Reason: rule.reason ?? null,
  FieldPath: rule.fieldPath ?? "",
  OptionalOldSelf: rule.optionalOldSelf ?? null,
});

/** What a level knows from those above it. */
export interface LevelScope {
  /** How many such values there can be; `undefined`: as many as fit into a request. */
  readonly cardinality: number | undefined;
  /** The list or map that has no old values for its parts; `undefined` where there are. */
  readonly uncorrelatable: string | undefined;
}

/** Adds up what all rules of a definition may cost. */
export class CostBudget {
  #total = 0;
  readonly #expensive: { readonly path: string; readonly cost: number }[] = [];

  observe(path: string, cost: number): void {
    this.#total = Math.min(mostCost, this.#total + cost);
    if (cost < definitionLimit / 100) return;
    this.#expensive.push({ path, cost });
    this.#expensive.sort((left, right) => right.cost - left.cost);
    this.#expensive.length = Math.min(4, this.#expensive.length);
  }

  errors(root: string): readonly FieldError[] {
    if (this.#total <= definitionLimit) return [];
    const contributors = this.#expensive.map(({ path }) =>
      fieldErrors.forbidden(
        path,
        "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema",
      ),
    );
    const name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
    return [...contributors, fieldErrors.forbidden(root, costText(name, this.#total, definitionLimit))];
  }
}

function costText(name: string, cost: number, limit: number): string {
  const factor = cost / limit;
  const text = factor > 100 ? "more than 100x" : factor < 1.5 ? `${factor.toFixed(6)}x` : `${factor.toFixed(1)}x`;
  return `${name} exceeds budget by factor of ${text} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`;
}

/** What is wrong with the rules of one level; `path` is that of `x-kubernetes-validations`. */
export function ruleErrors(
  rules: readonly CompiledRule[],
  path: string,
  type: SchemaType,
  scope: LevelScope,
  budget: CostBudget,
): readonly FieldError[] {
  const errors: FieldError[] = [];
  for (const [at, compiled] of rules.entries()) {
    const place = `${path}[${at}]`;
    const cost = Math.min(mostCost, compiled.cost * (scope.cardinality ?? maximumCardinality(type)));
    if (cost > expressionLimit) {
      errors.push(fieldErrors.forbidden(`${place}.rule`, costText("estimated rule cost", cost, expressionLimit)));
    }
    budget.observe(`${place}.rule`, cost);
    if (compiled.error !== "") {
      errors.push(fieldErrors.invalid(`${place}.rule`, ruleValue(compiled.rule), compiled.error));
    }
    if (compiled.messageError !== "") {
      errors.push(fieldErrors.invalid(`${place}.messageExpression`, ruleValue(compiled.rule), compiled.messageError));
    } else if (compiled.message !== undefined) {
      if (compiled.messageCost > expressionLimit) {
        const text = costText("estimated messageExpression cost", compiled.messageCost, expressionLimit);
        errors.push(fieldErrors.forbidden(`${place}.messageExpression`, text));
      }
      budget.observe(`${place}.messageExpression`, compiled.messageCost);
    }
    if (compiled.usesOldSelf) {
      if (scope.uncorrelatable !== undefined) {
        const detail = `oldSelf cannot be used on the uncorrelatable portion of the schema within ${scope.uncorrelatable}`;
        errors.push(fieldErrors.invalid(`${place}.rule`, compiled.rule.rule, detail));
      }
    } else if (compiled.rule.optionalOldSelf !== undefined) {
      const detail = "may not be set if oldSelf is not used in rule";
      errors.push(fieldErrors.invalid(`${place}.optionalOldSelf`, compiled.rule.optionalOldSelf, detail));
    }
  }
  return errors;
}

const reasons = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
const hasNewline = (text: string): boolean => /[\n\r]/.test(text);

/** What is wrong with how rules are written, whatever their expressions say. */
export function ruleFormErrors(rules: readonly ValidationRule[], path: string, schema: Schema): readonly FieldError[] {
  return rules.flatMap((rule, at) => {
    const errors: FieldError[] = [];
    const place = (field: string) => `${path}[${at}].${field}`;
    const { message = "", messageExpression = "", fieldPath = "" } = rule;
    const text = (rule.rule ?? "").trim();
    if (text === "") errors.push(fieldErrors.required(place("rule"), "rule is not specified"));
    else if (message !== "" && message.trim() === "") {
      errors.push(fieldErrors.invalid(place("message"), message, "must be non-empty if specified"));
    } else if (hasNewline(message.trim())) {
      errors.push(fieldErrors.invalid(place("message"), message, "must not contain line breaks"));
    } else if (hasNewline(text) && message.trim() === "") {
      errors.push(fieldErrors.required(place("message"), "message must be specified if rule contains line breaks"));
    }
    if (messageExpression !== "" && messageExpression.trim() === "") {
      errors.push(fieldErrors.required(place("messageExpression"), "messageExpression must be non-empty if specified"));
    }
    if (rule.reason !== undefined && !reasons.includes(rule.reason)) {
      errors.push(fieldErrors.notSupported(place("reason"), rule.reason, reasons));
    }
    if (fieldPath !== "" && fieldPath.trim() === "") {
      errors.push(fieldErrors.invalid(place("fieldPath"), fieldPath, "must be non-empty if specified"));
    }
    if (hasNewline(fieldPath)) {
      errors.push(fieldErrors.invalid(place("fieldPath"), fieldPath, "must not contain line breaks"));
    }
    if (fieldPath !== "" && fieldPathOf(fieldPath, schema) === undefined) {
      errors.push(fieldErrors.invalid(place("fieldPath"), fieldPath, "must be a valid path"));
    }
    return errors;
  });
}

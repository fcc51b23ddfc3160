import { isDraft } from "../machinery/draft.ts";
import type { Schema, ValidationRule } from "../machinery/schema.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { Correlation, oldItems } from "./correlation.ts";
import { schemaValue } from "./json-value.ts";
import { escapedName } from "./property-names.ts";
import {
  compileRules,
  CostBudget,
  ruleErrors,
  ruleFormErrors,
  type CompiledRule,
  type LevelScope,
} from "./rule-compiler.ts";
import { CostLimitExceeded } from "./runtime-cost.ts";
import { schemaType, type SchemaType } from "./schema-type.ts";
import { EvaluationFailure, none, OptionalValue, type Value } from "./values.ts";

/** The rules of a schema, compiled once. */
export interface CompiledRules {
  /** What is wrong with the rules themselves, at paths below the schema: `.properties[spec].x-kubernetes-validations[0].rule`. */
  readonly errors: readonly FieldError[];
  /** False: there is nothing to do. */
  readonly hasRules: boolean;
  /**
   * What the rules say about an object; `oldObject` is undefined at creation. `warn` hears of violations that were there
   * before in a part that has not changed: they are let through.
   */
  validate(object: unknown, oldObject: unknown, rootPath: string, warn?: (text: string) => void): readonly FieldError[];
}

/** What all rules of one object may cost, in cel-go's units. */
const objectBudget = 10_000_000;
/** Bytes of a message that an expression makes. */
const maximumMessage = 5 * 1024;

/** `x-kubernetes-validations` at every level of a custom resource's schema (apiextensions-apiserver pkg/apiserver/schema/cel). */
export function compileSchemaRules(schema: Schema, basePath = ""): CompiledRules {
  if (!hasRules(schema)) return { errors: [], hasRules: false, validate: () => [] };
  const errors: FieldError[] = [];
  const budget = new CostBudget();
  const compiler = new LevelCompiler(errors, budget, basePath);
  const level = compiler.level(schema, schema, true, schemaType(schema, true), "", {
    cardinality: 1,
    uncorrelatable: undefined,
  });
  errors.push(...budget.errors(""));
  return {
    errors,
    hasRules: true,
    validate(object, oldObject, rootPath, warn) {
      const validation = new Validation(warn ?? (() => undefined));
      const root = oldObject === undefined || oldObject === null ? undefined : new Correlation(object, oldObject);
      validation.level(level, rootPath, object, oldObject ?? undefined, { current: root, parent: undefined });
      return validation.errors;
    },
  };
}

function hasRules(schema: Schema): boolean {
  return (
    (schema["x-kubernetes-validations"]?.length ?? 0) > 0 ||
    (schema.items !== undefined && hasRules(schema.items)) ||
    (typeof schema.additionalProperties === "object" && hasRules(schema.additionalProperties)) ||
    Object.values(schema.properties ?? {}).some(hasRules) ||
    (schema.allOf ?? []).some(hasRules)
  );
}

/** The rules of one schema and those below it; `undefined` where there are none. */
interface Level {
  readonly schema: Schema;
  readonly isResource: boolean;
  readonly rules: readonly CompiledRule[];
  readonly properties: ReadonlyMap<string, Level>;
  readonly items: Level | undefined;
  readonly values: Level | undefined;
  readonly allOf: readonly Level[];
}

class LevelCompiler {
  readonly #errors: FieldError[];
  readonly #budget: CostBudget;
  /** Of the schema, for messages that name a part of it. */
  readonly #basePath: string;
  constructor(errors: FieldError[], budget: CostBudget, basePath: string) {
    this.#errors = errors;
    this.#basePath = basePath;
    this.#budget = budget;
  }

  /** `rules` may be a branch of `allOf`, which has rules but no types: these come from `schema`. */
  level(
    rules: Schema,
    schema: Schema,
    isResource: boolean,
    type: SchemaType | undefined,
    path: string,
    scope: LevelScope,
  ): Level | undefined {
    if (!hasRules(rules)) return undefined;
    const own = this.#own(rules["x-kubernetes-validations"] ?? [], schema, isResource, type, path, scope);
    const below = childScope(schema, scope);
    const embedded = (part: Schema) => part["x-kubernetes-embedded-resource"] === true;
    const properties = new Map<string, Level>();
    for (const [name, property] of Object.entries(rules.properties ?? {})) {
      const part =
        schema.properties !== undefined && Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined;
      if (part === undefined) continue;
      const escaped = escapedName(name);
      const partType =
        (escaped === undefined ? undefined : type?.fields?.get(escaped)) ?? schemaType(part, embedded(part));
      const level = this.level(property, part, embedded(part), partType, `${path}.properties[${name}]`, below);
      if (level !== undefined) properties.set(name, level);
    }
    const values = typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined;
    const ruleValues = typeof rules.additionalProperties === "object" ? rules.additionalProperties : undefined;
    const inItems =
      schema["x-kubernetes-list-type"] === "map"
        ? below
        : { ...below, uncorrelatable: below.uncorrelatable ?? `${this.#basePath}${path}` };
    return {
      schema,
      isResource,
      rules: own,
      properties,
      items:
        rules.items === undefined || schema.items === undefined
          ? undefined
          : this.level(rules.items, schema.items, embedded(schema.items), type?.element, `${path}.items`, inItems),
      values:
        ruleValues === undefined || values === undefined
          ? undefined
          : this.level(ruleValues, values, embedded(values), type?.element, `${path}.additionalProperties`, below),
      allOf: (rules.allOf ?? []).flatMap((branch, at) => {
        const level = this.level(branch, schema, isResource, type, `${path}.allOf[${at}]`, scope);
        return level === undefined ? [] : [level];
      }),
    };
  }

  #own(
    rules: readonly ValidationRule[],
    schema: Schema,
    isResource: boolean,
    known: SchemaType | undefined,
    path: string,
    scope: LevelScope,
  ): readonly CompiledRule[] {
    if (rules.length === 0) return [];
    const place = `${path}.x-kubernetes-validations`;
    const malformed = ruleFormErrors(rules, place, schema);
    this.#errors.push(...malformed);
    const type = known ?? schemaType(schema, isResource);
    if (type === undefined) {
      const detail =
        "internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations";
      this.#errors.push(fieldErrors.internal(place, detail));
      return [];
    }
    const compiled = compileRules(rules, schema, type);
    if (malformed.length === 0) this.#errors.push(...ruleErrors(compiled, place, type, scope, this.#budget));
    return compiled;
  }
}

/** How many parts a value can have at most; `undefined`: any number. */
function childScope(schema: Schema, scope: LevelScope): LevelScope {
  const parts =
    schema.type === "array"
      ? schema.maxItems
      : schema.type === "object" && typeof schema.additionalProperties === "object"
        ? schema.maxProperties
        : 1;
  if (scope.cardinality === undefined || parts === undefined) return { ...scope, cardinality: undefined };
  return { ...scope, cardinality: scope.cardinality * Math.max(0, parts) };
}

/** What a value was, or the nearest value above it whose old form is known. */
interface Ratchet {
  readonly current: Correlation | undefined;
  readonly parent: Correlation | undefined;
}
const isRatcheted = ({ current, parent }: Ratchet): boolean => (current ?? parent)?.isUnchanged ?? false;

/** One object on its way through the rules. */
class Validation {
  readonly errors: FieldError[] = [];
  readonly #warn: (text: string) => void;
  #budget = objectBudget;

  constructor(warn: (text: string) => void) {
    this.#warn = warn;
  }

  level(level: Level | undefined, path: string, value: unknown, old: unknown, ratchet: Ratchet): void {
    if (level === undefined || value === null || value === undefined || this.#budget < 0) return;
    this.#rules(level, path, value, old ?? undefined, ratchet);
    for (const branch of level.allOf) {
      this.level(branch, path, value, old, { current: undefined, parent: ratchet.parent });
    }
    if (Array.isArray(value)) {
      if (level.items === undefined) return;
      const oldOf = oldItems(level.schema, old);
      for (const [at, item] of (value as readonly unknown[]).entries()) {
        const oldItem = oldOf(item);
        const below =
          ratchet.current === undefined
            ? ratchet
            : { current: Correlation.ofItem(item, oldItem), parent: ratchet.current };
        this.level(level.items, `${path}[${at}]`, item, oldItem, below);
      }
    } else if (isDraft(value)) {
      for (const [key, part] of Object.entries(value)) {
        const oldPart = isDraft(old) && Object.hasOwn(old, key) ? old[key] : undefined;
        const below = keyRatchet(ratchet, key);
        this.level(level.values, `${path}[${key}]`, part, oldPart, below);
        this.level(level.properties.get(key), path === "" ? key : `${path}.${key}`, part, oldPart, below);
      }
    }
  }

  #rules(level: Level, path: string, value: unknown, old: unknown, ratchet: Ratchet): void {
    if (level.rules.length === 0) return;
    const field = path === "" ? "<nil>" : path;
    const type = level.schema.type ?? "";
    const refuse = (detail: string) => this.errors.push(fieldErrors.invalid(field, type, detail));
    if (this.#budget <= 0) {
      refuse("validation failed due to running out of cost budget, no further validation rules will be run");
      this.#budget = -1;
      return;
    }
    const convert = once((data: unknown) => schemaValue(data, level.schema, level.isResource));
    const convertOld = once((data: unknown) => schemaValue(data, level.schema, level.isResource));
    for (const compiled of level.rules) {
      const text = (compiled.rule.message?.trim() ?? "") || compiled.rule.rule.trim();
      if (compiled.error !== "") refuse(`rule compile error: ${compiled.error}`);
      if (compiled.program === undefined) continue;
      const optional = compiled.rule.optionalOldSelf === true;
      if (compiled.usesOldSelf && old === undefined && !optional) continue;
      const variables =
        (withOptional: boolean) =>
        (name: string): Value | undefined => {
          if (name === "self") return convert(value);
          if (name !== "oldSelf") return undefined;
          if (!withOptional) return old === undefined ? undefined : convertOld(old);
          return old === undefined ? none : new OptionalValue(convertOld(old));
        };
      let spent = 0;
      let result: Value | Error;
      try {
        result = compiled.program.run(variables(optional), (cost) => (spent = cost));
      } catch (error) {
        if (!(error instanceof EvaluationFailure) && !(error instanceof CostLimitExceeded)) throw error;
        result = error;
      }
      if (spent > this.#budget) {
        refuse("validation failed due to running out of cost budget, no further validation rules will be run");
        this.#budget = -1;
        return;
      }
      this.#budget -= spent;
      if (result instanceof CostLimitExceeded) {
        refuse(
          `'${result.message}': no further validation rules will be run due to call cost exceeds limit for rule: ${text}`,
        );
        this.#budget = -1;
        return;
      }
      if (result instanceof EvaluationFailure) {
        refuse(
          result.message.startsWith("no such overload")
            ? `'${result.message}': call arguments did not match a supported operator, function or macro signature for rule: ${text}`
            : `${result.message} evaluating rule: ${text}`,
        );
        continue;
      }
      if (result === true) continue;
      const place =
        compiled.fieldPath === "" ? field : path === "" ? compiled.fieldPath : `${path}.${compiled.fieldPath}`;
      const message = this.#message(compiled, variables(optional));
      if (typeof message === "object") {
        this.errors.push(fieldErrors.invalid(place, type, message.fatal));
        this.#budget = -1;
        return;
      }
      const error = violation(place, type, value, message ?? defaultMessage(compiled.rule), compiled.rule.reason);
      if (!compiled.usesOldSelf && isRatcheted(ratchet)) this.#warn(`${error.field}: ${error.message}`);
      else this.errors.push(error);
    }
  }

  /** `undefined`: the expression does not work out, so the rule's own message is taken. */
  #message(
    { message, rule }: CompiledRule,
    variables: (name: string) => Value | undefined,
  ): string | { readonly fatal: string } | undefined {
    if (message === undefined) return undefined;
    let spent = 0;
    let text: Value = "";
    let failure: unknown;
    try {
      text = message.run(variables, (cost) => (spent = cost));
    } catch (error) {
      failure = error;
    }
    if (spent > this.#budget) {
      return {
        fatal:
          "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run",
      };
    }
    if (failure instanceof CostLimitExceeded) {
      return {
        fatal: `no further validation rules will be run due to call cost exceeds limit for messageExpression: ${JSON.stringify(rule.messageExpression)}`,
      };
    }
    this.#budget -= spent;
    if (failure !== undefined && !(failure instanceof EvaluationFailure)) throw failure;
    if (failure !== undefined || typeof text !== "string") return undefined;
    const trimmed = text.trim();
    return trimmed === "" || trimmed.includes("\n") || Buffer.byteLength(trimmed) > maximumMessage
      ? undefined
      : trimmed;
  }
}

/** Below the root, `apiVersion` and `kind` count as changed: clients do not see their conversion. */
function keyRatchet(ratchet: Ratchet, key: string): Ratchet {
  if (ratchet.current === undefined) return ratchet;
  if (ratchet.parent === undefined && (key === "apiVersion" || key === "kind")) {
    return { current: undefined, parent: undefined };
  }
  return { current: ratchet.current.key(key), parent: ratchet.current };
}

function once<Result>(make: (data: unknown) => Result): (data: unknown) => Result {
  let made: { readonly result: Result } | undefined;
  return (data) => (made ??= { result: make(data) }).result;
}

const defaultMessage = ({ message = "", rule }: ValidationRule): string =>
  message === "" ? `failed rule: ${rule.trim()}` : message.trim();

function violation(
  field: string,
  type: string,
  value: unknown,
  detail: string,
  reason: string | undefined,
): FieldError {
  const isComposite = type === "object" || type === "array";
  switch (reason) {
    case "FieldValueForbidden":
      return fieldErrors.forbidden(field, detail);
    case "FieldValueRequired":
      return fieldErrors.required(field, detail);
    case "FieldValueDuplicate":
      return isComposite
        ? { type: "FieldValueDuplicate", field, message: "Duplicate value" }
        : fieldErrors.duplicate(field, value);
    default:
      // Upstream leaves the whole object or list out of its message.
      return isComposite
        ? { type: "FieldValueInvalid", field, message: `Invalid value: ${detail}` }
        : fieldErrors.invalid(field, value, detail);
  }
}

import { FleetwrightError } from "../core/errors.ts";
import { labelKeyProblems, labelValueProblems } from "./names.ts";

/** apimachinery's `selection.Operator`. `=` and `==` mean the same and are written as they were read. */
export type RequirementOperator = "in" | "notin" | "=" | "==" | "!=" | "exists" | "!" | "gt" | "lt";

/** One condition on one label. */
export interface Requirement {
  readonly key: string;
  readonly operator: RequirementOperator;
  readonly values: readonly string[];
}

/** @throws {FleetwrightError} `FW_SELECTOR` */
export function refuseSelector(selector: string, reason: string): never {
  throw new FleetwrightError("FW_SELECTOR", `selector ${JSON.stringify(selector)}: ${reason}`);
}

/** What is wrong with a requirement: the rules of apimachinery's `labels.NewRequirement`. */
export function requirementProblems({ key, operator, values }: Requirement): string[] {
  const problems = labelKeyProblems(key).map((problem) => `key ${JSON.stringify(key)}: ${problem}`);
  switch (operator) {
    case "in":
    case "notin":
      if (values.length === 0) problems.push("for 'in', 'notin' operators, values set can't be empty");
      break;
    case "=":
    case "==":
    case "!=":
      if (values.length !== 1) problems.push("exact-match compatibility requires one single value");
      break;
    case "exists":
    case "!":
      if (values.length > 0) problems.push("values set must be empty for exists and does not exist");
      break;
    case "gt":
    case "lt":
      if (values.length !== 1) problems.push("for 'Gt', 'Lt' operators, exactly one value is required");
      if (values.some((value) => parseInt64(value) === undefined)) {
        problems.push("for 'Gt', 'Lt' operators, the value must be an integer");
      }
  }
  for (const value of values) {
    problems.push(...labelValueProblems(value).map((problem) => `value ${JSON.stringify(value)}: ${problem}`));
  }
  return problems;
}

/** Whether labels satisfy a requirement. `notin` and `!=` hold for objects without the label, too. */
export function requirementMatches(requirement: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const { key, operator, values } = requirement;
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case "in":
    case "=":
    case "==":
      return value !== undefined && values.includes(value);
    case "notin":
    case "!=":
      return value === undefined || !values.includes(value);
    case "exists":
      return value !== undefined;
    case "!":
      return value === undefined;
    case "gt":
    case "lt": {
      const number = value === undefined ? undefined : parseInt64(value);
      const bound = parseInt64(values[0] ?? "");
      if (number === undefined || bound === undefined) return false;
      return operator === "gt" ? number > bound : number < bound;
    }
  }
}

/** The canonical text: values sorted. */
export function requirementText({ key, operator, values }: Requirement): string {
  const list = values.toSorted().join(",");
  switch (operator) {
    case "exists":
      return key;
    case "!":
      return `!${key}`;
    case "in":
    case "notin":
      return `${key} ${operator} (${list})`;
    case "gt":
      return `${key}>${list}`;
    case "lt":
      return `${key}<${list}`;
    default:
      return `${key}${operator}${list}`;
  }
}

function parseInt64(text: string): bigint | undefined {
  if (!/^[+-]?[0-9]{1,40}$/.test(text)) return undefined;
  const value = BigInt(text.replace(/^\+/, ""));
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

import { check, type CheckedExpression, type Declarations } from "./checker.ts";
import type { FunctionTable } from "./declarations.ts";
import { functionTable } from "./declarations.ts";
import { evaluate, type Variables } from "./evaluator.ts";
import { issuesText, ParseFailure, type Expression, type Issue } from "./expression-tree.ts";
import { authorizerLibrary } from "./library-authorizer.ts";
import { kubernetesLibraries } from "./library-kubernetes.ts";
import { standardLibrary } from "./library-standard.ts";
import { listLibrary, textLibrary } from "./library-text.ts";
import { parse } from "./parser.ts";
import { regularExpression } from "./regular-expressions.ts";
import { CostMeter } from "./runtime-cost.ts";
import { parseDuration, parseTimestamp } from "./time-values.ts";
import { EvaluationFailure, type Value } from "./values.ts";

/** What one evaluation of one expression may cost (apiserver/pkg/apis/cel/config.go). */
const perCallLimit = 1_000_000;

/** All that Kubernetes' expressions may call. */
const kubernetesFunctions: FunctionTable = functionTable(
  standardLibrary,
  textLibrary,
  listLibrary,
  ...kubernetesLibraries,
  authorizerLibrary,
);

/** An expression that compiles. */
export interface Program {
  readonly checked: CheckedExpression;
  /** Throws EvaluationFailure, and CostLimitExceeded above the limit; `cost` is told what was spent either way. */
  run(variables: Variables, cost?: (spent: number) => void): Value;
}

export type Compilation =
  | { readonly program: Program; readonly error?: undefined }
  /** As upstream prints it: every mistake with its line and a caret. */
  | { readonly program?: undefined; readonly error: string };

/** Parses and checks an expression. */
export function compile(
  source: string,
  declarations: Omit<Declarations, "functions">,
  limit: number = perCallLimit,
): Compilation {
  let root: Expression;
  try {
    root = parse(source);
  } catch (error) {
    if (!(error instanceof ParseFailure)) throw error;
    return { error: issuesText(source, error.issues) };
  }
  const checked = check(root, { functions: kubernetesFunctions, ...declarations });
  const issues = checked.issues.length > 0 ? checked.issues : literalIssues(root);
  if (issues.length > 0) return { error: issuesText(source, issues) };
  return {
    program: {
      checked,
      run(variables, cost) {
        const meter = new CostMeter(limit);
        try {
          return evaluate(checked, variables, meter);
        } catch (error) {
          // Deep recursion is bounded by the parser; data is as deep as decoding allows.
          if (error instanceof RangeError) throw new EvaluationFailure(error.message);
          throw error;
        } finally {
          cost?.(meter.spent);
        }
      },
    },
  };
}

const literalChecks: Readonly<Record<string, readonly [word: string, parse: (text: string) => unknown]>> = {
  duration: ["duration", parseDuration],
  timestamp: ["timestamp", parseTimestamp],
  matches: ["matches", regularExpression],
};

/** Constant durations, timestamps and patterns are checked when the rule is written (cel-go `cel/validator.go`). */
function literalIssues(root: Expression): readonly Issue[] {
  const issues: Issue[] = [];
  const waiting: Expression[] = [root];
  for (let expression = waiting.pop(); expression !== undefined; expression = waiting.pop()) {
    if (expression.kind === "call") {
      const known = Object.hasOwn(literalChecks, expression.name) ? literalChecks[expression.name] : undefined;
      const literal = expression.parameters.at(-1);
      if (known !== undefined && literal?.kind === "literal" && typeof literal.value === "string") {
        try {
          known[1](literal.value);
        } catch {
          issues.push({ offset: literal.offset, message: `invalid ${known[0]} argument` });
        }
      }
    }
    waiting.push(...childrenOf(expression));
  }
  return issues;
}

function childrenOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case "literal":
    case "identifier":
      return [];
    case "select":
      return [expression.operand];
    case "call":
      return expression.target === undefined ? expression.parameters : [expression.target, ...expression.parameters];
    case "list":
      return expression.elements.map(({ value }) => value);
    case "map":
      return expression.entries.flatMap(({ key, value }) => [key, value]);
    case "struct":
      return expression.fields.map(({ value }) => value);
    case "comprehension":
      return [expression.range, expression.initial, expression.condition, expression.step, expression.result];
  }
}

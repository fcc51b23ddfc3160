import { parseRequirements } from "./parse-label-selector.ts";
import {
  refuseSelector,
  requirementMatches,
  requirementProblems,
  requirementText,
  type Requirement,
  type RequirementOperator,
} from "./requirement.ts";

/** `metav1.LabelSelector`, as objects hold it. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

/** A selector that is ready to match: all requirements must hold; `nothing` matches no object. */
export type Selector =
  | { readonly kind: "all"; readonly requirements: readonly Requirement[] }
  | { readonly kind: "nothing" };

/** Matches every object. */
export const everything: Selector = { kind: "all", requirements: [] };
/** Matches no object. */
export const nothing: Selector = { kind: "nothing" };

const expressionOperators = new Map<string, RequirementOperator>([
  ["In", "in"],
  ["NotIn", "notin"],
  ["Exists", "exists"],
  ["DoesNotExist", "!"],
]);

/**
 * Reads a selector in kubectl's syntax: `app=web,tier in (a,b),!legacy`. An empty text matches everything.
 *
 * @throws {FleetwrightError} `FW_SELECTOR` in Kubernetes' words
 *
 * @example
 * matchesLabels(parseLabelSelector("tier in (gpu,cpu),!draining"), { tier: "gpu" }) // true
 */
export function parseLabelSelector(text: string): Selector {
  return { kind: "all", requirements: parseRequirements(text) };
}

/**
 * The selector of an object's field: apimachinery's `LabelSelectorAsSelector`. Absent matches nothing, empty everything.
 *
 * @throws {FleetwrightError} `FW_SELECTOR` for an unknown operator, a wrong number of values, invalid keys or values
 */
export function selectorOf(labelSelector: LabelSelector | null | undefined): Selector {
  if (!labelSelector) return nothing;
  const requirements: Requirement[] = Object.entries(labelSelector.matchLabels ?? {}).map(([key, value]) => ({
    key,
    operator: "=",
    values: [value],
  }));
  for (const { key, operator, values = [] } of labelSelector.matchExpressions ?? []) {
    const known = expressionOperators.get(operator);
    if (!known) {
      refuseSelector(
        JSON.stringify(labelSelector),
        `${JSON.stringify(operator)} is not a valid label selector operator`,
      );
    }
    requirements.push({ key, operator: known, values });
  }
  const problems = requirements.flatMap(requirementProblems);
  if (problems.length > 0) refuseSelector(JSON.stringify(labelSelector), problems.join("; "));
  return { kind: "all", requirements: sortedByKey(requirements) };
}

/** The selector of exactly these labels; nothing is validated. `undefined` and `{}` match everything. */
export function selectorOfLabels(labels: Readonly<Record<string, string>> | undefined): Selector {
  const requirements = Object.entries(labels ?? {}).map(([key, value]): Requirement => ({
    key,
    operator: "=",
    values: [value],
  }));
  return { kind: "all", requirements: sortedByKey(requirements) };
}

/** Whether an object with these labels is selected. */
export function matchesLabels(selector: Selector, labels: Readonly<Record<string, string>> | undefined): boolean {
  if (selector.kind === "nothing") return false;
  const own = labels ?? {};
  return selector.requirements.every((requirement) => requirementMatches(requirement, own));
}

/** The canonical text, for `labelSelector=` and for comparing. `nothing` has none and gives `""`, as in Kubernetes. */
export function labelSelectorText(selector: Selector): string {
  return selector.kind === "nothing" ? "" : selector.requirements.map(requirementText).join(",");
}

const sortedByKey = (requirements: readonly Requirement[]): readonly Requirement[] =>
  requirements.toSorted((left, right) => (left.key < right.key ? -1 : left.key > right.key ? 1 : 0));

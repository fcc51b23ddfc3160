import { matchesLabels, selectorOf, type ClusterRole, type LabelSelector, type PolicyRule } from "@fleetwright/kube";
import type { RequestInfo } from "../machinery/request.ts";

/** A path, or with a `*` at its end everything that begins so. */
const pathMatches = (pattern: string, path: string): boolean =>
  pattern === path || (pattern.endsWith("*") && path.startsWith(pattern.replace(/\*+$/, "")));

/** Whether one rule allows a request (pkg/apis/rbac/v1/evaluation_helpers.go). */
export function ruleAllows(rule: PolicyRule, info: RequestInfo): boolean {
  if (!rule.verbs.includes("*") && !rule.verbs.includes(info.verb)) return false;
  if (!info.isResource) return (rule.nonResourceURLs ?? []).some((url) => url === "*" || pathMatches(url, info.path));
  const groups = rule.apiGroups ?? [];
  if (!groups.includes("*") && !groups.includes(info.group)) return false;
  const resources = rule.resources ?? [];
  const wanted = info.subresource === "" ? info.resource : `${info.resource}/${info.subresource}`;
  if (
    !resources.includes("*") &&
    !resources.includes(wanted) &&
    (info.subresource === "" || !resources.includes(`*/${info.subresource}`))
  ) {
    return false;
  }
  const names = rule.resourceNames ?? [];
  return names.length === 0 || names.includes(info.name);
}

/** Rules of at most one group, resource, name, path and verb each. */
function breakDown(rule: PolicyRule): PolicyRule[] {
  const parts: PolicyRule[] = [];
  const names = rule.resourceNames ?? [];
  for (const group of rule.apiGroups ?? []) {
    for (const resource of rule.resources ?? []) {
      for (const verb of rule.verbs) {
        const part = { apiGroups: [group], resources: [resource], verbs: [verb] };
        if (names.length === 0) parts.push(part);
        else parts.push(...names.map((name) => ({ ...part, resourceNames: [name] })));
      }
    }
  }
  for (const url of rule.nonResourceURLs ?? []) {
    parts.push(...rule.verbs.map((verb) => ({ nonResourceURLs: [url], verbs: [verb] })));
  }
  return parts;
}

const includesAll = (set: readonly string[], wanted: readonly string[]): boolean =>
  wanted.every((item) => set.includes(item));

function covers(owner: PolicyRule, part: PolicyRule): boolean {
  const resources = owner.resources ?? [];
  const names = owner.resourceNames ?? [];
  const wantedNames = part.resourceNames ?? [];
  return (
    (owner.verbs.includes("*") || includesAll(owner.verbs, part.verbs)) &&
    ((owner.apiGroups ?? []).includes("*") || includesAll(owner.apiGroups ?? [], part.apiGroups ?? [])) &&
    (resources.includes("*") ||
      (part.resources ?? []).every(
        (resource) =>
          resources.includes(resource) ||
          (resource.includes("/") && resources.includes(`*/${resource.slice(resource.indexOf("/") + 1)}`)),
      )) &&
    (names.length === 0 || (wantedNames.length > 0 && includesAll(names, wantedNames))) &&
    (part.nonResourceURLs ?? []).every((url) => (owner.nonResourceURLs ?? []).some((own) => pathMatches(own, url)))
  );
}

/** What of `wanted` the owner's rules do not allow, in rules of one permission each (component-helpers/auth/rbac/validation). */
export function missingRules(owner: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(breakDown).filter((part) => !owner.some((rule) => covers(rule, part)));
}

const quoted = (items: readonly string[]): string => `[${items.map((item) => JSON.stringify(item)).join(" ")}]`;

function ruleText(rule: PolicyRule): string {
  const parts = (
    [
      ["APIGroups", rule.apiGroups],
      ["Resources", rule.resources],
      ["NonResourceURLs", rule.nonResourceURLs],
      ["ResourceNames", rule.resourceNames],
      ["Verbs", rule.verbs],
    ] as const
  ).flatMap(([name, items]) => (items === undefined || items.length === 0 ? [] : [`${name}:${quoted(items)}`]));
  return `{${parts.join(", ")}}`;
}

/** Missing rules as the refusal of an escalation lists them: verbs of the same resource together, in order. */
export function missingRulesText(missing: readonly PolicyRule[]): string {
  const simple = new Map<string, PolicyRule>();
  const texts: string[] = [];
  for (const rule of missing) {
    if (rule.nonResourceURLs !== undefined) {
      texts.push(ruleText(rule));
      continue;
    }
    const key = JSON.stringify([rule.apiGroups, rule.resources, rule.resourceNames]);
    const known = simple.get(key);
    simple.set(key, known === undefined ? rule : { ...known, verbs: [...known.verbs, ...rule.verbs] });
  }
  for (const rule of simple.values()) texts.push(ruleText(rule));
  return [...new Set(texts)].toSorted().join("\n");
}

/**
 * The rules of an aggregated ClusterRole: those of all roles that its selectors match, each once, in the order of the
 * roles' names (pkg/controller/clusterroleaggregation). `undefined` when the role does not aggregate.
 */
export function aggregateRules(role: ClusterRole, roles: readonly ClusterRole[]): readonly PolicyRule[] | undefined {
  if (role.aggregationRule === undefined) return undefined;
  const byName = roles.toSorted((left, right) => ((left.metadata.name ?? "") < (right.metadata.name ?? "") ? -1 : 1));
  const rules = new Map<string, PolicyRule>();
  for (const selector of role.aggregationRule.clusterRoleSelectors ?? []) {
    const compiled = selectorOf(selector as LabelSelector);
    for (const candidate of byName) {
      if (candidate.metadata.name === role.metadata.name) continue;
      if (!matchesLabels(compiled, candidate.metadata.labels)) continue;
      for (const rule of candidate.rules ?? []) {
        const { verbs, apiGroups, resources, resourceNames, nonResourceURLs } = rule;
        const key = JSON.stringify([verbs, apiGroups, resources, resourceNames, nonResourceURLs]);
        if (!rules.has(key)) rules.set(key, rule);
      }
    }
  }
  return [...rules.values()];
}

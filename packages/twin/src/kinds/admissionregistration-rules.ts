import type {
  MatchCondition,
  MatchResources,
  MutatingWebhook,
  NamedRuleWithOperations,
  RuleWithOperations,
  ValidatingWebhook,
  WebhookClientConfig,
} from "@fleetwright/kube";
import { compileAdmission } from "../admission/policy-expressions.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { dns1035LabelProblems, dns1123SubdomainProblems, pathSegmentProblems } from "./name-checks.ts";
import { invalidFor, labelSelectorErrors, portErrors, qualifiedNameErrors } from "./value-checks.ts";

const operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const scopes = ["*", "Cluster", "Namespaced"];
const failurePolicies = ["Fail", "Ignore"];
const matchPolicies = ["Equivalent", "Exact"];
const reviewVersions = ["v1", "v1beta1"];
const withoutSideEffects = ["None", "NoneOnDryRun"];
const anySideEffects = ["None", "NoneOnDryRun", "Some", "Unknown"];

export const supported = (field: string, value: string | undefined, known: readonly string[]): readonly FieldError[] =>
  value === undefined || known.includes(value) ? [] : [fieldErrors.notSupported(field, value, known)];

function resourcesErrors(field: string, resources: readonly string[]): readonly FieldError[] {
  const errors: FieldError[] = [];
  if (resources.length === 0) errors.push(fieldErrors.required(field));
  const allBelow = new Set<string>();
  const allAbove = new Set<string>();
  let hasPlain = false;
  for (const [at, text] of resources.entries()) {
    const place = `${field}[${at}]`;
    if (text === "") {
      errors.push(fieldErrors.required(place));
      continue;
    }
    const slash = text.indexOf("/");
    if (slash < 0) {
      hasPlain = text !== "*";
      continue;
    }
    const [resource, below] = [text.slice(0, slash), text.slice(slash + 1)];
    if (allBelow.has(resource)) {
      errors.push(fieldErrors.invalid(place, text, `if '${resource}/*' is present, must not specify ${text}`));
    }
    if (allAbove.has(below)) {
      errors.push(fieldErrors.invalid(place, text, `if '*/${below}' is present, must not specify ${text}`));
    }
    if (below === "*") allBelow.add(resource);
    if (resource === "*") allAbove.add(below);
  }
  if (resources.length > 1 && resources.includes("*/*")) {
    errors.push(fieldErrors.invalid(field, resources, "if '*/*' is present, must not specify other resources"));
  }
  if (resources.includes("*") && hasPlain) {
    const detail = "if '*' is present, must not specify other resources without subresources";
    errors.push(fieldErrors.invalid(field, resources, detail));
  }
  return errors;
}

/** Required, and `*` only alone. */
function listErrors(field: string, list: readonly string[], what: string): readonly FieldError[] {
  if (list.length === 0) return [fieldErrors.required(field)];
  if (list.length < 2 || !list.includes("*")) return [];
  return [fieldErrors.invalid(field, list, `if '*' is present, must not specify other ${what}`)];
}

function ruleErrors(field: string, rule: RuleWithOperations): readonly FieldError[] {
  const { operations: named = [], apiGroups = [], apiVersions = [], resources = [], scope } = rule;
  return [
    ...listErrors(`${field}.operations`, named, "operations"),
    ...named.flatMap((operation, at) => supported(`${field}.operations[${at}]`, operation, operations)),
    ...listErrors(`${field}.apiGroups`, apiGroups, "API groups"),
    ...listErrors(`${field}.apiVersions`, apiVersions, "API versions"),
    ...apiVersions.flatMap((version, at) =>
      version === "" ? [fieldErrors.required(`${field}.apiVersions[${at}]`)] : [],
    ),
    ...resourcesErrors(`${field}.resources`, resources),
    ...supported(`${field}.scope`, scope, scopes),
  ];
}

function namedRuleErrors(field: string, rule: NamedRuleWithOperations): readonly FieldError[] {
  const seen = new Set<string>();
  const errors = (rule.resourceNames ?? []).flatMap((name, at) => {
    const place = `${field}.resourceNames[${at}]`;
    const own = invalidFor(place, name, pathSegmentProblems(name, false));
    if (seen.has(name)) own.push(fieldErrors.duplicate(place, name));
    seen.add(name);
    return own;
  });
  return [...errors, ...ruleErrors(field, rule)];
}

/** `matchConstraints` and `matchResources`. */
export function matchResourcesErrors(field: string, match: MatchResources | undefined): readonly FieldError[] {
  if (match === undefined) return [];
  const required = (name: "matchPolicy" | "namespaceSelector" | "objectSelector") =>
    match[name] === undefined ? [fieldErrors.required(`${field}.${name}`)] : [];
  return [
    ...required("matchPolicy"),
    ...supported(`${field}.matchPolicy`, match.matchPolicy, matchPolicies),
    ...required("namespaceSelector"),
    ...labelSelectorErrors(`${field}.namespaceSelector`, match.namespaceSelector),
    ...required("objectSelector"),
    ...labelSelectorErrors(`${field}.objectSelector`, match.objectSelector),
    ...(match.resourceRules ?? []).flatMap((rule, at) => namedRuleErrors(`${field}.resourceRules[${at}]`, rule)),
    ...(match.excludeResourceRules ?? []).flatMap((rule, at) =>
      namedRuleErrors(`${field}.excludeResourceRules[${at}]`, rule),
    ),
  ];
}

/** Names and expressions of match conditions. */
export function matchConditionErrors(
  field: string,
  conditions: readonly MatchCondition[],
  hasParams: boolean,
): readonly FieldError[] {
  const errors: FieldError[] = [];
  if (conditions.length > 64) errors.push(fieldErrors.tooMany(field, conditions.length, 64));
  const seen = new Set<string>();
  for (const [at, { name = "", expression = "" }] of conditions.entries()) {
    const place = `${field}[${at}]`;
    const text = expression.trim();
    if (text === "") errors.push(fieldErrors.required(`${place}.expression`));
    else {
      const { error } = compileAdmission(text, { hasParams, hasAuthorizer: true }, ["bool"]);
      if (error !== undefined) errors.push(fieldErrors.invalid(`${place}.expression`, text, error));
    }
    if (name === "") errors.push(fieldErrors.required(`${place}.name`));
    else {
      errors.push(...qualifiedNameErrors(`${place}.name`, name));
      if (seen.has(name)) errors.push(fieldErrors.duplicate(`${place}.name`, name));
      seen.add(name);
    }
  }
  return errors;
}

const urlForm = "; desired format: https://host[/path]";

/** `ValidateWebhookURL`. */
function urlErrors(field: string, text: string): readonly FieldError[] {
  const match =
    /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/(?:([^/?#@]*)@)?([^/?#]*))?[^?#]*(?:\?([^#]*))?(?:#(.*))?$/s.exec(text);
  const [, scheme = "", user, host = "", query = "", fragment = ""] = match ?? [];
  const errors: FieldError[] = [];
  if (scheme.toLowerCase() !== "https") {
    errors.push(fieldErrors.invalid(field, scheme, `'https' is the only allowed URL scheme${urlForm}`));
  }
  if (host === "") errors.push(fieldErrors.invalid(field, host, `host must be specified${urlForm}`));
  if (user !== undefined) {
    errors.push(fieldErrors.invalid(field, user, "user information is not permitted in the URL"));
  }
  if (fragment !== "") errors.push(fieldErrors.invalid(field, fragment, "fragments are not permitted in the URL"));
  if (query !== "") errors.push(fieldErrors.invalid(field, query, "query parameters are not permitted in the URL"));
  return errors;
}

function pathErrors(field: string, path: string): readonly FieldError[] {
  if (path === "" || path === "/") return [];
  const errors: FieldError[] = [];
  if (path === "//") errors.push(fieldErrors.invalid(field, path, "segment[0] may not be empty"));
  if (!path.startsWith("/")) errors.push(fieldErrors.invalid(field, path, "must start with a '/'"));
  for (const [at, step] of path.slice(1).replace(/\/$/, "").split("/").entries()) {
    const problems =
      step === ""
        ? [`segment[${at}] may not be empty`]
        : dns1123SubdomainProblems(step).map((text) => `segment[${at}]: ${text}`);
    errors.push(...invalidFor(field, path, problems));
  }
  return errors;
}

function clientErrors(field: string, { url, service }: WebhookClientConfig): readonly FieldError[] {
  if ((url === undefined) === (service === undefined)) {
    return [fieldErrors.required(field, "exactly one of url or service is required")];
  }
  if (url !== undefined) return urlErrors(`${field}.url`, url);
  if (service === undefined) return [];
  const place = `${field}.service`;
  const port = service.port ?? 443;
  const portProblems = portErrors(`${place}.port`, port).map(() =>
    fieldErrors.invalid(`${place}.port`, port, "port is not valid: must be between 1 and 65535, inclusive"),
  );
  return [
    ...((service.name ?? "") === "" ? [fieldErrors.required(`${place}.name`)] : []),
    ...((service.namespace ?? "") === "" ? [fieldErrors.required(`${place}.namespace`)] : []),
    ...portProblems,
    ...(service.path === undefined ? [] : pathErrors(`${place}.path`, service.path)),
  ];
}

function hookNameErrors(field: string, name: string): readonly FieldError[] {
  if (name === "") return [fieldErrors.required(field)];
  const problems = dns1123SubdomainProblems(name);
  if (problems.length > 0) return [fieldErrors.invalid(field, name, problems.join(","))];
  if (name.split(".").length >= 3) return [];
  return [fieldErrors.invalid(field, name, "should be a domain with at least three segments separated by dots")];
}

const accepted = (versions: readonly string[]): boolean => versions.some((version) => reviewVersions.includes(version));

function reviewVersionErrors(field: string, versions: readonly string[], wantKnown: boolean): readonly FieldError[] {
  if (versions.length === 0) return [fieldErrors.required(field, `must specify one of ${reviewVersions.join(", ")}`)];
  const errors = versions.flatMap((version, at) =>
    versions.indexOf(version) < at
      ? [fieldErrors.invalid(`${field}[${at}]`, version, "duplicate version")]
      : invalidFor(`${field}[${at}]`, version, dns1035LabelProblems(version)),
  );
  if (wantKnown && !accepted(versions)) {
    errors.push(fieldErrors.invalid(field, versions, `must include at least one of ${reviewVersions.join(", ")}`));
  }
  return errors;
}

type Webhook = MutatingWebhook | ValidatingWebhook;

/** All of a webhook configuration; what an old one had wrong stays allowed (`validateMutatingWebhookConfiguration`). */
export function webhookErrors(
  webhooks: readonly Webhook[],
  old: readonly Webhook[] | undefined,
): readonly FieldError[] {
  const unique = (list: readonly Webhook[]) => new Set(list.map(({ name }) => name)).size === list.length;
  const wantNames = old === undefined || unique(old);
  const wantKnown =
    old === undefined ||
    old.every(({ admissionReviewVersions: list }) => !Array.isArray(list) || list.length === 0 || accepted(list));
  const sideEffects =
    old === undefined || old.every((hook) => withoutSideEffects.includes(hook.sideEffects))
      ? withoutSideEffects
      : anySideEffects;
  const conditions = (list: readonly Webhook[]) =>
    JSON.stringify(list.map(({ matchConditions = [] }) => matchConditions));
  const sameConditions = old !== undefined && conditions(old) === conditions(webhooks);
  const seen = new Set<string>();
  return webhooks.flatMap((hook, at) => {
    const field = `webhooks[${at}]`;
    const timeout = hook.timeoutSeconds;
    const errors: FieldError[] = [
      ...hookNameErrors(`${field}.name`, hook.name ?? ""),
      ...(hook.rules ?? []).flatMap((rule, index) => ruleErrors(`${field}.rules[${index}]`, rule)),
      ...supported(`${field}.failurePolicy`, hook.failurePolicy, failurePolicies),
      ...supported(`${field}.matchPolicy`, hook.matchPolicy, matchPolicies),
      ...(hook.sideEffects === undefined
        ? [fieldErrors.required(`${field}.sideEffects`, `must specify one of ${sideEffects.join(", ")}`)]
        : supported(`${field}.sideEffects`, hook.sideEffects, sideEffects)),
      ...(timeout !== undefined && (timeout > 30 || timeout < 1)
        ? [
            fieldErrors.invalid(
              `${field}.timeoutSeconds`,
              timeout,
              "the timeout value must be between 1 and 30 seconds",
            ),
          ]
        : []),
      ...labelSelectorErrors(`${field}.namespaceSelector`, hook.namespaceSelector),
      ...labelSelectorErrors(`${field}.objectSelector`, hook.objectSelector),
      ...("reinvocationPolicy" in hook
        ? supported(`${field}.reinvocationPolicy`, hook.reinvocationPolicy, ["IfNeeded", "Never"])
        : []),
      ...clientErrors(`${field}.clientConfig`, hook.clientConfig ?? {}),
      ...(sameConditions ? [] : matchConditionErrors(`${field}.matchConditions`, hook.matchConditions ?? [], false)),
      ...reviewVersionErrors(`${field}.admissionReviewVersions`, hook.admissionReviewVersions ?? [], wantKnown),
    ];
    if (wantNames && hook.name !== "" && seen.has(hook.name)) {
      errors.push(fieldErrors.duplicate(`${field}.name`, hook.name));
    }
    seen.add(hook.name);
    return errors;
  });
}

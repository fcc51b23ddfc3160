import {
  matchesLabels,
  Namespaces,
  selectorOf,
  type GroupVersionKind,
  type GroupVersionResource,
  type LabelSelector,
} from "@fleetwright/kube";
import type { AdmissionAttributes } from "../machinery/admission.ts";
import { copyJson, isDraft, type Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";

/** A rule of a webhook or a policy. */
export interface AdmissionRule {
  readonly apiGroups?: readonly string[];
  readonly apiVersions?: readonly string[];
  readonly operations?: readonly string[];
  readonly resources?: readonly string[];
  readonly scope?: string;
  readonly resourceNames?: readonly string[];
}

/** The form in which a request is shown: its own, or an equivalent version's. */
export interface MatchedForm {
  readonly resource: GroupVersionResource;
  readonly kind: GroupVersionKind;
  /** Of the object itself, whatever its subresource. */
  readonly served: ServedKind;
}

const holds = (list: readonly string[] | undefined, wanted: string): boolean =>
  list !== undefined && (list.includes("*") || list.includes(wanted));

function scopeMatches(
  scope: string | undefined,
  attributes: AdmissionAttributes,
  resource: GroupVersionResource,
): boolean {
  if (scope === undefined || scope === "*") return true;
  const isNamespace = resource.group === "" && resource.version === "v1" && resource.resource === "namespaces";
  const isNamespaced = !isNamespace && attributes.namespace !== "";
  return scope === "Namespaced" ? isNamespaced : scope === "Cluster" && !isNamespaced;
}

function ruleMatches(rule: AdmissionRule, attributes: AdmissionAttributes, resource: GroupVersionResource): boolean {
  return (
    scopeMatches(rule.scope, attributes, resource) &&
    holds(rule.operations, attributes.operation) &&
    holds(rule.apiGroups, resource.group) &&
    holds(rule.apiVersions, resource.version) &&
    (rule.resources ?? []).some((text) => {
      const slash = text.indexOf("/");
      const [name, below] = slash < 0 ? [text, ""] : [text.slice(0, slash), text.slice(slash + 1)];
      return (name === "*" || name === resource.resource) && (below === "*" || below === attributes.subresource);
    }) &&
    (rule.resourceNames === undefined ||
      rule.resourceNames.length === 0 ||
      rule.resourceNames.includes(attributes.name))
  );
}

/** The first rule that matches, and as which version (apiserver/pkg/admission/plugin/webhook/predicates/rules). */
export function matchedForm(
  rules: readonly AdmissionRule[],
  matchPolicy: string | undefined,
  attributes: AdmissionAttributes,
  server: ServerAccess,
): MatchedForm | undefined {
  const own: MatchedForm = { resource: attributes.resource, kind: attributes.kind, served: attributes.served };
  if (rules.some((rule) => ruleMatches(rule, attributes, attributes.resource))) return own;
  if (matchPolicy === "Exact") return undefined;
  const equivalents = server
    .kinds()
    .filter((kind) => kind !== attributes.served && kind.collection === attributes.served.collection);
  for (const rule of rules) {
    for (const served of equivalents) {
      const resource = { group: served.group, version: served.version, resource: served.plural };
      if (!ruleMatches(rule, attributes, resource)) continue;
      const below = attributes.subresource === "" ? undefined : served.subresources.get(attributes.subresource);
      return {
        resource,
        served,
        kind: below?.kind ?? { group: served.group, version: served.version, kind: served.kind },
      };
    }
  }
  return undefined;
}

const labelsOf = (object: Readonly<Draft> | undefined): Readonly<Record<string, string>> => {
  const metadata = object?.["metadata"];
  const labels = isDraft(metadata) ? metadata["labels"] : undefined;
  return isDraft(labels) ? (labels as Readonly<Record<string, string>>) : {};
};

const isEmpty = (selector: LabelSelector | undefined): boolean =>
  (selector?.matchExpressions?.length ?? 0) === 0 && Object.keys(selector?.matchLabels ?? {}).length === 0;

/** Whether the namespace's labels fit; requests without a namespace always do. Throws 404 when there is no such namespace. */
export function namespaceMatches(
  selector: LabelSelector | undefined,
  attributes: AdmissionAttributes,
  server: ServerAccess,
): boolean {
  const isNamespace = attributes.resource.resource === "namespaces";
  if ((attributes.namespace === "" && !isNamespace) || isEmpty(selector)) return true;
  const matcher = selectorOf(selector);
  // The stored namespace is not yet what the request makes of it.
  if (isNamespace && attributes.subresource === "" && ["CREATE", "UPDATE"].includes(attributes.operation)) {
    return matchesLabels(matcher, labelsOf(attributes.object));
  }
  const name = attributes.namespace === "" ? attributes.name : attributes.namespace;
  const namespace = server.objects.get(Namespaces, { name });
  if (namespace === undefined) throw refusals.notFound({ group: "", resource: "namespaces" }, name);
  return matchesLabels(matcher, namespace.metadata.labels);
}

/** Whether the labels of the object, or of what it was, fit. */
export function objectMatches(selector: LabelSelector | undefined, attributes: AdmissionAttributes): boolean {
  if (isEmpty(selector)) return true;
  const matcher = selectorOf(selector);
  return [attributes.object, attributes.oldObject].some(
    (object) => object !== undefined && matchesLabels(matcher, labelsOf(object)),
  );
}

const configurationKinds = new Set([
  "MutatingAdmissionPolicy",
  "MutatingAdmissionPolicyBinding",
  "MutatingWebhookConfiguration",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
  "ValidatingWebhookConfiguration",
]);

/** What configures admission is not subject to it: nobody could repair it otherwise. */
export const isAdmissionConfiguration = ({ kind }: AdmissionAttributes): boolean =>
  kind.group === "admissionregistration.k8s.io" && configurationKinds.has(kind.kind);

/** An object of the request as another version has it. What comes back may be changed. */
export async function inForm(
  object: Readonly<Draft> | undefined,
  from: ServedKind,
  to: ServedKind,
): Promise<Draft | undefined> {
  if (object === undefined) return undefined;
  if (from === to) return copyJson(object) as Draft;
  const stored =
    from.conversion === undefined ? [object] : await from.conversion.toStorage([copyJson(object) as Draft]);
  const shown = to.conversion === undefined ? stored : await to.conversion.fromStorage(stored as readonly Draft[]);
  return shown[0] === undefined ? undefined : (copyJson(shown[0]) as Draft);
}

/** Gives an object that others hold the contents of another. */
export function replaceContents(object: Draft, contents: Readonly<Draft>): void {
  for (const key of Object.keys(object)) delete object[key];
  for (const [key, value] of Object.entries(contents)) {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  }
}

import type { MatchResources } from "@fleetwright/kube";
import type { AdmissionAttributes } from "../machinery/admission.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { StatusError } from "../machinery/status-error.ts";
import { PolicyConfigurationError } from "./policy-params.ts";
import { matchedForm, namespaceMatches, objectMatches, type MatchedForm } from "./webhook-matching.ts";

/** As what a request is subject to a policy or a binding (…/policy/matching/matching.go). Throws PolicyConfigurationError. */
export function policyForm(
  match: MatchResources | undefined,
  attributes: AdmissionAttributes,
  server: ServerAccess,
): MatchedForm | undefined {
  const own: MatchedForm = { resource: attributes.resource, kind: attributes.kind, served: attributes.served };
  if (match === undefined) return own;
  let selectorError: StatusError | undefined;
  try {
    if (!namespaceMatches(match.namespaceSelector, attributes, server)) return undefined;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    selectorError = error;
  }
  if (!objectMatches(match.objectSelector, attributes)) return undefined;
  if (matchedForm(match.excludeResourceRules ?? [], match.matchPolicy, attributes, server) !== undefined)
    return undefined;
  const rules = match.resourceRules ?? [];
  const form = rules.length === 0 ? own : matchedForm(rules, match.matchPolicy, attributes, server);
  if (form !== undefined && selectorError !== undefined) throw new PolicyConfigurationError(selectorError.message);
  return form;
}

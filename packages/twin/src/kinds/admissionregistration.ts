import type {
  MatchResources,
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  MutatingWebhook,
  MutatingWebhookConfiguration,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhook,
  ValidatingWebhookConfiguration,
} from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";
import { defineStrategy, type Strategy } from "../machinery/kind.ts";
import {
  mutatingBindingErrors,
  mutatingPolicyErrors,
  validatingBindingErrors,
  validatingPolicyErrors,
} from "./admissionregistration-policies.ts";
import { webhookErrors } from "./admissionregistration-rules.ts";

function defaultWebhooks(webhooks: readonly (Mutable<MutatingWebhook> | Mutable<ValidatingWebhook>)[] = []): void {
  for (const webhook of webhooks) {
    webhook.failurePolicy ??= "Fail";
    webhook.matchPolicy ??= "Equivalent";
    webhook.namespaceSelector ??= {};
    webhook.objectSelector ??= {};
    webhook.timeoutSeconds ??= 10;
    for (const rule of webhook.rules ?? []) rule.scope ??= "*";
    const service = webhook.clientConfig?.service;
    if (service !== undefined) service.port ??= 443;
  }
}

function defaultMatch(match: Mutable<MatchResources> | undefined): void {
  if (match === undefined) return;
  match.matchPolicy ??= "Equivalent";
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  for (const rule of [...(match.resourceRules ?? []), ...(match.excludeResourceRules ?? [])]) rule.scope ??= "*";
}

/** Names that only files in the server's directories may have. */
const staticSuffix = ".static.k8s.io";
const reservedName = ({ metadata }: { readonly metadata: { readonly name?: string } }): readonly string[] =>
  metadata.name?.endsWith(staticSuffix) === true
    ? [
        `metadata.name: names ending with ${JSON.stringify(staticSuffix)} are reserved for static manifest-based configurations and cannot be managed via the API`,
      ]
    : [];

const common = { hasGeneration: true, allowUnconditionalUpdate: false, warnings: reservedName } as const;

/** pkg/registry/admissionregistration, by `group/Kind`. */
export const admissionregistrationStrategies: Readonly<Record<string, Strategy>> = {
  "admissionregistration.k8s.io/MutatingWebhookConfiguration": defineStrategy<MutatingWebhookConfiguration>({
    ...common,
    defaults({ webhooks }) {
      defaultWebhooks(webhooks);
      for (const webhook of webhooks ?? []) webhook.reinvocationPolicy ??= "Never";
    },
    validate: ({ webhooks = [] }) => webhookErrors(webhooks, undefined),
    validateUpdate: ({ webhooks = [] }, { webhooks: old = [] }) => webhookErrors(webhooks, old),
  }),
  "admissionregistration.k8s.io/ValidatingWebhookConfiguration": defineStrategy<ValidatingWebhookConfiguration>({
    ...common,
    defaults: ({ webhooks }) => defaultWebhooks(webhooks),
    validate: ({ webhooks = [] }) => webhookErrors(webhooks, undefined),
    validateUpdate: ({ webhooks = [] }, { webhooks: old = [] }) => webhookErrors(webhooks, old),
  }),
  "admissionregistration.k8s.io/ValidatingAdmissionPolicy": defineStrategy<ValidatingAdmissionPolicy>({
    ...common,
    hasStatus: true,
    defaults({ spec }) {
      if (spec === undefined) return;
      spec.failurePolicy ??= "Fail";
      defaultMatch(spec.matchConstraints);
    },
    validate: (policy) => validatingPolicyErrors(policy, undefined),
    validateUpdate: validatingPolicyErrors,
    validateStatusUpdate: () => [],
  }),
  "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding": defineStrategy<ValidatingAdmissionPolicyBinding>({
    ...common,
    defaults: ({ spec }) => defaultMatch(spec?.matchResources),
    validate: validatingBindingErrors,
  }),
  "admissionregistration.k8s.io/MutatingAdmissionPolicy": defineStrategy<MutatingAdmissionPolicy>({
    ...common,
    defaults({ spec }) {
      if (spec === undefined) return;
      spec.failurePolicy ??= "Fail";
      defaultMatch(spec.matchConstraints);
    },
    validate: (policy) => mutatingPolicyErrors(policy, undefined),
    validateUpdate: mutatingPolicyErrors,
  }),
  "admissionregistration.k8s.io/MutatingAdmissionPolicyBinding": defineStrategy<MutatingAdmissionPolicyBinding>({
    ...common,
    defaults: ({ spec }) => defaultMatch(spec?.matchResources),
    validate: mutatingBindingErrors,
  }),
};

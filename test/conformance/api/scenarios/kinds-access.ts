import type { KindCase } from "./kind-case.ts";

const group = (name: string, version = "v1"): string => `/apis/${name}/${version}`;
const rules = [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }];
const roleRef = (kind: string): object => ({ apiGroup: "rbac.authorization.k8s.io", kind, name: "reader" });
const subjects = [{ kind: "User", name: "ada", apiGroup: "rbac.authorization.k8s.io" }];
const nothingMatched = {
  resourceRules: [
    { apiGroups: ["none.example"], apiVersions: ["v1"], operations: ["CREATE"], resources: ["nothings"] },
  ],
};
const webhook = {
  name: "hook.none.example",
  clientConfig: { url: "https://127.0.0.1:9/hook" },
  rules: nothingMatched.resourceRules,
  sideEffects: "None",
  admissionReviewVersions: ["v1"],
};

export const accessKinds: readonly KindCase[] = [
  {
    root: group("rbac.authorization.k8s.io"),
    plural: "roles",
    kind: "Role",
    namespaced: true,
    content: () => ({ rules }),
    invalid: { rules: [{ verbs: [] }] },
    change: { rules: [] },
  },
  {
    root: group("rbac.authorization.k8s.io"),
    plural: "rolebindings",
    kind: "RoleBinding",
    namespaced: true,
    content: () => ({ roleRef: roleRef("Role"), subjects }),
    invalid: { roleRef: { apiGroup: "x", kind: "Y", name: "" } },
    change: { subjects: [] },
  },
  {
    root: group("rbac.authorization.k8s.io"),
    plural: "clusterroles",
    kind: "ClusterRole",
    namespaced: false,
    content: () => ({ rules }),
    invalid: { rules: [{ verbs: ["get"] }] },
    change: { rules: [] },
  },
  {
    root: group("rbac.authorization.k8s.io"),
    plural: "clusterrolebindings",
    kind: "ClusterRoleBinding",
    namespaced: false,
    content: () => ({ roleRef: roleRef("ClusterRole"), subjects }),
    invalid: { subjects: [{ kind: "Robot", name: "r" }] },
    change: { subjects: [] },
  },
  {
    root: group("admissionregistration.k8s.io"),
    plural: "validatingwebhookconfigurations",
    kind: "ValidatingWebhookConfiguration",
    namespaced: false,
    content: () => ({ webhooks: [webhook] }),
    invalid: { webhooks: [{ ...webhook, name: "short" }] },
    change: { webhooks: [] },
  },
  {
    root: group("admissionregistration.k8s.io"),
    plural: "mutatingwebhookconfigurations",
    kind: "MutatingWebhookConfiguration",
    namespaced: false,
    content: () => ({ webhooks: [webhook] }),
    invalid: { webhooks: [{ ...webhook, sideEffects: "Some" }] },
    change: { webhooks: [] },
  },
  {
    root: group("admissionregistration.k8s.io"),
    plural: "validatingadmissionpolicies",
    kind: "ValidatingAdmissionPolicy",
    namespaced: false,
    content: () => ({ spec: { matchConstraints: nothingMatched, validations: [{ expression: "true" }] } }),
    invalid: { spec: { validations: [{ expression: "object." }] } },
    change: { spec: { failurePolicy: "Ignore" } },
    status: { observedGeneration: 1 },
  },
  {
    root: group("admissionregistration.k8s.io"),
    plural: "validatingadmissionpolicybindings",
    kind: "ValidatingAdmissionPolicyBinding",
    namespaced: false,
    content: () => ({ spec: { policyName: "none", validationActions: ["Deny"] } }),
    invalid: { spec: { validationActions: [] } },
    change: { spec: { validationActions: ["Warn"] } },
  },
  {
    root: group("admissionregistration.k8s.io"),
    plural: "mutatingadmissionpolicies",
    kind: "MutatingAdmissionPolicy",
    namespaced: false,
    content: () => ({
      spec: {
        matchConstraints: nothingMatched,
        reinvocationPolicy: "Never",
        mutations: [{ patchType: "ApplyConfiguration", applyConfiguration: { expression: "Object{}" } }],
      },
    }),
    invalid: { spec: { mutations: [{ patchType: "Guess" }] } },
    change: { spec: { failurePolicy: "Ignore" } },
  },
  {
    root: group("admissionregistration.k8s.io"),
    plural: "mutatingadmissionpolicybindings",
    kind: "MutatingAdmissionPolicyBinding",
    namespaced: false,
    content: () => ({ spec: { policyName: "none" } }),
    invalid: { spec: { policyName: "" } },
    change: { spec: { policyName: "other" } },
  },
  {
    root: group("apiregistration.k8s.io"),
    plural: "apiservices",
    kind: "APIService",
    namespaced: false,
    nameOf: (unique) => `v1.${unique}.example.com`,
    content: (name) => ({
      spec: { group: name.slice(3), version: "v1", groupPriorityMinimum: 100, versionPriority: 10 },
    }),
    invalid: { spec: { groupPriorityMinimum: 0 } },
    change: { spec: { versionPriority: 11 } },
    status: {},
  },
  {
    root: group("flowcontrol.apiserver.k8s.io"),
    plural: "flowschemas",
    kind: "FlowSchema",
    namespaced: false,
    content: () => ({
      spec: {
        priorityLevelConfiguration: { name: "global-default" },
        matchingPrecedence: 9000,
        rules: [
          {
            subjects: [{ kind: "User", user: { name: "nobody-here" } }],
            nonResourceRules: [{ verbs: ["get"], nonResourceURLs: ["/none"] }],
          },
        ],
      },
    }),
    invalid: { spec: { matchingPrecedence: 20000 } },
    change: { spec: { matchingPrecedence: 8000 } },
    status: { conditions: [] },
  },
  {
    root: group("flowcontrol.apiserver.k8s.io"),
    plural: "prioritylevelconfigurations",
    kind: "PriorityLevelConfiguration",
    namespaced: false,
    content: () => ({
      spec: { type: "Limited", limited: { nominalConcurrencyShares: 1, limitResponse: { type: "Reject" } } },
    }),
    invalid: { spec: { type: "Partly" } },
    change: { spec: { limited: { nominalConcurrencyShares: 2 } } },
    status: { conditions: [] },
  },
];

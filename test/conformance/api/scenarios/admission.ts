import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, deployment, types } from "./requests.ts";

const maps = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/configmaps`;
const registration = "/apis/admissionregistration.k8s.io/v1";

const rule = (resource: string, ...operations: readonly string[]): object => ({
  apiGroups: ["*"],
  apiVersions: ["*"],
  resources: [resource],
  operations: operations.length > 0 ? operations : ["CREATE", "UPDATE"],
});
const inNamespace = ({ namespace }: Session): object => ({ matchLabels: { "kubernetes.io/metadata.name": namespace } });

/** A policy for the scenario's namespace, in force. */
async function police(session: Session, spec: object, binding: object = {}, resource = "configmaps"): Promise<void> {
  const { unique } = session;
  const matchConstraints = {
    namespaceSelector: inNamespace(session),
    resourceRules: [rule(resource, "CREATE", "UPDATE", "DELETE")],
  };
  await session.given("POST", `${registration}/validatingadmissionpolicies`, {
    metadata: { name: unique },
    spec: { matchConstraints, ...spec },
  });
  const body = { metadata: { name: unique }, spec: { policyName: unique, validationActions: ["Deny"], ...binding } };
  await session.given("POST", `${registration}/validatingadmissionpolicybindings`, body);
  await session.pause(1500);
}

async function mutate(session: Session, mutations: readonly object[], more: object = {}): Promise<void> {
  const { unique } = session;
  const matchConstraints = { namespaceSelector: inNamespace(session), resourceRules: [rule("configmaps", "CREATE")] };
  const spec = { matchConstraints, reinvocationPolicy: "Never", mutations, ...more };
  await session.given("POST", `${registration}/mutatingadmissionpolicies`, { metadata: { name: unique }, spec });
  await session.given("POST", `${registration}/mutatingadmissionpolicybindings`, {
    metadata: { name: unique },
    spec: { policyName: unique },
  });
  await session.pause(1500);
}

/** Policies that are refused, by what is wrong with them. */
const brokenPolicies: Readonly<Record<string, object>> = {
  "a rule that cannot be read": { validations: [{ expression: "object.spec >" }] },
  "a rule that is no condition": { validations: [{ expression: "'text'" }] },
  "no rules": { validations: [] },
  "a name that is not there": { validations: [{ expression: "nothing == 1" }] },
  "a message expression that is no text": { validations: [{ expression: "true", messageExpression: "1" }] },
  "a reason that is none": { validations: [{ expression: "true", reason: "Because" }] },
  "a variable that cannot be named so": {
    variables: [{ name: "a-b", expression: "1" }],
    validations: [{ expression: "true" }],
  },
  "a variable that is used before it is there": {
    variables: [
      { name: "a", expression: "variables.b" },
      { name: "b", expression: "1" },
    ],
    validations: [{ expression: "variables.a == 1" }],
  },
  "match conditions of one name": {
    matchConditions: [
      { name: "a", expression: "true" },
      { name: "a", expression: "true" },
    ],
    validations: [{ expression: "true" }],
  },
  "parameters of no kind": { paramKind: {}, validations: [{ expression: "params.x" }] },
  "no constraints": { matchConstraints: null, validations: [{ expression: "true" }] },
  "an audit annotation without a value": { auditAnnotations: [{ key: "k", valueExpression: "" }] },
};

export const admissionScenarios = [
  ...area("policies", {
    "a rule denies in its words": async (session) => {
      await police(session, {
        validations: [
          { expression: "object == null || !has(object.data) || size(object.data) < 2", message: "at most one" },
          { expression: "object == null || object.metadata.name != 'bad'", reason: "Forbidden" },
        ],
      });
      await session.send("POST", maps(session), { body: configMap("a", { a: "1" }) });
      await session.send("POST", maps(session), { body: configMap("b", { a: "1", b: "2" }) });
      await session.send("POST", maps(session), { body: configMap("bad") });
      await session.send("PATCH", `${maps(session)}/a`, { headers: types.merge, body: { data: { b: "2" } } });
    },
    "a binding warns and audits instead": async (session) => {
      await police(
        session,
        {
          validations: [
            {
              expression: "false",
              messageExpression: "'no ' + (object == null ? oldObject.metadata.name : object.metadata.name)",
            },
          ],
        },
        { validationActions: ["Warn", "Audit"] },
      );
      await session.send("POST", maps(session), { body: configMap("a") });
      await session.send("DELETE", `${maps(session)}/a`);
    },
    "variables, conditions and the request are there": async (session) => {
      await police(session, {
        variables: [
          {
            name: "team",
            expression: "'team' in object.metadata.?labels.orValue({}) ? object.metadata.labels['team'] : 'none'",
          },
        ],
        matchConditions: [
          { name: "creates", expression: "request.operation == 'CREATE'" },
          { name: "not-me", expression: "request.userInfo.username != 'exempt'" },
        ],
        validations: [{ expression: "variables.team == 'a'", messageExpression: "'team is ' + variables.team" }],
      });
      await session.send("POST", maps(session), { body: configMap("x") });
      await session.send("POST", maps(session), { body: configMap("x", {}, { labels: { team: "a" } }) });
      await session.send("PATCH", `${maps(session)}/x`, {
        headers: types.merge,
        body: { metadata: { labels: { team: "b" } } },
      });
      await session.send("POST", maps(session), {
        body: configMap("y"),
        as: { user: "exempt", groups: ["system:masters"] },
      });
    },
    "parameters come from an object": async (session) => {
      const paramRef = { name: "limits", namespace: session.namespace, parameterNotFoundAction: "Deny" };
      await police(
        session,
        {
          paramKind: { apiVersion: "v1", kind: "ConfigMap" },
          validations: [
            {
              expression:
                "object == null || int(params.data.most) >= size(object.spec.?template.spec.containers.orValue([]))",
            },
          ],
        },
        { paramRef },
        "deployments",
      );
      const path = `/apis/apps/v1/namespaces/${session.namespace}/deployments`;
      await session.send("POST", path, { body: deployment("d") });
      await session.given("POST", maps(session), configMap("limits", { most: "0" }));
      await session.pause(1500);
      await session.send("POST", path, { body: deployment("d") });
    },
    "a rule that fails to run denies, or is passed over": async (session) => {
      await police(session, { validations: [{ expression: "object.data.missing == 'x'" }] });
      await session.send("POST", maps(session), { body: configMap("a", { b: "1" }) });
      await session.given(
        "PATCH",
        `${registration}/validatingadmissionpolicies/${session.unique}`,
        { spec: { failurePolicy: "Ignore" } },
        types.merge,
      );
      await session.pause(1500);
      await session.send("POST", maps(session), { body: configMap("a", { b: "1" }) });
    },
    "a mutation applies a configuration": async (session) => {
      await mutate(session, [
        {
          patchType: "ApplyConfiguration",
          applyConfiguration: { expression: "Object{metadata: Object.metadata{labels: {'added': 'yes'}}}" },
        },
      ]);
      await session.send("POST", maps(session), { body: configMap("a", { a: "1" }, { labels: { own: "1" } }) });
    },
    "a mutation patches": async (session) => {
      await mutate(session, [
        {
          patchType: "JSONPatch",
          jsonPatch: { expression: "[JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('x~y'), value: 'z'}]" },
        },
      ]);
      await session.send("POST", maps(session), { body: configMap("a", { a: "1" }) });
    },
    ...Object.fromEntries(
      Object.entries(brokenPolicies).map(([name, spec]) => [
        `a policy with ${name} is refused`,
        async (session: Session): Promise<void> => {
          const matchConstraints = { resourceRules: [rule("nothings")] };
          await session.send("POST", `${registration}/validatingadmissionpolicies`, {
            body: { metadata: { name: session.unique }, spec: { matchConstraints, ...spec } },
          });
        },
      ]),
    ),
  }),
  ...area("webhooks", {
    "a webhook that cannot be reached fails the request or is passed over": async (session) => {
      const hook = (name: string, failurePolicy: string, resource: string): object => ({
        name,
        failurePolicy,
        clientConfig: { url: "https://127.0.0.1:9/x" },
        rules: [rule(resource, "CREATE")],
        namespaceSelector: inNamespace(session),
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        timeoutSeconds: 1,
      });
      await session.given("POST", `${registration}/validatingwebhookconfigurations`, {
        metadata: { name: session.unique },
        webhooks: [hook("a.example.com", "Fail", "configmaps"), hook("b.example.com", "Ignore", "secrets")],
      });
      await session.pause(500);
      await session.send("POST", maps(session), { body: configMap("a") });
      await session.send("POST", `/api/v1/namespaces/${session.namespace}/secrets`, {
        body: { metadata: { name: "s" } },
      });
    },
    "a webhook without side effects declared refuses dry runs": async (session) => {
      const webhooks = [
        {
          name: "a.example.com",
          clientConfig: { url: "https://127.0.0.1:9/x" },
          rules: [rule("configmaps", "CREATE")],
          sideEffects: "NoneOnDryRun",
          matchConditions: [{ name: "never", expression: "false" }],
          admissionReviewVersions: ["v1"],
          namespaceSelector: inNamespace(session),
        },
      ];
      await session.send("POST", `${registration}/mutatingwebhookconfigurations`, {
        body: { metadata: { name: session.unique }, webhooks },
      });
      await session.pause(500);
      await session.send("POST", `${maps(session)}?dryRun=All`, { body: configMap("a") });
    },
    "configurations are validated": async (session) => {
      const hook = {
        name: "a.example.com",
        clientConfig: { url: "https://127.0.0.1:9/x" },
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
      };
      for (const change of [
        { clientConfig: {} },
        { clientConfig: { url: "http://x" } },
        { clientConfig: { url: "https://a/b", service: { name: "s", namespace: "n" } } },
        { admissionReviewVersions: [] },
        { admissionReviewVersions: ["v9"] },
        { failurePolicy: "Maybe" },
        { timeoutSeconds: 99 },
        { matchPolicy: "Some" },
        { rules: [{ operations: ["JUMP"] }] },
        { matchConditions: [{ name: "a", expression: "1" }] },
        { clientConfig: { url: "https://x", caBundle: "eA==" } },
      ])
        await session.send("POST", `${registration}/validatingwebhookconfigurations?dryRun=All`, {
          body: { metadata: { name: session.unique }, webhooks: [{ ...hook, ...change }] },
        });
    },
  }),
];

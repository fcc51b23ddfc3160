import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, deployment, pod, types } from "./requests.ts";

const maps = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/configmaps`;
const pods = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/pods`;
const registration = "/apis/admissionregistration.k8s.io/v1";
const quotas = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/resourcequotas`;
const ranges = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/limitranges`;

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
  ...area("limits", {
    "a quota counts and refuses": async (session) => {
      await session.given("POST", quotas(session), {
        metadata: { name: "q" },
        spec: { hard: { "count/configmaps": "2", pods: "1", "requests.cpu": "1" } },
      });
      await session.given(
        "PATCH",
        `${quotas(session)}/q/status`,
        {
          status: {
            hard: { "count/configmaps": "2", pods: "1", "requests.cpu": "1" },
            used: { "count/configmaps": "1", pods: "0", "requests.cpu": "0" },
          },
        },
        types.merge,
      );
      await session.pause(300);
      await session.send("POST", maps(session), { body: configMap("a") });
      await session.send("POST", maps(session), { body: configMap("b") });
      await session.send("POST", pods(session), { body: pod("p") });
      await session.send("POST", pods(session), {
        body: pod("p", { containers: [{ name: "main", image: "i", resources: { requests: { cpu: "2" } } }] }),
      });
      await session.send("POST", pods(session), {
        body: pod("p", { containers: [{ name: "main", image: "i", resources: { requests: { cpu: "500m" } } }] }),
      });
      await session.send("POST", pods(session), {
        body: pod("q", { containers: [{ name: "main", image: "i", resources: { requests: { cpu: "100m" } } }] }),
      });
      await session.send("GET", `${quotas(session)}/q`);
    },
    "a quota without a status holds everything back": async (session) => {
      await session.given("POST", quotas(session), {
        metadata: { name: "q" },
        spec: { hard: { "count/configmaps": "2" } },
      });
      await session.pause(300);
      await session.send("POST", maps(session), { body: configMap("a") });
    },
    "quotas have scopes": async (session) => {
      for (const spec of [
        { hard: { pods: "1" }, scopes: ["BestEffort"] },
        { hard: { "requests.cpu": "1" }, scopes: ["BestEffort"] },
        { hard: { pods: "1" }, scopes: ["Nonsense"] },
        { hard: { pods: "1" }, scopes: ["Terminating", "NotTerminating"] },
        {
          hard: { pods: "1" },
          scopeSelector: { matchExpressions: [{ scopeName: "PriorityClass", operator: "In", values: ["high"] }] },
        },
        { hard: { pods: "1" }, scopeSelector: { matchExpressions: [{ scopeName: "PriorityClass", operator: "In" }] } },
        { hard: { "bad resource": "1" } },
        { hard: { cpu: "x" } },
        { hard: { "count/widgets.example.com": "5" } },
        { hard: { pods: "1.5" } },
      ])
        await session.send("POST", `${quotas(session)}?dryRun=All`, { body: { metadata: { name: "q" }, spec } });
    },
    "a limit range defaults and refuses": async (session) => {
      await session.given("POST", ranges(session), {
        metadata: { name: "l" },
        spec: {
          limits: [
            {
              type: "Container",
              default: { cpu: "1" },
              defaultRequest: { cpu: "500m" },
              max: { cpu: "2" },
              min: { cpu: "100m" },
              maxLimitRequestRatio: { cpu: "4" },
            },
            { type: "Pod", max: { cpu: "3" } },
          ],
        },
      });
      await session.pause(500);
      await session.send("POST", pods(session), { body: pod("p") });
      for (const resources of [
        { limits: { cpu: "3" } },
        { requests: { cpu: "50m" } },
        { requests: { cpu: "200m" }, limits: { cpu: "2" } },
        { requests: { cpu: "1" } },
      ])
        await session.send("POST", `${pods(session)}?dryRun=All`, {
          body: pod("q", { containers: [{ name: "main", image: "i", resources }] }),
        });
      const big = { limits: { cpu: "2" } };
      await session.send("POST", `${pods(session)}?dryRun=All`, {
        body: pod("r", {
          containers: [
            { name: "a", image: "i", resources: big },
            { name: "b", image: "i", resources: big },
          ],
        }),
      });
    },
    "limit ranges are defaulted and validated": async (session) => {
      for (const limit of [
        { type: "Container", max: { cpu: "2" } },
        { type: "Container", default: { cpu: "3" }, max: { cpu: "2" } },
        { type: "Pod", default: { cpu: "1" } },
        { type: "Nothing" },
        { type: "PersistentVolumeClaim" },
        { type: "PersistentVolumeClaim", min: { storage: "1Gi" } },
        { type: "Container", maxLimitRequestRatio: { cpu: "500m" } },
      ])
        await session.send("POST", `${ranges(session)}?dryRun=All`, {
          body: { metadata: { name: "l" }, spec: { limits: [limit] } },
        });
    },
    "a limit range bounds claims": async (session) => {
      await session.given("POST", ranges(session), {
        metadata: { name: "l" },
        spec: { limits: [{ type: "PersistentVolumeClaim", min: { storage: "1Gi" }, max: { storage: "2Gi" } }] },
      });
      await session.pause(500);
      for (const storage of ["500Mi", "1Gi", "3Gi"])
        await session.send("POST", `/api/v1/namespaces/${session.namespace}/persistentvolumeclaims?dryRun=All`, {
          body: {
            metadata: { name: "c" },
            spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage } } },
          },
        });
    },
    "a priority class sets a pod's priority": async (session) => {
      await session.given("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {
        metadata: { name: session.unique },
        value: 77,
        preemptionPolicy: "Never",
      });
      await session.pause(500);
      await session.send("POST", pods(session), { body: pod("p", { priorityClassName: session.unique }) });
      await session.send("POST", pods(session), { body: pod("q", { priorityClassName: session.unique, priority: 5 }) });
      await session.send("POST", pods(session), { body: pod("r", { priorityClassName: "system-node-critical" }) });
      await session.send("PATCH", `/apis/scheduling.k8s.io/v1/priorityclasses/${session.unique}`, {
        headers: types.merge,
        body: { value: 78 },
      });
      await session.send("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {
        body: { metadata: { name: "system-mine" }, value: 5 },
      });
      await session.send("DELETE", "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical?dryRun=All");
    },
    "a claim gets the default class": async (session) => {
      const claim = (name: string, spec: object = {}): object => ({
        metadata: { name },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } }, ...spec },
      });
      const claims = `/api/v1/namespaces/${session.namespace}/persistentvolumeclaims`;
      const classes = "/apis/storage.k8s.io/v1/storageclasses";
      await session.given("POST", classes, {
        metadata: { name: session.unique, annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
        provisioner: "example.com/p",
      });
      await session.pause(500);
      await session.send("POST", claims, { body: claim("a") });
      await session.send("POST", claims, { body: claim("b", { storageClassName: "" }) });
      await session.send("DELETE", `${classes}/${session.unique}`);
      await session.pause(500);
    },
    "pod security is enforced by the namespace's labels": async (session) => {
      await session.given(
        "PATCH",
        `/api/v1/namespaces/${session.namespace}`,
        {
          metadata: {
            labels: {
              "pod-security.kubernetes.io/enforce": "baseline",
              "pod-security.kubernetes.io/warn": "restricted",
            },
          },
        },
        types.merge,
      );
      await session.pause(500);
      await session.send("POST", pods(session), { body: pod("p") });
      await session.send("POST", pods(session), {
        body: pod("q", {
          hostNetwork: true,
          containers: [{ name: "main", image: "i", securityContext: { privileged: true } }],
        }),
      });
      await session.send("POST", `/apis/apps/v1/namespaces/${session.namespace}/deployments`, {
        body: deployment("d"),
      });
      await session.send("PATCH", `/api/v1/namespaces/${session.namespace}`, {
        headers: types.merge,
        body: { metadata: { labels: { "pod-security.kubernetes.io/enforce": "strict" } } },
      });
    },
  }),
];

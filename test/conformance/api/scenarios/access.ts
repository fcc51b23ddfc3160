import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, types } from "./requests.ts";

const maps = ({ namespace }: Session): string => `/api/v1/namespaces/${namespace}/configmaps`;
const rbac = "/apis/rbac.authorization.k8s.io/v1";
const roles = ({ namespace }: Session): string => `${rbac}/namespaces/${namespace}/roles`;
const bindings = ({ namespace }: Session): string => `${rbac}/namespaces/${namespace}/rolebindings`;
const review = "/apis/authorization.k8s.io/v1";

/** Gives a user rights in the namespace. */
async function allow(session: Session, user: string, rules: readonly object[]): Promise<void> {
  await session.given("POST", roles(session), { metadata: { name: user }, rules });
  const subjects = [{ kind: "User", name: user, apiGroup: "rbac.authorization.k8s.io" }];
  await session.given("POST", bindings(session), {
    metadata: { name: user },
    roleRef: { kind: "Role", name: user, apiGroup: "rbac.authorization.k8s.io" },
    subjects,
  });
  await session.pause(300);
}
const read = { apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "watch"] };
const send = (session: Session, path: string, body: unknown): Promise<unknown> => session.send("POST", path, { body });

export const accessScenarios = [
  ...area("access", {
    "a user without rights is refused in the words of the verb": async (session) => {
      const as = { user: "nobody" };
      await session.send("GET", maps(session), { as });
      await session.send("GET", `${maps(session)}/a`, { as });
      await session.send("GET", "/api/v1/configmaps", { as });
      await session.send("GET", "/api/v1/nodes", { as });
      await session.send("POST", maps(session), { as, body: configMap("a") });
      await session.send("PUT", `${maps(session)}/a`, { as, body: configMap("a") });
      await session.send("PATCH", `${maps(session)}/a`, { as, headers: types.merge, body: {} });
      await session.send("DELETE", `${maps(session)}/a`, { as });
      await session.send("DELETE", maps(session), { as });
      await session.send("GET", `${maps(session)}?watch=true`, { as });
      await session.send("GET", `/api/v1/namespaces/${session.namespace}/pods/p/log`, { as });
      await session.send("PATCH", `/apis/apps/v1/namespaces/${session.namespace}/deployments/d/scale`, {
        as,
        headers: types.merge,
        body: {},
      });
      await session.send("GET", "/metrics", { as });
      await session.send("GET", "/apis/none.example/v1/things", { as });
    },
    "anonymous users see little": async (session) => {
      for (const path of [
        "/version",
        "/healthz",
        "/livez",
        "/readyz",
        "/api",
        "/apis",
        "/api/v1",
        "/openapi/v2",
        maps(session),
        "/metrics",
        "/nothing",
      ])
        await session.send("GET", path, {
          as: "anonymous",
          pick: (body) => ((body as { readonly kind?: string } | undefined)?.kind === "Status" ? body : "shown"),
        });
    },
    "a token that is none is not an anonymous user": async (session) => {
      await session.send("GET", maps(session), { as: { token: "nonsense" } });
      await session.send("GET", "/version", { as: { token: "a.b.c" } });
      await session.send("GET", "/version", { as: "anonymous", headers: { authorization: "Basic YTpi" } });
      await session.send("GET", "/version", { as: "anonymous", headers: { authorization: "Bearer" } });
    },
    "rights are given by verb, resource and name": async (session) => {
      await allow(session, "ada", [
        read,
        { apiGroups: [""], resources: ["secrets"], resourceNames: ["mine"], verbs: ["get"] },
        { apiGroups: ["apps"], resources: ["*/scale"], verbs: ["*"] },
      ]);
      const as = { user: "ada" };
      for (const path of [
        maps(session),
        `${maps(session)}/none`,
        `/api/v1/namespaces/${session.namespace}/secrets/mine`,
        `/api/v1/namespaces/${session.namespace}/secrets/other`,
        `/api/v1/namespaces/${session.namespace}/secrets`,
        `/apis/apps/v1/namespaces/${session.namespace}/deployments/d/scale`,
        `/apis/apps/v1/namespaces/${session.namespace}/deployments/d`,
        "/api/v1/namespaces/default/configmaps",
      ])
        await session.send("GET", path, { as });
      await session.send("POST", maps(session), { as, body: configMap("a") });
    },
    "nobody gives rights that they lack": async (session) => {
      await allow(session, "eve", [
        read,
        { apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles", "rolebindings"], verbs: ["*"] },
      ]);
      const as = { user: "eve" };
      await session.send("POST", roles(session), { as, body: { metadata: { name: "same" }, rules: [read] } });
      await session.send("POST", roles(session), {
        as,
        body: {
          metadata: { name: "more" },
          rules: [
            { ...read, verbs: ["get", "delete"] },
            { apiGroups: ["*"], resources: ["*"], verbs: ["*"] },
          ],
        },
      });
      const bind = (kind: string, name: string): Promise<unknown> =>
        session.send("POST", bindings(session), {
          as,
          body: {
            metadata: { name: `b-${name}` },
            roleRef: { apiGroup: "rbac.authorization.k8s.io", kind, name },
            subjects: [{ kind: "User", name: "eve", apiGroup: "rbac.authorization.k8s.io" }],
          },
        });
      await bind("Role", "same");
      await bind("ClusterRole", "cluster-admin");
      await bind("ClusterRole", "missing");
    },
    "a role reference does not change": async (session) => {
      await allow(session, "ada", [read]);
      await session.send("PATCH", `${bindings(session)}/ada`, {
        headers: types.merge,
        body: { roleRef: { name: "other" } },
      });
    },
    "subjects and rules are validated": async (session) => {
      for (const subject of [
        { kind: "User", name: "" },
        { kind: "ServiceAccount", name: "x" },
        { kind: "Group", name: "g" },
        { kind: "User", name: "u", namespace: "n", apiGroup: "rbac.authorization.k8s.io" },
        { kind: "User", name: "u", apiGroup: "x" },
      ])
        await session.send("POST", `${bindings(session)}?dryRun=All`, {
          body: {
            metadata: { name: "b" },
            roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "r" },
            subjects: [subject],
          },
        });
      for (const rule of [
        { verbs: ["get"], nonResourceURLs: ["/x"] },
        { verbs: ["get"], apiGroups: [""], resources: [] },
        { verbs: ["get"], resources: ["pods"] },
        { verbs: ["get"], apiGroups: [""], resources: ["pods"], nonResourceURLs: ["/x"] },
      ])
        await session.send("POST", `${roles(session)}?dryRun=All`, {
          body: { metadata: { name: "r" }, rules: [rule] },
        });
    },
    "somebody else can be impersonated, by those who may": async (session) => {
      const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
      await session.send("POST", path, { body: {}, as: { user: "ada", groups: ["ml", "ops"] } });
      await session.send("POST", path, {
        body: {},
        headers: { "impersonate-user": "ada", "impersonate-uid": "u-1", "impersonate-extra-scopes": "x" },
      });
      await session.send("POST", path, { body: {}, headers: { "impersonate-group": "ml" } });
      await session.send("POST", path, { body: {}, as: { user: "system:serviceaccount:ns:sa" } });
      await session.send("POST", path, { body: {}, as: { user: "system:anonymous" } });
      await allow(session, "ada", [read]);
      await session.send("POST", path, { body: {}, as: "anonymous", headers: { "impersonate-user": "ada" } });
    },
    "an access review answers for anybody": async (session) => {
      await allow(session, "ada", [read]);
      const attributes = { namespace: session.namespace, verb: "list", resource: "configmaps" };
      await send(session, `${review}/subjectaccessreviews`, { spec: { user: "ada", resourceAttributes: attributes } });
      await send(session, `${review}/subjectaccessreviews`, {
        spec: { user: "ada", resourceAttributes: { ...attributes, verb: "delete" } },
      });
      await send(session, `${review}/subjectaccessreviews`, {
        spec: { groups: ["system:masters"], nonResourceAttributes: { path: "/x", verb: "get" } },
      });
      await send(session, `${review}/subjectaccessreviews`, { spec: { user: "ada" } });
      await send(session, `${review}/subjectaccessreviews`, { spec: { resourceAttributes: attributes } });
      await send(session, `${review}/subjectaccessreviews`, {
        spec: { user: "ada", resourceAttributes: attributes, nonResourceAttributes: { path: "/", verb: "get" } },
      });
      await send(session, `${review}/namespaces/${session.namespace}/localsubjectaccessreviews`, {
        metadata: { namespace: session.namespace },
        spec: { user: "ada", resourceAttributes: attributes },
      });
      await send(session, `${review}/namespaces/${session.namespace}/localsubjectaccessreviews`, {
        metadata: { namespace: session.namespace },
        spec: { user: "ada", resourceAttributes: { ...attributes, namespace: "other" } },
      });
      await send(session, `${review}/selfsubjectaccessreviews`, { spec: { resourceAttributes: attributes } });
      await session.send("POST", `${review}/selfsubjectaccessreviews`, {
        as: { user: "ada" },
        body: { spec: { resourceAttributes: { ...attributes, verb: "create" } } },
      });
      await send(session, `${review}/selfsubjectaccessreviews`, { spec: {} });
      await session.send("GET", `${review}/selfsubjectaccessreviews`);
    },
    "a rules review lists what one may": async (session) => {
      await allow(session, "ada", [read]);
      await session.send("POST", `${review}/selfsubjectrulesreviews`, {
        as: { user: "ada" },
        body: { spec: { namespace: session.namespace } },
        pick: sortedRules,
      });
      await send(session, `${review}/selfsubjectrulesreviews`, { spec: {} });
    },
    "cluster roles aggregate only with a controller": async (session) => {
      const selectors = [{ matchLabels: { [`${session.unique}/agg`]: "true" } }];
      await session.send("POST", `${rbac}/clusterroles`, {
        body: { metadata: { name: session.unique }, aggregationRule: { clusterRoleSelectors: selectors }, rules: [] },
      });
    },
    "the roles of the start are there": async (session) => {
      for (const name of [
        "cluster-admin",
        "admin",
        "edit",
        "view",
        "system:basic-user",
        "system:discovery",
        "system:node",
        "system:kube-scheduler",
        "system:public-info-viewer",
      ])
        await session.send("GET", `${rbac}/clusterroles/${name}`, { pick: rulesOf });
      await session.send("GET", `${rbac}/clusterrolebindings/cluster-admin`);
    },
  }),
];

function rulesOf(body: unknown): unknown {
  const { metadata, rules, aggregationRule } = body as {
    readonly metadata: { readonly name: string; readonly labels?: unknown };
    readonly rules?: readonly unknown[] | null;
    readonly aggregationRule?: unknown;
  };
  return { name: metadata.name, labels: metadata.labels, aggregationRule, rules };
}

/** Where a role comes from is kept in no order. */
function sortedRules(body: unknown): unknown {
  const { status } = body as { readonly status: Readonly<Record<string, unknown>> };
  const sorted = (name: string): readonly string[] => {
    const rules = status[name] as readonly Readonly<Record<string, readonly string[]>>[];
    return rules
      .map((rule) => JSON.stringify(Object.entries(rule).map(([key, list]) => [key, ...list].join(" "))))
      .toSorted();
  };
  return {
    resourceRules: sorted("resourceRules"),
    nonResourceRules: sorted("nonResourceRules"),
    incomplete: status["incomplete"],
  };
}

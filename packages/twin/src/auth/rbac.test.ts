import {
  ClusterRoleBindings,
  ClusterRoles,
  Pods,
  RoleBindings,
  Roles,
  type Pod,
  type PolicyRule,
  type UserInfo,
} from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import type { RequestInfo } from "../machinery/request.ts";
import { bootstrapObjects } from "./bootstrap.ts";
import { createFakeServer, type FakeServer } from "./fake-server.ts";
import { createAuthorizer, forbidden } from "./rbac.ts";
import { aggregateRules, missingRules, missingRulesText } from "./rules.ts";

const nothing: RequestInfo = {
  isResource: true,
  path: "",
  verb: "get",
  group: "",
  version: "v1",
  namespace: "",
  resource: "pods",
  subresource: "",
  name: "",
};
const request = (info: Partial<RequestInfo>): RequestInfo => ({ ...nothing, ...info });
const alice: UserInfo = { username: "alice", groups: ["team", "system:authenticated"] };

function bootstrapped(): FakeServer {
  const server = createFakeServer();
  for (const { resource, object } of bootstrapObjects({ nowMs: 0 })) server.put(resource, object);
  return server;
}

function withRules(rules: readonly PolicyRule[]): FakeServer {
  const server = createFakeServer();
  server.put(Roles, { metadata: { name: "r", namespace: "ml" }, rules });
  server.put(ClusterRoles, { metadata: { name: "r" }, rules });
  server.put(RoleBindings, {
    metadata: { name: "b", namespace: "ml" },
    roleRef: { kind: "Role", name: "r" },
    subjects: [{ kind: "User", name: "alice" }],
  });
  return server;
}

describe("createAuthorizer", () => {
  const pods: PolicyRule = { verbs: ["get", "list"], apiGroups: [""], resources: ["pods"] };
  it.each<[string, PolicyRule, Partial<RequestInfo>, boolean]>([
    ["the verb and resource", pods, {}, true],
    ["another verb", pods, { verb: "delete" }, false],
    ["another group", pods, { group: "apps" }, false],
    ["another namespace", pods, { namespace: "other" }, false],
    ["the cluster", pods, { namespace: "" }, false],
    ["a subresource that is not named", pods, { subresource: "log" }, false],
    ["a named subresource", { ...pods, resources: ["pods/log"] }, { subresource: "log" }, true],
    ["any resource's subresource", { ...pods, resources: ["*/log"] }, { subresource: "log" }, true],
    ["the object of a subresource rule", { ...pods, resources: ["pods/log"] }, {}, false],
    ["everything by wildcards", { verbs: ["*"], apiGroups: ["*"], resources: ["*"] }, { verb: "x", group: "y" }, true],
    ["a named object", { ...pods, resourceNames: ["a"] }, { name: "a" }, true],
    ["another object than named", { ...pods, resourceNames: ["a"] }, { name: "b" }, false],
    ["a list when objects are named", { ...pods, resourceNames: ["a"] }, { verb: "list" }, false],
  ])("decides %s", (_, rule, info, allowed) => {
    const authorize = createAuthorizer({ server: withRules([rule]) });
    expect(authorize(alice, request({ namespace: "ml", ...info })).allowed).toBe(allowed);
  });

  it("forgets what it decided when a role changes", () => {
    const server = withRules([]);
    const authorize = createAuthorizer({ server });
    expect(authorize(alice, request({ namespace: "ml" })).allowed).toBe(false);
    server.put(Roles, { metadata: { name: "r", namespace: "ml" }, rules: [pods] });
    expect(authorize(alice, request({ namespace: "ml" })).allowed).toBe(true);
  });

  it("says which role is not there", () => {
    const server = createFakeServer();
    server.put(ClusterRoleBindings, {
      metadata: { name: "b" },
      roleRef: { kind: "ClusterRole", name: "gone" },
      subjects: [{ kind: "Group", name: "team" }],
    });
    expect(createAuthorizer({ server })(alice, request({}))).toEqual({
      allowed: false,
      reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found',
    });
  });

  it("knows service accounts of the binding's namespace", () => {
    const server = withRules([pods]);
    server.put(RoleBindings, {
      metadata: { name: "b", namespace: "ml" },
      roleRef: { kind: "Role", name: "r" },
      subjects: [{ kind: "ServiceAccount", name: "robot" }],
    });
    const authorize = createAuthorizer({ server });
    expect(authorize({ username: "system:serviceaccount:ml:robot" }, request({ namespace: "ml" })).allowed).toBe(true);
    expect(authorize({ username: "system:serviceaccount:x:robot" }, request({ namespace: "ml" })).allowed).toBe(false);
  });

  it.each<[string, UserInfo, Partial<RequestInfo>, boolean]>([
    ["masters do everything", { username: "root", groups: ["system:masters"] }, { verb: "delete" }, true],
    [
      "everyone asks about themselves",
      alice,
      {
        verb: "create",
        group: "authorization.k8s.io",
        resource: "selfsubjectaccessreviews",
      },
      true,
    ],
    ["everyone reads the version", alice, { isResource: false, path: "/version" }, true],
    ["nobody reads metrics", alice, { isResource: false, path: "/metrics" }, false],
    [
      "the anonymous read health",
      { username: "system:anonymous", groups: ["system:unauthenticated"] },
      {
        isResource: false,
        path: "/readyz",
      },
      true,
    ],
    [
      "the scheduler binds pods",
      { username: "system:kube-scheduler", groups: ["system:authenticated"] },
      {
        verb: "create",
        subresource: "binding",
        namespace: "ml",
      },
      true,
    ],
  ])("by default %s", (_, user, info, allowed) => {
    expect(createAuthorizer({ server: bootstrapped() })(user, request(info)).allowed).toBe(allowed);
  });

  it("lets nodes read the secrets of their pods alone", () => {
    const server = bootstrapped();
    const pod: Pod = {
      metadata: { name: "p", namespace: "ml" },
      spec: { nodeName: "n1", containers: [], volumes: [{ name: "v", secret: { secretName: "s" } }] },
    };
    server.put(Pods, pod);
    const authorize = createAuthorizer({ server });
    const node = (name: string): UserInfo => ({ username: `system:node:${name}`, groups: ["system:nodes"] });
    const secret = request({ resource: "secrets", namespace: "ml", name: "s" });
    expect(authorize(node("n1"), secret).allowed).toBe(true);
    expect(authorize(node("n2"), secret)).toEqual({
      allowed: false,
      reason: "no relationship found between node 'n2' and this object",
    });
    const list = request({ verb: "list" });
    expect(authorize(node("n1"), list).allowed).toBe(false);
    expect(authorize(node("n1"), { ...list, fieldSelector: "spec.nodeName=n1" }).allowed).toBe(true);
    expect(authorize(node("n1"), { ...list, fieldSelector: "spec.nodeName=n2" }).allowed).toBe(false);
  });
});

describe("forbidden", () => {
  it.each<[Partial<RequestInfo>, string]>([
    [
      { verb: "list", namespace: "y" },
      'pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "y"',
    ],
    [
      { group: "apps", resource: "deployments", subresource: "scale", name: "d" },
      'deployments.apps "d" is forbidden: User "alice" cannot get resource "deployments/scale" in API group "apps" at the cluster scope',
    ],
    [{ isResource: false, resource: "", path: "/<x>" }, 'forbidden: User "alice" cannot get path "/&lt;x&gt;"'],
  ])("words %j as the server does", (info, message) => {
    expect(forbidden(alice, request(info), "").message).toBe(message);
  });
});

describe("missingRules", () => {
  it("lists what the owner has not, verbs of a resource together", () => {
    const owner: PolicyRule[] = [{ verbs: ["get"], apiGroups: [""], resources: ["pods"] }];
    const wanted: PolicyRule[] = [
      { verbs: ["get", "list", "watch"], apiGroups: [""], resources: ["pods", "pods/log"] },
      { verbs: ["get"], nonResourceURLs: ["/x"] },
    ];
    expect(missingRulesText(missingRules(owner, wanted))).toBe(
      [
        '{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}',
        '{APIGroups:[""], Resources:["pods/log"], Verbs:["get" "list" "watch"]}',
        '{NonResourceURLs:["/x"], Verbs:["get"]}',
      ].join("\n"),
    );
  });
});

describe("aggregateRules", () => {
  it("takes the rules of the roles that are selected, each once, in the order of names", () => {
    const rule = (resource: string): PolicyRule => ({ verbs: ["get"], apiGroups: [""], resources: [resource] });
    const role = {
      metadata: { name: "all" },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: "all" } }] },
    };
    const labels = { to: "all" };
    expect(
      aggregateRules(role, [
        role,
        { metadata: { name: "b", labels }, rules: [rule("b"), rule("a")] },
        { metadata: { name: "a", labels }, rules: [rule("a")] },
        { metadata: { name: "c" }, rules: [rule("c")] },
      ]),
    ).toEqual([rule("a"), rule("b")]);
    expect(aggregateRules({ metadata: { name: "plain" } }, [])).toBeUndefined();
  });

  it("fills the default roles that gather others", () => {
    const admin = bootstrapped().objects.get(ClusterRoles, { name: "admin" });
    expect(admin?.rules?.some(({ resources }) => resources?.includes("rolebindings"))).toBe(true);
    expect(admin?.rules?.some(({ resources }) => resources?.includes("pods/log"))).toBe(true);
  });
});

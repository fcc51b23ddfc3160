import { ClusterRoleBindings, ClusterRoles, type UserInfo } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import type { AdmissionAttributes } from "../machinery/admission.ts";
import { untyped } from "../machinery/draft.ts";
import { createFakeServer } from "./fake-server.ts";
import { createAuthorizer } from "./rbac.ts";
import { roleEscalationCheck } from "./role-escalation.ts";

const group = "rbac.authorization.k8s.io";
const bob: UserInfo = { username: "bob", groups: ["dev", "system:authenticated"] };
const verbs = ["create", "update", "get"];

function attempt(resource: string, object: object, more: readonly string[] = [], user = bob): () => void {
  const server = createFakeServer();
  server.put(ClusterRoles, {
    metadata: { name: "rbacer" },
    rules: [{ verbs: [...verbs, ...more], apiGroups: [group], resources: ["clusterroles", "clusterrolebindings"] }],
  });
  server.put(ClusterRoles, {
    metadata: { name: "view" },
    rules: [{ verbs: ["get"], apiGroups: [""], resources: ["pods"] }],
  });
  server.put(ClusterRoleBindings, {
    metadata: { name: "rbacer" },
    roleRef: { kind: "ClusterRole", name: "rbacer" },
    subjects: [{ kind: "User", name: "bob" }],
  });
  const plugin = roleEscalationCheck({ server, authorize: createAuthorizer({ server }) });
  const attributes = {
    operation: "CREATE",
    resource: { group, version: "v1", resource },
    namespace: "",
    object: untyped({ metadata: { name: "x" }, ...object }),
    oldObject: undefined,
    user,
    context: { info: { name: "" } },
  } as unknown as AdmissionAttributes;
  return () => void plugin.admit?.(attributes);
}

// Messages as kube-apiserver 1.36.3 gave them for the same requests.
describe("roleEscalationCheck", () => {
  const rules = [
    { verbs: ["get", "list"], apiGroups: [""], resources: ["pods"] },
    { verbs: ["get"], nonResourceURLs: ["/metrics"] },
  ];
  const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { a: "b" } }] };
  const view = { roleRef: { apiGroup: group, kind: "ClusterRole", name: "view" } };

  it.each<[string, string, object, string]>([
    [
      "rights that the user has not",
      "clusterroles",
      { rules },
      'clusterroles.rbac.authorization.k8s.io "x" is forbidden: user "bob" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}\n{NonResourceURLs:["/metrics"], Verbs:["get"]}',
    ],
    [
      "an aggregation, which may gather anything",
      "clusterroles",
      { aggregationRule },
      'clusterroles.rbac.authorization.k8s.io "x" is forbidden: must have cluster-admin privileges to use the aggregationRule',
    ],
    [
      "a role that is not there",
      "clusterrolebindings",
      { roleRef: { ...view.roleRef, name: "gone" } },
      'clusterrolebindings.rbac.authorization.k8s.io "gone" not found',
    ],
    [
      "a role with more rights",
      "clusterrolebindings",
      view,
      'clusterrolebindings.rbac.authorization.k8s.io "x" is forbidden: user "bob" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["get"]}',
    ],
  ])("refuses %s", (_, resource, object, message) => {
    expect(attempt(resource, object)).toThrow(expect.objectContaining({ message }));
  });

  it("lets pass what the user has, may escalate or may bind, and masters", () => {
    const held = [{ verbs: ["get"], apiGroups: [group], resources: ["clusterroles"] }];
    expect(attempt("clusterroles", { rules: held })).not.toThrow();
    expect(attempt("clusterroles", { rules, aggregationRule }, ["escalate"])).not.toThrow();
    expect(attempt("clusterrolebindings", view, ["bind"])).not.toThrow();
    expect(attempt("clusterroles", { rules }, [], { username: "root", groups: ["system:masters"] })).not.toThrow();
  });
});

import { describe, expect, it } from "vitest";
import { untyped, typed } from "../machinery/draft.ts";
import type { RequestContext } from "../machinery/request.ts";
import { rbacStrategies } from "./rbac.ts";

const group = "rbac.authorization.k8s.io";
const context = {} as RequestContext;

function errorsOf(kind: string, object: object): readonly string[] {
  const strategy = rbacStrategies[`${group}/${kind}`];
  const draft = typed(untyped({ metadata: { name: "x" }, ...structuredClone(object) }));
  strategy?.defaults?.(draft);
  return (strategy?.validate?.(draft, context) ?? []).map(({ field, message }) => `${field}: ${message}`);
}

// Errors as kube-apiserver 1.36.3 gave them for the same objects.
describe("rbacStrategies", () => {
  it.each<[string, object, readonly string[]]>([
    [
      "ClusterRoleBinding",
      {
        roleRef: { kind: "Role", name: "" },
        subjects: [
          { kind: "Foo", name: "" },
          { kind: "ServiceAccount", name: "a" },
          { kind: "User", name: "u", apiGroup: "x" },
        ],
      },
      [
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
        "roleRef.name: Required value",
        "subjects[0].name: Required value",
        'subjects[0].kind: Unsupported value: "Foo": supported values: "ServiceAccount", "User", "Group"',
        "subjects[1].namespace: Required value",
        'subjects[2].apiGroup: Unsupported value: "x": supported values: "rbac.authorization.k8s.io"',
      ],
    ],
    [
      "Role",
      { rules: [{ verbs: [] }, { verbs: ["get"], nonResourceURLs: ["/a"], resources: ["b"] }] },
      [
        "rules[0].verbs: Required value: verbs must contain at least one value",
        "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        "rules[0].resources: Required value: resource rules must supply at least one resource",
        'rules[1].nonResourceURLs: Invalid value: ["/a"]: namespaced rules cannot apply to non-resource URLs',
        'rules[1].nonResourceURLs: Invalid value: ["/a"]: rules cannot apply to both regular resources and non-resource URLs',
      ],
    ],
    ["ClusterRole", { rules: [{ verbs: ["get"], nonResourceURLs: ["/a"] }] }, []],
    [
      "ClusterRole",
      { aggregationRule: {} },
      [
        "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil",
      ],
    ],
    ["RoleBinding", { roleRef: { kind: "Role", name: "r" }, subjects: [{ kind: "ServiceAccount", name: "a" }] }, []],
  ])("%s %j", (kind, object, errors) => {
    expect(errorsOf(kind, object)).toEqual(errors);
  });

  it("keeps the role of a binding", () => {
    const binding = (name: string) =>
      typed(untyped({ metadata: {}, roleRef: { apiGroup: group, kind: "Role", name } }));
    const strategy = rbacStrategies[`${group}/RoleBinding`];
    expect(strategy?.validateUpdate?.(binding("b"), binding("a"), context)).toEqual([
      expect.objectContaining({
        field: "roleRef",
        message:
          'Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"b"}: cannot change roleRef',
      }),
    ]);
    expect(strategy?.validateUpdate?.(binding("a"), binding("a"), context)).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";
import { groupLabel, requireGroupLabel } from "@fleetwright/api";
import { webhookConfiguration } from "./webhook-configuration.ts";

const service = webhookConfiguration({
  target: { kind: "service", namespace: "fleetwright-system", name: "manager" },
  exemptNamespaces: ["fleetwright-system"],
});
const named = (prefix: string, configuration = service) =>
  configuration.webhooks?.find(({ name }) => name.startsWith(prefix));

describe("the webhook configuration", () => {
  it("fails closed, has no side effects in a dry run, and is below the server's longest timeout", () => {
    for (const webhook of service.webhooks ?? [])
      expect(webhook).toMatchObject({
        failurePolicy: "Fail",
        sideEffects: "NoneOnDryRun",
        matchPolicy: "Equivalent",
        timeoutSeconds: 10,
      });
  });

  it("never asks about the manager's own namespace", () => {
    for (const prefix of ["workload", "scale", "require"])
      expect(named(prefix)?.namespaceSelector?.matchExpressions?.[0]).toMatchObject({
        key: "kubernetes.io/metadata.name",
        operator: "NotIn",
        values: expect.arrayContaining(["fleetwright-system"]),
      });
  });

  it("asks about workloads by their own label only, and about scaling by an entry without a selector", () => {
    expect(named("workload")?.objectSelector?.matchExpressions).toEqual([{ key: groupLabel, operator: "Exists" }]);
    expect(named("scale")?.objectSelector).toBeUndefined();
    expect(named("scale")?.rules).toMatchObject([
      { apiGroups: ["apps"], resources: ["deployments/scale", "statefulsets/scale", "replicasets/scale"] },
    ]);
  });

  it("asks about pods that are resized", () => {
    const ofPods = named("workload")?.rules?.find((rule) => rule.resources?.includes("pods"));
    expect(ofPods?.resources).toEqual(["pods", "pods/resize"]);
  });

  it("demands the label where a namespace says so, or everywhere", () => {
    expect(named("require")?.namespaceSelector?.matchExpressions?.at(-1)).toEqual({
      key: requireGroupLabel,
      operator: "In",
      values: ["true"],
    });
    const everywhere = webhookConfiguration({
      target: { kind: "url", url: "https://127.0.0.1:1" },
      requireEverywhere: true,
    });
    expect(named("require", everywhere)?.namespaceSelector?.matchExpressions).toEqual([
      {
        key: "kubernetes.io/metadata.name",
        operator: "NotIn",
        values: ["kube-system", "kube-public", "kube-node-lease"],
      },
    ]);
    expect(named("scale", everywhere)?.clientConfig.url).toBe("https://127.0.0.1:1/validate-scale");
  });
});

import { describe, expect, it } from "vitest";
import { accessesOf, describeAccess } from "./access.ts";

describe("access rules", () => {
  it("names every verb and resource of a rule, subresources apart", () => {
    const everywhere = accessesOf({
      rules: [{ apiGroups: ["apps"], resources: ["deployments", "deployments/scale"], verbs: ["get", "list"] }],
    });
    const own = accessesOf({
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["update"] }],
      namespace: "fleetwright-system",
    });
    expect([...everywhere, ...own].map(describeAccess)).toEqual([
      "get deployments.apps in all namespaces",
      "list deployments.apps in all namespaces",
      "get deployments/scale.apps in all namespaces",
      "list deployments/scale.apps in all namespaces",
      'update secrets in namespace "fleetwright-system"',
    ]);
  });
});

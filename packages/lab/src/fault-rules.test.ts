import { describe, expect, it } from "vitest";
import { seededRandom } from "@fleetwright/kube";
import { FaultPlan, describeRequest } from "./fault-rules.ts";

const any = describeRequest("GET", "/api/v1/pods");

describe("requests, as an API server reads them", () => {
  it.each([
    ["GET", "/api/v1/pods", "list", { resource: "pods", namespace: "", group: "" }],
    ["GET", "/api/v1/pods?watch=true&resourceVersion=1", "watch", { resource: "pods" }],
    ["GET", "/api/v1/namespaces/ml/pods?watch=1", "watch", { namespace: "ml", resource: "pods" }],
    ["GET", "/api/v1/namespaces/ml/pods/a/log", "get", { name: "a", subresource: "log" }],
    ["GET", "/api/v1/namespaces/ml", "get", { resource: "namespaces", name: "ml", namespace: "" }],
    ["PUT", "/api/v1/namespaces/ml/finalize", "update", { resource: "namespaces", subresource: "finalize" }],
    ["GET", "/api/v1/namespaces", "list", { resource: "namespaces" }],
    ["POST", "/apis/apps/v1/namespaces/ml/deployments", "create", { group: "apps", resource: "deployments" }],
    ["PATCH", "/apis/apps/v1/namespaces/ml/deployments/x/scale", "patch", { name: "x", subresource: "scale" }],
    ["DELETE", "/apis/batch/v1/namespaces/ml/jobs", "deletecollection", { group: "batch" }],
    ["DELETE", "/apis/batch/v1/namespaces/ml/jobs/x", "delete", { name: "x" }],
    ["GET", "/readyz?verbose", "other", { resource: "" }],
    ["GET", "/apis/apps/v1", "other", { resource: "" }],
  ] as const)("%s %s is %s", (method, path, verb, parts) => {
    expect(describeRequest(method, path)).toMatchObject({ verb, ...parts });
  });
});

describe("fault plan", () => {
  it("strikes only where the rule matches, and at most so often as it says", () => {
    const plan = new FaultPlan(seededRandom(1), [
      { match: (request) => request.verb === "watch", times: 2, fault: { kind: "cut-before" } },
    ]);
    const watch = describeRequest("GET", "/api/v1/pods?watch=true");
    const kinds = [any, watch, watch, watch].map((request) => plan.draw(request).fault?.kind);
    expect(kinds).toEqual([undefined, "cut-before", "cut-before", undefined]);
  });

  it("adds up delays and takes the first other fault", () => {
    const plan = new FaultPlan(seededRandom(1), [
      { fault: { kind: "delay", ms: 5 } },
      { fault: { kind: "cut-after" } },
      { fault: { kind: "silence" } },
      { fault: { kind: "delay", ms: 7 } },
    ]);
    expect(plan.draw(any)).toEqual({ delayMs: 12, fault: { kind: "cut-after" } });
  });

  it("is the same for the same seed, and about as frequent as its probability", () => {
    const strikes = (seed: number): string => {
      const plan = new FaultPlan(seededRandom(seed), [{ probability: 0.3, fault: { kind: "cut-before" } }]);
      return Array.from({ length: 1000 }, () => (plan.draw(any).fault ? "x" : ".")).join("");
    };
    expect(strikes(7)).toBe(strikes(7));
    expect(strikes(7)).not.toBe(strikes(8));
    expect(strikes(7).replaceAll(".", "").length).toBeGreaterThan(240);
    expect(strikes(7).replaceAll(".", "").length).toBeLessThan(360);
  });

  it("draws amounts from the whole range and nothing beyond", () => {
    const plan = new FaultPlan(seededRandom(3));
    const drawn = new Set(Array.from({ length: 200 }, () => plan.amount([2, 4])));
    expect([...drawn].toSorted((left, right) => left - right)).toEqual([2, 3, 4]);
    expect(plan.amount(9)).toBe(9);
  });

  it("forgets a rule that was removed", () => {
    const plan = new FaultPlan(seededRandom(1));
    const remove = plan.add({ fault: { kind: "cut-before" } });
    expect(plan.draw(any).fault?.kind).toBe("cut-before");
    remove();
    expect(plan.draw(any).fault).toBeUndefined();
  });
});

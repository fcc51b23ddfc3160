import { describe, expect, it } from "vitest";
import type { BizGroupResourceQuota } from "@fleetwright/api";
import { checkAddedKeys, checkGroup, checkKeys, checkParent } from "./group-rules.ts";

const group = (name: string, parentBizGroup: string, hard: Record<string, string | number>): BizGroupResourceQuota => ({
  metadata: { name },
  spec: { parentBizGroup, hard },
});

describe("a group is refused", () => {
  it.each([
    ["with a name that fits no label", group("x".repeat(64), "", {}), /64 characters; at most 63/],
    ["as its own parent", group("a", "a", {}), /its own parent/],
    ["with a budget", group("a", "", { "cash/limits.cpu": 1 }), /"cash\/limits.cpu"\]: budgets are not enforced yet/],
    ["with a negative quantity", group("a", "", { "limits.cpu": "-1" }), /spec.hard\["limits.cpu"\]: -1 is negative/],
    [
      "with something that is no quantity",
      group("a", "", { "limits.cpu": "1x" }),
      /spec.hard\["limits.cpu"\]: "1x" is not a quantity/,
    ],
  ])("%s", (_what, object, message) => {
    expect(checkGroup(object)?.message).toMatch(message);
  });

  it("when its parent changes", () => {
    expect(checkParent(group("a", "y", {}), group("a", "x", {}))?.message).toContain(
      'is "x" and can\'t be changed to "y"',
    );
    expect(checkParent(group("a", "", {}), { ...group("a", "", {}), spec: { hard: {} } })).toBeUndefined();
  });

  it("with a new key that nothing is charged under; one that it has already may stay", () => {
    const odd = group("a", "", { "limit.cpu": 1 });
    expect(checkKeys(odd, undefined)?.message).toContain('nothing is ever charged as "limit.cpu"');
    expect(checkKeys(odd, odd)).toBeUndefined();
  });

  it("with a key that groups below it lack, which are named", () => {
    const children = [
      { name: "b", keys: new Set(["limits.cpu"]) },
      { name: "c", keys: new Set(["limits.cpu", "pods"]) },
    ];
    const refusal = checkAddedKeys(
      group("a", "", { "limits.cpu": 1, pods: 1 }),
      group("a", "", { "limits.cpu": 1 }),
      children,
    );
    expect(refusal?.message).toBe(
      'bizrq "a": spec.hard["pods"] can\'t be added: "b" below it lacks it; add it there first',
    );
  });
});

it("a group may limit whatever ResourceQuota can, and models", () => {
  const hard = [
    "cpu",
    "limits.cpu",
    "limits.cpu.A4.v2",
    "requests.memory.DDR5",
    "requests.nvidia.com/gpu",
    "requests.nvidia.com/gpu.A30",
    "requests.nvidia.com/mig-1g.5gb",
    "hugepages-2Mi",
    "requests.hugepages-1Gi",
    "requests.ephemeral-storage",
    "pods",
    "persistentvolumeclaims",
    "requests.storage",
    "fast.storageclass.storage.k8s.io/requests.storage",
    "count/deployments.apps",
    "count/pods",
  ];
  expect(checkKeys(group("a", "", Object.fromEntries(hard.map((key) => [key, 1]))), undefined)).toBeUndefined();
});

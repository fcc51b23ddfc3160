import { describe, expect, it } from "vitest";
import { groupLabel, type BizGroupResourceQuota } from "@fleetwright/api";
import type { KubeObject } from "@fleetwright/kube";
import { explainGroup, fits, quotaTree } from "./explain.ts";
import { deployments } from "./workload-kind.ts";

const group = (name: string, parent: string, hard: number, used: number, self: number): BizGroupResourceQuota => ({
  metadata: { name, uid: `g-${name}`, resourceVersion: "1" },
  spec: { parentBizGroup: parent, hard: { "limits.cpu": hard } },
  status: { used: { "limits.cpu": String(used) }, selfUsed: { "limits.cpu": String(self) } },
});
const workload = (name: string, of: string | undefined, replicas: number) => ({
  kind: deployments,
  object: {
    metadata: { name, namespace: "ns", uid: name, labels: of === undefined ? {} : { [groupLabel]: of } },
    spec: { replicas, template: { spec: { containers: [{ name: "main", resources: { limits: { cpu: "1" } } }] } } },
  } as KubeObject,
});
const groups = [
  group("acme", "", 20, 13, 2),
  group("vision", "acme", 8, 5, 2),
  group("ocr", "vision", 3, 0, 0),
  group("lost", "gone", 1, 0, 0),
];
const workloads = [workload("train", "vision", 2), workload("web", "acme", 2)];

describe("quotaTree", () => {
  it("puts children below parents, and groups without one at the top", () => {
    const [acme, lost] = quotaTree(groups);
    expect([acme?.name, acme?.children[0]?.name, acme?.children[0]?.children[0]?.name, lost?.name]).toEqual([
      "acme",
      "vision",
      "ocr",
      "lost",
    ]);
    expect(acme?.keys).toEqual([
      { key: "limits.cpu", hard: "20", used: "13", selfUsed: "2", granted: "11", left: "7" },
    ]);
  });
});

describe("explainGroup", () => {
  it("names the levels and who has the room, the greatest first", () => {
    const explained = explainGroup("vision", groups, workloads);
    expect(explained?.levels.map(({ name }) => name)).toEqual(["acme", "vision"]);
    expect(explained?.holders).toEqual([
      { kind: "bizgroupresourcequotas.fleetwright.dev", namespace: "", name: "ocr", charge: { "limits.cpu": "3" } },
      { kind: "deployments.apps", namespace: "ns", name: "train", charge: { "limits.cpu": "2" } },
    ]);
    expect(explainGroup("ghost", groups, workloads)).toBeUndefined();
  });
});

describe("fits", () => {
  it("says what lacks, who holds it, and what the groups above have left", () => {
    expect(fits(workload("new", "vision", 4), groups, workloads)).toMatchObject({
      kind: "lacks",
      missing: [
        {
          key: "limits.cpu",
          needs: "4",
          left: "3",
          hard: "8",
          holders: [{ name: "ocr" }, { name: "train" }],
          above: [{ group: "acme", left: "7" }],
        },
      ],
    });
  });

  it("counts only what an existing workload asks more", () => {
    expect(fits(workload("train", "vision", 5), groups, workloads)).toMatchObject({
      kind: "fits",
      needs: { "limits.cpu": "3" },
    });
    expect(fits(workload("train", "vision", 6), groups, workloads)).toMatchObject({ kind: "lacks" });
  });

  it("tells a missing label from an unknown group", () => {
    expect(fits(workload("new", undefined, 1), groups, workloads)).toEqual({ kind: "no-label" });
    expect(fits(workload("new", "ghost", 1), groups, workloads)).toEqual({ kind: "unknown-group", group: "ghost" });
  });
});

import { describe, expect, it } from "vitest";
import { groupLabel } from "@fleetwright/api";
import type { KubeObject } from "@fleetwright/kube";
import { isCovered, owns, type Workload } from "./ownership.ts";
import { cronJobs, deployments, jobs, pods, replicaSets, type WorkloadKind } from "./workload-kind.ts";

const workload = (
  kind: WorkloadKind,
  name: string,
  spec: object,
  more: object = {},
  status: object = {},
): Workload => ({
  kind,
  object: {
    metadata: { name, uid: `uid-${name}`, namespace: "ns", labels: { app: "x", [groupLabel]: "vision" }, ...more },
    spec,
    status,
  } as KubeObject,
});
const ownedBy = (owner: Workload, more: object = {}): object => ({
  ownerReferences: [
    {
      apiVersion: owner.kind.resource.group === "" ? "v1" : `${owner.kind.resource.group}/v1`,
      kind: owner.kind.resource.kind,
      name: owner.object.metadata.name,
      uid: owner.object.metadata.uid,
      controller: true,
      ...more,
    },
  ],
});
const selector = { matchLabels: { app: "x" } };
const owner = workload(deployments, "d", { selector });

describe("a child is free", () => {
  it("when kind, UID, name, namespace, selector and group all match", () => {
    expect(isCovered(workload(replicaSets, "r", { selector }, ownedBy(owner)), owner, [])).toBe(true);
    const set = workload(replicaSets, "r", { selector });
    expect(isCovered(workload(pods, "p", {}, ownedBy(set)), set, [])).toBe(true);
  });

  it.each([
    ["another UID", ownedBy(owner, { uid: "other" })],
    ["another kind", ownedBy(owner, { kind: "StatefulSet" })],
    ["another API group", ownedBy(owner, { apiVersion: "example.com/v1" })],
    ["another name", ownedBy(owner, { name: "e" })],
    ["a reference that is not the controller's", ownedBy(owner, { controller: false })],
    ["labels that the owner does not select", { ...ownedBy(owner), labels: { app: "y", [groupLabel]: "vision" } }],
    ["another namespace", { ...ownedBy(owner), namespace: "other" }],
    ["another group", { ...ownedBy(owner), labels: { app: "x", [groupLabel]: "speech" } }],
  ])("but not with %s", (_what, more) => {
    expect(isCovered(workload(replicaSets, "r", { selector }, more), owner, [])).toBe(false);
  });

  it("but not when the owner's kind makes no such children", () => {
    expect(owns(owner, workload(pods, "p", {}, ownedBy(owner)))).toBe(false);
  });

  it("but not when the owner selects everything", () => {
    const greedy = workload(deployments, "d", { selector: {} });
    expect(isCovered(workload(replicaSets, "r", { selector }, ownedBy(greedy)), greedy, [])).toBe(false);
  });
});

describe("the Jobs of a CronJob", () => {
  const cron = (more: object): Workload =>
    workload(cronJobs, "c", { jobTemplate: { spec: { parallelism: 1 } }, ...more });
  const child = (of: Workload, name: string, at: string, status: object = {}): Workload =>
    workload(jobs, name, {}, { ...ownedBy(of), creationTimestamp: at }, status);

  it("are free only for the first that is not finished", () => {
    const of = cron({ concurrencyPolicy: "Forbid" });
    const [first, second] = [child(of, "j1", "2026-01-01T00:00:00Z"), child(of, "j2", "2026-01-01T01:00:00Z")];
    expect(isCovered(first, of, [second])).toBe(true);
    expect(isCovered(second, of, [first])).toBe(false);
    const done = child(of, "j1", "2026-01-01T00:00:00Z", { conditions: [{ type: "Complete", status: "True" }] });
    expect(isCovered(second, of, [done])).toBe(true);
  });

  it("are all charged when many are allowed, or while the CronJob, which is not charged then, is suspended", () => {
    for (const of of [cron({ concurrencyPolicy: "Allow" }), cron({ concurrencyPolicy: "Forbid", suspend: true })])
      expect(isCovered(child(of, "j1", "2026-01-01T00:00:00Z"), of, [])).toBe(false);
  });
});

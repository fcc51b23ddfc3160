import { describe, expect, it } from "vitest";
import { groupLabel } from "@fleetwright/api";
import type { KubeObject } from "@fleetwright/kube";
import { expire, withoutHolds } from "./expiry.ts";
import { emptyLedger, type Hold, type Ledger } from "./ledger.ts";
import { noDefaults } from "./pod-template.ts";
import { recompute } from "./recompute.ts";
import { UsageIndex } from "./usage-index.ts";
import { deployments } from "./workload-kind.ts";

const cpu = (amount: number): ReadonlyMap<string, bigint> => new Map([["limits.cpu", BigInt(amount) * 1_000_000_000n]]);
const hold: Hold = {
  uid: "",
  kind: "deployments.apps",
  namespace: "ns",
  name: "w",
  base: "",
  at: 0,
  charge: cpu(4),
};
const ledger: Ledger = { ...emptyLedger, self: cpu(4), holds: [hold] };
const live = {
  metadata: { name: "w", namespace: "ns", uid: "u1", resourceVersion: "50", labels: { [groupLabel]: "g" } },
  spec: { replicas: 3, template: { spec: { containers: [{ name: "main", resources: { limits: { cpu: "1" } } }] } } },
} as KubeObject;

/** What a replica counts whose cache is at a version. */
function counted(from: Ledger, index: UsageIndex, version: string): bigint | undefined {
  return recompute(
    from,
    index.view("g", () => version),
  ).ledger.self.get("limits.cpu");
}

describe("a hold whose time is over", () => {
  it("leaves its room booked until a cache counts that is as new as the object in its slot, whatever UID that has", () => {
    const index = new UsageIndex([deployments], () => noDefaults);
    const released = withoutHolds(ledger, [expire(hold, live, "g", "g")]);
    expect(released.holds).toEqual([]);
    // Any replica whose cache lacks the object would otherwise give its room away.
    expect(counted(released, index, "49")).toBe(4_000_000_000n);
    index.upsert(deployments, live);
    expect(counted(released, index, "50")).toBe(3_000_000_000n);
  });

  it.each([
    ["nothing has its slot", undefined, undefined],
    ["what has its slot is in another group", live, "other"],
  ])("gives its room back when %s", (_case, object, group) => {
    const released = withoutHolds(ledger, [expire(hold, object, "g", group)]);
    expect(counted(released, new UsageIndex([deployments], () => noDefaults), "49")).toBeUndefined();
  });

  it("stays if it was renewed since it was looked up", () => {
    const renewed = { ...ledger, holds: [{ ...hold, at: 7 }] };
    expect(withoutHolds(renewed, [expire(hold, live, "g", "g")])).toEqual(renewed);
  });
});

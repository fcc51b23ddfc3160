import type { OwnerReference, PersistentVolumeClaim, Pod, StatefulSet } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { isControlledByOthers, isStaleClaim, retainedClaim } from "./stateful-claims.ts";

type Policy = "Retain" | "Delete";

const set = (whenDeleted: Policy, whenScaled: Policy): StatefulSet => ({
  metadata: { namespace: "ml", name: "db", uid: "set-uid" },
  spec: {
    replicas: 2,
    selector: {},
    template: { spec: { containers: [{ name: "main" }] } },
    persistentVolumeClaimRetentionPolicy: { whenDeleted, whenScaled },
  },
});

const pod = (ordinal: number, uid = `pod-uid-${ordinal}`): Pod => ({
  metadata: { namespace: "ml", name: `db-${ordinal}`, ...(uid === "" ? {} : { uid }) },
});

const reference = (
  kind: string,
  name: string,
  uid: string,
  controller: boolean | undefined = true,
): OwnerReference => ({
  apiVersion: kind === "Pod" ? "v1" : "apps/v1",
  kind,
  name,
  uid,
  ...(controller ? { controller, blockOwnerDeletion: true } : {}),
});

const bySet = reference("StatefulSet", "db", "set-uid");
const byPod = (ordinal: number): OwnerReference => reference("Pod", `db-${ordinal}`, `pod-uid-${ordinal}`);
const byFormerPod = reference("Pod", "db-0", "former-uid");
const byOther = reference("Database", "main", "other-uid");
const byWatcher = reference("Database", "main", "other-uid", false);

const claim = (...ownerReferences: readonly OwnerReference[]): PersistentVolumeClaim => ({
  metadata: { namespace: "ml", name: "data", ownerReferences },
});

describe("retainedClaim", () => {
  // 0 is wanted, 2 is beyond the two that are.
  it.each<[Policy, Policy, 0 | 2, readonly OwnerReference[]]>([
    ["Retain", "Retain", 0, []],
    ["Retain", "Retain", 2, []],
    ["Delete", "Retain", 0, [bySet]],
    ["Delete", "Retain", 2, [bySet]],
    ["Retain", "Delete", 0, []],
    ["Retain", "Delete", 2, [byPod(2)]],
    ["Delete", "Delete", 0, [bySet]],
    ["Delete", "Delete", 2, [byPod(2)]],
  ])("deleted: %s, scaled: %s, pod %i", (whenDeleted, whenScaled, ordinal, wanted) => {
    const owner = set(whenDeleted, whenScaled);
    for (const before of [[], [bySet], [byPod(ordinal)], [bySet, byPod(ordinal)]]) {
      const after = retainedClaim(owner, pod(ordinal), claim(byWatcher, ...before));
      const isRight = JSON.stringify(before) === JSON.stringify(wanted);
      expect(after?.metadata.ownerReferences).toEqual(isRight ? undefined : [byWatcher, ...wanted]);
    }
  });

  it("leaves a claim alone that is held by a pod or a set of the same name that is gone", () => {
    expect(retainedClaim(set("Delete", "Delete"), pod(0), claim(byFormerPod))).toBeUndefined();
    const byFormerSet = reference("StatefulSet", "db", "former-uid");
    expect(retainedClaim(set("Delete", "Delete"), pod(0), claim(byFormerSet))).toBeUndefined();
  });

  it("gives up a claim that another controls", () => {
    const owner = set("Delete", "Retain");
    expect(retainedClaim(owner, pod(0), claim(byOther))).toBeUndefined();
    expect(retainedClaim(owner, pod(0), claim(bySet, byOther))?.metadata.ownerReferences).toEqual([byOther]);
    expect(isControlledByOthers(owner, pod(0), claim(bySet, byOther))).toBe(true);
    expect(isControlledByOthers(set("Retain", "Retain"), pod(0), claim(byOther))).toBe(false);
  });

  it("makes a mere owner the controller", () => {
    const mere = reference("StatefulSet", "db", "set-uid", false);
    expect(retainedClaim(set("Delete", "Retain"), pod(0), claim(mere))?.metadata.ownerReferences).toEqual([bySet]);
  });
});

describe("isStaleClaim", () => {
  it.each<[string, Policy, readonly OwnerReference[], boolean]>([
    ["of a former pod", "Delete", [byFormerPod], true],
    ["of nobody", "Delete", [], false],
    ["of the set", "Delete", [bySet], false],
    ["of a former pod, but kept when scaled", "Retain", [byFormerPod], false],
  ])("of a pod yet to be made: %s", (_what, whenScaled, owners, expected) => {
    expect(isStaleClaim(set("Retain", whenScaled), pod(0, ""), claim(...owners))).toBe(expected);
  });
});

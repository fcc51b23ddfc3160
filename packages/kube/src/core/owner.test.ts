import { describe, expect, it } from "vitest";
import type { KubeObject } from "./object.ts";
import {
  controllerOf,
  isControlledBy,
  isOwnedBy,
  ownerReferenceTo,
  setControllerReference,
  withOwner,
  withoutOwner,
} from "./owner.ts";

const replicaSets = { group: "apps", version: "v1", kind: "ReplicaSet" };
const owner: KubeObject = { metadata: { namespace: "ml", name: "web", uid: "u1" } };
const pod: KubeObject = { kind: "Pod", metadata: { namespace: "ml", name: "web-1" } };

describe("owner references", () => {
  it("make one owner the controller, which deletion in the foreground waits for", () => {
    const owned = setControllerReference(pod, replicaSets, owner);
    expect(controllerOf(owned)).toEqual({
      apiVersion: "apps/v1",
      kind: "ReplicaSet",
      name: "web",
      uid: "u1",
      controller: true,
      blockOwnerDeletion: true,
    });
    expect(isOwnedBy(owned, owner)).toBe(true);
    expect(isControlledBy(owned, owner)).toBe(true);
    expect(pod.metadata.ownerReferences).toBeUndefined();
  });

  it("refuse a second controller, and say who has it", () => {
    const owned = setControllerReference(pod, replicaSets, owner);
    const other: KubeObject = { metadata: { namespace: "ml", name: "api", uid: "u2" } };
    expect(() => setControllerReference(owned, replicaSets, other)).toThrow(
      expect.objectContaining({
        code: "FW_ALREADY_OWNED",
        message: expect.stringContaining('Pod "ml/web-1" is controlled by ReplicaSet "web" (u1)'),
      }),
    );
  });

  it("follow an owner that was made again under its name, and its newer version", () => {
    const owned = setControllerReference(pod, { ...replicaSets, version: "v1beta1" }, owner);
    const again: KubeObject = { metadata: { ...owner.metadata, uid: "u9" } };
    const updated = setControllerReference(owned, replicaSets, again);
    expect(updated.metadata.ownerReferences).toEqual([expect.objectContaining({ uid: "u9", apiVersion: "apps/v1" })]);
    expect(isOwnedBy(updated, owner)).toBe(false);
  });

  it("keep other owners", () => {
    const other: KubeObject = { metadata: { name: "quota", uid: "u3" } };
    const both = withOwner(withOwner(pod, replicaSets, owner), { group: "", version: "v1", kind: "Node" }, other);
    expect(both.metadata.ownerReferences?.map(({ uid }) => uid)).toEqual(["u1", "u3"]);
    expect(controllerOf(both)).toBeUndefined();
    expect(withoutOwner(both, owner).metadata.ownerReferences?.map(({ uid }) => uid)).toEqual(["u3"]);
  });

  it("never cross namespaces, since the garbage collector would delete the object", () => {
    const elsewhere: KubeObject = { metadata: { namespace: "other", name: "web-1" } };
    const clusterWide: KubeObject = { kind: "Node", metadata: { name: "n" } };
    expect(() => withOwner(elsewhere, replicaSets, owner)).toThrow(/"ml\/web" cannot own .* namespace "other"/);
    expect(() => withOwner(clusterWide, replicaSets, owner)).toThrow(/which is in no namespace/);
  });

  it("need an owner that the server knows, by its UID and not by its name", () => {
    const unknown: KubeObject = { metadata: { name: "web", namespace: "ml" } };
    expect(() => ownerReferenceTo(replicaSets, unknown)).toThrow(expect.objectContaining({ code: "FW_OWNER" }));
    expect(isOwnedBy(pod, unknown)).toBe(false);
    expect(isControlledBy(pod, unknown)).toBe(false);
  });
});

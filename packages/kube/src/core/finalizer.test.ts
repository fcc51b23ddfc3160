import { describe, expect, it } from "vitest";
import type { Client } from "../client/client.ts";
import { ApiError } from "./errors.ts";
import { addFinalizer, hasFinalizer, isBeingDeleted, removeFinalizer } from "./finalizer.ts";
import type { KubeObject } from "./object.ts";
import type { Resource } from "./resource.ts";

const pods: Resource<KubeObject> = { group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true };
const pod: KubeObject = {
  metadata: { namespace: "ml", name: "web", uid: "u1", resourceVersion: "7", finalizers: ["example.com/theirs"] },
};

/** A client that answers every patch with the same, and keeps what it was asked. */
function recording(answer: KubeObject | Error): { client: Pick<Client, "patch">; sent: unknown[] } {
  const sent: unknown[] = [];
  const patch = async (_: unknown, key: unknown, body: unknown): Promise<KubeObject> => {
    sent.push({ key, body });
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { client: { patch: patch as Client["patch"] }, sent };
}

describe("finalizers", () => {
  it("are added beside those of others, under the version that was read", async () => {
    const { client, sent } = recording(pod);
    await addFinalizer(client, pods, pod, "fleetwright.dev/quota");
    const metadata = { finalizers: ["example.com/theirs", "fleetwright.dev/quota"], uid: "u1", resourceVersion: "7" };
    expect(sent).toEqual([{ key: { namespace: "ml", name: "web" }, body: { type: "merge", patch: { metadata } } }]);
  });

  it("are removed one by one", async () => {
    const { client, sent } = recording(pod);
    await removeFinalizer(client, pods, pod, "example.com/theirs");
    const metadata = { finalizers: [], uid: "u1", resourceVersion: "7" };
    expect(sent).toEqual([expect.objectContaining({ body: { type: "merge", patch: { metadata } } })]);
  });

  it("cost no call when there is nothing to do", async () => {
    const { client, sent } = recording(pod);
    expect(await addFinalizer(client, pods, pod, "example.com/theirs")).toBe(pod);
    expect(await removeFinalizer(client, pods, pod, "example.com/other")).toBe(pod);
    expect(sent).toEqual([]);
  });

  it("are gone with the object, and conflicts are the caller's", async () => {
    const gone = new ApiError(404, { reason: "NotFound" });
    const conflict = new ApiError(409, { reason: "Conflict" });
    expect(await removeFinalizer(recording(gone).client, pods, pod, "example.com/theirs")).toBeUndefined();
    await expect(removeFinalizer(recording(conflict).client, pods, pod, "example.com/theirs")).rejects.toBe(conflict);
    await expect(addFinalizer(recording(gone).client, pods, pod, "example.com/new")).rejects.toBe(gone);
  });

  it("tell an object that is going from one that stays", () => {
    const going = { metadata: { ...pod.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
    expect([isBeingDeleted(pod), isBeingDeleted(going), hasFinalizer(pod, "x")]).toEqual([false, true, false]);
  });
});

import { afterAll, beforeAll, expect, it } from "vitest";
import { checkpoints, restores, schedules, type CheckpointObject } from "@fleetwright/checkpoint";
import { Pods } from "@fleetwright/kube";
import { eventually } from "../e2e/eventually.ts";
import { startCheckpointCluster, succeeded } from "./checkpoint-cluster.ts";
import type { CheckpointCluster } from "./checkpoint-cluster.ts";

let lab: CheckpointCluster;
beforeAll(async () => {
  lab = await startCheckpointCluster(2);
  await lab.runPod("shell", "localhost/busybox:1", "node-2", ["/bin/sleep", "100000"]);
});
afterAll(() => lab?.stop());

const namespace = "default";
const schedule = (name: string, spec: object) =>
  lab.apply({
    apiVersion: "fleetwright.dev/v1alpha1",
    kind: "CheckpointSchedule",
    metadata: { name },
    spec: { selector: { matchLabels: { app: name } }, ...spec },
  });
const taken = async (pod: string): Promise<readonly CheckpointObject[]> =>
  (await lab.client.list(checkpoints, { namespace })).items.filter(
    ({ spec, status }) => spec.podName === pod && status?.phase === "Completed",
  );
const restoreOf = (pod: string) =>
  eventually(
    `a restore of ${pod} ends`,
    async () => (await lab.client.list(restores, { namespace })).items.find(({ spec }) => spec.podName === pod),
    (restore) => restore?.status?.phase === "Succeeded" || restore?.status?.phase === "Failed",
  );

it("takes on time, keeps three and prunes the rest, on the node too", async () => {
  await lab.runPod("periodic", "localhost/counter-server:1", "node-1");
  await schedule("periodic", { intervalSeconds: 2, retention: { keepLast: 3 } });
  const key = { namespace, name: "periodic" };
  await eventually(
    "two are pruned",
    () => lab.client.get(schedules, key),
    ({ status }) => (status?.pruned ?? 0) >= 2,
  );
  await lab.kubectl("patch", "cps", "periodic", "--type=merge", "-p", '{"spec":{"suspend":true}}');
  await eventually(
    "three are kept",
    () => lab.client.list(checkpoints, { namespace }),
    ({ items }) => items.length === 3 && items.every(({ status }) => status?.phase === "Completed"),
  );
  const digests = (await taken("periodic")).flatMap(({ status }) => status?.containers?.[0]?.digest ?? []);
  const [node] = lab.cluster.nodes;
  if (node === undefined) throw new Error("no node");
  await eventually(
    "so it is on the node",
    () => lab.agent(node).list(),
    (list) => list.checkpoints.length === 3,
  );
  const { checkpoints: stored, tombstones } = await lab.agent(node).list();
  expect(stored.map(({ layer }) => layer.digest).toSorted()).toEqual(digests.toSorted());
  expect(tombstones.length).toBeGreaterThanOrEqual(2);
  expect(new Set(stored.map(({ metadata }) => metadata.checkpointedAt)).size).toBe(3);
});

it("brings a container that was killed back from its last checkpoint, in its pod", async () => {
  await lab.runPod("worker", "localhost/counter-server:1", "node-2");
  await schedule("worker", { restoreOnFailure: true });
  await eventually(
    "it has counted",
    () => lab.counter("worker"),
    (count) => count >= 2,
  );
  await lab.kubectl("annotate", "pod", "worker", "fleetwright.dev/checkpoint=now");
  await eventually(
    "the annotation took one",
    () => taken("worker"),
    (list) => list.length === 1,
  );
  const before = await lab.client.get(Pods, { namespace, name: "worker" });
  const id = before.status?.containerStatuses?.[0]?.containerID?.replace("containerd://", "") ?? "";
  const [, node] = lab.cluster.nodes;
  if (node === undefined) throw new Error("no second node");
  const [process] = (await lab.agent(node).container(id)).processes;
  await node.run("kill", "-9", String(process?.hostPid));
  const restore = succeeded(await restoreOf("worker"));
  expect(restore).toMatchObject({ spec: { mode: "InPlace" }, status: { differences: [] } });
  const after = await lab.client.get(Pods, { namespace, name: "worker" });
  expect(after.metadata.uid).toBe(before.metadata.uid);
  expect(await lab.counter("worker")).toBeGreaterThanOrEqual(2);
  // One that was stopped for its restore has not failed: it is not restored again.
  expect((await lab.client.list(restores, { namespace })).items.length).toBe(1);
});

it("holds a drain until the checkpoint is there; the work goes on elsewhere", async () => {
  await lab.runPod("mover", "localhost/counter-server:1", "node-1");
  await schedule("mover", { triggers: { drain: { restore: true, deadlineSeconds: 60 } } });
  const before = await eventually(
    "it has counted",
    () => lab.counter("mover"),
    (count) => count >= 3,
  );
  await lab.kubectl("drain", "node-1", "--force", "--pod-selector=app=mover", "--timeout=60s");
  const restore = succeeded(await restoreOf("mover"));
  expect(restore).toMatchObject({ status: { nodeName: "node-2", differences: [] } });
  const pod = await lab.client.get(Pods, { namespace, name: "mover" });
  expect(pod.spec?.nodeName).toBe("node-2");
  expect(await lab.counter("mover")).toBeGreaterThanOrEqual(before);
  await lab.kubectl("uncordon", "node-1");
});

it("rehearses: the newest checkpoint is restored in a scratch pod that nobody takes for the real one", async () => {
  await schedule("periodic", { suspend: true, rehearsal: { intervalSeconds: 3600 } });
  const { status } = await eventually(
    "it was rehearsed",
    () => lab.client.get(schedules, { namespace, name: "periodic" }),
    ({ status: now }) => now?.rehearsal?.result === "Passed" || now?.rehearsal?.result === "Failed",
  );
  expect(status?.rehearsal).toMatchObject({ result: "Passed" });
  const name = status?.rehearsal?.restoreName ?? "";
  await eventually(
    "the scratch pod is gone",
    () => lab.kubectl("get", "pod", name, "--ignore-not-found"),
    (text) => text === "",
  );
});

it("goes on after the manager was killed in the middle, and asks the kubelet no second time", async () => {
  await lab.apply({
    apiVersion: "fleetwright.dev/v1alpha1",
    kind: "Checkpoint",
    metadata: { name: "interrupted" },
    spec: { podName: "worker" },
  });
  await eventually(
    "it was begun",
    () => lab.client.get(checkpoints, { namespace, name: "interrupted" }),
    ({ status }) => status?.containers?.[0]?.attemptTime !== undefined || status?.phase === "Completed",
  );
  await lab.manager.kill();
  await lab.startManager();
  const interrupted = await eventually(
    "it ends",
    () => lab.client.get(checkpoints, { namespace, name: "interrupted" }),
    ({ status: now }) => now?.phase === "Completed" || now?.phase === "Failed",
    150_000,
  );
  succeeded(interrupted);
  const [, node] = lab.cluster.nodes;
  const stored = (await (node ? lab.agent(node).list() : undefined))?.checkpoints ?? [];
  const digests = (await lab.client.list(checkpoints, { namespace })).items.flatMap(
    ({ status: one }) => one?.containers?.[0]?.digest ?? [],
  );
  // Every archive is somebody's.
  expect(stored.map(({ layer }) => layer.digest).filter((digest) => !digests.includes(digest))).toEqual([]);
});

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkpoints, restores } from "@fleetwright/checkpoint";
import { Pods, Services } from "@fleetwright/kube";
import { registryUser } from "@fleetwright/lab";
import { eventually } from "../e2e/eventually.ts";
import { startCheckpointCluster, succeeded, testRecipient } from "./checkpoint-cluster.ts";
import type { CheckpointCluster } from "./checkpoint-cluster.ts";

let lab: CheckpointCluster;
beforeAll(async () => {
  lab = await startCheckpointCluster(2);
});
afterAll(() => lab?.stop());

const namespace = "default";
/** The Service's address. */
let service = "";
const api = { apiVersion: "fleetwright.dev/v1alpha1" };

const ended = (name: string) =>
  eventually(
    `Checkpoint ${name} ends`,
    () => lab.client.get(checkpoints, { namespace, name }),
    ({ status }) => status?.phase === "Completed" || status?.phase === "Failed",
  );
const restored = (name: string) =>
  eventually(
    `CheckpointRestore ${name} ends`,
    () => lab.client.get(restores, { namespace, name }),
    ({ status }) => status?.phase === "Succeeded" || status?.phase === "Failed",
  );

describe("a checkpoint by the API", () => {
  it("is taken while the server goes on, pushed, and leaves the node", async () => {
    await lab.runPod("server", "localhost/counter-server:1", "node-1");
    await lab.runPod("shell", "localhost/busybox:1", "node-2", ["/bin/sleep", "100000"]);
    const { username, password } = registryUser;
    await lab.kubectl(
      "create",
      "secret",
      "docker-registry",
      "registry",
      `--docker-server=${lab.registry.address}`,
      `--docker-username=${username}`,
      `--docker-password=${password}`,
    );
    await lab.kubectl("expose", "pod", "server", "--port=8080");
    service = (await lab.client.get(Services, { namespace, name: "server" })).spec?.clusterIP ?? "";
    const before = await eventually(
      "the Service leads to it",
      () => lab.counter("server", service).catch(() => 0),
      (count) => count > 0,
    );
    const destination = {
      repository: `${lab.registry.address}/team/checkpoints`,
      secretName: "registry",
      form: "EngineImage",
    };
    await lab.apply({
      ...api,
      kind: "Checkpoint",
      metadata: { name: "first" },
      spec: { podName: "server", keepOnNode: false, destination },
    });
    const { status } = succeeded(await ended("first"));
    expect(status).toMatchObject({
      phase: "Completed",
      nodeName: "node-1",
      conditions: [{ type: "Ready", status: "True", reason: "CheckpointCompleted" }],
      containers: [{ name: "main", artifact: expect.stringMatching(/\/team\/checkpoints@sha256:/) as string }],
    });
    expect(status?.containers?.[0]?.memoryBytes).toBeGreaterThan(16 * 2 ** 20);
    expect(await lab.counter("server")).toBeGreaterThanOrEqual(before);
    const [node] = lab.cluster.nodes;
    if (node === undefined) throw new Error("no node");
    await eventually(
      "the archive has left the node",
      () => lab.agent(node).list(),
      ({ checkpoints: stored }) => stored.length === 0,
    );
  });

  it("goes on from the registry on the other node, under another name, as it was saved; the verifier says no to a server that began anew", async () => {
    const before = await lab.counter("server");
    await lab.apply({
      ...api,
      kind: "CheckpointRestore",
      metadata: { name: "second" },
      // Its labels are kept: the Service takes it for one of its own.
      spec: { checkpointName: "first", podName: "restored", nodeName: "node-2" },
    });
    const { status } = succeeded(await restored("second"));
    expect(status).toMatchObject({
      phase: "Succeeded",
      nodeName: "node-2",
      differences: [],
      conditions: [{ reason: "RestoreSucceeded" }],
    });
    const after = await lab.counter("restored");
    expect(after).toBeGreaterThan(0);
    expect(after).toBeLessThanOrEqual(before + 30);
    const pod = await lab.client.get(Pods, { namespace, name: "restored" });
    expect(pod.status?.containerStatuses?.[0]?.restartCount).toBe(0);

    // Reachable as before, once the original is gone.
    await lab.kubectl("label", "pod", "server", "app-");
    const saved = await lab.counter("restored");
    const through = await eventually(
      "the Service leads to the restored one",
      () => lab.counter("restored", service).catch(() => 0),
      (count) => count >= saved && count <= saved + 10,
    );
    expect(through).toBeGreaterThanOrEqual(saved);
    await lab.kubectl("label", "pod", "server", "app=server");

    await lab.runPod("fresh", "localhost/counter-server:1", "node-2");
    const fresh = await lab.client.get(Pods, { namespace, name: "fresh" });
    const [, second] = lab.cluster.nodes;
    if (second === undefined) throw new Error("no second node");
    const id = (name: string | undefined): string => (name ?? "").replace("containerd://", "");
    const digest =
      (await lab.client.get(checkpoints, { namespace, name: "first" })).status?.containers?.[0]?.digest ?? "";
    const verdict = async (container: string | undefined) =>
      (await lab.agent(second).verifyContainer(id(container), digest)).differences;
    expect(await verdict(pod.status?.containerStatuses?.[0]?.containerID)).toEqual([]);
    expect(await verdict(fresh.status?.containerStatuses?.[0]?.containerID)).toContainEqual({
      subject: "memory",
      message: expect.stringContaining("it began anew") as string,
    });
    const shell = await lab.client.get(Pods, { namespace, name: "shell" });
    expect(await verdict(shell.status?.containerStatuses?.[0]?.containerID)).toContainEqual({
      subject: "processes",
      message: 'process 1, "counter-server" in the checkpoint, is "sleep"',
    });
  });

  it("is judged by what the engine says of itself, however many ask at once", async () => {
    const [node] = lab.cluster.nodes;
    if (node === undefined) throw new Error("no node");
    const told = await Promise.all(Array.from({ length: 20 }, () => lab.agent(node).node()));
    expect(told.map(({ restoreSwitch }) => restoreSwitch)).toEqual(told.map(() => true));
  });

  it("takes everything with it when it is deleted", async () => {
    await lab.kubectl("delete", "checkpoint", "first", "--timeout=30s");
    for (const node of lab.cluster.nodes) expect((await lab.agent(node).list()).checkpoints).toEqual([]);
  });

  it("is kept as an artifact, encrypted, which shares its chunks with the next one; only the archive's own node needs nothing of the registry", async () => {
    const repository = `${lab.registry.address}/team/artifacts`;
    const destination = { repository, secretName: "registry" };
    const encrypted = { ...destination, recipients: [testRecipient] };
    await lab.apply({
      ...api,
      kind: "Checkpoint",
      metadata: { name: "sealed" },
      spec: { podName: "server", keepOnNode: false, destination: encrypted },
    });
    succeeded(await ended("sealed"));
    await lab.apply({
      ...api,
      kind: "CheckpointRestore",
      metadata: { name: "opened" },
      spec: { checkpointName: "sealed", podName: "opened", nodeName: "node-2" },
    });
    expect(succeeded(await restored("opened")).status?.differences).toEqual([]);
    expect(await lab.counter("opened")).toBeGreaterThan(0);
    await lab.kubectl("delete", "pod", "opened", "--grace-period=1");

    const [node] = lab.cluster.nodes;
    if (node === undefined) throw new Error("no node");
    await lab.apply({
      ...api,
      kind: "Checkpoint",
      metadata: { name: "plain-1" },
      spec: { podName: "server", destination },
    });
    const digest = succeeded(await ended("plain-1")).status?.containers?.[0]?.digest ?? "";
    await lab.apply({ ...api, kind: "Checkpoint", metadata: { name: "plain-2" }, spec: { podName: "server" } });
    const later = succeeded(await ended("plain-2")).status?.containers?.[0]?.digest ?? "";
    expect(later).not.toBe(digest);
    const credential = { kind: "password", username: registryUser.username, password: registryUser.password };
    const sent = (await lab
      .agent(node)
      .push(later, { reference: `${repository}:again`, form: "Artifact", credential })) as unknown as {
      readonly sentBytes: number;
      readonly keptBytes: number;
    };
    // Sixteen mebibytes of its memory are the same.
    expect(sent.keptBytes).toBeGreaterThan(3 * sent.sentBytes);
    await lab.kubectl("delete", "checkpoint", "sealed", "plain-1", "plain-2", "--timeout=30s");
  });

  it("goes back in place: the pod keeps its name, its address and its UID", async () => {
    await lab.apply({ ...api, kind: "Checkpoint", metadata: { name: "before" }, spec: { podName: "server" } });
    succeeded(await ended("before"));
    const was = await lab.client.get(Pods, { namespace, name: "server" });
    const saved = await lab.counter("server");
    await lab.apply({
      ...api,
      kind: "CheckpointRestore",
      metadata: { name: "back" },
      spec: { checkpointName: "before", podName: "server", mode: "InPlace" },
    });
    expect(succeeded(await restored("back")).status?.differences).toEqual([]);
    const is = await lab.client.get(Pods, { namespace, name: "server" });
    expect([is.metadata.uid, is.status?.podIP]).toEqual([was.metadata.uid, was.status?.podIP]);
    expect(await lab.counter("server")).toBeLessThanOrEqual(saved + 20);
  });

  it("says what is wrong, and leaves nothing", async () => {
    const say = async (name: string, spec: object) => {
      await lab.apply({ ...api, kind: "Checkpoint", metadata: { name }, spec });
      const { status } = await ended(name);
      return [status?.phase, status?.verdicts?.[0]?.code, status?.conditions?.[0]?.message];
    };
    expect(await say("gone", { podName: "nobody" })).toEqual([
      "Failed",
      "PodGone",
      'there is no pod "nobody" in namespace "default"',
    ]);
    expect(await say("unknown", { podName: "server", containers: ["other"] })).toEqual([
      "Failed",
      "ContainerNotRunning",
      'pod "server" has no container "other"; it has main',
    ]);
    await lab.apply({
      ...api,
      kind: "CheckpointRestore",
      metadata: { name: "no-node" },
      spec: { checkpointName: "before", podName: "elsewhere", nodeName: "node-9" },
    });
    expect((await restored("no-node")).status).toMatchObject({ phase: "Failed", verdicts: [{ code: "NodeGone" }] });
    expect(await lab.kubectl("get", "pod", "elsewhere", "--ignore-not-found")).toBe("");
  });
});

import { appendFile, copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { checkpointTriggerLabel } from "@fleetwright/api";
import { checkpoints, restores, type CheckpointObject } from "@fleetwright/checkpoint";
import { Pods } from "@fleetwright/kube";
import { eventually } from "../e2e/eventually.ts";
import { startCheckpointCluster, succeeded } from "./checkpoint-cluster.ts";
import type { CheckpointCluster } from "./checkpoint-cluster.ts";

let lab: CheckpointCluster;
beforeAll(async () => {
  lab = await startCheckpointCluster(1);
});
afterAll(() => lab?.stop());

const namespace = "default";
const schedule = (name: string, triggers: object) =>
  lab.apply({
    apiVersion: "fleetwright.dev/v1alpha1",
    kind: "CheckpointSchedule",
    metadata: { name },
    spec: { selector: { matchLabels: { app: name } }, triggers },
  });
const ended = (what: string, which: (checkpoint: CheckpointObject) => boolean): Promise<CheckpointObject | undefined> =>
  eventually(
    what,
    async () => (await lab.client.list(checkpoints, { namespace })).items.find(which),
    (found) => found?.status?.phase === "Completed" || found?.status?.phase === "Failed",
  );
const byTrigger =
  (trigger: string) =>
  ({ metadata }: CheckpointObject): boolean =>
    metadata.labels?.[checkpointTriggerLabel] === trigger;
const pod = (name: string, spec: object, container: object): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, labels: { app: name } },
  spec: { ...spec, containers: [{ name: "main", imagePullPolicy: "IfNotPresent", ...container }] },
});

it("takes one when memory passes its threshold, and none of what stays below", async () => {
  const container = (memory: string) => ({
    image: "localhost/counter-server:1",
    args: ["64"],
    resources: { limits: { memory } },
  });
  await lab.apply(pod("roomy", { terminationGracePeriodSeconds: 1 }, container("512Mi")));
  await lab.apply(pod("tight", { terminationGracePeriodSeconds: 1 }, container("128Mi")));
  await lab.kubectl("wait", "--for=condition=Ready", "pod/roomy", "pod/tight", "--timeout=60s");
  await schedule("roomy", { memoryPercent: 40 });
  await schedule("tight", { memoryPercent: 40 });
  const checkpoint = succeeded(await ended("one is taken", byTrigger("threshold")));
  expect(checkpoint.spec.podName).toBe("tight");
  expect((await lab.client.list(checkpoints, { namespace })).items.length).toBe(1);
});

it("takes one of a pod that the scheduler preempts, within its grace period", async () => {
  await lab.apply({
    apiVersion: "scheduling.k8s.io/v1",
    kind: "PriorityClass",
    metadata: { name: "urgent" },
    value: 1000,
  });
  const requests = { resources: { requests: { cpu: "1200m" } } };
  // The first process of a namespace hears no SIGTERM that it did not ask for: it goes on for the grace period.
  const command = ["/bin/sh", "-c", "while true; do sleep 1; done"];
  const busybox = { image: "localhost/busybox:1", command, ...requests };
  await lab.apply(pod("victim", { terminationGracePeriodSeconds: 20 }, busybox));
  await lab.kubectl("wait", "--for=condition=Ready", "pod/victim", "--timeout=60s");
  await schedule("victim", { preemption: true });
  await lab.apply(pod("pusher", { priorityClassName: "urgent", terminationGracePeriodSeconds: 1 }, busybox));
  const checkpoint = succeeded(await ended("it is taken", byTrigger("preemption")));
  expect(checkpoint.spec.podName).toBe("victim");
  await lab.kubectl("wait", "--for=condition=Ready", "pod/pusher", "--timeout=60s");
  await eventually(
    "the victim went",
    async () => (await lab.client.list(Pods, { namespace })).items.map(({ metadata }) => metadata.name),
    (names) => !names.includes("victim"),
  );
});

it("holds an archive against its Checkpoint, and the node's chain of evidence against its key", async () => {
  const [node] = lab.cluster.nodes;
  if (node === undefined) throw new Error("no node");
  const [tight] = (await lab.client.list(checkpoints, { namespace })).items.filter(byTrigger("threshold"));
  const name = tight?.metadata.name ?? "";
  const archives = (await readdir(node.checkpointDirectory)).filter((file) => file.endsWith(".tar"));
  const [right, wrong] = ["tight", "victim"].map((of) =>
    join(node.checkpointDirectory, archives.find((file) => file.startsWith(`checkpoint-${of}_`)) ?? ""),
  );
  expect(await lab.fleetwright("checkpoint", "verify", right ?? "", "--checkpoint", name)).toMatchObject({ code: 0 });
  expect(await lab.fleetwright("checkpoint", "verify", wrong ?? "", "--checkpoint", name)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining(": is sha256:"),
  });
  // Else the pod, which is still above its threshold, has another one taken.
  await lab.kubectl("delete", "cps", "tight");
  await lab.kubectl("delete", "checkpoint", name);
  const evidence = join(node.checkpointDirectory, ".fleetwright", "evidence", "evidence.jsonl");
  // Two archives, and the end of one.
  expect(await lab.fleetwright("checkpoint", "verify", evidence, "--evidence-key", lab.evidenceKeyPath)).toMatchObject({
    code: 0,
    stdout: `${evidence}: 3 records, whole\n`,
  });
  const changed = join(lab.cluster.controlPlane.directory, "changed.jsonl");
  await copyFile(evidence, changed);
  await appendFile(changed, "{}\n");
  expect(await lab.fleetwright("checkpoint", "verify", changed, "--evidence-key", lab.evidenceKeyPath)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("Malformed"),
  });
});

it("asks through the API server where it has no certificate for kubelets; who lacks the right is told", async () => {
  await lab.startManager("proxy");
  const take = async (name: string): Promise<CheckpointObject | undefined> => {
    await lab.apply({
      apiVersion: "fleetwright.dev/v1alpha1",
      kind: "Checkpoint",
      metadata: { name },
      spec: { podName: "roomy" },
    });
    return ended(`${name} ends`, ({ metadata }) => metadata.name === name);
  };
  const codesOf = (checkpoint: CheckpointObject | undefined) =>
    (checkpoint?.status?.verdicts ?? []).map(({ code }) => code);
  const refused = { status: { phase: "Failed" } };
  const withoutProxy = await take("without-proxy");
  expect(withoutProxy).toMatchObject(refused);
  expect(codesOf(withoutProxy)).toContain("ForbiddenToApiServer");
  await lab.kubectl("create", "clusterrole", "proxies", "--verb=create", "--resource=nodes/proxy");
  const manager = "--serviceaccount=fleetwright-system:fleetwright-manager";
  await lab.kubectl("create", "clusterrolebinding", "proxies", "--clusterrole=proxies", manager);
  const withoutKubelet = await take("without-kubelet");
  expect(withoutKubelet).toMatchObject(refused);
  expect(codesOf(withoutKubelet)).toContain("ForbiddenToApiServer");
  await lab.kubectl("create", "clusterrole", "takes", "--verb=create", "--resource=nodes/checkpoint");
  const user = "--user=kube-apiserver-kubelet-client";
  await lab.kubectl("create", "clusterrolebinding", "takes", "--clusterrole=takes", user);
  // The kubelet remembers for a while that this user may not.
  let tries = 0;
  const allowed = await eventually(
    "one is taken",
    () => take(`allowed-${tries++}`),
    (checkpoint) => checkpoint?.status?.phase === "Completed",
    90_000,
  );
  expect(codesOf(allowed)).not.toContain("ForbiddenToApiServer");
});

it("says before it takes one what processes hold that cannot be saved, though the pod does not tell", async () => {
  const script = "exec 3>/dev/nvidia0; export CUDA_MPS_PIPE_DIRECTORY=/mps; >/ready; exec /bin/busybox sleep 1000";
  await lab.apply(
    pod(
      "gpu",
      { terminationGracePeriodSeconds: 1 },
      {
        image: "localhost/busybox:1",
        command: ["/bin/sh", "-c", script],
        readinessProbe: { exec: { command: ["/bin/busybox", "cat", "/ready"] }, periodSeconds: 1 },
      },
    ),
  );
  await lab.kubectl("wait", "--for=condition=Ready", "pod/gpu", "--timeout=60s");
  await lab.apply({
    apiVersion: "fleetwright.dev/v1alpha1",
    kind: "Checkpoint",
    metadata: { name: "gpu" },
    spec: { podName: "gpu", acceptRisks: true },
  });
  const checkpoint = await ended("it is refused", ({ metadata }) => metadata.name === "gpu");
  expect(checkpoint?.status).toMatchObject({
    phase: "Failed",
    verdicts: [
      { code: "GpuMps", severity: "error", container: "main" },
      { code: "GpuNeedsPlugin", severity: "warning", container: "main" },
    ],
  });
});

it("finds in CRIU's log on the node why a dump failed, which the engine does not tell", async () => {
  const script = "cat /bin/busybox /bin/busybox > /big; exec 3< /big; /bin/busybox rm /big; >/ready; exec sleep 1000";
  const command = ["/bin/sh", "-c", script];
  const readinessProbe = { exec: { command: ["/bin/cat", "/ready"] }, periodSeconds: 1 };
  const container = { image: "localhost/busybox:1", command, readinessProbe };
  await lab.apply(pod("ghost", { terminationGracePeriodSeconds: 1 }, container));
  await lab.kubectl("wait", "--for=condition=Ready", "pod/ghost", "--timeout=60s");
  await lab.apply({
    apiVersion: "fleetwright.dev/v1alpha1",
    kind: "Checkpoint",
    metadata: { name: "ghost" },
    spec: { podName: "ghost" },
  });
  const checkpoint = await ended("it fails", ({ metadata }) => metadata.name === "ghost");
  expect(checkpoint?.status).toMatchObject({
    phase: "Failed",
    verdicts: [{ code: "GhostFileTooLarge", message: expect.stringContaining("Can't dump ghost file") as string }],
  });
  const running = await lab.client.get(Pods, { namespace, name: "ghost" });
  expect(running.status?.containerStatuses?.[0]).toMatchObject({ ready: true, restartCount: 0 });
});

it("says before a restore that the image below the checkpoint is neither on the node nor at its registry", async () => {
  const [node] = lab.cluster.nodes;
  const [victim] = (await lab.client.list(checkpoints, { namespace })).items.filter(byTrigger("preemption"));
  const restore = async (podName: string) => {
    await lab.apply({
      apiVersion: "fleetwright.dev/v1alpha1",
      kind: "CheckpointRestore",
      metadata: { name: podName },
      spec: { checkpointName: victim?.metadata.name, podName },
    });
    const { status } = await eventually(
      `${podName} is judged`,
      () => lab.client.get(restores, { namespace, name: podName }),
      ({ status: now }) => (now?.verdicts ?? []).length > 0 || now?.phase === "Succeeded" || now?.phase === "Failed",
    );
    return (status?.verdicts ?? []).map(({ code }) => code);
  };
  // It has the processors that both want.
  await lab.kubectl("delete", "pod", "pusher");
  expect(await restore("with-image")).not.toContain("BaseImageUnreachable");
  if (node === undefined) throw new Error("no node");
  const { checkpoints: stored } = await lab.agent(node).list();
  // The engine goes by another name than the pod.
  const name = stored.find(({ metadata }) => metadata.pod === "victim")?.metadata.imageRef ?? "";
  await node.ctr("images", "remove", name, "localhost/busybox:1");
  await eventually(
    "the engine knows that it is gone",
    () => lab.agent(node).findImage([name]),
    ({ onNode }) => onNode === false,
  );
  expect(await restore("without-image")).toContain("BaseImageUnreachable");
});

import { execFile } from "node:child_process";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  hostFacts,
  imageOf,
  openArchiveFile,
  openImages,
  openStore,
  readOpenFiles,
  readProcesses,
} from "@fleetwright/checkpoint";
import { startNodeCluster } from "@fleetwright/lab";
import type { NodeCluster } from "@fleetwright/lab";
import { eventually } from "../e2e/eventually.ts";
import { programPath } from "../e2e/program.ts";

let cluster: NodeCluster;
/** Of the server, on the first node. */
let archivePath = "";
const kubectl = async (...args: readonly string[]): Promise<string> =>
  (
    await promisify(execFile)(cluster.controlPlane.binaries.kubectl, [
      "--kubeconfig",
      cluster.controlPlane.kubeconfigPath,
      ...args,
    ])
  ).stdout;

beforeAll(async () => {
  cluster = await startNodeCluster({ nodes: 2 });
});
afterAll(() => cluster?.stop());

const answer = async (pod = "server"): Promise<string> => {
  const address = await kubectl("get", "pod", pod, "-o", "jsonpath={.status.podIP}");
  return kubectl("exec", "shell", "--", "wget", "-q", "-O", "-", `http://${address}:8080`);
};

it("has two nodes", async () => {
  expect(await kubectl("get", "nodes", "-o", "name")).toBe("node/node-1\nnode/node-2\n");
});

it("runs pods that reach each other, and kubectl reads their logs and runs commands in them", async () => {
  for (const [name, node, args] of [
    ["server", "node-1", ["--image=localhost/counter-server:1"]],
    [
      "shell",
      "node-2",
      ["--image=localhost/busybox:1", "--command", "--", "/bin/sh", "-c", "echo hello; exec sleep 1000"],
    ],
  ] as const) {
    const overrides = JSON.stringify({ spec: { nodeName: node, terminationGracePeriodSeconds: 1 } });
    const [image, ...command] = args;
    await kubectl(
      "run",
      name,
      image,
      "--image-pull-policy=Never",
      "--restart=Never",
      `--overrides=${overrides}`,
      ...command,
    );
  }
  await kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s");
  expect(await kubectl("logs", "shell")).toBe("hello\n");
  expect(await answer()).toMatch(/^\d+\n$/);
});

it("takes a checkpoint for who may only do that, and refuses who may not", async () => {
  await kubectl("create", "clusterrole", "checkpointer", "--verb=create", "--resource=nodes/checkpoint");
  await kubectl("create", "clusterrolebinding", "checkpointer", "--clusterrole=checkpointer", "--user=checkpointer");
  const [node] = cluster.nodes;
  const post = async (user: string, path: string): Promise<{ readonly status: number; readonly text: string }> => {
    const { certificate, key } = await cluster.controlPlane.issueUser(user);
    return new Promise((resolve, reject) => {
      const options = { method: "POST", cert: certificate, key, ca: cluster.controlPlane.caCertificate, agent: false };
      const call = request(`${node?.kubeletUrl}${path}`, options, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      });
      call.on("error", reject).end();
    });
  };
  const path = "/checkpoint/default/server/server";
  expect(await post("somebody", path)).toMatchObject({ status: 403 });
  expect(await post("checkpointer", "/checkpoint/default/nobody/server")).toMatchObject({ status: 404 });
  const before = Number(await answer());
  const { status, text } = await post("checkpointer", path);
  expect({ status, text }).toEqual({
    status: 200,
    text: expect.stringMatching(
      /^\{"items":\["\/var\/lib\/kubelet\/checkpoints\/checkpoint-server_default-server-.*\.tar"\]\}$/,
    ) as string,
  });
  const [file = ""] = (JSON.parse(text) as { readonly items: readonly string[] }).items;
  archivePath = join(node?.checkpointDirectory ?? "", basename(file));
  await using archive = await openArchiveFile(archivePath);
  expect(archive.metadata).toMatchObject({
    engine: "containerd",
    pod: "server",
    namespace: "default",
    container: "server",
  });
  const images = openImages(archive.images);
  const [process] = await readProcesses(images);
  expect(process).toMatchObject({ pid: 1, command: "counter-server", state: "alive" });
  expect(process?.threads.length).toBe(2);
  const listening = (await readOpenFiles(images, 1)).flatMap(({ socket }) => socket ?? []);
  expect(listening).toEqual([expect.objectContaining({ family: "INET", state: "LISTEN", source: "0.0.0.0:8080" })]);
  expect(archive.sizes.pages).toBeGreaterThan(16 * 2 ** 20);
  // The source goes on.
  expect(Number(await answer())).toBeGreaterThanOrEqual(before);
});

it("goes on from the checkpoint on another node, under another name, from an image that the agent there serves", async () => {
  const [, node] = cluster.nodes;
  if (node === undefined) throw new Error("no second node");
  const before = Number(await answer());
  await mkdir(node.checkpointDirectory, { recursive: true });
  await copyFile(archivePath, join(node.checkpointDirectory, basename(archivePath)));
  await kubectl("delete", "pod", "server", "--grace-period=1");

  const agent = await node.start("agent", process.execPath, programPath, "agent", "--image-port", "5780");
  await eventually(
    "the agent is ready",
    () => readFile(agent.logPath, "utf8"),
    (log) => log.includes("ready: 1 checkpoints"),
  );
  const store = await openStore(node.checkpointDirectory, { host: hostFacts });
  const [checkpoint] = (await store.list()).checkpoints;
  if (checkpoint === undefined) throw new Error("no checkpoint in the store");
  const image = `localhost:5780/checkpoint@${imageOf(checkpoint).manifest.digest}`;
  const spec = { nodeName: node.name, terminationGracePeriodSeconds: 1, containers: [{ name: "server", image }] };
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "restored" }, spec };
  const manifest = join(node.logDirectory, "restored.json");
  await writeFile(manifest, JSON.stringify(pod));
  await kubectl("apply", "-f", manifest);
  await kubectl("wait", "--for=condition=Ready", "pod/restored", "--timeout=60s");

  const after = Number(await answer("restored"));
  expect(after).toBeGreaterThan(0);
  // It goes on from where it stood, not from where the other one had got to meanwhile, and not from nothing.
  expect(after).toBeLessThan(before + 30);
  const log = await node.run(
    "sh",
    "-c",
    "cat /run/containerd/io.containerd.runtime.v2.task/k8s.io/*/rootfs/counter.log",
  );
  const lines = log.trim().split("\n").map(Number);
  expect(lines).toEqual(Array.from({ length: lines.length }, (_, index) => index + 1));
  expect(await kubectl("get", "pod", "restored", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")).toBe(
    "0",
  );
  expect(await readFile(join(node.logDirectory, "containerd.log"), "utf8")).toContain("Restored container");
});

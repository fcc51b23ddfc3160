import { execFile } from "node:child_process";
import { request } from "node:https";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openArchiveFile, openImages, readOpenFiles, readProcesses } from "@fleetwright/checkpoint";
import { startNodeCluster } from "@fleetwright/lab";
import type { NodeCluster } from "@fleetwright/lab";

let cluster: NodeCluster;
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

const answer = async (): Promise<string> => {
  const address = await kubectl("get", "pod", "server", "-o", "jsonpath={.status.podIP}");
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
  await using archive = await openArchiveFile(join(node?.checkpointDirectory ?? "", basename(file)));
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

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { createClient, createRestMapper, formatKubeconfig, type Client, type KubeObject } from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";
import { startProgram, type RunningProgram } from "./program.ts";
import { startServer } from "./server.ts";

let controlPlane: ControlPlane;
let client: Client;
let manager: RunningProgram | undefined;

async function applyFile(path: string): Promise<void> {
  const mapper = createRestMapper(client);
  for (const document of parseAllDocuments(await readFile(path, "utf8"))) {
    const object = document.toJS() as KubeObject & { apiVersion: string; kind: string };
    await client.apply(await mapper.kindFor(object), object, { fieldManager: "test" });
  }
}

beforeAll(async () => {
  controlPlane = await startServer();
  client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
});
afterAll(async () => {
  await manager?.kill();
  await client?.close();
  await controlPlane?.stop();
});

it("config/crd and config/rbac are all that the manager needs: it becomes ready, leads and counts as its service account", async () => {
  await applyFile("config/crd/fleetwright.dev_bizgroupresourcequotas.yaml");
  await applyFile("config/rbac/manager.yaml");
  const { token } = await client.createToken({ namespace: "fleetwright-system", name: "fleetwright-manager" });
  const kubeconfig = join(controlPlane.directory, "manager.kubeconfig");
  const { url: server, caCertificate } = controlPlane;
  await writeFile(kubeconfig, formatKubeconfig({ name: "lab", server, caCertificate, userName: "manager", token }), {
    mode: 0o600,
  });
  manager = startProgram([
    "manager",
    "--kubeconfig",
    kubeconfig,
    "--webhook-address",
    "127.0.0.1:0",
    "--webhook-url",
    "https://127.0.0.1:1",
    "--health-address",
    "off",
  ]);
  await manager.line(/"msg":"manager ready"/);
  await manager.line(/controller started/);
  const lease = await client.get(
    { group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases", namespaced: true },
    { namespace: "fleetwright-system", name: "fleetwright-manager" },
  );
  expect((lease as { spec?: { holderIdentity?: string } }).spec?.holderIdentity).toBeTruthy();
  manager.signal("SIGTERM");
  expect((await manager.ended).code).toBe(0);
});

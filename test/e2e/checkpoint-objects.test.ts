import { afterAll, beforeAll, expect, it } from "vitest";
import { waitingForManager } from "@fleetwright/api";
import { checkpoints, restores, schedules } from "@fleetwright/checkpoint";
import { installCustomResources } from "@fleetwright/fleetwright";
import { createClient, systemClock, type Client, type KubeObject, type Resource } from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";
import { startServer } from "./server.ts";

let controlPlane: ControlPlane;
let client: Client;
beforeAll(async () => {
  controlPlane = await startServer();
  client = createClient({ kubeconfig: controlPlane.kubeconfigPath });
  await installCustomResources(client, systemClock, AbortSignal.timeout(60_000));
});
afterAll(async () => {
  await client?.close();
  await controlPlane?.stop();
});

const namespace = "default";
const metadata = { namespace, name: "web" };
const pending = { phase: "Pending", conditions: [waitingForManager] };

it.each([
  ["a Checkpoint", checkpoints, { podName: "web" }, pending],
  ["a restore", restores, { checkpointName: "web", podName: "web-2" }, pending],
  ["a schedule", schedules, { selector: { matchLabels: { app: "web" } } }, { conditions: [waitingForManager] }],
] as const)("%s that no manager looks after says so", async (_, kind, spec, status) => {
  const resource = kind as Resource<KubeObject & { readonly spec: object; readonly status?: object }>;
  // What a user says of the status is not taken.
  const made = await client.create(resource, { metadata, spec, status: { conditions: [] } });
  expect(made.status).toEqual(status);
  expect((await client.get(resource, metadata)).status).toEqual(status);
  const { items } = await client.list(resource, { namespace });
  expect(items.map((each) => each.status)).toEqual([status]);
  for await (const event of client.watch(resource, { namespace })) {
    expect(event).toMatchObject({ type: "ADDED", object: { status } });
    break;
  }
  const labelled: typeof made = { metadata: { ...metadata, labels: { app: "web" } }, spec };
  expect((await client.apply(resource, labelled, { fieldManager: "test" })).status).toEqual(status);
  // The manager's word stays, and without it the server has its own again.
  const said = { ...waitingForManager, reason: "Pending", message: "the agent does not answer" };
  const found = await client.get(resource, metadata);
  const told = await client.updateStatus(resource, { ...found, status: { conditions: [said] } });
  expect(told.status).toEqual({ conditions: [said] });
  expect((await client.get(resource, metadata)).status).toEqual({ conditions: [said] });
  const { status: _none, ...rest } = told;
  const silent: typeof told = rest;
  expect((await client.updateStatus(resource, silent)).status).toEqual(status);
});

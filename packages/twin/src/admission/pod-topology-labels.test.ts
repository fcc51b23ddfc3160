import { afterEach, expect, it } from "vitest";
import { Nodes, Pods, createClient } from "@fleetwright/kube";
import type { Pod } from "@fleetwright/kube";
import { startTwin } from "../server/start-twin.ts";
import type { Twin } from "../server/start-twin.ts";

let twin: Twin | undefined;
afterEach(() => twin?.stop());

const pod = (name: string, nodeName?: string): Pod => ({
  metadata: { name, namespace: "default", labels: { app: "x", "topology.kubernetes.io/zone": "wrong" } },
  spec: {
    containers: [{ name: "a", image: "b" }],
    automountServiceAccountToken: false,
    ...(nodeName === undefined ? {} : { nodeName }),
  },
});

it("pods learn their node's region and zone when they are bound, or created bound", async () => {
  twin = await startTwin({ listen: false });
  const client = createClient({ transport: twin.transport() });
  await client.raw("POST", "/api/v1/namespaces/default/serviceaccounts", {
    body: { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } },
  });
  const place = { "topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z" };
  await client.create(Nodes, { metadata: { name: "n", labels: { ...place, other: "label" } } });

  const bound = await client.create(Pods, pod("created-bound", "n"));
  expect(bound.metadata.labels).toEqual({ app: "x", ...place });

  const free = await client.create(Pods, pod("free"));
  expect(free.metadata.labels).toEqual({ app: "x", "topology.kubernetes.io/zone": "wrong" });
  await client.raw("POST", "/api/v1/namespaces/default/pods/free/binding", {
    body: {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name: "free" },
      target: { apiVersion: "v1", kind: "Node", name: "n" },
    },
  });
  const { metadata } = await client.get(Pods, { namespace: "default", name: "free" });
  expect(metadata.labels).toEqual({ app: "x", ...place });
});

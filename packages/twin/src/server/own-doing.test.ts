import { afterEach, describe, expect, it } from "vitest";
import {
  ComponentStatuses,
  createClient,
  Endpoints,
  FlowSchemas,
  PriorityLevelConfigurations,
  seededRandom,
  Services,
  VirtualClock,
} from "@fleetwright/kube";
import type { Client, FlowSchema } from "@fleetwright/kube";
import { startTwin } from "./start-twin.ts";
import type { Twin } from "./start-twin.ts";

const twins: Twin[] = [];
afterEach(async () => {
  for (const twin of twins.splice(0)) await twin.stop();
});

async function start(): Promise<Client> {
  const clock = new VirtualClock();
  const twin = await startTwin({ listen: false, clock, random: seededRandom(1) });
  twins.push(twin);
  return createClient({ transport: twin.transport(), clock });
}

const schema: FlowSchema = {
  metadata: { name: "s" },
  spec: {
    priorityLevelConfiguration: { name: "level" },
    rules: [
      {
        subjects: [{ kind: "User", user: { name: "u" } }],
        nonResourceRules: [{ verbs: ["get"], nonResourceURLs: ["/none"] }],
      },
    ],
  },
};

describe("what the server does by itself", () => {
  it("removes the endpoints of a service that is deleted, and no others", async () => {
    const client = await start();
    for (const name of ["a", "b"]) {
      await client.create(Services, { metadata: { name, namespace: "default" }, spec: { ports: [{ port: 80 }] } });
      await client.create(Endpoints, { metadata: { name, namespace: "default" } });
    }
    await client.delete(Services, { namespace: "default", name: "a" });
    const { items } = await client.list(Endpoints, { namespace: "default" });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(["b"]);
  });

  it("answers for its store when it is asked for its components", async () => {
    const client = await start();
    const { items } = await client.list(ComponentStatuses);
    expect(items.map(({ metadata, conditions }) => [metadata.name, conditions?.[0]?.status])).toEqual([
      ["etcd-0", "True"],
    ]);
    expect((await client.get(ComponentStatuses, { name: "etcd-0" })).conditions?.[0]?.message).toBe("ok");
    await expect(client.get(ComponentStatuses, { name: "none" })).rejects.toThrow('componentstatus "none" not found');
    expect((await client.list(ComponentStatuses, { labelSelector: "a=b" })).items).toEqual([]);
  });

  it("tells a FlowSchema whether its priority level is there, now and later", async () => {
    const client = await start();
    const conditions = async (): Promise<unknown> => {
      const { status } = await client.get(FlowSchemas, { name: "s" });
      return status?.conditions?.map(({ type, status: answer, reason }) => [type, answer, reason]);
    };
    await client.create(FlowSchemas, schema);
    expect(await conditions()).toEqual([["Dangling", "True", "NotFound"]]);
    await client.create(PriorityLevelConfigurations, {
      metadata: { name: "level" },
      spec: { type: "Limited", limited: { limitResponse: { type: "Reject" } } },
    });
    expect(await conditions()).toEqual([["Dangling", "False", "Found"]]);
    await client.delete(PriorityLevelConfigurations, { name: "level" });
    expect(await conditions()).toEqual([["Dangling", "True", "NotFound"]]);
  });
});

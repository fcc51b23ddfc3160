import { APIServices, createClient, CustomResourceDefinitions } from "@fleetwright/kube";
import type { CustomResourceDefinition } from "@fleetwright/kube";
import { expect, it } from "vitest";
import { startTwin } from "./start-twin.ts";

const definition = (served: readonly string[]): CustomResourceDefinition => ({
  metadata: { name: "foos.example.com" },
  spec: {
    group: "example.com",
    scope: "Cluster",
    names: { plural: "foos", kind: "Foo" },
    versions: ["v1", "v2"].map((name) => ({
      name,
      served: served.includes(name),
      storage: name === "v1",
      schema: { openAPIV3Schema: { type: "object" } },
    })),
  },
});

it("each version that is served has an APIService, for as long as it is served", async () => {
  await using twin = await startTwin({ listen: false });
  const client = createClient({ transport: twin.transport() });
  const watch = async (expected: readonly string[]): Promise<void> => {
    await expect
      .poll(async () => {
        const { items } = await client.list(APIServices);
        return items.map(({ metadata }) => metadata.name).filter((name) => name?.endsWith("example.com"));
      })
      .toEqual(expected);
  };
  const before = await client.get(APIServices, { name: "v1.apps" });
  expect(before.status?.conditions).toMatchObject([{ type: "Available", status: "True", reason: "Local" }]);
  await client.create(CustomResourceDefinitions, definition(["v1", "v2"]));
  await watch(["v1.example.com", "v2.example.com"]);
  const key = { name: "foos.example.com" };
  const current = await client.get(CustomResourceDefinitions, key);
  await client.update(CustomResourceDefinitions, { ...current, spec: definition(["v1"]).spec });
  await watch(["v1.example.com"]);
  await client.delete(CustomResourceDefinitions, key);
  await watch([]);
});

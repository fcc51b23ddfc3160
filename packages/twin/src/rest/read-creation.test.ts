import { ConfigMaps, createClient, Pods, ServiceAccounts, VirtualClock } from "@fleetwright/kube";
import type { Pod } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { startTwin } from "../server/start-twin.ts";

const pod: Pod = {
  metadata: { generateName: "web-", namespace: "default", labels: { app: "web" } },
  spec: { containers: [{ name: "main", image: "registry.example/main:1" }] },
};

describe.each(["bytes", "objects"] as const)("creations from this process, kept as %s", (keeps) => {
  it("are the same the second time, but for name, time and identity", async () => {
    const clock = new VirtualClock();
    await using twin = await startTwin({ clock, listen: false, keeps });
    const client = createClient({ transport: twin.transport(), clock, userAgent: "tester/1" });
    await client.create(ServiceAccounts, { metadata: { name: "default", namespace: "default" } });
    const made: Pod[] = [];
    for (let count = 0; count < 3; count++) {
      made.push(await client.create(Pods, pod));
      await clock.advance(1500);
    }
    const [first, ...others] = made.map(({ metadata, ...rest }) => {
      const { name, uid, creationTimestamp, resourceVersion, managedFields = [], ...meta } = metadata;
      expect(managedFields).toMatchObject([{ manager: "tester", operation: "Update", time: creationTimestamp }]);
      expect([name, uid, resourceVersion]).not.toContain(undefined);
      const volume = JSON.stringify(rest).match(/kube-api-access-\w+/)?.[0] ?? "-";
      const text = JSON.stringify({ rest, meta, fields: managedFields.map(({ fieldsV1 }) => fieldsV1) });
      return text.replaceAll(volume, "token");
    });
    expect(others).toEqual([first, first]);
    expect(new Set(made.map(({ metadata }) => metadata.uid)).size).toBe(3);
    // Another object of the same name is another text.
    const other = await client.create(Pods, { ...pod, metadata: { ...pod.metadata, labels: { app: "db" } } });
    expect(other.metadata.labels).toEqual({ app: "db" });
  });

  it("do not follow what their sender does with the object afterwards", async () => {
    const clock = new VirtualClock();
    await using twin = await startTwin({ clock, listen: false, keeps });
    const client = createClient({ transport: twin.transport(), clock });
    const data = { key: "value" };
    const sent = { metadata: { name: "settings", namespace: "default" }, data };
    await client.create(ConfigMaps, sent);
    data.key = "changed";
    expect((await client.get(ConfigMaps, sent.metadata)).data).toEqual({ key: "value" });
  });
});

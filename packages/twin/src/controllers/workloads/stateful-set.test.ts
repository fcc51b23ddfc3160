import { Events, Namespaces, PersistentVolumeClaims, Pods, StatefulSets } from "@fleetwright/kube";
import type { Client, StatefulSet } from "@fleetwright/kube";
import { afterEach, describe, expect, it } from "vitest";
import { startSimulation } from "../../simulation/simulation.ts";
import type { Simulation } from "../../simulation/simulation.ts";

const namespace = "ml";
const labels = { app: "db" };
const claimTemplate = {
  metadata: { name: "data" },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
};

type Spec = NonNullable<StatefulSet["spec"]>;

const statefulSet = (spec: Partial<Spec>, annotations: Readonly<Record<string, string>> = {}): StatefulSet => ({
  metadata: { namespace, name: "db" },
  spec: {
    replicas: 3,
    serviceName: "db",
    selector: { matchLabels: labels },
    template: {
      metadata: { labels, annotations },
      spec: { containers: [{ name: "main", image: "registry.example/main:1" }] },
    },
    ...spec,
  },
});

const patchSet = (client: Client, spec: object) =>
  client.patch(StatefulSets, { namespace, name: "db" }, { type: "merge", patch: { spec } });
const podNames = async (client: Client): Promise<readonly string[]> =>
  (await client.list(Pods, { namespace })).items.map(({ metadata }) => metadata.name ?? "").toSorted();
const claimKey = (ordinal: number) => ({ namespace, name: `data-db-${ordinal}` });
const ownersOf = async (client: Client, ordinal: number): Promise<readonly string[]> => {
  const { metadata } = await client.get(PersistentVolumeClaims, claimKey(ordinal));
  return (metadata.ownerReferences ?? []).map(({ kind, name }) => `${kind}/${name}`);
};

describe("statefulSetController", () => {
  const running: Simulation[] = [];

  async function start(set: StatefulSet, settleMs = 20_000): Promise<Simulation> {
    const pools = [{ name: "node", count: 2, cpu: "64", memory: "256Gi", pods: "250" }];
    const simulation = await startSimulation({ seed: 1, pools });
    running.push(simulation);
    const { client, clock } = simulation;
    await client.create(Namespaces, { metadata: { name: namespace } });
    await clock.advance(5_000);
    await client.create(StatefulSets, set);
    await clock.advance(settleMs);
    return simulation;
  }

  afterEach(async () => {
    for (const simulation of running.splice(0)) await simulation.stop();
  });

  it("creates the pods of a parallel set at the same time, in growing batches", async () => {
    const simulation = await start(statefulSet({ replicas: 0, podManagementPolicy: "Parallel" }));
    const { client, clock } = simulation;
    simulation.setRates({ slow: 1, slowMs: 200 });
    await patchSet(client, { replicas: 100 });
    // One after the other they would take ten seconds at least.
    await clock.advance(4_000);
    expect(await podNames(client)).toHaveLength(100);
  });

  it("rolls a parallel set from the top although a pod below the partition is not ready", async () => {
    const readyAfter = "nodes.fleetwright.dev/ready-after";
    const { client, clock } = await start(
      statefulSet(
        { replicas: 1, podManagementPolicy: "Parallel", updateStrategy: { rollingUpdate: { partition: 1 } } },
        { [readyAfter]: "1h" },
      ),
    );
    const annotate = (annotations: object): object => ({ template: { metadata: { annotations } } });
    await patchSet(client, { replicas: 3, ...annotate({ [readyAfter]: null }) });
    await clock.advance(20_000);
    await patchSet(client, annotate({ version: "2" }));
    await clock.advance(60_000);
    const { items } = await client.list(Pods, { namespace });
    const versions = items.map(({ metadata }) => [metadata.name, metadata.annotations?.["version"]]);
    expect(Object.fromEntries(versions)).toEqual({ "db-0": undefined, "db-1": "2", "db-2": "2" });
  });

  it("gives claims the owner that the retention policy names, and follows its changes", async () => {
    const { client, clock } = await start(
      statefulSet({
        volumeClaimTemplates: [claimTemplate],
        persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Retain" },
      }),
    );
    expect(await ownersOf(client, 2)).toEqual([]);
    await patchSet(client, { persistentVolumeClaimRetentionPolicy: { whenDeleted: "Delete" } });
    await clock.advance(5_000);
    expect(await ownersOf(client, 2)).toEqual(["StatefulSet/db"]);
    const { items } = await client.list(Events, { namespace });
    expect(items.filter(({ reason }) => reason === "SuccessfulUpdate").map(({ message }) => message)).toContain(
      "Update Pod db-2 in StatefulSet db successful",
    );
    await patchSet(client, { persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain" } });
    await clock.advance(5_000);
    expect(await ownersOf(client, 2)).toEqual([]);
  });

  it("lets a claim go with its pod when the set shrinks, and makes no new pod on it before it is gone", async () => {
    const { client, clock } = await start(
      statefulSet({
        volumeClaimTemplates: [claimTemplate],
        persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Delete" },
      }),
    );
    // Some finalizer holds it, as long as a pod uses it.
    const hold = { type: "merge", patch: { metadata: { finalizers: ["test/hold"] } } } as const;
    await client.patch(PersistentVolumeClaims, claimKey(2), hold);
    await patchSet(client, { replicas: 2 });
    await clock.advance(60_000);
    expect(await podNames(client)).toEqual(["db-0", "db-1"]);
    expect((await client.get(PersistentVolumeClaims, claimKey(2))).metadata.deletionTimestamp).toBeDefined();
    expect(await ownersOf(client, 2)).toEqual(["Pod/db-2"]);
    const { uid } = (await client.get(PersistentVolumeClaims, claimKey(2))).metadata;

    await patchSet(client, { replicas: 3 });
    await clock.advance(10_000);
    expect(await podNames(client)).toEqual(["db-0", "db-1"]);
    await client.patch(PersistentVolumeClaims, claimKey(2), {
      type: "merge",
      patch: { metadata: { finalizers: null } },
    });
    await clock.advance(10_000);
    expect(await podNames(client)).toEqual(["db-0", "db-1", "db-2"]);
    expect((await client.get(PersistentVolumeClaims, claimKey(2))).metadata.uid).not.toBe(uid);
  });

  it("makes a deleted claim anew while its pod waits, and gives a pod its labels back", async () => {
    const huge = { requests: { cpu: "1k" } };
    const containers = [{ name: "main", image: "registry.example/main:1", resources: huge }];
    const { client, clock } = await start(
      statefulSet({
        volumeClaimTemplates: [claimTemplate],
        podManagementPolicy: "Parallel",
        template: { metadata: { labels }, spec: { containers } },
      }),
    );
    await client.patch(PersistentVolumeClaims, claimKey(1), {
      type: "merge",
      patch: { metadata: { finalizers: null } },
    });
    await client.delete(PersistentVolumeClaims, claimKey(1));
    const nameLabel = "statefulset.kubernetes.io/pod-name";
    const patch = { metadata: { labels: { [nameLabel]: null } } };
    await client.patch(Pods, { namespace, name: "db-1" }, { type: "merge", patch });
    await clock.advance(5_000);
    expect((await client.get(PersistentVolumeClaims, claimKey(1))).metadata.deletionTimestamp).toBeUndefined();
    expect((await client.get(Pods, { namespace, name: "db-1" })).metadata.labels).toMatchObject({
      [nameLabel]: "db-1",
    });
  });
});

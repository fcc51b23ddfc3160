import {
  ConfigMaps,
  Events,
  Namespaces,
  PersistentVolumeClaims,
  PersistentVolumes,
  Pods,
  StatefulSets,
  StorageClasses,
} from "@fleetwright/kube";
import type {
  PersistentVolume,
  PersistentVolumeClaim,
  PersistentVolumeClaimSpec,
  PersistentVolumeSpec,
  Pod,
  StatefulSet,
  StorageClass,
} from "@fleetwright/kube";
import { app, life, scenario, template } from "../scenario.ts";
import type { Named, Scenario, Steps } from "../scenario.ts";

type Step = (steps: Steps) => Promise<void>;

/** Volumes belong to no namespace: they have its UID in their names, and go with it. */
const uidOf = async ({ client, namespace }: Steps): Promise<string> =>
  (await client.get(Namespaces, { name: namespace })).metadata.uid ?? "";

/** One scenario's claims must not get another's volumes: by default its name is their class, of which there is no object. */
const classOf = ({ namespace }: Steps, spec: { readonly storageClassName?: string }): string =>
  spec.storageClassName ?? namespace;

interface VolumeOptions {
  readonly labels?: Readonly<Record<string, string>>;
  /** A claim of the namespace. */
  readonly claim?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

const volume =
  (name: string, storage: string, spec: PersistentVolumeSpec = {}, options: VolumeOptions = {}): Step =>
  async (steps) => {
    const uid = await uidOf(steps);
    const { namespace, client } = steps;
    const { labels = {}, claim, annotations } = options;
    const source = spec.local ?? spec.csi ?? spec.hostPath;
    const created: PersistentVolume = {
      metadata: {
        name: `${uid}-${name}`,
        labels: { scenario: namespace, ...labels },
        ...(annotations === undefined ? {} : { annotations }),
        ownerReferences: [{ apiVersion: "v1", kind: "Namespace", name: namespace, uid }],
      },
      spec: {
        accessModes: ["ReadWriteOnce"],
        capacity: { storage },
        ...(source === undefined ? { hostPath: { path: "/tmp/fleetwright/no-such-volume" } } : {}),
        ...(claim === undefined ? {} : { claimRef: { namespace, name: claim } }),
        ...spec,
        storageClassName: classOf(steps, spec),
      },
    };
    await client.create(PersistentVolumes, created);
  };

const claim =
  (name: string, storage: string, spec: PersistentVolumeClaimSpec = {}): Step =>
  async (steps) => {
    const volumeName = spec.volumeName === undefined ? {} : { volumeName: `${await uidOf(steps)}-${spec.volumeName}` };
    const created: Named<PersistentVolumeClaim> = {
      metadata: { name },
      spec: {
        accessModes: ["ReadWriteOnce"],
        resources: { requests: { storage } },
        ...spec,
        storageClassName: classOf(steps, spec),
        ...volumeName,
      },
    };
    await steps.create(PersistentVolumeClaims, created);
  };

/** A pod on a node, whatever the scheduler thinks of its claims; without one: it waits. */
const user =
  (name: string, claimName: string, options: { readonly annotations?: Pod["metadata"]["annotations"] } = {}): Step =>
  (steps) =>
    steps.create(Pods, {
      metadata: { name, ...options },
      spec: {
        nodeName: "node-0",
        containers: [{ name: "main", image: "registry.example/main:1" }],
        volumes: [{ name: "data", persistentVolumeClaim: { claimName } }],
      },
    });

const dropped =
  (name: string): Step =>
  (steps) =>
    steps.remove(PersistentVolumeClaims, name);
const podDropped =
  (name: string): Step =>
  (steps) =>
    steps.remove(Pods, name);
const volumeDropped =
  (name: string): Step =>
  async (steps) => {
    await steps.client.delete(PersistentVolumes, { name: `${await uidOf(steps)}-${name}` });
  };
const volumePatched =
  (name: string, patch: unknown): Step =>
  async (steps) => {
    const key = { name: `${await uidOf(steps)}-${name}` };
    await steps.client.patch(PersistentVolumes, key, { type: "merge", patch });
  };
const together =
  (...parts: readonly Step[]): Step =>
  async (steps) => {
    for (const part of parts) await part(steps);
  };
/** Claims are looked at again every fifteen seconds. */
const resynced: Step = (steps) => steps.pass(16_000);

/** Writes down the volumes and what was said of them, which are in no namespace. */
const look: Step = async (steps) => {
  const { client, namespace } = steps;
  const [volumes, events] = await Promise.all([
    client.list(PersistentVolumes, { labelSelector: `scenario=${namespace}` }),
    client.list(Events, { namespace: "default", fieldSelector: "involvedObject.kind=PersistentVolume" }),
  ]);
  const uid = await uidOf(steps);
  const data = volumes.items.map(({ metadata, spec, status }) => {
    const { name = "", annotations, finalizers, deletionTimestamp } = metadata;
    const said = events.items
      .filter(({ involvedObject }) => involvedObject.name === name)
      .map(({ type, reason, message }) => `${type} ${reason}: ${message}`);
    const { claimRef } = spec ?? {};
    const { lastPhaseTransitionTime, ...rest } = status ?? {};
    const claimed = claimRef && {
      ...claimRef,
      resourceVersion: claimRef.resourceVersion !== undefined,
      uid: claimRef.uid !== undefined,
    };
    const state = {
      status: { ...rest, since: lastPhaseTransitionTime !== undefined },
      annotations,
      finalizers,
      going: deletionTimestamp !== undefined,
      claimRef: claimed,
      events: [...new Set(said)].toSorted(),
    };
    return [name.slice(uid.length + 1), JSON.stringify(state)] as const;
  });
  const seen = (await steps.names(ConfigMaps)).filter((name) => name.startsWith("seen-")).length;
  await steps.create(ConfigMaps, { metadata: { name: `seen-${seen + 1}` }, data: Object.fromEntries(data) });
};

/** Each step followed by a look at the volumes. */
const watched = (name: string, ...steps: readonly Step[]): Scenario =>
  scenario(name, ...steps.flatMap((step) => [step, look]));

type Retention = NonNullable<NonNullable<StatefulSet["spec"]>["persistentVolumeClaimRetentionPolicy"]>;

const set =
  (persistentVolumeClaimRetentionPolicy: Retention, replicas = 3): Step =>
  (steps) =>
    steps.create(StatefulSets, {
      metadata: { name: "db" },
      spec: {
        replicas,
        serviceName: "db",
        selector: { matchLabels: app("db") },
        template: template("db", { spec: { nodeName: "node-0" } }),
        persistentVolumeClaimRetentionPolicy,
        volumeClaimTemplates: [
          {
            metadata: { name: "data" },
            spec: {
              accessModes: ["ReadWriteOnce"],
              resources: { requests: { storage: "1Gi" } },
              storageClassName: steps.namespace,
            },
          },
        ],
      },
    });
const scaled =
  (replicas: number): Step =>
  (steps) =>
    steps.patch(StatefulSets, "db", { spec: { replicas } });
const setDropped: Step = (steps) => steps.remove(StatefulSets, "db");

/** A class of the scenario's name. */
const storageClass =
  (spec: Pick<StorageClass, "provisioner" | "volumeBindingMode">): Step =>
  async (steps) => {
    const { client, namespace } = steps;
    const uid = await uidOf(steps);
    const ownerReferences = [{ apiVersion: "v1", kind: "Namespace", name: namespace, uid }];
    // The last round's goes some time after its namespace.
    await client.delete(StorageClasses, { name: namespace }).catch(() => {});
    await client.create(StorageClasses, { metadata: { name: namespace, ownerReferences }, ...spec });
  };

const onNode: PersistentVolumeSpec = {
  local: { path: "/mnt/disk" },
  nodeAffinity: {
    required: {
      nodeSelectorTerms: [
        { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: ["node-0"] }] },
      ],
    },
  },
};
const deleting: PersistentVolumeSpec = { persistentVolumeReclaimPolicy: "Delete" };
const byDriver: PersistentVolumeSpec = { csi: { driver: "disk.example", volumeHandle: "1" }, ...deleting };

export const volumeScenarios: readonly Scenario[] = [
  scenario("claim-deleted-unused", claim("data", "1Gi"), dropped("data")),
  scenario(
    "claim-deleted-in-use",
    together(claim("data", "1Gi"), user("user", "data")),
    dropped("data"),
    podDropped("user"),
  ),
  scenario(
    "claim-deleted-used-twice",
    together(claim("data", "1Gi"), user("one", "data"), user("two", "data")),
    dropped("data"),
    podDropped("one"),
    podDropped("two"),
  ),
  // A finished pod counts until it is gone.
  scenario(
    "claim-deleted-pod-finished",
    together(claim("data", "1Gi"), (steps) =>
      steps.create(Pods, {
        metadata: { name: "user", annotations: life.runFor("1s") },
        spec: {
          nodeName: "node-0",
          restartPolicy: "Never",
          containers: [{ name: "main", image: "registry.example/main:1" }],
          volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }],
        },
      }),
    ),
    dropped("data"),
    podDropped("user"),
  ),
  scenario(
    "claim-finalizer-removed",
    claim("data", "1Gi"),
    (steps) => steps.patch(PersistentVolumeClaims, "data", { metadata: { finalizers: null } }),
    dropped("data"),
  ),
  scenario(
    "claim-namespace-deleted",
    together(claim("data", "1Gi"), claim("spare", "1Gi"), user("user", "data")),
    async ({ client, namespace }) => {
      await client.delete(Namespaces, { name: namespace });
    },
    (steps) => steps.pass(30_000),
    // It is gone; the next one of its name begins empty.
    async ({ client, namespace }) => {
      await client.create(Namespaces, { metadata: { name: namespace } });
    },
  ),
  scenario("claim-sts-scaled", set({ whenDeleted: "Retain", whenScaled: "Delete" }), scaled(1), scaled(3)),
  scenario(
    "claim-sts-grows-at-once",
    set({ whenDeleted: "Retain", whenScaled: "Delete" }),
    together(scaled(1), (steps) => steps.pass(400), scaled(3)),
    (steps) => steps.pass(12_000),
  ),
  scenario("claim-sts-deleted", set({ whenDeleted: "Delete", whenScaled: "Retain" }, 2), setDropped),
  scenario("claim-sts-both", set({ whenDeleted: "Delete", whenScaled: "Delete" }), scaled(1), setDropped),
  scenario("claim-sts-retained", set({ whenDeleted: "Retain", whenScaled: "Retain" }, 2), scaled(1), setDropped),

  watched("volume-alone", volume("one", "1Gi"), volumeDropped("one")),
  watched("volume-bound", volume("one", "2Gi"), claim("data", "1Gi")),
  watched("volume-after-claim", claim("data", "1Gi"), volume("one", "2Gi"), resynced),
  watched(
    "volume-smallest",
    together(volume("large", "5Gi"), volume("medium", "2Gi"), volume("small", "500Mi")),
    claim("data", "1Gi"),
    claim("more", "1Gi"),
    claim("none", "1Gi"),
  ),
  // More modes than asked for are taken when nothing nearer is there, whatever its size.
  watched(
    "volume-access-modes",
    together(
      volume("many", "1Gi", { accessModes: ["ReadWriteOnce", "ReadWriteMany"] }),
      volume("once", "5Gi"),
      volume("read", "1Gi", { accessModes: ["ReadOnlyMany"] }),
    ),
    claim("data", "1Gi"),
    claim("shared", "1Gi", { accessModes: ["ReadWriteMany"] }),
    claim("other", "1Gi"),
  ),
  watched(
    "volume-class",
    together(volume("gold", "1Gi", { storageClassName: "volume-class-gold" }), volume("plain", "5Gi")),
    claim("data", "1Gi"),
    claim("best", "1Gi", { storageClassName: "volume-class-gold" }),
  ),
  watched(
    "volume-mode",
    together(volume("raw", "1Gi", { volumeMode: "Block" }), volume("files", "5Gi")),
    claim("data", "1Gi"),
    claim("disk", "1Gi", { volumeMode: "Block" }),
  ),
  watched(
    "volume-selector",
    together(
      volume("slow", "1Gi", {}, { labels: { speed: "slow" } }),
      volume("fast", "5Gi", {}, { labels: { speed: "fast" } }),
    ),
    claim("data", "1Gi", { selector: { matchLabels: { speed: "fast" } } }),
    claim("none", "1Gi", { selector: { matchLabels: { speed: "faster" } } }),
  ),
  watched(
    "volume-named",
    together(volume("small", "1Gi"), volume("large", "5Gi")),
    claim("data", "1Gi", { volumeName: "large" }),
  ),
  watched(
    "volume-named-missing",
    claim("data", "1Gi", { volumeName: "later" }),
    together(volume("later", "1Gi"), resynced),
  ),
  watched("volume-named-too-small", volume("small", "1Gi"), claim("data", "2Gi", { volumeName: "small" })),
  watched(
    "volume-named-taken",
    together(volume("one", "1Gi"), claim("data", "1Gi")),
    claim("late", "1Gi", { volumeName: "one" }),
  ),
  watched(
    "volume-named-mismatches",
    together(
      volume("raw", "1Gi", { volumeMode: "Block" }),
      volume("read", "1Gi", { accessModes: ["ReadOnlyMany"] }),
      volume("gold", "1Gi", { storageClassName: "volume-named-gold" }),
    ),
    claim("mode", "1Gi", { volumeName: "raw" }),
    claim("access", "1Gi", { volumeName: "read" }),
    claim("class", "1Gi", { volumeName: "gold" }),
  ),
  watched(
    "volume-reserved",
    together(volume("kept", "1Gi", {}, { claim: "chosen" }), volume("large", "5Gi")),
    claim("data", "1Gi"),
    claim("chosen", "1Gi"),
  ),
  watched("volume-reserved-large", volume("kept", "5Gi", {}, { claim: "chosen" }), claim("chosen", "1Gi")),
  watched(
    "volume-reserved-mode-differs",
    volume("raw", "1Gi", { volumeMode: "Block" }, { claim: "chosen" }),
    claim("chosen", "1Gi"),
  ),
  watched(
    "volume-released",
    together(volume("one", "1Gi"), claim("data", "1Gi")),
    dropped("data"),
    // A claim of the same name is another one.
    claim("data", "1Gi"),
    together(volumePatched("one", { spec: { claimRef: null } }), resynced),
  ),
  watched(
    "volume-deleter-none",
    together(volume("one", "1Gi", { ...onNode, ...deleting }), claim("data", "1Gi")),
    dropped("data"),
  ),
  watched(
    "volume-deleter-refuses",
    together(volume("one", "1Gi", { hostPath: { path: "/srv/disk" }, ...deleting }), claim("data", "1Gi")),
    dropped("data"),
  ),
  watched("volume-deleter-external", together(volume("one", "1Gi", byDriver), claim("data", "1Gi")), dropped("data")),
  watched("volume-deleter", together(volume("one", "1Gi", deleting), claim("data", "1Gi")), dropped("data")),
  watched(
    "volume-deleted-bound",
    together(volume("one", "1Gi"), claim("data", "1Gi")),
    volumeDropped("one"),
    dropped("data"),
  ),
  // Without its finalizer the volume goes at once.
  watched(
    "volume-lost",
    together(volume("one", "1Gi"), claim("data", "1Gi")),
    together(volumeDropped("one"), volumePatched("one", { metadata: { finalizers: null } })),
    dropped("data"),
  ),
  watched("volume-finalizer-removed", volume("one", "1Gi"), volumePatched("one", { metadata: { finalizers: null } })),
  watched(
    "volume-unbound-by-hand",
    together(volume("one", "1Gi"), claim("data", "1Gi")),
    together(volumePatched("one", { spec: { claimRef: null } }), resynced),
  ),
  watched(
    "volume-in-use",
    together(volume("one", "1Gi"), claim("data", "1Gi"), user("user", "data")),
    dropped("data"),
    podDropped("user"),
  ),
  scenario("volume-none", claim("data", "1Gi", { storageClassName: "" })),
  scenario("volume-class-unknown", claim("data", "1Gi")),
  scenario(
    "volume-class-waits",
    together(
      storageClass({ provisioner: "disk.example", volumeBindingMode: "WaitForFirstConsumer" }),
      (steps) => steps.pass(500),
      claim("data", "1Gi"),
    ),
    (steps) => steps.pass(16_000),
  ),
  watched(
    "volume-class-waits-with-volumes",
    together(
      storageClass({ provisioner: "kubernetes.io/no-provisioner", volumeBindingMode: "WaitForFirstConsumer" }),
      (steps) => steps.pass(500),
      volume("one", "1Gi"),
    ),
    claim("data", "1Gi"),
    claim("chosen", "1Gi", { volumeName: "one" }),
  ),
  scenario(
    "volume-class-external",
    together(storageClass({ provisioner: "disk.example" }), (steps) => steps.pass(500), claim("data", "1Gi")),
  ),
  scenario(
    "volume-class-selected-node",
    together(
      storageClass({ provisioner: "disk.example", volumeBindingMode: "WaitForFirstConsumer" }),
      (steps) => steps.pass(500),
      claim("data", "1Gi"),
    ),
    (steps) =>
      steps.patch(PersistentVolumeClaims, "data", {
        metadata: { annotations: { "volume.kubernetes.io/selected-node": "node-0" } },
      }),
  ),
  scenario(
    "volume-class-no-provisioner",
    together(
      storageClass({ provisioner: "kubernetes.io/no-provisioner" }),
      (steps) => steps.pass(500),
      claim("data", "1Gi"),
    ),
  ),
  scenario(
    "volume-class-host-path",
    together(
      storageClass({ provisioner: "kubernetes.io/host-path" }),
      (steps) => steps.pass(500),
      claim("data", "1Gi"),
    ),
  ),
];

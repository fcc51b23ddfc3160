import type {
  CSIDriver,
  CSINode,
  PersistentVolume,
  PersistentVolumeClaim,
  ResourceClaim,
  ResourceSlice,
  StorageClass,
  VolumeAttachment,
  VolumeAttributesClass,
} from "@fleetwright/kube";
import type { TableColumn } from "../machinery/kind.ts";
import { quantityText } from "./cells.ts";
import { ageColumn, boolean, formatted, integer, nameColumn, text, wide } from "./column.ts";

const accessModes = [
  ["ReadWriteOnce", "RWO"],
  ["ReadOnlyMany", "ROX"],
  ["ReadWriteMany", "RWX"],
  ["ReadWriteOncePod", "RWOP"],
] as const;

const modesText = (modes: readonly string[] | undefined): string =>
  accessModes.flatMap(([mode, short]) => (modes?.includes(mode) === true ? [short] : [])).join(",");

const classOf = ({ metadata, spec }: PersistentVolume | PersistentVolumeClaim): string =>
  metadata.annotations?.["volume.beta.kubernetes.io/storage-class"] ?? spec?.storageClassName ?? "";

const phaseOf = ({ metadata, status }: PersistentVolume | PersistentVolumeClaim): string =>
  metadata.deletionTimestamp === undefined ? (status?.phase ?? "") : "Terminating";

const defaultClass = [
  "storageclass.kubernetes.io/is-default-class",
  "storageclass.beta.kubernetes.io/is-default-class",
];

function claimState({ metadata, status }: ResourceClaim): string {
  const states = metadata.deletionTimestamp === undefined ? [] : ["deleted"];
  if (status?.allocation === undefined) {
    if (states.length === 0) states.push("pending");
  } else {
    states.push("allocated");
    if ((status.reservedFor ?? []).length > 0) states.push("reserved");
  }
  return states.join(",");
}

/** Volumes, their classes and drivers; devices. */
export const storageColumns: Readonly<Record<string, readonly TableColumn[]>> = {
  "/PersistentVolume": [
    nameColumn,
    text<PersistentVolume>("Capacity", "How much it holds.", ({ spec }) => quantityText(spec?.capacity?.["storage"])),
    text<PersistentVolume>("Access Modes", "How it can be mounted.", ({ spec }) => modesText(spec?.accessModes)),
    text<PersistentVolume>(
      "Reclaim Policy",
      "What becomes of it without its claim.",
      ({ spec }) => spec?.persistentVolumeReclaimPolicy ?? "",
    ),
    text<PersistentVolume>("Status", "Whether it is bound.", phaseOf),
    text<PersistentVolume>("Claim", "Claim that it is bound to.", ({ spec }) =>
      spec?.claimRef === undefined ? "" : `${spec.claimRef.namespace ?? ""}/${spec.claimRef.name ?? ""}`,
    ),
    text<PersistentVolume>("StorageClass", "Storage class.", classOf),
    text<PersistentVolume>(
      "VolumeAttributesClass",
      "Class of its attributes.",
      ({ spec }) => spec?.volumeAttributesClassName ?? "<unset>",
    ),
    text<PersistentVolume>("Reason", "Why it failed.", ({ status }) => status?.reason ?? ""),
    ageColumn,
    wide<PersistentVolume>("VolumeMode", "File system or block device.", ({ spec }) => spec?.volumeMode ?? "<unset>"),
  ],
  "/PersistentVolumeClaim": [
    nameColumn,
    text<PersistentVolumeClaim>("Status", "Whether it is bound.", phaseOf),
    text<PersistentVolumeClaim>("Volume", "Volume that it is bound to.", ({ spec }) => spec?.volumeName ?? ""),
    text<PersistentVolumeClaim>("Capacity", "How much the volume holds.", ({ spec, status }) =>
      spec?.volumeName ? quantityText(status?.capacity?.["storage"]) : "",
    ),
    text<PersistentVolumeClaim>("Access Modes", "How the volume can be mounted.", ({ spec, status }) =>
      spec?.volumeName ? modesText(status?.accessModes) : "",
    ),
    text<PersistentVolumeClaim>("StorageClass", "Storage class.", classOf),
    text<PersistentVolumeClaim>(
      "VolumeAttributesClass",
      "Class of its attributes.",
      ({ spec }) => spec?.volumeAttributesClassName ?? "<unset>",
    ),
    ageColumn,
    wide<PersistentVolumeClaim>(
      "VolumeMode",
      "File system or block device.",
      ({ spec }) => spec?.volumeMode ?? "<unset>",
    ),
  ],
  "storage.k8s.io/StorageClass": [
    formatted<StorageClass>("Name", "Name of the object.", ({ metadata }) =>
      defaultClass.some((annotation) => metadata.annotations?.[annotation] === "true")
        ? `${metadata.name} (default)`
        : (metadata.name ?? ""),
    ),
    text<StorageClass>("Provisioner", "Who makes the volumes.", ({ provisioner }) => provisioner),
    text<StorageClass>(
      "ReclaimPolicy",
      "What becomes of volumes without claim.",
      ({ reclaimPolicy }) => reclaimPolicy ?? "Delete",
    ),
    text<StorageClass>(
      "VolumeBindingMode",
      "When volumes are bound.",
      ({ volumeBindingMode }) => volumeBindingMode ?? "Immediate",
    ),
    text<StorageClass>(
      "AllowVolumeExpansion",
      "Whether volumes can grow.",
      ({ allowVolumeExpansion }) => allowVolumeExpansion ?? false,
    ),
    ageColumn,
  ],
  "storage.k8s.io/VolumeAttributesClass": [
    nameColumn,
    text<VolumeAttributesClass>("DriverName", "Driver that knows the attributes.", ({ driverName }) => driverName),
    ageColumn,
  ],
  "storage.k8s.io/VolumeAttachment": [
    nameColumn,
    formatted<VolumeAttachment>("Attacher", "Driver that attaches.", ({ spec }) => spec.attacher),
    text<VolumeAttachment>("PV", "Volume.", ({ spec }) => spec.source.persistentVolumeName ?? ""),
    text<VolumeAttachment>("Node", "Node.", ({ spec }) => spec.nodeName),
    boolean<VolumeAttachment>("Attached", "Whether it is attached.", ({ status }) => status?.attached ?? false),
    ageColumn,
  ],
  "storage.k8s.io/CSINode": [
    nameColumn,
    integer<CSINode>(
      "Drivers",
      "How many drivers the node has.",
      ({ spec }) => (spec.drivers as typeof spec.drivers | null)?.length ?? 0,
    ),
    ageColumn,
  ],
  "storage.k8s.io/CSIDriver": [
    nameColumn,
    boolean<CSIDriver>(
      "AttachRequired",
      "Whether volumes must be attached.",
      ({ spec }) => spec.attachRequired ?? true,
    ),
    boolean<CSIDriver>(
      "PodInfoOnMount",
      "Whether it is told about the pod.",
      ({ spec }) => spec.podInfoOnMount ?? false,
    ),
    boolean<CSIDriver>(
      "StorageCapacity",
      "Whether it reports capacities.",
      ({ spec }) => spec.storageCapacity ?? false,
    ),
    text<CSIDriver>(
      "TokenRequests",
      "Audiences of the tokens that it gets.",
      ({ spec }) => spec.tokenRequests?.map(({ audience }) => audience).join(",") ?? "<unset>",
    ),
    boolean<CSIDriver>(
      "RequiresRepublish",
      "Whether volumes are published again and again.",
      ({ spec }) => spec.requiresRepublish ?? false,
    ),
    text<CSIDriver>(
      "Modes",
      "Life cycles of its volumes.",
      ({ spec }) => (spec.volumeLifecycleModes ?? []).join(",") || "<none>",
    ),
    ageColumn,
  ],
  "resource.k8s.io/DeviceClass": [nameColumn, ageColumn],
  "resource.k8s.io/ResourceClaimTemplate": [nameColumn, ageColumn],
  "resource.k8s.io/ResourceClaim": [
    nameColumn,
    text<ResourceClaim>("State", "What became of the claim.", claimState),
    ageColumn,
  ],
  "resource.k8s.io/ResourceSlice": [
    nameColumn,
    text<ResourceSlice>("Node", "Node that has the devices.", ({ spec }) => spec.nodeName ?? ""),
    text<ResourceSlice>("Driver", "Driver of the devices.", ({ spec }) => spec.driver),
    text<ResourceSlice>("Pool", "Pool that the slice is a part of.", ({ spec }) => spec.pool.name),
    ageColumn,
  ],
};

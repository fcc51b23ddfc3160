import {
  labelKeyProblems,
  jsonEqual,
  labelValueProblems,
  type Json,
  type NodeSelector,
  type NodeSelectorRequirement,
  type PersistentVolume,
  type PersistentVolumeSpec,
  type SecretReference,
} from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { dns1123LabelProblems, dns1123SubdomainProblems } from "./name-checks.ts";
import { roundAmounts } from "./resource-names.ts";
import { driverNameErrors } from "./storage.ts";
import { immutableErrors, invalidFor, quantityOf, textOf } from "./value-checks.ts";

const accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const hostPathTypes = [
  "",
  "BlockDevice",
  "CharDevice",
  "Directory",
  "DirectoryOrCreate",
  "File",
  "FileOrCreate",
  "Socket",
];
/** In the order in which upstream looks for a second one, with the names that it gives them then. */
const sources = {
  hostPath: "hostPath",
  gcePersistentDisk: "gcePersistentDisk",
  awsElasticBlockStore: "awsElasticBlockStore",
  glusterfs: "glusterfs",
  flocker: "flocker",
  nfs: "nfs",
  rbd: "rbd",
  quobyte: "quobyte",
  cephfs: "cephFS",
  iscsi: "iscsi",
  cinder: "cinder",
  fc: "fc",
  flexVolume: "flexVolume",
  azureFile: "azureFile",
  vsphereVolume: "vsphereVolume",
  photonPersistentDisk: "photonPersistentDisk",
  portworxVolume: "portworxVolume",
  azureDisk: "azureDisk",
  scaleIO: "scaleIO",
  local: "local",
  storageos: "storageos",
  csi: "csi",
} as const;
type Source = keyof typeof sources;
const sourceNames = Object.keys(sources) as Source[];
const mountable: ReadonlySet<Source> = new Set([
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "glusterfs",
  "nfs",
  "rbd",
  "quobyte",
  "iscsi",
  "cinder",
  "cephfs",
  "azureFile",
  "vsphereVolume",
  "azureDisk",
  "photonPersistentDisk",
] as const);
const mountOptions = "volume.beta.kubernetes.io/mount-options";

/** Of volumes and of claims. */
export function accessModeErrors(modes: readonly string[], field: string): FieldError[] {
  const errors = modes
    .filter((mode) => !accessModes.includes(mode))
    .map((mode) => fieldErrors.notSupported(field, mode, accessModes));
  const others = modes.some((mode) => mode !== "ReadWriteOncePod" && accessModes.includes(mode));
  if (modes.includes("ReadWriteOncePod") && others) {
    errors.push(fieldErrors.forbidden(field, "may not use ReadWriteOncePod with other access modes"));
  }
  return errors;
}

/** `ValidatePositiveQuantityValue`. */
export const positiveErrors = (field: string, text: string): FieldError[] =>
  quantityOf(text).sign <= 0
    ? [fieldErrors.invalid(field, quantityOf(text).toString(), "must be greater than zero")]
    : [];

function requirementErrors(requirement: NodeSelectorRequirement, field: string): FieldError[] {
  const { operator, values = [] } = requirement;
  const key = textOf(requirement.key);
  const errors: FieldError[] = [];
  if (operator === "In" || operator === "NotIn") {
    if (values.length === 0) {
      errors.push(fieldErrors.required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    }
  } else if (operator === "Exists" || operator === "DoesNotExist") {
    if (values.length > 0) {
      errors.push(
        fieldErrors.forbidden(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
      );
    }
  } else if (operator === "Gt" || operator === "Lt") {
    if (values.length !== 1) {
      errors.push(
        fieldErrors.required(`${field}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"),
      );
    }
  } else errors.push(fieldErrors.invalid(`${field}.operator`, textOf(operator), "not a valid selector operator"));
  errors.push(...invalidFor(`${field}.key`, key, labelKeyProblems(key)));
  for (const [index, value] of values.entries()) {
    errors.push(...invalidFor(`${field}.values[${index}]`, value, labelValueProblems(value)));
  }
  return errors;
}

function fieldRequirementErrors(requirement: NodeSelectorRequirement, field: string): FieldError[] {
  const { operator, key, values = [] } = requirement;
  const errors: FieldError[] = [];
  if (operator !== "In" && operator !== "NotIn") {
    errors.push(fieldErrors.invalid(`${field}.operator`, textOf(operator), "not a valid selector operator"));
  } else if (values.length !== 1) {
    errors.push(
      fieldErrors.required(
        `${field}.values`,
        "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
      ),
    );
  }
  if (key !== "metadata.name") {
    errors.push(fieldErrors.invalid(`${field}.key`, textOf(key), "not a valid field selector key"));
    return errors;
  }
  for (const [index, value] of values.entries()) {
    errors.push(...invalidFor(`${field}.values[${index}]`, value, dns1123SubdomainProblems(value)));
  }
  return errors;
}

/** `ValidateNodeSelector`. */
export function nodeSelectorErrors(selector: NodeSelector, field: string): FieldError[] {
  const terms = selector.nodeSelectorTerms ?? [];
  const at = `${field}.nodeSelectorTerms`;
  if (terms.length === 0) return [fieldErrors.required(at, "must have at least one node selector term")];
  return terms.flatMap(({ matchExpressions = [], matchFields = [] }, index) => [
    ...matchExpressions.flatMap((requirement, part) =>
      requirementErrors(requirement, `${at}[${index}].matchExpressions[${part}]`),
    ),
    ...matchFields.flatMap((requirement, part) =>
      fieldRequirementErrors(requirement, `${at}[${index}].matchFields[${part}]`),
    ),
  ]);
}

const backstepErrors = (field: string, path: string): FieldError[] =>
  path.split("/").includes("..") ? [fieldErrors.invalid(field, path, "must not contain '..'")] : [];

function secretErrors(secret: SecretReference, field: string): FieldError[] {
  const { name = "", namespace = "" } = secret;
  return [
    ...(name === ""
      ? [fieldErrors.required(`${field}.name`)]
      : invalidFor(`${field}.name`, name, dns1123SubdomainProblems(name))),
    ...(namespace === ""
      ? [fieldErrors.required(`${field}.namespace`)]
      : invalidFor(`${field}.namespace`, namespace, dns1123LabelProblems(namespace))),
  ];
}

/** The kinds of volumes that clusters still use; the others' structure is all that is checked. */
function sourceErrors(spec: PersistentVolumeSpec, source: Source): FieldError[] {
  const field = `spec.${source}`;
  const errors: FieldError[] = [];
  switch (source) {
    case "hostPath": {
      const path = textOf(spec.hostPath?.path);
      const type = spec.hostPath?.type;
      if (path === "") return [fieldErrors.required(`${field}.path`)];
      errors.push(...backstepErrors(`${field}.path`, path));
      if (type !== undefined && !hostPathTypes.includes(type)) {
        errors.push(fieldErrors.notSupported(`${field}.type`, type, hostPathTypes));
      }
      return errors;
    }
    case "local": {
      const path = textOf(spec.local?.path);
      errors.push(...(path === "" ? [fieldErrors.required(`${field}.path`)] : backstepErrors(`${field}.path`, path)));
      if (spec.nodeAffinity === undefined) {
        errors.push(fieldErrors.required("spec.nodeAffinity", "Local volume requires node affinity"));
      }
      return errors;
    }
    case "nfs": {
      const path = textOf(spec.nfs?.path);
      if (textOf(spec.nfs?.server) === "") errors.push(fieldErrors.required(`${field}.server`));
      if (path === "") errors.push(fieldErrors.required(`${field}.path`));
      if (!path.startsWith("/")) errors.push(fieldErrors.invalid(`${field}.path`, path, "must be an absolute path"));
      return errors;
    }
    case "csi":
      errors.push(...driverNameErrors(`${field}.driver`, textOf(spec.csi?.driver)));
      if (textOf(spec.csi?.volumeHandle) === "") errors.push(fieldErrors.required(`${field}.volumeHandle`));
      for (const part of [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
      ] as const) {
        const secret = spec.csi?.[part];
        if (secret) errors.push(...secretErrors(secret, `${field}.${part}`));
      }
      return errors;
    case "fc": {
      const { targetWWNs = [], wwids = [], lun } = spec.fc ?? {};
      if (targetWWNs.length === 0 && wwids.length === 0) {
        errors.push(
          fieldErrors.required(`${field}.targetWWNs`, "must specify either targetWWNs or wwids, but not both"),
        );
      }
      if (targetWWNs.length > 0 && wwids.length > 0) {
        const rule = "targetWWNs and wwids can not be specified simultaneously";
        errors.push(fieldErrors.invalid(`${field}.targetWWNs`, targetWWNs, rule));
      }
      if (targetWWNs.length > 0 && lun === undefined) {
        errors.push(fieldErrors.required(`${field}.lun`, "lun is required if targetWWNs is specified"));
      } else if (targetWWNs.length > 0 && lun !== undefined && (lun < 0 || lun > 255)) {
        errors.push(fieldErrors.invalid(`${field}.lun`, lun, "must be between 0 and 255, inclusive"));
      }
      return errors;
    }
    default:
      return errors;
  }
}

function capacityErrors(capacity: Readonly<Record<string, string>>): FieldError[] {
  const field = "spec.capacity";
  const names = Object.keys(capacity).toSorted();
  const sorted = Object.fromEntries(names.map((name) => [name, capacity[name]]));
  const errors: FieldError[] = [];
  if (names.length === 0) errors.push(fieldErrors.required(field));
  if (!names.includes("storage") || names.length > 1) {
    errors.push(fieldErrors.notSupported(field, names.length === 0 ? null : sorted, ["storage"]));
  }
  for (const [name, amount] of Object.entries(capacity)) {
    const at = `${field}[${name}]`;
    const value = quantityOf(amount).value();
    if (value < 0n) errors.push(fieldErrors.invalid(at, Number(value), "must be a valid resource quantity"));
    errors.push(...positiveErrors(at, amount));
  }
  return errors;
}

/** `ValidatePersistentVolume` without metadata. */
function volumeErrors(volume: PersistentVolume): FieldError[] {
  const spec = volume.spec ?? {};
  const errors: FieldError[] = [];
  if ((spec.accessModes ?? []).length === 0) errors.push(fieldErrors.required("spec.accessModes"));
  errors.push(...accessModeErrors(spec.accessModes ?? [], "spec.accessModes"), ...capacityErrors(spec.capacity ?? {}));
  const policies = ["Delete", "Recycle", "Retain"];
  const policy = spec.persistentVolumeReclaimPolicy ?? "";
  if (policy !== "" && !policies.includes(policy)) {
    errors.push(fieldErrors.notSupported("spec.persistentVolumeReclaimPolicy", policy, policies));
  }
  if (spec.nodeAffinity) {
    const field = "spec.nodeAffinity.required";
    const { required } = spec.nodeAffinity;
    if (required) errors.push(...nodeSelectorErrors(required, field));
    else errors.push(fieldErrors.required(field, "must specify required node constraints"));
  }
  const used = sourceNames.filter((name) => spec[name] !== undefined);
  for (const [index, name] of used.entries()) {
    if (index === 0 || name === "flexVolume") errors.push(...sourceErrors(spec, name));
    else errors.push(fieldErrors.forbidden(`spec.${sources[name]}`, "may not specify more than 1 volume type"));
  }
  if (used.length === 0) errors.push(fieldErrors.required("spec", "must specify a volume type"));
  if (policy === "Recycle" && /^\/+(\.\/*)*$/.test(textOf(spec.hostPath?.path))) {
    errors.push(
      fieldErrors.forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'"),
    );
  }
  const storageClass = spec.storageClassName ?? "";
  if (storageClass !== "") {
    errors.push(...invalidFor("spec.storageClassName", storageClass, dns1123SubdomainProblems(storageClass)));
  }
  if (spec.volumeMode !== undefined && spec.volumeMode !== "Block" && spec.volumeMode !== "Filesystem") {
    errors.push(fieldErrors.notSupported("spec.volumeMode", spec.volumeMode, ["Block", "Filesystem"]));
  }
  const attributes = spec.volumeAttributesClassName;
  if (attributes !== undefined) {
    const field = "spec.volumeAttributesClassName";
    if (attributes === "") errors.push(fieldErrors.required(field, "an empty string is disallowed"));
    else errors.push(...invalidFor(field, attributes, dns1123SubdomainProblems(attributes)));
    if (spec.csi === undefined) {
      errors.push(fieldErrors.required("spec.csi", "has to be specified when using volumeAttributesClassName"));
    }
  }
  if (volume.metadata.annotations?.[mountOptions] !== undefined && !used.some((name) => mountable.has(name))) {
    errors.push(
      fieldErrors.forbidden(
        `metadata.annotations.${mountOptions}`,
        "may not specify mount options for this volume type",
      ),
    );
  }
  return errors;
}

function volumeUpdateErrors(volume: PersistentVolume, old: PersistentVolume): FieldError[] {
  const errors = volumeErrors(volume);
  const source = ({ spec = {} }: PersistentVolume): Json =>
    Object.fromEntries(sourceNames.map((name) => [name, (spec[name] ?? null) as unknown as Json]));
  if (!jsonEqual(source(volume), source(old))) {
    errors.push(
      fieldErrors.forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"),
    );
  }
  errors.push(...immutableErrors("volumeMode", volume.spec?.volumeMode ?? null, old.spec?.volumeMode ?? null));
  const affinity = old.spec?.nodeAffinity;
  if (affinity && !jsonEqual(affinity as unknown as Json, (volume.spec?.nodeAffinity ?? null) as unknown as Json)) {
    errors.push(fieldErrors.invalid("nodeAffinity", volume.spec?.nodeAffinity ?? null, "field is immutable"));
  }
  if (old.spec?.volumeAttributesClassName !== undefined && volume.spec?.volumeAttributesClassName === undefined) {
    errors.push(
      fieldErrors.forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"),
    );
  }
  return errors;
}

const deprecatedSources = {
  cephfs: "spec.cephfs: deprecated in v1.28, non-functional in v1.31+",
  photonPersistentDisk: "spec.photonPersistentDisk: deprecated in v1.11, non-functional in v1.16+",
  scaleIO: "spec.scaleIO: deprecated in v1.16, non-functional in v1.22+",
  storageos: "spec.storageOS: deprecated in v1.22, non-functional in v1.25+",
  glusterfs: "spec.glusterfs: deprecated in v1.25, non-functional in v1.26+",
  rbd: "spec.rbd: deprecated in v1.28, non-functional in v1.31+",
} as const;

const seconds = (atMs: number): string => new Date(atMs).toISOString().replace(/\.[0-9]+Z$/, "Z");

/** pkg/registry/core/persistentvolume. */
export const persistentVolumeStrategy = defineStrategy<PersistentVolume>({
  hasStatus: true,
  // `name` is upstream's mistake that clients came to rely on.
  selectableFields: ["name"],
  fieldValue: ({ metadata }) => metadata.name ?? "",
  defaults(volume) {
    const spec = (volume.spec ??= {});
    const status = (volume.status ??= {});
    status.phase ||= "Pending";
    spec.persistentVolumeReclaimPolicy ||= "Retain";
    spec.volumeMode ??= "Filesystem";
    roundAmounts(spec.capacity);
    if (spec.hostPath) spec.hostPath.type ??= "";
    if (spec.iscsi) spec.iscsi.iscsiInterface ||= "default";
    if (spec.rbd) {
      spec.rbd.pool ||= "rbd";
      spec.rbd.user ||= "admin";
      spec.rbd.keyring ||= "/etc/ceph/keyring";
    }
    if (spec.azureDisk) {
      spec.azureDisk.cachingMode ??= "ReadWrite";
      spec.azureDisk.kind ??= "Shared";
      spec.azureDisk.fsType ??= "ext4";
      spec.azureDisk.readOnly ??= false;
    }
    if (spec.scaleIO) {
      spec.scaleIO.storageMode ||= "ThinProvisioned";
      spec.scaleIO.fsType ||= "xfs";
    }
  },
  prepareForCreate(volume, { nowMs }) {
    volume.status = { phase: "Pending", lastPhaseTransitionTime: seconds(nowMs) };
  },
  prepareForStatusUpdate(volume, old, { nowMs }) {
    const status = (volume.status ??= {});
    const before = old.status ?? {};
    if (before.phase === status.phase) {
      if (before.lastPhaseTransitionTime !== undefined) {
        status.lastPhaseTransitionTime ??= before.lastPhaseTransitionTime;
      }
    } else if ((status.lastPhaseTransitionTime ?? before.lastPhaseTransitionTime) === before.lastPhaseTransitionTime) {
      status.lastPhaseTransitionTime = seconds(nowMs);
    }
  },
  validate: volumeErrors,
  validateUpdate: (volume, old) => [...volumeErrors(volume), ...volumeUpdateErrors(volume, old)],
  validateStatusUpdate: () => [],
  warnings({ metadata, spec }) {
    const warnings: string[] = [];
    const { annotations = {} } = metadata;
    const deprecated = [
      ["volume.beta.kubernetes.io/storage-class", 'deprecated since v1.8; use "storageClassName" attribute instead'],
      [mountOptions, 'deprecated since v1.31; use "mountOptions" attribute instead'],
    ] as const;
    for (const [key, message] of deprecated) {
      if (annotations[key] !== undefined) warnings.push(`metadata.annotations[${key}]: ${message}`);
    }
    if (spec?.persistentVolumeReclaimPolicy === "Recycle") {
      warnings.push(
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
      );
    }
    for (const [name, message] of Object.entries(deprecatedSources)) {
      if (spec?.[name as keyof typeof deprecatedSources] !== undefined) warnings.push(message);
    }
    return warnings;
  },
});

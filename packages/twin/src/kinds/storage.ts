import {
  jsonEqual,
  labelKeyProblems,
  type CSIDriver,
  type CSINode,
  type CSINodeDriver,
  type CSIStorageCapacity,
  type Json,
  type StorageClass,
  type TopologySelectorTerm,
  type VolumeAttachment,
  type VolumeAttributesClass,
} from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { keepMetadata } from "./metadata.ts";
import { dns1123SubdomainProblems } from "./name-checks.ts";
import {
  immutableErrors,
  invalidFor,
  labelSelectorErrors,
  nonNegativeErrors,
  nonNegativeQuantityErrors,
  qualifiedNameErrors,
  textOf,
} from "./value-checks.ts";

const maxParameterBytes = 256 * 1024;
const maxParameters = 512;

function provisionerErrors(field: string, provisioner: string): FieldError[] {
  if (provisioner === "") return [fieldErrors.required(field)];
  return qualifiedNameErrors(field, provisioner.toLowerCase());
}

function parameterErrors(
  parameters: Readonly<Record<string, string>> | undefined,
  allowEmpty: boolean,
  field = "parameters",
): FieldError[] {
  const entries = Object.entries(parameters ?? {});
  if (entries.length > maxParameters) return [fieldErrors.tooLong(field, maxParameters)];
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of entries) {
    if (key === "") errors.push(fieldErrors.invalid(field, key, "field can not be empty."));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > maxParameterBytes) errors.push(fieldErrors.tooLong(field, maxParameterBytes));
  if (!allowEmpty && entries.length === 0) {
    errors.push(fieldErrors.required(field, "must contain at least one key/value pair"));
  }
  return errors;
}

const enumErrors = (field: string, value: string | undefined, supported: readonly string[]): FieldError[] =>
  value === undefined || supported.includes(value) ? [] : [fieldErrors.notSupported(field, value, supported)];

function topologyErrors(terms: readonly TopologySelectorTerm[]): FieldError[] {
  const errors: FieldError[] = [];
  const seen: Json[] = [];
  for (const [index, term] of terms.entries()) {
    const field = `allowedTopologies[${index}].matchLabelExpressions`;
    const byKey = new Map<string, readonly string[]>();
    for (const [part, { key, values: listed }] of (term.matchLabelExpressions ?? []).entries()) {
      const values = listed ?? [];
      const at = `${field}[${part}]`;
      if (values.length === 0) errors.push(fieldErrors.required(`${at}.values`));
      for (const [position, value] of values.entries()) {
        if (values.indexOf(value) < position) errors.push(fieldErrors.duplicate(`${at}.values[${position}]`, value));
      }
      errors.push(...invalidFor(`${at}.key`, key, labelKeyProblems(key)));
      if (byKey.has(key)) errors.push(fieldErrors.duplicate(`${at}.key`, key));
      byKey.set(key, [...new Set(values)].toSorted());
    }
    const shape = Object.fromEntries(byKey) as Json;
    if (seen.some((other) => jsonEqual(other, shape))) errors.push(fieldErrors.duplicate(field, ""));
    seen.push(shape);
  }
  return errors;
}

/** pkg/registry/storage/storageclass. */
export const storageClassStrategy = defineStrategy<StorageClass>({
  defaults(storageClass) {
    storageClass.reclaimPolicy ??= "Delete";
    storageClass.volumeBindingMode ??= "Immediate";
  },
  validate: (storageClass) => [
    ...provisionerErrors("provisioner", textOf(storageClass.provisioner)),
    ...parameterErrors(storageClass.parameters, true),
    ...enumErrors("reclaimPolicy", storageClass.reclaimPolicy, ["Delete", "Retain"]),
    ...enumErrors("volumeBindingMode", storageClass.volumeBindingMode, ["Immediate", "WaitForFirstConsumer"]),
    ...topologyErrors(storageClass.allowedTopologies ?? []),
  ],
  validateUpdate: (storageClass, old) => [
    ...immutableErrors("parameters", storageClass.parameters ?? {}, old.parameters ?? {}),
    ...immutableErrors("provisioner", storageClass.provisioner, old.provisioner),
    ...immutableErrors("reclaimPolicy", storageClass.reclaimPolicy, old.reclaimPolicy),
    ...immutableErrors("volumeBindingMode", storageClass.volumeBindingMode, old.volumeBindingMode),
  ],
});

/** pkg/registry/storage/volumeattributesclass. */
export const volumeAttributesClassStrategy = defineStrategy<VolumeAttributesClass>({
  validate: attributesClassErrors,
  validateUpdate(attributesClass, old) {
    const errors: FieldError[] = [];
    if (attributesClass.driverName !== old.driverName) {
      errors.push(fieldErrors.forbidden("driverName", "updates to driverName are forbidden."));
    }
    if (!jsonEqual((attributesClass.parameters ?? {}) as Json, (old.parameters ?? {}) as Json)) {
      errors.push(fieldErrors.forbidden("parameters", "updates to parameters are forbidden."));
    }
    return [...errors, ...attributesClassErrors(attributesClass)];
  },
});

function attributesClassErrors(attributesClass: VolumeAttributesClass): FieldError[] {
  return [
    ...provisionerErrors("driverName", textOf(attributesClass.driverName)),
    ...parameterErrors(attributesClass.parameters, false),
  ];
}

/** `ValidateCSIDriverName`. */
export function driverNameErrors(field: string, name: string): FieldError[] {
  if (name === "") return [fieldErrors.required(field)];
  return [
    ...(Buffer.byteLength(name) > 63 ? [fieldErrors.tooLong(field, 63)] : []),
    ...invalidFor(field, name, dns1123SubdomainProblems(name.toLowerCase())),
  ];
}

function attachmentErrors(attachment: VolumeAttachment): FieldError[] {
  const { spec, status } = attachment;
  const source = spec?.source ?? {};
  const errors = driverNameErrors("spec.attacher", textOf(spec?.attacher));
  const field = "spec.source";
  const rule = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
  const { inlineVolumeSpec, persistentVolumeName } = source;
  if (inlineVolumeSpec === undefined && persistentVolumeName === undefined) {
    errors.push(fieldErrors.required(field, rule));
  } else if (inlineVolumeSpec !== undefined && persistentVolumeName !== undefined) {
    errors.push(fieldErrors.forbidden(field, rule));
  } else if (persistentVolumeName === "") {
    errors.push(fieldErrors.required(`${field}.persistentVolumeName`, "must specify non empty persistentVolumeName"));
  }
  const nodeName = textOf(spec?.nodeName);
  errors.push(...invalidFor("spec.nodeName", nodeName, dns1123SubdomainProblems(nodeName)));
  let bytes = 0;
  for (const [key, value] of Object.entries(status?.attachmentMetadata ?? {})) {
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > maxParameterBytes) errors.push(fieldErrors.tooLong("status.attachmentMetadata", maxParameterBytes));
  for (const part of ["attachError", "detachError"] as const) {
    const { message = "", errorCode = 0 } = status?.[part] ?? {};
    // 1024 is the limit, and the text names another one: upstream's mistake.
    if (Buffer.byteLength(message) > 1024) {
      errors.push(fieldErrors.tooLong(`status.${part}.message`, maxParameterBytes));
    }
    if (errorCode < 0) {
      errors.push(
        fieldErrors.invalid(`status.${part}.errorCode`, errorCode, "must be between 0 and 2147483647, inclusive"),
      );
    }
  }
  if (persistentVolumeName !== undefined) {
    errors.push(
      ...invalidFor(
        "spec.source.persistentVolumeName",
        persistentVolumeName,
        dns1123SubdomainProblems(persistentVolumeName),
      ),
    );
  }
  return errors;
}

const goAttachment = ({ spec }: VolumeAttachment): object => ({
  Attacher: spec.attacher,
  Source: {
    PersistentVolumeName: spec.source.persistentVolumeName ?? null,
    InlineVolumeSpec: spec.source.inlineVolumeSpec ?? null,
  },
  NodeName: spec.nodeName,
});

/** pkg/registry/storage/volumeattachment. */
export const volumeAttachmentStrategy = defineStrategy<VolumeAttachment>({
  hasStatus: true,
  allowUnconditionalUpdate: false,
  prepareForCreate(attachment) {
    attachment.status = { attached: false };
  },
  prepareForStatusUpdate: (attachment, old) => keepMetadata(attachment.metadata, old.metadata),
  validate: attachmentErrors,
  validateUpdate: (attachment, old) => [
    ...attachmentErrors(attachment),
    ...immutableErrors("spec", goAttachment(attachment), goAttachment(old)),
  ],
  validateStatusUpdate: (attachment, old) => [
    ...attachmentErrors(attachment),
    ...immutableErrors("spec", goAttachment(attachment), goAttachment(old)),
  ],
});

function csiNodeErrors(node: CSINode): FieldError[] {
  const names = new Set<string>();
  return (node.spec?.drivers ?? []).flatMap((driver, index) => {
    const field = `spec.drivers[${index}]`;
    const name = textOf(driver.name);
    const nodeId = textOf(driver.nodeID);
    const errors = driverNameErrors(`${field}.name`, name);
    if (nodeId === "") errors.push(fieldErrors.required(`${field}.nodeID`));
    if (Buffer.byteLength(nodeId) > 256) {
      errors.push(fieldErrors.invalid(`${field}.nodeID`, nodeId, "must be 256 characters or less"));
    }
    errors.push(...nonNegativeErrors(`${field}.allocatable.count`, driver.allocatable?.count ?? 0));
    if (names.has(name)) errors.push(fieldErrors.duplicate(`${field}.name`, name));
    names.add(name);
    const keys = new Set<string>();
    for (const key of driver.topologyKeys ?? []) {
      if (key === "") errors.push(fieldErrors.required(field));
      if (keys.has(key)) errors.push(fieldErrors.duplicate(field, key));
      keys.add(key);
      errors.push(...qualifiedNameErrors(field, key));
    }
    return errors;
  });
}

/** The struct without JSON names, as Go prints it; how much it takes may change. */
const goDriver = ({ name, nodeID, topologyKeys }: CSINodeDriver): object => ({
  Name: name,
  NodeID: nodeID,
  TopologyKeys: (topologyKeys ?? []).length === 0 ? null : topologyKeys,
  Allocatable: null,
});

/** pkg/registry/storage/csinode. */
export const csiNodeStrategy = defineStrategy<CSINode>({
  allowUnconditionalUpdate: false,
  validate: csiNodeErrors,
  validateUpdate(node, old) {
    const errors = csiNodeErrors(node);
    const before = new Map((old.spec?.drivers ?? []).map((driver) => [driver.name, driver]));
    for (const driver of node.spec?.drivers ?? []) {
      const other = before.get(driver.name);
      if (other) errors.push(...immutableErrors("spec.drivers", goDriver(driver), goDriver(other)));
    }
    return errors;
  },
});

function csiDriverErrors(driver: CSIDriver): FieldError[] {
  const { spec } = driver;
  const errors: FieldError[] = [];
  const fsGroupPolicies = ["File", "None", "ReadWriteOnceWithFSType"];
  errors.push(...enumErrors("spec.fsGroupPolicy", spec?.fsGroupPolicy, fsGroupPolicies));
  const audiences = new Set<string>();
  for (const [index, { audience, expirationSeconds }] of (spec?.tokenRequests ?? []).entries()) {
    const field = `spec.tokenRequests[${index}]`;
    if (audiences.has(audience)) {
      errors.push(fieldErrors.duplicate(`${field}.audience`, audience));
      continue;
    }
    audiences.add(audience);
    if (expirationSeconds === undefined) continue;
    const refuse = (detail: string): void => {
      errors.push(fieldErrors.invalid(`${field}.expirationSeconds`, expirationSeconds, detail));
    };
    if (expirationSeconds < 600) refuse("may not specify a duration less than 10 minutes");
    if (expirationSeconds > 2 ** 32) refuse("may not specify a duration larger than 2^32 seconds");
  }
  for (const mode of spec?.volumeLifecycleModes ?? []) {
    errors.push(...enumErrors("spec.volumeLifecycleModes", mode, ["Persistent", "Ephemeral"]));
  }
  const period = spec?.nodeAllocatableUpdatePeriodSeconds;
  if (period !== undefined && period < 10) {
    errors.push(
      fieldErrors.invalid(
        "spec.nodeAllocatableUpdatePeriodSeconds",
        period,
        "must be greater than or equal to 10 seconds",
      ),
    );
  }
  if (spec?.serviceAccountTokenInSecrets !== undefined && (spec.tokenRequests ?? []).length === 0) {
    errors.push(
      fieldErrors.invalid(
        "spec.serviceAccountTokenInSecrets",
        spec.serviceAccountTokenInSecrets,
        "serviceAccountTokenInSecrets is set but no tokenRequests are specified",
      ),
    );
  }
  return errors;
}

/** pkg/registry/storage/csidriver. Its generation starts with the first change. */
export const csiDriverStrategy = defineStrategy<CSIDriver>({
  allowUnconditionalUpdate: false,
  defaults(driver) {
    const { spec } = driver;
    spec.attachRequired ??= true;
    spec.podInfoOnMount ??= false;
    spec.storageCapacity ??= false;
    spec.fsGroupPolicy ??= "ReadWriteOnceWithFSType";
    if ((spec.volumeLifecycleModes ?? []).length === 0) spec.volumeLifecycleModes = ["Persistent"];
    spec.requiresRepublish ??= false;
    spec.seLinuxMount ??= false;
  },
  prepareForUpdate(driver, old) {
    if (!jsonEqual(driver.spec as unknown as Json, old.spec as unknown as Json)) {
      driver.metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
  },
  validate: csiDriverErrors,
  validateUpdate: (driver, old) => [
    ...csiDriverErrors(driver),
    ...immutableErrors("spec.attachedRequired", driver.spec?.attachRequired, old.spec?.attachRequired),
    ...immutableErrors("spec.volumeLifecycleModes", driver.spec?.volumeLifecycleModes, old.spec?.volumeLifecycleModes),
  ],
});

/** pkg/registry/storage/csistoragecapacity. */
export const csiStorageCapacityStrategy = defineStrategy<CSIStorageCapacity>({
  allowUnconditionalUpdate: false,
  validate: capacityErrors,
  validateUpdate: (capacity, old) => [
    ...immutableErrors("nodeTopology", capacity.nodeTopology ?? null, old.nodeTopology ?? null),
    ...immutableErrors("storageClassName", capacity.storageClassName, old.storageClassName),
  ],
});

function capacityErrors(capacity: CSIStorageCapacity): FieldError[] {
  const storageClass = textOf(capacity.storageClassName);
  return [
    ...labelSelectorErrors("nodeTopology", capacity.nodeTopology),
    ...invalidFor("storageClassName", storageClass, dns1123SubdomainProblems(storageClass)),
    ...(capacity.capacity === undefined ? [] : nonNegativeQuantityErrors("capacity", capacity.capacity)),
  ];
}

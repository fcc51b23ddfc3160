import {
  jsonEqual,
  type Json,
  type PersistentVolumeClaim,
  type PersistentVolumeClaimSpec,
  type TypedObjectReference,
} from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { accessModeErrors, positiveErrors } from "./core-volume.ts";
import { dns1123SubdomainProblems, labelName } from "./name-checks.ts";
import { resourceAmountErrors, roundAmounts } from "./resource-names.ts";
import {
  immutableErrors,
  invalidFor,
  labelSelectorErrors,
  qualifiedNameErrors,
  quantityOf,
  textOf,
} from "./value-checks.ts";

const storageClassAnnotation = "volume.beta.kubernetes.io/storage-class";

function sourceErrors(source: TypedObjectReference, field: string, anyGroup: boolean): FieldError[] {
  const { namespace = "" } = source;
  // Go writes a missing group as null.
  const apiGroup = textOf(source.apiGroup);
  const kind = textOf(source.kind);
  const errors: FieldError[] = [];
  if (textOf(source.name) === "") errors.push(fieldErrors.required(`${field}.name`));
  if (kind === "") errors.push(fieldErrors.required(`${field}.kind`));
  if (apiGroup === "" && kind !== "PersistentVolumeClaim") {
    const rule = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
    errors.push(fieldErrors.invalid(field, kind, rule));
  }
  if (apiGroup !== "" && !anyGroup) {
    errors.push(...invalidFor(`${field}.apiGroup`, apiGroup, dns1123SubdomainProblems(apiGroup)));
  }
  if (namespace !== "") errors.push(...invalidFor(`${field}.namespace`, namespace, labelName(namespace, false)));
  return errors;
}

/** `ValidatePersistentVolumeClaimSpec` (pkg/apis/core/validation/validation.go). */
function claimErrors(claim: PersistentVolumeClaim, old?: PersistentVolumeClaim): FieldError[] {
  const spec = claim.spec ?? {};
  const errors: FieldError[] = [];
  const modes = spec.accessModes ?? [];
  if (modes.length === 0) {
    errors.push(fieldErrors.required("spec.accessModes", "at least 1 access mode is required"));
  }
  errors.push(...labelSelectorErrors("spec.selector", spec.selector), ...accessModeErrors(modes, "spec.accessModes"));
  const field = "spec.resources[storage]";
  const storage = spec.resources?.requests?.["storage"];
  if (storage === undefined) errors.push(fieldErrors.required(field));
  else {
    const problems = positiveErrors(field, storage);
    errors.push(...(problems.length > 0 ? problems : resourceAmountErrors(field, "storage", storage)));
  }
  const { storageClassName = "", volumeAttributesClassName = "", volumeMode, dataSource, dataSourceRef } = spec;
  if (storageClassName !== "") {
    errors.push(...invalidFor("spec.storageClassName", storageClassName, dns1123SubdomainProblems(storageClassName)));
  }
  if (volumeMode !== undefined && volumeMode !== "Block" && volumeMode !== "Filesystem") {
    errors.push(fieldErrors.notSupported("spec.volumeMode", volumeMode, ["Block", "Filesystem"]));
  }
  const anyGroup = textOf(old?.spec?.dataSource?.apiGroup) !== "" || textOf(old?.spec?.dataSourceRef?.apiGroup) !== "";
  if (dataSource) errors.push(...sourceErrors(dataSource, "spec.dataSource", anyGroup));
  if (dataSourceRef) errors.push(...sourceErrors(dataSourceRef, "spec.dataSourceRef", anyGroup));
  if (dataSource && dataSourceRef) {
    const elsewhere = (dataSourceRef.namespace ?? "") !== "";
    const differ =
      textOf(dataSource.apiGroup) !== textOf(dataSourceRef.apiGroup) ||
      dataSource.kind !== dataSourceRef.kind ||
      dataSource.name !== dataSourceRef.name;
    if (elsewhere || differ) {
      const rule = elsewhere
        ? "may not be specified when dataSourceRef.namespace is specified"
        : "must match dataSourceRef";
      // The value is a path object of Go without public fields.
      errors.push(fieldErrors.invalid("spec", {}, rule));
    }
  }
  if (volumeAttributesClassName !== "") {
    errors.push(
      ...invalidFor(
        "spec.volumeAttributesClassName",
        volumeAttributesClassName,
        dns1123SubdomainProblems(volumeAttributesClassName),
      ),
    );
  }
  return errors;
}

const json = (value: unknown): Json => (value ?? null) as Json;

/** What may not change: everything but the size and the attributes of a bound claim, and the volume's name once. */
function fixedPart(claim: PersistentVolumeClaim, isBound: boolean, withVolume: boolean): Json {
  const { resources = {}, volumeName, volumeAttributesClassName, ...rest } = claim.spec ?? {};
  const { storage, ...requests } = resources.requests ?? {};
  return json({
    ...rest,
    resources: { ...resources, requests: isBound || storage === undefined ? requests : { ...requests, storage } },
    ...(withVolume && (volumeName ?? "") !== "" ? { volumeName } : {}),
    ...(isBound || volumeAttributesClassName === undefined ? {} : { volumeAttributesClassName }),
  });
}

function claimUpdateErrors(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): FieldError[] {
  const errors = claimErrors(claim, old);
  const isBound = claim.status?.phase === "Bound";
  const hadVolume = (old.spec?.volumeName ?? "") !== "";
  const before = old.spec?.storageClassName;
  const now = claim.spec?.storageClassName;
  const annotation = old.metadata.annotations?.[storageClassAnnotation];
  // A class may be named later, when there was none.
  const maySetClass = before === undefined && now !== undefined && (annotation === undefined || annotation === now);
  const compared: PersistentVolumeClaim =
    maySetClass && claim.spec ? { ...claim, spec: withoutClass(claim.spec) } : claim;
  if (!jsonEqual(fixedPart(compared, isBound, hadVolume), fixedPart(old, isBound, hadVolume))) {
    errors.push(
      fieldErrors.forbidden(
        "spec",
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
      ),
    );
  }
  const size = quantityOf(claim.spec?.resources?.requests?.["storage"] ?? "0");
  const oldSize = quantityOf(old.spec?.resources?.requests?.["storage"] ?? "0");
  if (size.cmp(oldSize) < 0 && size.cmp(quantityOf(old.status?.capacity?.["storage"] ?? "0")) <= 0) {
    errors.push(fieldErrors.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"));
  }
  errors.push(...immutableErrors("volumeMode", claim.spec?.volumeMode ?? null, old.spec?.volumeMode ?? null));
  const field = "spec.volumeAttributesClassName";
  const attributes = claim.spec?.volumeAttributesClassName;
  if (
    old.status?.currentVolumeAttributesClassName !== undefined &&
    attributes !== old.spec?.volumeAttributesClassName
  ) {
    const rule = "is forbidden when status.currentVolumeAttributesClassName is not nil";
    if (attributes === undefined) errors.push(fieldErrors.forbidden(field, `update to nil ${rule}`));
    else if (attributes === "") errors.push(fieldErrors.forbidden(field, `update to empty string ${rule}`));
  }
  return errors;
}

function withoutClass(spec: PersistentVolumeClaimSpec): PersistentVolumeClaimSpec {
  const { storageClassName: _, ...rest } = spec;
  return rest;
}

/** `EnforceDataSourceBackwardsCompatibility` and `NormalizeDataSources`: two fields for one thing. */
function normalizeSources(claim: Mutable<PersistentVolumeClaim>, old?: PersistentVolumeClaim): void {
  const spec = (claim.spec ??= {});
  const wasUsed = old?.spec?.dataSource !== undefined || old?.spec?.dataSourceRef !== undefined;
  const { dataSource } = spec;
  if (!wasUsed && dataSource && spec.dataSourceRef === undefined) {
    const { kind } = dataSource;
    const apiGroup = textOf(dataSource.apiGroup);
    const isClaim = apiGroup === "" && kind === "PersistentVolumeClaim";
    const isSnapshot = apiGroup === "snapshot.storage.k8s.io" && kind === "VolumeSnapshot";
    if (!isClaim && !isSnapshot) delete spec.dataSource;
  }
  if (spec.dataSource && spec.dataSourceRef === undefined) spec.dataSourceRef = { ...spec.dataSource };
  else if (spec.dataSourceRef && spec.dataSource === undefined && (spec.dataSourceRef.namespace ?? "") === "") {
    const { namespace: _, ...source } = spec.dataSourceRef;
    spec.dataSource = source;
  }
}

const resizeStates = [
  "ControllerResizeInProgress",
  "ControllerResizeInfeasible",
  "NodeResizeInProgress",
  "NodeResizeInfeasible",
  "NodeResizePending",
];

/** What may be resized: storage, and what other domains name. */
function resizedErrors(field: string, name: string): FieldError[] {
  const errors = qualifiedNameErrors(field, name);
  const isNative = !name.includes("/") || name.includes("kubernetes.io/");
  return errors.length > 0 || !isNative || name === "storage"
    ? errors
    : [fieldErrors.notSupported(field, name, ["storage"])];
}

/** pkg/registry/core/persistentvolumeclaim. */
export const persistentVolumeClaimStrategy = defineStrategy<PersistentVolumeClaim>({
  hasStatus: true,
  // `name` is upstream's mistake that clients came to rely on.
  selectableFields: ["name"],
  fieldValue: ({ metadata }) => metadata.name ?? "",
  defaults(claim) {
    const spec = (claim.spec ??= {});
    const status = (claim.status ??= {});
    status.phase ||= "Pending";
    spec.volumeMode ??= "Filesystem";
    roundAmounts(spec.resources?.limits);
    roundAmounts(spec.resources?.requests);
    roundAmounts(status.capacity);
    roundAmounts(status.allocatedResources);
  },
  prepareForCreate(claim) {
    claim.status = { phase: "Pending" };
    normalizeSources(claim);
  },
  prepareForUpdate: normalizeSources,
  validate: (claim) => claimErrors(claim),
  validateUpdate: claimUpdateErrors,
  validateStatusUpdate(claim) {
    const errors: FieldError[] = [];
    for (const [name, amount] of Object.entries(claim.status?.capacity ?? {})) {
      const value = quantityOf(amount).value();
      if (value >= 0n) continue;
      const field = `status.capacity[${name}]`;
      errors.push(fieldErrors.invalid(field, Number(value), "must be a valid resource quantity"));
    }
    for (const [name, state] of Object.entries(claim.status?.allocatedResourceStatuses ?? {})) {
      errors.push(...resizedErrors("status.allocatedResourceStatuses", name));
      if (!resizeStates.includes(state)) {
        errors.push(fieldErrors.notSupported("status.allocatedResourceStatuses", name, resizeStates));
      }
    }
    for (const [name, amount] of Object.entries(claim.status?.allocatedResources ?? {})) {
      const field = "status.allocatedResources";
      const problems = resizedErrors(field, name);
      errors.push(...(problems.length > 0 ? problems : resourceAmountErrors(`${field}[${name}]`, "storage", amount)));
    }
    return errors;
  },
  warnings({ metadata, spec }) {
    const warnings: string[] = [];
    if (metadata.annotations?.[storageClassAnnotation] !== undefined) {
      warnings.push(
        `metadata.annotations[${storageClassAnnotation}]: deprecated since v1.8; use "storageClassName" attribute instead`,
      );
    }
    for (const part of ["requests", "limits"] as const) {
      const amount = spec?.resources?.[part]?.["storage"];
      if (amount === undefined || quantityOf(amount).milliValue() % 1000n === 0n) continue;
      warnings.push(
        `spec.resources.${part}[storage]: fractional byte value ${JSON.stringify(quantityOf(amount).toString())} is invalid, must be an integer`,
      );
    }
    return warnings;
  },
});

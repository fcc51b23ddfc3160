import {
  labelKeyProblems,
  labelValueProblems,
  type Counter,
  type Device,
  type DeviceAttribute,
  type DeviceTaint,
  type ResourceSlice,
  type ResourceSliceSpec,
} from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { nodeSelectorErrors } from "./core-volume.ts";
import { dns1123LabelProblems, dns1123SubdomainProblems } from "./name-checks.ts";
import { deviceKeyErrors, poolNameErrors } from "./resource-checks.ts";
import { driverNameErrors } from "./storage.ts";
import { immutableErrors, invalidFor, oneOf, textOf } from "./value-checks.ts";

const maxDevices = 128;
/** With taints, counters or lists. */
const maxAdvancedDevices = 64;
const maxProperties = 32;
const maxTaints = 16;
const maxValueBytes = 64;
const maxCounterSets = 8;
const maxCounters = 32;
const number = "(0|[1-9][0-9]*)";
const preRelease = "(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)";
const build = "[0-9a-zA-Z-]+";
const version = new RegExp(
  String.raw`^${number}\.${number}\.${number}(-${preRelease}(\.${preRelease})*)?(\+${build}(\.${build})*)?$`,
);

const nodeNameErrors = (field: string, name: string): FieldError[] =>
  invalidFor(field, name, dns1123SubdomainProblems(name));
const labelErrors = (field: string, name: string): FieldError[] => invalidFor(field, name, dns1123LabelProblems(name));

function valueErrors(value: string, field: string, isVersion: boolean): FieldError[] {
  const errors: FieldError[] = [];
  if (isVersion && (value.length > 1024 || !version.test(value))) {
    errors.push(fieldErrors.invalid(field, value, "must be a string compatible with semver.org spec 2.0.0"));
  }
  if (Buffer.byteLength(value) > maxValueBytes) errors.push(fieldErrors.tooLong(field, maxValueBytes));
  return errors;
}

/** The struct without JSON names, as Go prints it. */
const goAttribute = (attribute: DeviceAttribute): object => ({
  IntValue: attribute.int ?? null,
  BoolValue: attribute.bool ?? null,
  StringValue: attribute.string ?? null,
  VersionValue: attribute.version ?? null,
  IntValues: attribute.ints ?? null,
  BoolValues: attribute.bools ?? null,
  StringValues: attribute.strings ?? null,
  VersionValues: attribute.versions ?? null,
});

function attributeErrors(attribute: DeviceAttribute, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const set = Object.values(attribute).filter((value) => value !== undefined).length;
  if (attribute.string !== undefined) errors.push(...valueErrors(attribute.string, `${field}.string`, false));
  if (attribute.version !== undefined) errors.push(...valueErrors(attribute.version, `${field}.version`, true));
  for (const part of ["bools", "ints", "strings", "versions"] as const) {
    if (attribute[part]?.length === 0) {
      errors.push(fieldErrors.invalid(`${field}.${part}`, [], "must not be empty if specified"));
    }
  }
  for (const part of ["strings", "versions"] as const) {
    for (const [index, value] of (attribute[part] ?? []).entries()) {
      errors.push(...valueErrors(value, `${field}.${part}[${index}]`, part === "versions"));
    }
  }
  const rule = "exactly one value must be specified";
  if (set === 0) errors.push(fieldErrors.invalid(field, "", rule));
  else if (set > 1) errors.push(fieldErrors.invalid(field, goAttribute(attribute), rule));
  return errors;
}

function taintErrors({ key, value = "", effect }: DeviceTaint, field: string): FieldError[] {
  return [
    ...invalidFor(`${field}.key`, textOf(key), labelKeyProblems(textOf(key))),
    ...invalidFor(`${field}.value`, value, labelValueProblems(value)),
    ...oneOf(`${field}.effect`, textOf(effect), ["NoExecute", "NoSchedule", "None"]),
  ];
}

function counterErrors(counters: Readonly<Record<string, Counter>> | undefined, field: string): FieldError[] {
  const names = Object.keys(counters ?? {});
  if (names.length === 0) return [fieldErrors.required(field)];
  if (names.length > maxCounters) return [fieldErrors.tooMany(field, names.length, maxCounters)];
  return names.flatMap((name) => labelErrors(field, name));
}

interface Place {
  readonly nodeName?: string;
  readonly nodeSelector?: ResourceSliceSpec["nodeSelector"];
  readonly allNodes?: boolean;
  readonly perDeviceNodeSelection?: boolean;
}

/** Where devices are: one field of several, with what is wrong in those that are set. */
function placeErrors(place: Place, field: string, emptyName: string): { readonly set: string[]; errors: FieldError[] } {
  const errors: FieldError[] = [];
  const set: string[] = [];
  if (place.nodeName !== undefined) {
    if (place.nodeName === "") errors.push(fieldErrors.invalid(`${field}.nodeName`, "", emptyName));
    else {
      set.push("`nodeName`");
      errors.push(...nodeNameErrors(`${field}.nodeName`, place.nodeName));
    }
  }
  if (place.nodeSelector) {
    set.push("`nodeSelector`");
    errors.push(...nodeSelectorErrors(place.nodeSelector, `${field}.nodeSelector`));
  }
  for (const part of ["allNodes", "perDeviceNodeSelection"] as const) {
    if (place[part] === true) set.push(`\`${part}\``);
    else if (place[part] === false) {
      errors.push(fieldErrors.invalid(`${field}.${part}`, false, "must be either unset or set to true"));
    }
  }
  return { set, errors };
}

function deviceErrors(device: Device, field: string, perDevice: boolean): FieldError[] {
  const { attributes = {}, capacity = {}, taints = [] } = device;
  const errors = labelErrors(`${field}.name`, textOf(device.name));
  const properties = Object.keys(attributes).length + Object.keys(capacity).length;
  if (properties > maxProperties) {
    const rule = `the total number of attributes and capacities must not exceed ${maxProperties}`;
    errors.push(fieldErrors.invalid(field, properties, rule));
  }
  for (const [key, attribute] of Object.entries(attributes)) {
    errors.push(...deviceKeyErrors(`${field}.attributes`, key));
    errors.push(...attributeErrors(attribute, `${field}.attributes[${key}]`));
  }
  for (const [key, { requestPolicy }] of Object.entries(capacity)) {
    errors.push(...deviceKeyErrors(`${field}.capacity`, key));
    if (requestPolicy && device.allowMultipleAllocations !== true) {
      const at = `${field}.capacity[${key}].requestPolicy`;
      errors.push(fieldErrors.forbidden(at, "allowMultipleAllocations must be true"));
    }
  }
  if (taints.length > maxTaints) errors.push(fieldErrors.tooMany(`${field}.taints`, taints.length, maxTaints));
  else for (const [index, taint] of taints.entries()) errors.push(...taintErrors(taint, `${field}.taints[${index}]`));
  for (const [index, { counterSet, counters }] of (device.consumesCounters ?? []).entries()) {
    const at = `${field}.consumesCounters[${index}]`;
    if (textOf(counterSet) === "") errors.push(fieldErrors.required(`${at}.counterSet`));
    else errors.push(...labelErrors(`${at}.counterSet`, counterSet));
    errors.push(...counterErrors(counters, `${at}.counters`));
  }
  const rule =
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
  const { nodeName, nodeSelector, allNodes } = device;
  if (perDevice) {
    const place = placeErrors(device, field, "must not be empty");
    errors.push(...place.errors);
    if (place.set.length === 0) errors.push(fieldErrors.required(field, rule));
    else if (place.set.length > 1) errors.push(fieldErrors.invalid(field, `{${place.set.join(", ")}}`, rule));
  } else if (nodeName !== undefined || nodeSelector !== undefined || allNodes !== undefined) {
    const unset =
      "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    errors.push(fieldErrors.invalid(field, null, unset));
  }
  return errors;
}

const isAdvanced = ({ taints = [], consumesCounters = [], attributes = {} }: Device): boolean =>
  taints.length > 0 ||
  consumesCounters.length > 0 ||
  Object.values(attributes).some(
    ({ bools, ints, strings, versions }) => (bools ?? ints ?? strings ?? versions) !== undefined,
  );

/** `validateResourceSliceSpec` (pkg/apis/resource/validation/validation.go). */
function sliceErrors(slice: ResourceSlice, old: ResourceSlice | undefined): FieldError[] {
  const { spec } = slice;
  const errors = driverNameErrors("spec.driver", textOf(spec.driver));
  const { name, resourceSliceCount = 0, generation = 0 } = (spec.pool ?? {}) as Partial<ResourceSliceSpec["pool"]>;
  errors.push(...poolNameErrors("spec.pool.name", textOf(name)));
  if (resourceSliceCount <= 0) {
    errors.push(fieldErrors.invalid("spec.pool.resourceSliceCount", resourceSliceCount, "must be greater than zero"));
  }
  if (generation < 0) {
    const rule = "must be greater than or equal to zero";
    errors.push(fieldErrors.invalid("spec.pool.generation", generation, rule));
  }
  if (old) {
    errors.push(
      ...immutableErrors("spec.pool.name", spec.pool?.name, old.spec.pool?.name),
      ...immutableErrors("spec.driver", spec.driver, old.spec.driver),
      ...immutableErrors("spec.nodeName", spec.nodeName ?? null, old.spec.nodeName ?? null),
    );
  }
  const place = placeErrors(spec, "spec", "must be either unset or set to a non-empty string");
  errors.push(...place.errors);
  const terms = spec.nodeSelector?.nodeSelectorTerms;
  if (terms && terms.length !== 1) {
    const rule = "must have exactly one node selector term";
    errors.push(fieldErrors.invalid("spec.nodeSelector.nodeSelectorTerms", terms, rule));
  }
  const rule = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
  if (place.set.length === 0) errors.push(fieldErrors.required("spec", rule));
  else if (place.set.length > 1) {
    errors.push(fieldErrors.invalid("spec", `{${place.set.join(", ")}}`, `${rule}, but multiple fields are set`));
  }
  if (spec.sharedCounters !== undefined && spec.devices !== undefined) {
    errors.push(fieldErrors.invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"));
  }
  const devices = spec.devices ?? [];
  const maximum = devices.some(isAdvanced) ? maxAdvancedDevices : maxDevices;
  if (devices.length > maximum) errors.push(fieldErrors.tooMany("spec.devices", devices.length, maximum));
  else {
    const names = new Set<string>();
    const repeated: FieldError[] = [];
    for (const [index, device] of devices.entries()) {
      const field = `spec.devices[${index}]`;
      errors.push(...deviceErrors(device, field, spec.perDeviceNodeSelection === true));
      if (names.has(device.name)) repeated.push(fieldErrors.duplicate(field, device.name));
      names.add(device.name);
    }
    errors.push(...repeated);
  }
  const sets = spec.sharedCounters ?? [];
  if (sets.length > maxCounterSets) {
    errors.push(fieldErrors.tooMany("spec.sharedCounters", sets.length, maxCounterSets));
    return errors;
  }
  for (const [index, set] of sets.entries()) {
    const field = `spec.sharedCounters[${index}]`;
    if (textOf(set.name) === "") errors.push(fieldErrors.required(`${field}.name`));
    else errors.push(...labelErrors(`${field}.name`, set.name));
    errors.push(...counterErrors(set.counters, `${field}.counters`));
  }
  return errors;
}

/** pkg/registry/resource/resourceslice. */
export const resourceSliceStrategy = defineStrategy<ResourceSlice>({
  hasGeneration: true,
  selectableFields: ["spec.nodeName", "spec.driver"],
  fieldValue: ({ spec }, field) => (field === "spec.driver" ? spec.driver : (spec.nodeName ?? "")),
  prepareForCreate: stampTaints,
  prepareForUpdate: (slice, _old, context) => stampTaints(slice, context),
  validate: (slice) => sliceErrors(slice, undefined),
  validateUpdate: sliceErrors,
});

/** Upstream's default, which needs the time: a taint counts from when it was first seen. */
function stampTaints(
  slice: { spec: { devices?: { taints?: { timeAdded?: string }[] }[] } },
  { nowMs }: { readonly nowMs: number },
): void {
  const now = new Date(nowMs).toISOString().replace(/\.[0-9]+Z$/, "Z");
  for (const { taints = [] } of slice.spec.devices ?? []) for (const taint of taints) taint.timeAdded ??= now;
}

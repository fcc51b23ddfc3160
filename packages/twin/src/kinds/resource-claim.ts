import {
  labelKeyProblems,
  labelValueProblems,
  type DeviceClaim,
  type DeviceClass,
  type DeviceSelector,
  type DeviceToleration,
  type ExactDeviceRequest,
  type OpaqueDeviceConfiguration,
  type ResourceClaim,
  type ResourceClaimTemplate,
} from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { deviceExpressionProblem } from "./device-expressions.ts";
import { nodeSelectorErrors } from "./core-volume.ts";
import { annotationErrors, keepMetadata } from "./metadata.ts";
import { dns1123LabelProblems, dns1123SubdomainProblems } from "./name-checks.ts";
import { fullyQualifiedErrors, poolNameErrors } from "./resource-checks.ts";
import { isExtendedResource } from "./resource-names.ts";
import { driverNameErrors } from "./storage.ts";
import { immutableErrors, invalidFor, labelsErrors, oneOf, textOf } from "./value-checks.ts";

/** Of requests, constraints, configurations, selectors and results (pkg/apis/resource/types.go). */
const maxItems = 32;
const maxAlternatives = 8;
const maxConsumers = 256;
const maxExpressionBytes = 10 * 1024;
const maxParameterBytes = 10 * 1024;
const notAnObject = /^(null|".*"|[0-9.-]+|true|false|\[.*\])$/s;

type Allocation = Pick<
  ExactDeviceRequest,
  "allocationMode" | "count" | "deviceClassName" | "selectors" | "tolerations"
>;

const listErrors = <T>(
  list: readonly T[] | undefined,
  field: string,
  check: (item: T, field: string) => FieldError[],
  maximum = maxItems,
): FieldError[] =>
  (list ?? []).length > maximum
    ? [fieldErrors.tooMany(field, (list ?? []).length, maximum)]
    : (list ?? []).flatMap((item, index) => check(item, `${field}[${index}]`));

function duplicateErrors(keys: readonly string[], field: string): FieldError[] {
  const seen = new Set<string>();
  return keys.flatMap((key, index) => {
    if (seen.has(key)) return [fieldErrors.duplicate(`${field}[${index}]`, key)];
    seen.add(key);
    return [];
  });
}

function selectorErrors(selector: DeviceSelector, field: string): FieldError[] {
  if (selector.cel === undefined) return [fieldErrors.required(`${field}.cel`)];
  const expression = textOf(selector.cel.expression);
  const at = `${field}.cel.expression`;
  if (Buffer.byteLength(expression) > maxExpressionBytes) return [fieldErrors.tooLong(at, maxExpressionBytes)];
  const problem = deviceExpressionProblem(expression);
  return problem === undefined ? [] : [fieldErrors.invalid(at, expression, problem)];
}

function tolerationErrors(toleration: DeviceToleration, field: string): FieldError[] {
  const { key = "", value = "", effect = "", operator = "" } = toleration;
  const errors = key === "" ? [] : invalidFor(`${field}.key`, key, labelKeyProblems(key));
  if (operator === "Exists") {
    if (value !== "") errors.push(fieldErrors.invalid(`${field}.value`, value, "must be empty for operator `Exists`"));
  } else if (operator === "Equal") errors.push(...invalidFor(`${field}.value`, value, labelValueProblems(value)));
  else errors.push(...oneOf(`${field}.operator`, operator, ["Equal", "Exists"]));
  const effects = ["NoExecute", "NoSchedule", "None"];
  if (effect !== "") errors.push(...oneOf(`${field}.effect`, effect, effects));
  return errors;
}

function allocationErrors(request: Allocation, field: string): FieldError[] {
  const { allocationMode = "", count = 0, tolerations = [] } = request;
  const deviceClass = textOf(request.deviceClassName);
  const errors =
    deviceClass === ""
      ? [fieldErrors.required(`${field}.deviceClassName`)]
      : invalidFor(`${field}.deviceClassName`, deviceClass, dns1123SubdomainProblems(deviceClass));
  errors.push(...listErrors(request.selectors, `${field}.selectors`, selectorErrors));
  if (allocationMode === "All") {
    if (count !== 0) {
      const rule = "must not be specified when allocationMode is 'All'";
      errors.push(fieldErrors.invalid(`${field}.count`, count, rule));
    }
  } else if (allocationMode === "ExactCount") {
    if (count <= 0) errors.push(fieldErrors.invalid(`${field}.count`, count, "must be greater than zero"));
  } else errors.push(fieldErrors.notSupported(`${field}.allocationMode`, allocationMode, ["All", "ExactCount"]));
  for (const [index, toleration] of tolerations.entries()) {
    errors.push(...tolerationErrors(toleration, `${field}.tolerations[${index}]`));
  }
  return errors;
}

const nameErrors = (field: string, name: string): FieldError[] => invalidFor(field, name, dns1123LabelProblems(name));

/** The names by which constraints and results may call a request: its own, or `request/alternative`. */
function requestNames(claim: DeviceClaim | undefined): ReadonlySet<string> {
  return new Set(
    (claim?.requests ?? []).flatMap(({ name, firstAvailable = [] }) => [
      name,
      ...firstAvailable.map((alternative) => `${name}/${alternative.name}`),
    ]),
  );
}

function referenceErrors(name: string, field: string, names: ReadonlySet<string>): FieldError[] {
  const rule = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
  const parts = name.split("/");
  if (parts.length > 2) return [fieldErrors.invalid(field, name, rule)];
  const errors = parts.flatMap((part) => nameErrors(field, part));
  if (!names.has(name)) errors.push(fieldErrors.invalid(field, name, rule));
  return errors;
}

function referencesErrors(
  list: readonly string[] | undefined,
  field: string,
  names: ReadonlySet<string>,
): FieldError[] {
  const errors = listErrors(list, field, (name, at) => referenceErrors(name, at, names));
  return (list ?? []).length > maxItems ? errors : [...errors, ...duplicateErrors(list ?? [], field)];
}

function configurationErrors(opaque: OpaqueDeviceConfiguration | undefined, field: string): FieldError[] {
  if (opaque === undefined) return [fieldErrors.required(`${field}.opaque`)];
  const at = `${field}.opaque.parameters`;
  const errors = driverNameErrors(`${field}.opaque.driver`, textOf(opaque.driver));
  const text = opaque.parameters === undefined ? "null" : JSON.stringify(opaque.parameters);
  if (text === "null") errors.push(fieldErrors.required(at));
  else if (Buffer.byteLength(text) > maxParameterBytes) errors.push(fieldErrors.tooLong(at, maxParameterBytes));
  else if (notAnObject.test(text)) {
    errors.push(fieldErrors.invalid(at, "<value omitted>", "must be a valid JSON object"));
  }
  return errors;
}

/** `validateDeviceClaim` (pkg/apis/resource/validation/validation.go). */
function deviceErrors(claim: DeviceClaim | undefined, field: string): FieldError[] {
  const names = requestNames(claim);
  const requests = claim?.requests ?? [];
  const errors = listErrors(requests, `${field}.requests`, (request, at) => {
    const { exactly, firstAvailable = [] } = request;
    const found = nameErrors(`${at}.name`, textOf(request.name));
    const rule = "exactly one of `exactly` or `firstAvailable` is required";
    if (exactly && firstAvailable.length > 0) {
      found.push(fieldErrors.invalid(at, null, `${rule}, but multiple fields are set`));
    } else if (exactly) found.push(...allocationErrors(exactly, `${at}.exactly`));
    else if (firstAvailable.length > 0) {
      const part = `${at}.firstAvailable`;
      found.push(
        ...listErrors(
          firstAvailable,
          part,
          (alternative, place) => [
            ...nameErrors(`${place}.name`, textOf(alternative.name)),
            ...allocationErrors(alternative, place),
          ],
          maxAlternatives,
        ),
        ...duplicateErrors(
          firstAvailable.map(({ name }) => textOf(name)),
          part,
        ),
      );
    } else found.push(fieldErrors.required(at, rule));
    return found;
  });
  errors.push(
    ...duplicateErrors(
      requests.map(({ name }) => textOf(name)),
      `${field}.requests`,
    ),
    ...listErrors(claim?.constraints, `${field}.constraints`, (constraint, at) => {
      const found = referencesErrors(constraint.requests, `${at}.requests`, names);
      const { matchAttribute, distinctAttribute } = constraint;
      if (matchAttribute !== undefined) {
        found.push(...fullyQualifiedErrors(`${at}.matchAttribute`, matchAttribute));
      } else if (distinctAttribute !== undefined) {
        found.push(...fullyQualifiedErrors(`${at}.distinctAttribute`, distinctAttribute));
      } else {
        const rule = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set';
        found.push(fieldErrors.required(at, rule));
      }
      return found;
    }),
    ...listErrors(claim?.config, `${field}.config`, ({ requests: of, opaque }, at) => [
      ...referencesErrors(of, `${at}.requests`, names),
      ...configurationErrors(opaque, at),
    ]),
  );
  return errors;
}

function defaultDevices(claim: Mutable<DeviceClaim> | undefined): void {
  const fill = (request: { allocationMode?: string; count?: number }): void => {
    request.allocationMode ||= "ExactCount";
    if (request.allocationMode === "ExactCount") request.count ||= 1;
  };
  for (const { exactly, firstAvailable = [] } of claim?.requests ?? []) {
    if (exactly) fill(exactly);
    for (const alternative of firstAvailable) fill(alternative);
  }
}

const orNull = <T>(list: readonly T[] | undefined): readonly T[] | null =>
  (list ?? []).length === 0 ? null : (list ?? null);

/** The struct without JSON names, as Go prints it. */
const goDevices = (claim: DeviceClaim | undefined): object => ({
  Requests: orNull(
    claim?.requests?.map(({ name, exactly, firstAvailable }) => ({
      Name: name,
      Exactly: exactly
        ? {
            ...goAllocation(exactly, true),
            Tolerations: orNull(exactly.tolerations),
            Capacity: exactly.capacity ?? null,
          }
        : null,
      FirstAvailable: orNull(
        firstAvailable?.map((alternative) => ({
          Name: alternative.name,
          ...goAllocation(alternative, false),
          Tolerations: orNull(alternative.tolerations),
          Capacity: alternative.capacity ?? null,
        })),
      ),
    })),
  ),
  Constraints: orNull(claim?.constraints),
  Config: orNull(claim?.config),
});

const goAllocation = (request: Allocation & { readonly adminAccess?: boolean }, withAccess: boolean): object => ({
  DeviceClassName: request.deviceClassName,
  Selectors: orNull(request.selectors?.map(({ cel }) => ({ CEL: cel ? { Expression: cel.expression } : null }))),
  AllocationMode: request.allocationMode ?? "",
  Count: request.count ?? 0,
  ...(withAccess ? { AdminAccess: request.adminAccess ?? null } : {}),
});

function claimStatusErrors(claim: ResourceClaim, old: ResourceClaim): FieldError[] {
  const { reservedFor = [], allocation, devices = [] } = claim.status ?? {};
  const field = "status.reservedFor";
  const errors = listErrors(
    reservedFor,
    field,
    (consumer, at) =>
      (["resource", "name", "uid"] as const)
        .filter((part) => textOf(consumer[part]) === "")
        .map((part) => fieldErrors.required(`${at}.${part}`)),
    maxConsumers,
  );
  errors.push(
    ...duplicateErrors(
      reservedFor.map(({ uid }) => textOf(uid)),
      field,
    ),
  );
  const results = allocation?.devices?.results ?? [];
  const key = (device: { driver: string; pool: string; device: string; shareID?: string }): string =>
    [device.driver, device.pool, device.device, ...(device.shareID === undefined ? [] : [device.shareID])].join("/");
  const allocated = new Set(results.map(key));
  for (const [index, device] of devices.entries()) {
    const at = `status.devices[${index}]`;
    errors.push(
      ...driverNameErrors(`${at}.driver`, textOf(device.driver)),
      ...poolNameErrors(`${at}.pool`, textOf(device.pool)),
      ...nameErrors(`${at}.device`, textOf(device.device)),
    );
    if (!allocated.has(key(device))) {
      errors.push(fieldErrors.invalid(at, key(device), "must be an allocated device in the claim"));
    }
  }
  if (reservedFor.length > 0 && allocation === undefined) {
    errors.push(fieldErrors.forbidden(field, "may not be specified when `allocated` is not set"));
  } else if (claim.metadata.deletionTimestamp !== undefined) {
    const had = new Set((old.status?.reservedFor ?? []).map(({ uid }) => uid));
    if (reservedFor.some(({ uid }) => !had.has(uid))) {
      const rule = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
      errors.push(fieldErrors.forbidden(field, rule));
    }
  }
  if (allocation === undefined) return errors;
  if (old.status?.allocation) {
    errors.push(...immutableErrors("status.allocation", allocation, old.status.allocation));
    return errors;
  }
  const names = requestNames(claim.spec.devices);
  errors.push(
    ...listErrors(results, "status.allocation.devices.results", (result, at) => [
      ...referenceErrors(textOf(result.request), `${at}.request`, names),
      ...driverNameErrors(`${at}.driver`, textOf(result.driver)),
      ...poolNameErrors(`${at}.pool`, textOf(result.pool)),
      ...nameErrors(`${at}.device`, textOf(result.device)),
    ]),
    ...listErrors(
      allocation.devices?.config,
      "status.allocation.devices.config",
      ({ source, requests, opaque }, at) => [
        ...oneOf(`${at}.source`, textOf(source), ["FromClaim", "FromClass"]),
        ...referencesErrors(requests, `${at}.requests`, names),
        ...configurationErrors(opaque, at),
      ],
      2 * maxItems,
    ),
  );
  if (allocation.nodeSelector) {
    errors.push(...nodeSelectorErrors(allocation.nodeSelector, "status.allocation.nodeSelector"));
  }
  return errors;
}

/** pkg/registry/resource/resourceclaim. */
export const resourceClaimStrategy = defineStrategy<ResourceClaim>({
  hasStatus: true,
  defaults: (claim) => defaultDevices(claim.spec?.devices),
  validate: (claim) => deviceErrors(claim.spec?.devices, "spec.devices"),
  validateUpdate: (claim, old) =>
    immutableErrors("spec", { Devices: goDevices(claim.spec?.devices) }, { Devices: goDevices(old.spec?.devices) }),
  prepareForStatusUpdate(claim, old) {
    keepMetadata(claim.metadata, old.metadata);
    // The devices of an allocation that is gone have nothing to say.
    if (claim.status && claim.status.allocation === undefined) delete claim.status.devices;
  },
  validateStatusUpdate: claimStatusErrors,
});

/** pkg/registry/resource/resourceclaimtemplate. */
export const resourceClaimTemplateStrategy = defineStrategy<ResourceClaimTemplate>({
  defaults: (template) => defaultDevices(template.spec?.spec?.devices),
  validate: (template) => [
    ...labelsErrors(template.spec?.metadata?.labels, "spec.metadata.labels"),
    ...annotationErrors(template.spec?.metadata?.annotations, "spec.metadata.annotations"),
    ...deviceErrors(template.spec?.spec?.devices, "spec.spec.devices"),
  ],
  validateUpdate: (template, old) => immutableErrors("spec", goTemplate(template), goTemplate(old)),
});

const goTemplate = ({ spec }: ResourceClaimTemplate): object => ({
  ...spec?.metadata,
  Spec: { Devices: goDevices(spec?.spec?.devices) },
});

/** pkg/registry/resource/deviceclass. */
export const deviceClassStrategy = defineStrategy<DeviceClass>({
  hasGeneration: true,
  validate(deviceClass) {
    const { selectors, config, extendedResourceName } = deviceClass.spec ?? {};
    return [
      ...listErrors(selectors, "spec.selectors", selectorErrors),
      ...listErrors(config, "spec.config", ({ opaque }, field) => configurationErrors(opaque, field)),
      ...(extendedResourceName === undefined || isExtendedResource(extendedResourceName)
        ? []
        : [
            fieldErrors.invalid(
              "spec.extendedResourceName",
              extendedResourceName,
              "must be a valid extended resource name",
            ),
          ]),
    ];
  },
});

import { labelKeyProblems, parseQuantity, Quantity } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { invalidFor, nonNegativeQuantityErrors, quantityOf } from "./value-checks.ts";

/** Names of resources (pkg/apis/core/helper/helpers.go) and amounts of them. */
const objectCounts = [
  "pods",
  "resourcequotas",
  "services",
  "replicationcontrollers",
  "secrets",
  "configmaps",
  "persistentvolumeclaims",
  "services.nodeports",
  "services.loadbalancers",
];
const computeForQuota = [
  "cpu",
  "memory",
  "ephemeral-storage",
  "requests.cpu",
  "requests.memory",
  "requests.ephemeral-storage",
  "limits.cpu",
  "limits.memory",
  "limits.ephemeral-storage",
];
const quotaResources: ReadonlySet<string> = new Set([...computeForQuota, ...objectCounts, "requests.storage"]);
const standardResources: ReadonlySet<string> = new Set([...quotaResources, "storage"]);
const integerResources: ReadonlySet<string> = new Set(objectCounts);
const containerResources: ReadonlySet<string> = new Set(["cpu", "memory", "ephemeral-storage"]);

const isQuotaHugePages = (name: string): boolean =>
  name.startsWith("hugepages-") || name.startsWith("requests.hugepages-");
const isNative = (name: string): boolean => !name.includes("/") || name.includes("kubernetes.io/");
/** Of a device plugin or a DeviceClass. */
export const isExtendedResource = (name: string): boolean =>
  !isNative(name) && !name.startsWith("requests.") && labelKeyProblems(`requests.${name}`).length === 0;
/** Whether limits may be above requests. */
export const allowsOvercommit = (name: string): boolean => isNative(name) && !name.startsWith("hugepages-");
export const isQuotaResource = (name: string): boolean => quotaResources.has(name) || isQuotaHugePages(name);

/** `validateResourceName`. */
export function resourceNameErrors(field: string, name: string): FieldError[] {
  const errors = invalidFor(field, name, labelKeyProblems(name));
  if (errors.length > 0 || name.includes("/") || standardResources.has(name) || isQuotaHugePages(name)) return errors;
  return [fieldErrors.invalid(field, name, "must be a standard resource type or fully qualified")];
}

/** `validateContainerResourceName`. */
export function containerResourceErrors(field: string, name: string): FieldError[] {
  const errors = resourceNameErrors(field, name);
  if (!name.includes("/")) {
    if (!containerResources.has(name) && !name.startsWith("hugepages-")) {
      errors.push(fieldErrors.invalid(field, name, "must be a standard resource for containers"));
    }
  } else if (!isNative(name) && !isExtendedResource(name)) {
    errors.push(fieldErrors.invalid(field, name, "doesn't follow extended resource name standard"));
  }
  return errors;
}

/** `ValidateResourceQuotaResourceName`. */
export function quotaResourceErrors(field: string, name: string): FieldError[] {
  const errors = resourceNameErrors(field, name);
  if (!name.includes("/") && !isQuotaResource(name)) {
    errors.push(fieldErrors.invalid(field, name, "must be a standard resource for quota"));
  }
  return errors;
}

/** `ValidateResourceQuantityValue`. */
export function resourceAmountErrors(field: string, name: string, text: string): FieldError[] {
  const errors = nonNegativeQuantityErrors(field, text);
  const quantity = quantityOf(text);
  if ((integerResources.has(name) || isExtendedResource(name)) && quantity.milliValue() % 1000n !== 0n) {
    errors.push(fieldErrors.invalid(field, quantity.toString(), "must be an integer"));
  }
  return errors;
}

/** `SetDefaults_ResourceList`: amounts finer than thousandths are rounded up. */
export function roundAmounts(amounts: Record<string, string> | undefined): void {
  for (const [name, text] of Object.entries(amounts ?? {})) {
    if (typeof text !== "string") continue;
    const quantity = parseQuantity(text);
    const rounded = Quantity.ofMilli(quantity.milliValue(), quantity.format);
    if (amounts && !rounded.equals(quantity)) amounts[name] = rounded.toString();
  }
}

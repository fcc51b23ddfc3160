import { jsonEqual, labelKeyProblems, labelValueProblems, type Node, type Taint } from "@fleetwright/kube";
import { defineStrategy } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { cidrWarnings, legacyCidrErrors, parseCidr } from "./ip-checks.ts";
import { resourceAmountErrors, roundAmounts } from "./resource-names.ts";
import { invalidFor, textOf } from "./value-checks.ts";

const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/** `validateNodeTaints`; upstream names the field `metadata.taints`. */
function taintErrors(taints: readonly Taint[], field: string): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [index, taint] of taints.entries()) {
    const at = `${field}[${index}]`;
    const { value = "", timeAdded = null } = taint;
    const [key, effect] = [textOf(taint.key), textOf(taint.effect)];
    errors.push(...invalidFor(`${at}.key`, key, labelKeyProblems(key)));
    const problems = labelValueProblems(value);
    if (problems.length > 0) errors.push(fieldErrors.invalid(`${at}.value`, value, problems.join(";")));
    if (effect === "") errors.push(fieldErrors.required(`${at}.effect`));
    else if (!effects.includes(effect)) errors.push(fieldErrors.notSupported(`${at}.effect`, effect, effects));
    const identity = `${effect} ${key}`;
    if (seen.has(identity)) {
      const duplicate = fieldErrors.duplicate(at, { Key: key, Value: value, Effect: effect, TimeAdded: timeAdded });
      errors.push({ ...duplicate, message: `${duplicate.message}: taints must be unique by key and effect pair` });
    }
    seen.add(identity);
  }
  return errors;
}

function resourceErrors(node: Node): FieldError[] {
  return (["capacity", "allocatable"] as const).flatMap((part) =>
    Object.entries(node.status?.[part] ?? {}).flatMap(([name, amount]) =>
      resourceAmountErrors(`status.${part}.${name}`, name, amount),
    ),
  );
}

function declaredFeatureErrors(node: Node): FieldError[] {
  const features = node.status?.declaredFeatures ?? [];
  const errors: FieldError[] = [];
  for (const [index, feature] of features.entries()) {
    const field = `status.declaredFeatures[${index}]`;
    const quoted = JSON.stringify(feature);
    if (Buffer.byteLength(feature) > 253) {
      const reason = `invalid feature name ${quoted}: must be no more than 253 characters`;
      errors.push(fieldErrors.invalid(field, feature, reason));
    } else if (!/^[A-Z][a-zA-Z0-9]*(\/[a-zA-Z][a-zA-Z0-9]*)*$/.test(feature)) {
      errors.push(
        fieldErrors.invalid(
          field,
          feature,
          `invalid feature name ${quoted}: must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes`,
        ),
      );
    }
    const next = features[index + 1];
    if (next === undefined) continue;
    const nextField = `status.declaredFeatures[${index + 1}]`;
    if (feature === next) errors.push(fieldErrors.duplicate(nextField, next));
    else if (feature > next) errors.push(fieldErrors.invalid(nextField, next, "list must be sorted alphabetically"));
  }
  return errors;
}

/** `ValidateNode` without metadata. */
function nodeErrors(node: Node): FieldError[] {
  const errors = [...taintErrors(node.spec?.taints ?? [], "metadata.taints"), ...resourceErrors(node)];
  const capacity = node.status?.nodeInfo?.swap?.capacity;
  if (capacity !== undefined && capacity <= 0) {
    errors.push(fieldErrors.invalid("metadata.nodeSwapStatus.capacity", capacity, "must be greater than 0"));
  }
  errors.push(...declaredFeatureErrors(node));
  const cidrs = node.spec?.podCIDRs ?? [];
  for (const [index, cidr] of cidrs.entries()) errors.push(...legacyCidrErrors(`spec.podCIDRs[${index}]`, cidr));
  if (cidrs.length > 1) {
    const ranges = cidrs.map(parseCidr);
    if (ranges.includes(undefined)) {
      const broken = cidrs[ranges.indexOf(undefined)] ?? "";
      errors.push(
        fieldErrors.internal(
          "spec.podCIDRs",
          `invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR address: ${broken}`,
        ),
      );
    }
    if (new Set(ranges.map((range) => range?.address.family)).size < 2 || cidrs.length > 2) {
      errors.push(fieldErrors.invalid("spec.podCIDRs", cidrs, "may specify no more than one CIDR for each IP family"));
    }
  }
  return errors;
}

/** `ValidateNodeUpdate` without metadata. */
function nodeUpdateErrors(node: Node, old: Node): FieldError[] {
  const errors = [...resourceErrors(node), ...declaredFeatureErrors(node)];
  const addresses = new Set<string>();
  for (const [index, { type, address }] of (node.status?.addresses ?? []).entries()) {
    const key = JSON.stringify([type, address]);
    if (addresses.has(key)) {
      errors.push(fieldErrors.duplicate(`status.addresses[${index}]`, { Type: type, Address: address }));
    }
    addresses.add(key);
  }
  const before = old.spec?.podCIDRs ?? [];
  if (before.length > 0 && !jsonEqual([...before], [...(node.spec?.podCIDRs ?? [])])) {
    errors.push(fieldErrors.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'));
  }
  if ((old.spec?.providerID ?? "") !== "" && old.spec?.providerID !== node.spec?.providerID) {
    errors.push(
      fieldErrors.forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid'),
    );
  }
  errors.push(...taintErrors(node.spec?.taints ?? [], "metadata.taints"));
  if ((old.spec?.externalID ?? "") !== (node.spec?.externalID ?? "")) {
    errors.push(fieldErrors.forbidden("spec.externalID", "may not be updated"));
  }
  return errors;
}

/** pkg/registry/core/node. A kubelet creates its Node with a status. */
export const nodeStrategy = defineStrategy<Node>({
  hasStatus: true,
  keepsStatusAtCreation: true,
  selectableFields: ["spec.unschedulable"],
  fieldValue: (node) => String(node.spec?.unschedulable ?? false),
  defaults(node) {
    const { spec, status } = node;
    // One field of old and its list of today (Convert_v1_NodeSpec_To_core_NodeSpec).
    if (spec?.podCIDR !== undefined && spec.podCIDR !== "") {
      if ((spec.podCIDRs ?? []).length === 0) spec.podCIDRs = [spec.podCIDR];
      else if (spec.podCIDRs?.[0] !== spec.podCIDR) spec.podCIDRs = [spec.podCIDR];
    } else if (spec?.podCIDRs?.[0] !== undefined) spec.podCIDR = spec.podCIDRs[0];
    roundAmounts(status?.capacity);
    roundAmounts(status?.allocatable);
    if (status?.capacity !== undefined && status.allocatable === undefined) status.allocatable = { ...status.capacity };
  },
  prepareForCreate(node) {
    delete node.spec?.configSource;
    delete node.status?.config;
  },
  prepareForUpdate(node, old) {
    if (old.spec?.configSource === undefined) delete node.spec?.configSource;
  },
  prepareForStatusUpdate(node, old) {
    if (old.status?.config === undefined) delete node.status?.config;
  },
  validate: nodeErrors,
  validateUpdate: (node, old) => [...nodeErrors(node), ...nodeUpdateErrors(node, old)],
  validateStatusUpdate: nodeUpdateErrors,
  warnings(node) {
    const warnings: string[] = [];
    if (node.spec?.configSource !== undefined) warnings.push("spec.configSource: the feature is removed");
    if ((node.spec?.externalID ?? "") !== "") {
      warnings.push("spec.externalID: this field is deprecated, and is unused by Kubernetes");
    }
    for (const [index, cidr] of (node.spec?.podCIDRs ?? []).entries()) {
      warnings.push(...cidrWarnings(`spec.podCIDRs[${index}]`, cidr));
    }
    return warnings;
  },
});

import type { Schema } from "../machinery/schema.ts";
import { fieldSetOf, type FieldSet } from "./field-set.ts";

const nothing = fieldSetOf([]);
const status = fieldSetOf([["status"]]);
const spec = fieldSetOf([["spec"]]);
const specAndMetadata = fieldSetOf([["spec"], ["metadata"]]);

const podStatus = fieldSetOf([["spec"], ["metadata", "deletionTimestamp"], ["metadata", "ownerReferences"]]);
const deploymentStatus = fieldSetOf([["spec"], ["metadata", "labels"]]);

/** Kinds whose `/status` does not take metadata at all. */
const metadataKinds: ReadonlySet<string> = new Set([
  "DeviceTaintRule",
  "FlowSchema",
  "PodGroup",
  "PriorityLevelConfiguration",
  "ResourceClaim",
  "ResourcePoolStatusRequest",
  "ServiceCIDR",
  "StorageVersion",
  "StorageVersionMigration",
  "ValidatingAdmissionPolicy",
  "VolumeAttachment",
]);

/**
 * What nobody comes to own through an endpoint, since it does not take it: `GetResetFields` of upstream's strategies
 * (pkg/registry/<group>/<kind>/strategy.go), where `subresource` is `""`, `status`, `approval` and so on.
 */
export function resetFieldsOf(schema: Schema, subresource: string, hasStatus: boolean): FieldSet {
  if (!hasStatus) return nothing;
  // Custom resources' schemas have no name.
  const kind = schema.id?.slice(schema.id.lastIndexOf(".") + 1) ?? "";
  if (kind === "CertificateSigningRequest") {
    if (subresource === "status") return fieldSetOf([["spec"], ["status", "conditions"]]);
    if (subresource === "approval") return fieldSetOf([["spec"], ["status", "certificate"]]);
    return fieldSetOf([["spec"], ["status"]]);
  }
  if (subresource !== "status") return status;
  if (kind === "Pod") return podStatus;
  if (kind === "Deployment") return deploymentStatus;
  return kind === "" || metadataKinds.has(kind) ? specAndMetadata : spec;
}

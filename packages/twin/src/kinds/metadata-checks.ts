import type { Strategy } from "../machinery/kind.ts";

type MetadataChecks = NonNullable<Strategy["metadataChecks"]>;

/** Their `ValidateUpdate` checks the whole metadata of the new object besides what changed. */
const changesAndWhole = [
  "/ConfigMap",
  "/Endpoints",
  "/Namespace",
  "/Node",
  "/PersistentVolumeClaim",
  "/Pod",
  "/Secret",
  "/ServiceAccount",
  "apps/ControllerRevision",
  "networking.k8s.io/IPAddress",
  "networking.k8s.io/Ingress",
  "networking.k8s.io/IngressClass",
  "rbac.authorization.k8s.io/ClusterRole",
  "rbac.authorization.k8s.io/ClusterRoleBinding",
  "rbac.authorization.k8s.io/Role",
  "rbac.authorization.k8s.io/RoleBinding",
  "resource.k8s.io/DeviceClass",
  "resource.k8s.io/ResourceClaim",
  "resource.k8s.io/ResourceClaimTemplate",
  "storage.k8s.io/CSIStorageCapacity",
  "storage.k8s.io/StorageClass",
  "storage.k8s.io/VolumeAttributesClass",
  "storagemigration.k8s.io/StorageVersionMigration",
];

/** Their `ValidateUpdate` checks the new object as it would at creation, and leaves what changed to the server. */
const whole = [
  "/LimitRange",
  "discovery.k8s.io/EndpointSlice",
  "storage.k8s.io/CSINode",
  "storage.k8s.io/VolumeAttachment",
];

const wholeAdmission = [
  "admissionregistration.k8s.io/MutatingAdmissionPolicy",
  "admissionregistration.k8s.io/MutatingAdmissionPolicyBinding",
  "admissionregistration.k8s.io/MutatingWebhookConfiguration",
  "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding",
  "admissionregistration.k8s.io/ValidatingWebhookConfiguration",
];

const wholeWithStatus = [
  "flowcontrol.apiserver.k8s.io/FlowSchema",
  "flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration",
];

const all = (ids: readonly string[], checks: MetadataChecks): [string, MetadataChecks][] =>
  ids.map((id) => [id, checks]);

/**
 * What a kind's own validation repeats of the checks of metadata that the server makes of every object: causes of a
 * refusal come as often (`Validate` and `ValidateUpdate` of pkg/registry and pkg/apis). By `group/Kind`.
 */
export const metadataChecks: ReadonlyMap<string, MetadataChecks> = new Map([
  ...all(changesAndWhole, { update: "both" }),
  ...all(whole, { update: "whole" }),
  ...all(wholeAdmission, { update: "whole", anyFinalizers: true }),
  ...all(["admissionregistration.k8s.io/ValidatingAdmissionPolicy"], {
    update: "whole",
    status: "none",
    anyFinalizers: true,
  }),
  ...all(["/PersistentVolume"], { update: "wholeTwice" }),
  ...all(["apiextensions.k8s.io/CustomResourceDefinition", "coordination.k8s.io/Lease"], { anyFinalizers: true }),
  ...all(["apiregistration.k8s.io/APIService", "node.k8s.io/RuntimeClass"], { update: "both", anyFinalizers: true }),
  ...all(wholeWithStatus, { update: "whole", status: "none" }),
  ...all(["/Event"], { creation: "none", update: "none" }),
  ...all(["batch/CronJob"], { status: "none" }),
  // Amid its other checks.
  ...all(["batch/Job"], { update: "none" }),
  ...all(["certificates.k8s.io/CertificateSigningRequest"], { update: "both", status: "both" }),
  ...all(["policy/PodDisruptionBudget"], { creation: "none", update: "none", status: "none" }),
]);

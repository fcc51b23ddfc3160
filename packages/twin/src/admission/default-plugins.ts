import type { AdmissionPlugin } from "../machinery/admission.ts";
import type { Authorize } from "../machinery/authorizer.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { roleEscalationCheck } from "../auth/role-escalation.ts";
import { certificateApproval, certificateSigning, certificateSubjectRestriction } from "./certificates.ts";
import { limitRanger } from "./limit-ranger.ts";
import { namespaceLifecycle } from "./namespace-lifecycle.ts";
import { nodeRestriction } from "./node-restriction.ts";
import { defaultTolerationSeconds, priority, runtimeClass, taintNodesByCondition } from "./pod-defaults.ts";
import { podTopologyLabels } from "./pod-topology-labels.ts";
import { podSecurity } from "./pod-security.ts";
import { resourceQuota } from "./resource-quota.ts";
import { serviceAccount } from "./service-account.ts";
import {
  defaultIngressClass,
  defaultStorageClass,
  persistentVolumeClaimResize,
  storageObjectInUseProtection,
} from "./storage-defaults.ts";

/** Plugins of others that have their place in the chain. */
export interface PolicyPlugins {
  readonly mutatingAdmissionPolicy?: AdmissionPlugin;
  readonly mutatingAdmissionWebhook?: AdmissionPlugin;
  readonly validatingAdmissionPolicy?: AdmissionPlugin;
  readonly validatingAdmissionWebhook?: AdmissionPlugin;
}

/**
 * The chain of a kube-apiserver with `--enable-admission-plugins=NodeRestriction`, in order
 * (pkg/kubeapiserver/options/plugins.go). Plugins of features that are off by default are not there.
 */
export function defaultPlugins(
  deps: {
    readonly server: ServerAccess;
    readonly authorize: Authorize;
  } & PolicyPlugins,
): readonly AdmissionPlugin[] {
  const { server, authorize } = deps;
  return [
    namespaceLifecycle(server),
    limitRanger(server),
    serviceAccount(server),
    nodeRestriction(server),
    taintNodesByCondition,
    podSecurity(server),
    priority(server),
    defaultTolerationSeconds,
    defaultStorageClass(server),
    storageObjectInUseProtection,
    persistentVolumeClaimResize(server),
    runtimeClass(server),
    certificateApproval(authorize),
    certificateSigning(authorize),
    certificateSubjectRestriction,
    defaultIngressClass(server),
    podTopologyLabels(server),
    deps.mutatingAdmissionPolicy,
    deps.mutatingAdmissionWebhook,
    deps.validatingAdmissionPolicy,
    deps.validatingAdmissionWebhook,
    resourceQuota(server),
    roleEscalationCheck({ server, authorize }),
  ].filter((plugin) => plugin !== undefined);
}

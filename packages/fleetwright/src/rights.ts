import { checkpointAccessRules } from "@fleetwright/checkpoint";
import { quotaAccessRules } from "@fleetwright/quota";
import type { Rights } from "./access.ts";

/** What the manager must be allowed; `config/rbac/manager.yaml` is made from it. @param namespace the manager's own */
export function managerRights(namespace: string): readonly [everywhere: Rights, own: Required<Rights>] {
  const hooks = "validatingwebhookconfigurations";
  return [
    {
      rules: [
        ...quotaAccessRules(),
        { apiGroups: [""], resources: ["namespaces"], verbs: ["get"] },
        { apiGroups: ["admissionregistration.k8s.io"], resources: [hooks], verbs: ["get", "create", "patch"] },
      ],
    },
    {
      namespace,
      rules: [
        { apiGroups: [""], resources: ["secrets"], verbs: ["get", "create", "update"] },
        { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] },
      ],
    },
  ];
}

/** What it must be allowed besides, where it looks after checkpoints; `config/rbac/checkpoints.yaml` is made from it. */
export const checkpointRights: Rights = { rules: checkpointAccessRules() };

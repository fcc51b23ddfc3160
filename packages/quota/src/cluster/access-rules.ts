import { apiGroup, BizGroupResourceQuotas } from "@fleetwright/api";
import type { PolicyRule } from "@fleetwright/kube";
import { builtInKinds, type WorkloadKind } from "../core/workload-kind.ts";

/** What the manager needs for quota: the rules of its ClusterRole. */
export function quotaAccessRules(kinds: readonly WorkloadKind[] = builtInKinds): readonly PolicyRule[] {
  const read = ["get", "list", "watch"];
  return [
    { apiGroups: [apiGroup], resources: [BizGroupResourceQuotas.plural], verbs: read },
    { apiGroups: [apiGroup], resources: [`${BizGroupResourceQuotas.plural}/status`], verbs: ["update"] },
    ...[...Map.groupBy(kinds, ({ resource }) => resource.group)].map(([group, same]) => ({
      apiGroups: [group],
      resources: same.map(({ resource }) => resource.plural),
      verbs: read,
    })),
    { apiGroups: [""], resources: ["limitranges"], verbs: read },
    { apiGroups: ["node.k8s.io"], resources: ["runtimeclasses"], verbs: read },
    { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
    { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch", "update"] },
  ];
}

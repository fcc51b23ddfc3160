import { apiGroup, CheckpointRestores, Checkpoints, CheckpointSchedules } from "@fleetwright/api";
import type { PolicyRule } from "@fleetwright/kube";

/** What the manager needs for checkpoints: rules of its ClusterRole. */
export function checkpointAccessRules(): readonly PolicyRule[] {
  const kinds = [Checkpoints, CheckpointRestores, CheckpointSchedules].map(({ plural }) => plural);
  const read = ["get", "list", "watch"];
  return [
    { apiGroups: [apiGroup], resources: kinds, verbs: read },
    { apiGroups: [apiGroup], resources: kinds.map((kind) => `${kind}/status`), verbs: ["update"] },
    // Schedules make Checkpoints and restores and prune them; a finalizer holds a Checkpoint until its archives are gone.
    {
      apiGroups: [apiGroup],
      resources: [Checkpoints.plural, CheckpointRestores.plural],
      verbs: ["create", "delete", "patch"],
    },
    // Restores make pods or change their images; a move stops the source.
    { apiGroups: [""], resources: ["pods"], verbs: [...read, "create", "patch", "delete"] },
    { apiGroups: [""], resources: ["nodes"], verbs: read },
    // Credentials of registries, and whether what a pod mounts is there.
    { apiGroups: [""], resources: ["secrets", "configmaps", "persistentvolumeclaims"], verbs: ["get"] },
    { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch", "update"] },
  ];
}

import { timeText } from "@fleetwright/kube";
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from "@fleetwright/kube";
import {
  availableReplicas,
  maxUnavailable,
  readyReplicas,
  specReplicas,
  statusReplicas,
  wantedOf,
} from "./deployment-plan.ts";

/** Status and conditions of Deployments (pkg/controller/deployment/{sync,progress}.go). */

export const progressing = "Progressing";

export const conditionOf = (status: DeploymentStatus | undefined, type: string): DeploymentCondition | undefined =>
  status?.conditions?.find((condition) => condition.type === type);

/** `SetDeploymentCondition`: the same status and reason change nothing. */
export function withCondition(
  conditions: readonly DeploymentCondition[] | undefined,
  next: Pick<DeploymentCondition, "type" | "status" | "reason" | "message">,
  now: number,
): readonly DeploymentCondition[] {
  const before = conditions?.find(({ type }) => type === next.type);
  if (before !== undefined && before.status === next.status && before.reason === next.reason) return conditions ?? [];
  const at = timeText(now);
  const lastTransitionTime = before?.status === next.status ? (before.lastTransitionTime ?? at) : at;
  return [...withoutCondition(conditions, next.type), { ...next, lastUpdateTime: at, lastTransitionTime }];
}

const withoutCondition = (
  conditions: readonly DeploymentCondition[] | undefined,
  unwanted: string,
): readonly DeploymentCondition[] => (conditions ?? []).filter(({ type }) => type !== unwanted);

export function hasDeadline({ spec }: Deployment): boolean {
  return spec?.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds !== 2_147_483_647;
}

/** Counts and availability (`calculateStatus`). */
export function countedStatus(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  newSet: ReplicaSet | undefined,
  now: number,
): DeploymentStatus {
  const available = availableReplicas(all);
  const unavailable = Math.max(0, specReplicas(all) - available);
  const ready = readyReplicas(all);
  const replicas = statusReplicas(all);
  const updated = newSet === undefined ? 0 : statusReplicas([newSet]);
  const terminating = all.every(({ status }) => status?.terminatingReplicas !== undefined)
    ? all.reduce((total, { status }) => total + (status?.terminatingReplicas ?? 0), 0)
    : undefined;
  const isAvailable = available >= wantedOf(deployment) - maxUnavailable(deployment);
  const { collisionCount, conditions } = deployment.status ?? {};
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    ...(replicas > 0 && { replicas }),
    ...(updated > 0 && { updatedReplicas: updated }),
    ...(ready > 0 && { readyReplicas: ready }),
    ...(available > 0 && { availableReplicas: available }),
    ...(unavailable > 0 && { unavailableReplicas: unavailable }),
    ...(terminating !== undefined && { terminatingReplicas: terminating }),
    ...(collisionCount !== undefined && { collisionCount }),
    conditions: withCondition(
      conditions,
      isAvailable
        ? {
            type: "Available",
            status: "True",
            reason: "MinimumReplicasAvailable",
            message: "Deployment has minimum availability.",
          }
        : {
            type: "Available",
            status: "False",
            reason: "MinimumReplicasUnavailable",
            message: "Deployment does not have minimum availability.",
          },
      now,
    ),
  };
}

export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const wanted = wantedOf(deployment);
  return (
    (status.updatedReplicas ?? 0) === wanted &&
    (status.replicas ?? 0) === wanted &&
    (status.availableReplicas ?? 0) === wanted &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
}

function isProgressing(before: DeploymentStatus, after: DeploymentStatus): boolean {
  const oldReplicas = (status: DeploymentStatus): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  return (
    (after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    oldReplicas(after) < oldReplicas(before) ||
    (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

/** When a rollout that stands still has failed, in milliseconds; `undefined`: it has ended, one way or the other. */
export function deadlineOf(deployment: Deployment, status: DeploymentStatus | undefined): number | undefined {
  const condition = conditionOf(status, progressing);
  if (
    condition === undefined ||
    condition.reason === "NewReplicaSetAvailable" ||
    condition.reason === "ProgressDeadlineExceeded"
  )
    return undefined;
  return Date.parse(condition.lastUpdateTime ?? "") + (deployment.spec?.progressDeadlineSeconds ?? 0) * 1000;
}

/** The status with how the rollout goes (`syncRolloutStatus`). */
export function rolloutStatus(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  newSet: ReplicaSet | undefined,
  now: number,
): DeploymentStatus {
  const status = countedStatus(deployment, all, newSet, now);
  const before = deployment.status ?? {};
  const current = conditionOf(before, progressing);
  let conditions = status.conditions ?? [];
  const wasComplete = status.replicas === status.updatedReplicas && current?.reason === "NewReplicaSetAvailable";
  const what =
    newSet === undefined ? `Deployment "${deployment.metadata.name}"` : `ReplicaSet "${newSet.metadata.name}"`;
  const told = (conditionStatus: string, reason: string, text: string): void => {
    conditions = withCondition(
      conditions,
      { type: progressing, status: conditionStatus, reason, message: `${what} ${text}` },
      now,
    );
  };
  if (!hasDeadline(deployment)) conditions = withoutCondition(conditions, progressing);
  else if (!wasComplete) {
    const deadline = deadlineOf(deployment, before);
    if (isComplete(deployment, status)) told("True", "NewReplicaSetAvailable", "has successfully progressed.");
    else if (isProgressing(before, status)) {
      const since = current?.status === "True" ? current.lastTransitionTime : undefined;
      conditions = [
        ...withoutCondition(conditions, progressing),
        {
          type: progressing,
          status: "True",
          reason: "ReplicaSetUpdated",
          message: `${what} is progressing.`,
          lastUpdateTime: timeText(now),
          lastTransitionTime: since ?? timeText(now),
        },
      ];
    } else if (deadline !== undefined && now > deadline)
      told("False", "ProgressDeadlineExceeded", "has timed out progressing.");
  }
  const failure = failureOf(all, newSet);
  conditions =
    failure === undefined ? withoutCondition(conditions, "ReplicaFailure") : withCondition(conditions, failure, now);
  return { ...status, conditions };
}

/** The new set's failure, or else an old one's (`getReplicaFailures`). */
function failureOf(all: readonly ReplicaSet[], newSet: ReplicaSet | undefined) {
  for (const set of newSet === undefined ? all : [newSet, ...all]) {
    const failure = set.status?.conditions?.find(({ type }) => type === "ReplicaFailure");
    if (failure === undefined) continue;
    const { status, reason, message } = failure;
    return { type: "ReplicaFailure", status, ...(reason && { reason }), ...(message && { message }) };
  }
  return undefined;
}

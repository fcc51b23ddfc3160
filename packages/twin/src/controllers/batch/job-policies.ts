import type { Job, Pod, PodFailurePolicyRule } from "@fleetwright/kube";
import { parseIndexes } from "./indexes.ts";

/** What a pod's failure means for its Job (pkg/controller/job/{pod_failure_policy,success_policy}.go). */
export interface FailureVerdict {
  readonly counts: boolean;
  readonly failsIndex: boolean;
  /** The Job fails, and this is why. */
  readonly failsJob: string | undefined;
}

const counted: FailureVerdict = { counts: true, failsIndex: false, failsJob: undefined };

export function failureVerdict(job: Job, pod: Pod): FailureVerdict {
  for (const [index, rule] of (job.spec?.podFailurePolicy?.rules ?? []).entries()) {
    const why = matched(rule, pod);
    if (why === undefined) continue;
    switch (rule.action) {
      case "FailJob":
        return { ...counted, failsJob: `${why} matching FailJob rule at index ${index}` };
      case "FailIndex":
        if (job.spec?.backoffLimitPerIndex === undefined) continue;
        return { ...counted, failsIndex: true };
      case "Ignore":
        return { ...counted, counts: false };
      default:
        return counted;
    }
  }
  return counted;
}

function matched({ onExitCodes, onPodConditions }: PodFailurePolicyRule, pod: Pod): string | undefined {
  const { namespace, name } = pod.metadata;
  if (onExitCodes) {
    for (const status of [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])]) {
      const exitCode = status.state?.terminated?.exitCode;
      if (exitCode === undefined || exitCode === 0) continue;
      if (onExitCodes.containerName && onExitCodes.containerName !== status.name) continue;
      const isListed = onExitCodes.values.includes(exitCode);
      if (isListed === (onExitCodes.operator === "In"))
        return `Container ${status.name} for pod ${namespace}/${name} failed with exit code ${exitCode}`;
    }
    return undefined;
  }
  for (const { type, status = "True" } of onPodConditions ?? []) {
    if (pod.status?.conditions?.some((condition) => condition.type === type && condition.status === status)) {
      return `Pod ${namespace}/${name} has condition ${type}`;
    }
  }
  return undefined;
}

/** Which rule of the success policy holds, in words; `undefined`: none. */
export function successReached(job: Job, completed: ReadonlySet<number>): string | undefined {
  for (const [index, { succeededIndexes, succeededCount }] of (job.spec?.successPolicy?.rules ?? []).entries()) {
    const wanted = succeededIndexes === undefined ? undefined : parseIndexes(succeededIndexes, job.spec?.completions);
    const matching = wanted === undefined ? completed.size : [...wanted].filter((each) => completed.has(each)).length;
    if (matching >= (succeededCount ?? wanted?.size ?? Number.POSITIVE_INFINITY))
      return `Matched rules at index ${index}`;
  }
  return undefined;
}

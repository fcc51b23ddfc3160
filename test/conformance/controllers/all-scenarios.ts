import type { Scenario } from "./scenario.ts";
import { budgetScenarios, ownershipScenarios, quotaScenarios, serviceScenarios } from "./scenarios/cluster.ts";
import { daemonSetScenarios } from "./scenarios/daemon-sets.ts";
import { deploymentScenarios } from "./scenarios/deployments.ts";
import { jobScenarios } from "./scenarios/jobs.ts";
import { replicaSetScenarios } from "./scenarios/replica-sets.ts";
import { schedulingScenarios } from "./scenarios/scheduling.ts";
import { statefulSetScenarios } from "./scenarios/stateful-sets.ts";
import { volumeScenarios } from "./scenarios/volumes.ts";

/** By the file of their recordings. */
export const allScenarios: Readonly<Record<string, readonly Scenario[]>> = {
  deployments: deploymentScenarios,
  "replica-sets": replicaSetScenarios,
  "stateful-sets": statefulSetScenarios,
  "daemon-sets": daemonSetScenarios,
  jobs: jobScenarios,
  services: serviceScenarios,
  budgets: budgetScenarios,
  quotas: quotaScenarios,
  ownership: ownershipScenarios,
  scheduling: schedulingScenarios,
  volumes: volumeScenarios,
};

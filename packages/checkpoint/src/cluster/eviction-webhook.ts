import { checkpointTriggerLabel } from "@fleetwright/api";
import {
  allowed,
  denied,
  type AdmissionHandler,
  type Client,
  type Clock,
  type Informer,
  type Logger,
  type Pod,
  type ValidatingWebhookConfiguration,
  type WebhookClientConfig,
} from "@fleetwright/kube";
import { takeScheduled } from "./make-once.ts";
import type { CheckpointObject, ScheduleObject } from "./resources.ts";
import { selects } from "./schedule-reconciler.ts";

export const evictionWebhookPath = "/hold-eviction";
export const evictionWebhookConfigurationName = "fleetwright-checkpoint";

export interface EvictionWebhookOptions {
  /** Not fenced: every replica answers. */
  readonly client: Pick<Client, "create">;
  readonly pods: Informer<Pod>;
  readonly schedules: Informer<ScheduleObject>;
  readonly checkpoints: Informer<CheckpointObject>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const retrySeconds = 2;
const defaultDeadlineSeconds = 600;
/** An older checkpoint is another drain's. */
const freshMs = 120_000;

/**
 * Holds an eviction back while the pod is checkpointed, with the 429 that `kubectl drain` and the cluster autoscaler take for "later" (as of a PodDisruptionBudget). After the
 * schedule's deadline, and whenever something goes wrong here, the eviction goes through: a drain is never stopped by us.
 */
export function holdEviction(options: EvictionWebhookOptions): AdmissionHandler {
  const { client, pods, schedules, checkpoints, clock, logger } = options;
  return async (request, signal) => {
    const { namespace = "", name = "", dryRun } = request;
    const pod = pods.get({ namespace, name });
    if (pod?.status?.phase !== "Running" || pod.metadata.deletionTimestamp !== undefined || !checkpoints.synced())
      return allowed();
    const schedule = schedules
      .list(namespace)
      .find((each) => each.spec.triggers?.drain !== undefined && selects(each, pod));
    if (schedule === undefined) return allowed();
    const now = clock.now();
    const deadlineMs = (schedule.spec.triggers?.drain?.deadlineSeconds ?? defaultDeadlineSeconds) * 1000;
    const [latest] = checkpoints
      .list(namespace)
      .filter(
        ({ metadata, spec }) =>
          spec.podUID === pod.metadata.uid && metadata.labels?.[checkpointTriggerLabel] === "drain",
      )
      .toSorted((a, b) => createdAt(b) - createdAt(a));
    const phase = latest?.status?.phase;
    if (latest !== undefined) {
      const age = now - createdAt(latest);
      const over = phase === "Completed" || phase === "Stored" || phase === "Failed";
      if (over && now - Date.parse(latest.status?.completionTime ?? "") < freshMs)
        return phase === "Failed"
          ? allowed([`pod "${name}" goes without a checkpoint: ${latest.status?.conditions?.[0]?.message ?? ""}`])
          : allowed();
      if (!over && age >= deadlineMs)
        return allowed([`pod "${name}" goes without a checkpoint: it was not there within ${deadlineMs / 1000} s`]);
      if (!over) return later(`Checkpoint "${latest.metadata.name}" of pod "${name}" is ${phase ?? "Pending"}`);
    }
    if (dryRun === true) return later(`pod "${name}" would be checkpointed first`);
    try {
      await takeScheduled(client, schedule, pod, "drain", String(Math.floor(now / freshMs)), signal);
    } catch (error) {
      logger.error({ error, pod: `${namespace}/${name}` }, "an eviction goes through without a checkpoint");
      return allowed([
        `pod "${name}" goes without a checkpoint: ${error instanceof Error ? error.message : String(error)}`,
      ]);
    }
    return later(`pod "${name}" is checkpointed first`);
  };
}

const createdAt = ({ metadata }: CheckpointObject): number => Date.parse(metadata.creationTimestamp ?? "");

const later = (message: string) =>
  denied(message, { code: 429, reason: "TooManyRequests", retryAfterSeconds: retrySeconds });

/** Fails open: without an answer an eviction goes through. */
export function evictionWebhookConfiguration(options: {
  readonly clientConfig: (path: string) => WebhookClientConfig;
  readonly exemptNamespaces?: readonly string[];
}): ValidatingWebhookConfiguration {
  const { exemptNamespaces = [] } = options;
  return {
    metadata: { name: evictionWebhookConfigurationName },
    webhooks: [
      {
        name: "eviction.checkpoint.fleetwright.dev",
        clientConfig: options.clientConfig(evictionWebhookPath),
        rules: [
          {
            apiGroups: [""],
            apiVersions: ["v1"],
            operations: ["CREATE"],
            resources: ["pods/eviction"],
            scope: "Namespaced",
          },
        ],
        ...(exemptNamespaces.length > 0 && {
          namespaceSelector: {
            matchExpressions: [
              { key: "kubernetes.io/metadata.name", operator: "NotIn", values: [...exemptNamespaces] },
            ],
          },
        }),
        admissionReviewVersions: ["v1"],
        failurePolicy: "Ignore",
        sideEffects: "NoneOnDryRun",
        timeoutSeconds: 5,
      },
    ],
  };
}

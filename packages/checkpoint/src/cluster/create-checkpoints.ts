import { checkpointAnnotation, checkpointScheduleLabel } from "@fleetwright/api";
import {
  createController,
  generationChanged,
  keyOf,
  Nodes,
  Pods,
  watch,
  type AdmissionHandler,
  type Pod,
  type ReconcileRequest,
  type Cache,
  type Client,
  type Clock,
  type Controller,
  type ControllerOptions,
  type EventRecorder,
  type Logger,
} from "@fleetwright/kube";
import type { Agents } from "./agents.ts";
import type { Artifacts } from "./artifacts.ts";
import { CheckpointReconciler, type CheckpointMetrics } from "./checkpoint-reconciler.ts";
import type { Taker } from "./kubelet.ts";
import { createNodeSlots } from "./node-slots.ts";
import { holdEviction } from "./eviction-webhook.ts";
import { labelOf } from "./make-once.ts";
import { checkpoints, restores, schedules, type CheckpointObject, type RestoreObject } from "./resources.ts";
import { ScheduleReconciler, selects, type ScheduleMetrics } from "./schedule-reconciler.ts";
import type { RestoreJudge } from "./restore-judge.ts";
import { RestoreReconciler, type RestoreMetrics } from "./restore-reconciler.ts";
import type { TakingJudge } from "./taking-judge.ts";
import { UnclaimedReconciler, type UnclaimedMetrics } from "./unclaimed-reconciler.ts";

export interface CheckpointsOptions {
  /** Fenced by leadership. */
  readonly client: Client;
  /** Of the webhook: every replica's. */
  readonly unfencedClient: Client;
  readonly cache: Cache;
  readonly agents: Agents;
  readonly taker: Taker;
  readonly artifacts: Artifacts;
  readonly judges: { readonly taking: TakingJudge; readonly restore: RestoreJudge };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events?: Pick<EventRecorder, "event">;
  readonly metrics?: ControllerOptions["metrics"];
  readonly checkpointMetrics?: CheckpointMetrics & RestoreMetrics & ScheduleMetrics & UnclaimedMetrics;
  /** Checkpoints that are taken, and restores that are made, at once; each mostly waits for a kubelet. @default 256 */
  readonly workers?: number;
  /** Containers of one node that are frozen at once. @default 1 */
  readonly maxConcurrentPerNode?: number;
}

export interface CheckpointControllers {
  readonly controllers: readonly Controller[];
  /** For the webhook server of every replica, under {@link evictionWebhookPath}. */
  readonly holdEviction: AdmissionHandler;
  ready(): boolean;
}

/**
 * After an outage thousands of Checkpoints are tried again, and what is stuck keeps its pod from the next one. In a storm over 7,500 nodes (seed 11) one Checkpoint of a hundred took 1,663 s and
 * more with controllers' usual 10 a second and 1,000 s at most (client-go's); with these the slowest took 141 s.
 */
const fleetBackoff = { maxDelayMs: 60_000, qps: 200, burst: 1_000 };

/** Puts the controllers of Checkpoints and CheckpointRestores together; nothing runs until the cache and they are started. */
export function createCheckpoints(options: CheckpointsOptions): CheckpointControllers {
  const { client, cache, agents, artifacts, judges, clock, logger, events, workers = 256 } = options;
  const known = cache.informer(checkpoints);
  const nodes = cache.informer(Nodes);
  const asked = cache.informer(restores);
  const shared = {
    concurrency: workers,
    backoff: fleetBackoff,
    clock,
    logger,
    ...(options.metrics && { metrics: options.metrics }),
  };
  const common = {
    client,
    nodes,
    agents,
    artifacts,
    clock,
    logger,
    ...(events && { events }),
    ...(options.checkpointMetrics && { metrics: options.checkpointMetrics }),
  };
  // Its own status writes come back as changes: the phases that have an end of their own are left alone.
  const taking = createController({
    name: "checkpoint",
    reconciler: new CheckpointReconciler({
      ...common,
      checkpoints: known,
      taker: options.taker,
      judge: judges.taking,
      slots: createNodeSlots(),
      ...(options.maxConcurrentPerNode !== undefined && { maxConcurrentPerNode: options.maxConcurrentPerNode }),
    }),
    sources: [watch(known)],
    ...shared,
  });
  const restoring = createController({
    name: "checkpoint-restore",
    reconciler: new RestoreReconciler({ ...common, judge: judges.restore }),
    sources: [watch(asked)],
    ...shared,
  });
  const policies = cache.informer(schedules);
  const pods = cache.informer(Pods);
  // A pod's change concerns the schedules of its namespace that select it, or did.
  const selecting = (pod: Pod): readonly ReconcileRequest[] =>
    policies.list(pod.metadata.namespace).flatMap((schedule) => (selects(schedule, pod) ? [keyOf(schedule)] : []));
  const ofSchedule = (object: CheckpointObject | RestoreObject): readonly ReconcileRequest[] => {
    const label = object.metadata.labels?.[checkpointScheduleLabel];
    return label === undefined
      ? []
      : policies
          .list(object.metadata.namespace)
          .flatMap((schedule) => (labelOf(schedule) === label ? [keyOf(schedule)] : []));
  };
  const scheduling = createController({
    name: "checkpoint-schedule",
    reconciler: new ScheduleReconciler({
      client,
      schedules: policies,
      checkpoints: known,
      restores: asked,
      pods,
      agents,
      clock,
      logger,
      ...(events && { events }),
      ...(options.checkpointMetrics && { metrics: options.checkpointMetrics }),
    }),
    sources: [
      watch(policies, { predicates: [generationChanged] }),
      watch(pods, { map: selecting, predicates: [{ updated: podMatters }] }),
      watch(known, { map: ofSchedule }),
      watch(asked, { map: ofSchedule }),
    ],
    ...shared,
  });
  const counting = createController({
    name: "checkpoint-unclaimed",
    reconciler: new UnclaimedReconciler({ ...common, checkpoints: known }),
    // It comes again by itself.
    sources: [watch(nodes, { predicates: [{ updated: () => false }] })],
    ...shared,
    concurrency: 8,
  });
  const informers = [known, nodes, asked, policies, pods];
  return {
    controllers: [taking, restoring, scheduling, counting],
    holdEviction: holdEviction({
      client: options.unfencedClient,
      pods,
      schedules: policies,
      checkpoints: known,
      clock,
      logger,
    }),
    ready: () => informers.every((informer) => informer.synced()),
  };
}

/** Heartbeats of a pod's conditions bring nothing that a schedule looks at. */
function podMatters(before: Pod, after: Pod): boolean {
  const look = ({ metadata, status }: Pod) =>
    JSON.stringify([
      metadata.labels,
      metadata.annotations?.[checkpointAnnotation],
      metadata.deletionTimestamp,
      status?.phase,
      status?.conditions?.find(({ type }) => type === "DisruptionTarget")?.status,
      status?.containerStatuses?.map(({ containerID, state, lastState }) => [
        containerID,
        state?.terminated?.containerID,
        lastState?.terminated?.containerID,
      ]),
    ]);
  return look(before) !== look(after);
}

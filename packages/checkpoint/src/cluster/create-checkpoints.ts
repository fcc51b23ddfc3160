import {
  createController,
  Nodes,
  watch,
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
import { checkpoints, restores } from "./resources.ts";
import type { RestoreJudge } from "./restore-judge.ts";
import { RestoreReconciler, type RestoreMetrics } from "./restore-reconciler.ts";
import type { TakingJudge } from "./taking-judge.ts";

export interface CheckpointsOptions {
  /** Fenced by leadership. */
  readonly client: Client;
  readonly cache: Cache;
  readonly agents: Agents;
  readonly taker: Taker;
  readonly artifacts: Artifacts;
  readonly judges: { readonly taking: TakingJudge; readonly restore: RestoreJudge };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events?: Pick<EventRecorder, "event">;
  readonly metrics?: ControllerOptions["metrics"];
  readonly checkpointMetrics?: CheckpointMetrics & RestoreMetrics;
  /** Checkpoints that are taken, and restores that are made, at once. @default 32 */
  readonly workers?: number;
  /** Containers of one node that are frozen at once. @default 1 */
  readonly maxConcurrentPerNode?: number;
}

export interface CheckpointControllers {
  readonly controllers: readonly Controller[];
  ready(): boolean;
}

/** Puts the controllers of Checkpoints and CheckpointRestores together; nothing runs until the cache and they are started. */
export function createCheckpoints(options: CheckpointsOptions): CheckpointControllers {
  const { client, cache, agents, artifacts, judges, clock, logger, events, workers = 32 } = options;
  const known = cache.informer(checkpoints);
  const nodes = cache.informer(Nodes);
  const asked = cache.informer(restores);
  const shared = {
    concurrency: workers,
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
  return {
    controllers: [taking, restoring],
    ready: () => [known, nodes, asked].every((informer) => informer.synced()),
  };
}

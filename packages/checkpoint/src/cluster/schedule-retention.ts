import { checkpointScheduleLabel, restoreTriggerLabel } from "@fleetwright/api";
import { isBeingDeleted, isNotFound, parseQuantity, type Informer } from "@fleetwright/kube";
import { decideRetention, type KeptCheckpoint, type RetentionPolicy } from "../core/keep/retention.ts";
import { allInParallel } from "./all-in-parallel.ts";
import { isDone, isOpen, newestFirst, restoreIsOpen, takenAt, time } from "./checkpoint-state.ts";
import { labelOf } from "./make-once.ts";
import { checkpoints, restores, type CheckpointObject, type RestoreObject, type ScheduleObject } from "./resources.ts";
import type { ScheduleParts } from "./schedule-reconciler.ts";

/** Finished restores of a schedule that are kept. */
const keptRestores = 3;

/** The Checkpoints that a schedule took, newest first. */
export function ownCheckpoints(
  schedule: ScheduleObject,
  known: Informer<CheckpointObject>,
): readonly CheckpointObject[] {
  const label = labelOf(schedule);
  return newestFirst(
    known
      .list(schedule.metadata.namespace)
      .filter(({ metadata }) => metadata.labels?.[checkpointScheduleLabel] === label),
  );
}

/** Deletes what retention lets go, and old finished restores. Says how many Checkpoints went. */
export async function prune(schedule: ScheduleObject, parts: ScheduleParts, signal: AbortSignal): Promise<number> {
  const { client, clock, checkpoints: known, restores: asked, metrics } = parts;
  const { namespace = "" } = schedule.metadata;
  const finished = asked
    .list(namespace)
    .filter(
      (restore) => restore.metadata.labels?.[checkpointScheduleLabel] === labelOf(schedule) && !restoreIsOpen(restore),
    )
    .toSorted(
      (a, b) => time(b.metadata.creationTimestamp ?? undefined) - time(a.metadata.creationTimestamp ?? undefined),
    );
  // Those of pods that are there tell what must not be taken for a failure.
  for (const [, all] of Map.groupBy(finished, ({ metadata }) => metadata.labels?.[restoreTriggerLabel]))
    for (const restore of all.slice(keptRestores))
      if (parts.pods.get({ namespace, name: restore.spec.podName }) === undefined)
        await client
          .delete(restores, { namespace, name: restore.metadata.name ?? "" }, { signal })
          .catch(ignoreNotFound);
  const { retention } = schedule.spec;
  // Nothing is decided on what is not whole.
  if (retention === undefined || !known.synced() || !asked.synced()) return 0;
  const list = keptCheckpoints(ownCheckpoints(schedule, known), asked.list(namespace), clock.now());
  const policy = policyOf(schedule);
  let pruned = 0;
  const going = decideRetention({ complete: true, checkpoints: list }, policy, clock.now()).filter(({ keep }) => !keep);
  await allInParallel(going, signal, async ({ id, reasons }) => {
    const checkpoint = known.get({ namespace, name: id });
    const { uid, resourceVersion } = checkpoint?.metadata ?? {};
    if (checkpoint === undefined || isBeingDeleted(checkpoint) || !uid || !resourceVersion) return;
    // A pin that came meanwhile changes the version: nothing is deleted then.
    try {
      await client.delete(checkpoints, { namespace, name: id }, { preconditions: { uid, resourceVersion }, signal });
      pruned++;
      parts.logger.info({ checkpoint: `${namespace}/${id}`, reasons }, "checkpoint pruned");
    } catch (error) {
      ignoreNotFound(error);
    }
  });
  if (pruned > 0) metrics?.pruned(pruned);
  return pruned;
}

function ignoreNotFound(error: unknown): void {
  // A conflict: it has changed since it was judged, and is judged again.
  const status = (error as { readonly httpStatus?: number }).httpStatus;
  if (!isNotFound(error) && status !== 409) throw error;
}

/** A schedule's retention as amounts. */
export function policyOf({ spec }: ScheduleObject): RetentionPolicy {
  const { maxAgeSeconds, maxTotalSize, ...counts } = spec.retention ?? {};
  return {
    ...counts,
    ...(spec.timeZone && { timeZone: spec.timeZone }),
    ...(maxAgeSeconds !== undefined && { maxAgeMs: maxAgeSeconds * 1000 }),
    ...(maxTotalSize !== undefined && { maxTotalBytes: parseQuantity(String(maxTotalSize)).toNumber() }),
  };
}

/** Checkpoints as retention sees them. */
export function keptCheckpoints(
  own: readonly CheckpointObject[],
  asked: readonly RestoreObject[],
  now: number,
): readonly KeptCheckpoint[] {
  const users = Map.groupBy(asked.filter(restoreIsOpen), (restore) => restore.spec.checkpointName);
  return own
    .filter((checkpoint) => !isBeingDeleted(checkpoint))
    .map((checkpoint) => ({
      id: checkpoint.metadata.name ?? "",
      subject: checkpoint.spec.podName,
      time: takenAt(checkpoint),
      sizeBytes: (checkpoint.status?.containers ?? []).reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0),
      state: isDone(checkpoint) ? "restorable" : isOpen(checkpoint) ? "unfinished" : "failed",
      pins: (checkpoint.spec.pins ?? [])
        .filter(({ until }) => until === undefined || Date.parse(until) > now)
        .map(({ owner }) => owner),
      usedBy: (users.get(checkpoint.metadata.name ?? "") ?? []).map(
        (restore) => `CheckpointRestore ${restore.metadata.name}`,
      ),
    }));
}

import { checkpointScheduleLabel, restoreTriggerLabel, type CheckpointScheduleStatus } from "@fleetwright/api";
import { isAlreadyExists, isBeingDeleted, isNotFound, Pods, type Pod } from "@fleetwright/kube";
import { occasionName } from "../core/schedule/due.ts";
import { isDone, newestFirst, restoreIsOpen, takenAt, time } from "./checkpoint-state.ts";
import { labelOf, restoreAfterDrainAnnotation } from "./make-once.ts";
import { restores, type CheckpointObject, type RestoreObject, type ScheduleObject } from "./resources.ts";
import type { ScheduleParts } from "./schedule-reconciler.ts";

/** Restores of one pod from one checkpoint after failures: a program that ends in the same way each time is not helped. */
const maxFailureRestores = 3;

/** A container that ended with an error goes on from the pod's newest checkpoint, in place, or, where containers don't start again, in a new pod. */
export async function restoreFailures(
  schedule: ScheduleObject,
  pods: readonly Pod[],
  parts: ScheduleParts,
  signal: AbortSignal,
): Promise<void> {
  if (schedule.spec.restoreOnFailure !== true) return;
  const { restores: asked, checkpoints: known } = parts;
  const { namespace = "" } = schedule.metadata;
  const byPod = Map.groupBy(asked.list(namespace), (restore) => restore.spec.podName);
  for (const pod of pods) {
    const { name = "", uid = "", deletionTimestamp } = pod.metadata;
    if (deletionTimestamp !== undefined) continue;
    if (!pod.status?.containerStatuses?.some(({ state, lastState }) => state?.terminated ?? lastState?.terminated))
      continue;
    const ofPod = byPod.get(name) ?? [];
    if (ofPod.some(restoreIsOpen)) continue;
    // What a restore in place stopped is no failure.
    const stopped = new Set(ofPod.flatMap(({ status }) => status?.replaced ?? []));
    const failed = (pod.status?.containerStatuses ?? []).find(({ state, lastState }) => {
      const end = state?.terminated ?? lastState?.terminated;
      return end !== undefined && end.exitCode !== 0 && !stopped.has(end.containerID ?? "");
    });
    const end = failed?.state?.terminated ?? failed?.lastState?.terminated;
    if (failed === undefined || end === undefined) continue;
    const [newest] = newestFirst(
      known
        .list(namespace)
        .filter((checkpoint) => isDone(checkpoint) && !isBeingDeleted(checkpoint) && checkpoint.status?.podUID === uid),
    );
    if (newest === undefined || takenAt(newest) < time(pod.status?.startTime ?? undefined)) continue;
    const from = newest.metadata.name ?? "";
    if (ofPod.filter(({ spec }) => spec.checkpointName === from).length >= maxFailureRestores) continue;
    const ended = pod.status?.phase === "Failed";
    await restore(
      schedule,
      occasionName(name, uid, failed.name, end.containerID ?? ""),
      "failure",
      {
        checkpointName: from,
        podName: ended ? occasionName(name, uid, "again") : name,
        mode: ended ? "Create" : "InPlace",
        acceptRisks: true,
      },
      parts,
      signal,
    );
  }
}

/** A pod without a controller that was drained goes on elsewhere. */
export async function restoreDrained(
  schedule: ScheduleObject,
  own: readonly CheckpointObject[],
  parts: ScheduleParts,
  signal: AbortSignal,
): Promise<void> {
  for (const checkpoint of own) {
    if (checkpoint.metadata.annotations?.[restoreAfterDrainAnnotation] !== "true" || !isDone(checkpoint)) continue;
    const { podName } = checkpoint.spec;
    const pod = parts.pods.get({ namespace: checkpoint.metadata.namespace ?? "", name: podName });
    const isSource = pod?.metadata.uid === checkpoint.status?.podUID;
    // It has not been evicted, or somebody else has that name already.
    if (pod !== undefined && !(isSource && pod.metadata.deletionTimestamp !== undefined)) continue;
    const name = occasionName(podName, checkpoint.metadata.uid ?? "", "drain");
    await restore(
      schedule,
      name,
      "drain",
      { checkpointName: checkpoint.metadata.name ?? "", podName, stopSource: true, acceptRisks: true },
      parts,
      signal,
    );
  }
}

/** Restores the newest checkpoint in a scratch pod when it is time, and says how that went. @param wake when to come again */
export async function rehearse(
  schedule: ScheduleObject,
  own: readonly CheckpointObject[],
  wake: number[],
  parts: ScheduleParts,
  signal: AbortSignal,
): Promise<CheckpointScheduleStatus["rehearsal"]> {
  const { client, clock, metrics, restores: asked } = parts;
  const { rehearsal: policy } = schedule.spec;
  if (policy === undefined) return undefined;
  const { namespace = "", name = "" } = schedule.metadata;
  const now = clock.now();
  const last = schedule.status?.rehearsal;
  if (last?.result === "Running") {
    const running = asked.get({ namespace, name: last.restoreName ?? "" });
    if (running !== undefined && restoreIsOpen(running)) return last;
    const passed = running?.status?.phase === "Succeeded";
    // Then the scratch pod goes.
    wake.push(now + (policy.keepSeconds ?? 0) * 1000);
    const message = running?.status?.conditions?.[0]?.message ?? "the restore was deleted";
    metrics?.rehearsed(passed ? "passed" : "failed");
    if (!passed)
      parts.events?.event({
        regarding: schedule,
        type: "Warning",
        reason: "RehearsalFailed",
        action: "Rehearse",
        note: message,
      });
    return { ...last, time: new Date(now).toISOString(), result: passed ? "Passed" : "Failed", message };
  }
  const scratch = last?.restoreName;
  const endsAt = time(last?.time) + (policy.keepSeconds ?? 0) * 1000;
  if (scratch !== undefined && parts.pods.get({ namespace, name: scratch }) !== undefined) {
    if (now >= endsAt)
      try {
        await client.delete(Pods, { namespace, name: scratch }, { gracePeriodSeconds: 1, signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    else wake.push(endsAt);
  }
  const due = Number.isNaN(time(last?.time)) ? now : time(last?.time) + policy.intervalSeconds * 1000;
  if (now < due) {
    wake.push(due);
    return last;
  }
  const newest = own.find((checkpoint) => isDone(checkpoint) && !isBeingDeleted(checkpoint));
  if (newest === undefined) return last;
  const restoreName = occasionName(`${name}-rehearsal`, newest.metadata.uid ?? "", String(due));
  const checkpointName = newest.metadata.name ?? "";
  await restore(
    schedule,
    restoreName,
    "rehearsal",
    { checkpointName, podName: restoreName, isolated: true, volumes: "Scratch", acceptRisks: true },
    parts,
    signal,
  );
  return { restoreName, checkpointName, result: "Running", ...(last?.time && { time: last.time }) };
}

async function restore(
  schedule: ScheduleObject,
  name: string,
  trigger: string,
  spec: RestoreObject["spec"],
  { client }: ScheduleParts,
  signal: AbortSignal,
): Promise<void> {
  const { namespace = "" } = schedule.metadata;
  const object: RestoreObject = {
    apiVersion: "fleetwright.dev/v1alpha1",
    kind: "CheckpointRestore",
    metadata: {
      namespace,
      name,
      labels: { [checkpointScheduleLabel]: labelOf(schedule), [restoreTriggerLabel]: trigger },
    },
    spec,
  };
  try {
    await client.create(restores, object, { signal });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

import { checkpointScheduleLabel, checkpointTriggerLabel, type CheckpointSpec } from "@fleetwright/api";
import { controllerOf, isAlreadyExists, type Client, type Pod } from "@fleetwright/kube";
import { occasionName } from "../core/schedule/due.ts";
import { checkpoints, type CheckpointObject, type ScheduleObject } from "./resources.ts";

/** Why a schedule takes a checkpoint. */
export type Trigger = "schedule" | "annotation" | "drain" | "preemption" | "threshold";

/** On a Checkpoint that was taken for a drain: the pod goes on from it elsewhere, since no controller makes another one. */
export const restoreAfterDrainAnnotation = "fleetwright.dev/restore-after-drain";

/** The name of what a schedule takes of a pod on some occasion. */
export const scheduledName = (schedule: ScheduleObject, pod: Pod, trigger: Trigger, occasion: string): string =>
  occasionName(schedule.metadata.name ?? "", pod.metadata.uid ?? "", trigger, occasion);

/**
 * Makes the Checkpoint of a pod for an occasion; a second time changes nothing. It does not go with the schedule: what was saved outlives the policy.
 *
 * @returns whether it was made now
 */
export async function takeScheduled(
  client: Pick<Client, "create">,
  schedule: ScheduleObject,
  pod: Pod,
  trigger: Trigger,
  occasion: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { containers, destination, triggers } = schedule.spec;
  const restores = trigger === "drain" && triggers?.drain?.restore === true && controllerOf(pod) === undefined;
  const { namespace = "", name: podName = "", uid } = pod.metadata;
  const spec: CheckpointSpec = {
    podName,
    // The schedule's owner has accepted what a freeze does.
    acceptRisks: true,
    ...(uid && { podUID: uid }),
    ...(containers && { containers }),
    ...(destination && { destination }),
  };
  const object: CheckpointObject = {
    apiVersion: "fleetwright.dev/v1alpha1",
    kind: "Checkpoint",
    metadata: {
      namespace,
      name: scheduledName(schedule, pod, trigger, occasion),
      labels: { [checkpointScheduleLabel]: labelOf(schedule), [checkpointTriggerLabel]: trigger },
      ...(restores && { annotations: { [restoreAfterDrainAnnotation]: "true" } }),
    },
    spec,
  };
  try {
    await client.create(checkpoints, object, { signal });
    return true;
  } catch (error) {
    if (isAlreadyExists(error)) return false;
    throw error;
  }
}

/** A schedule's name as a label's value: names may be longer. */
export const labelOf = ({ metadata: { name = "" } }: ScheduleObject): string =>
  name.length <= 63 ? name : occasionName(name.slice(0, 50), name);

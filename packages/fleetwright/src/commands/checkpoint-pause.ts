import { FleetwrightError, Jobs, Pods, type Client, type Pod } from "@fleetwright/kube";
import { freshName, storyOf, takeCheckpoint, waitOptions } from "../checkpoint-objects.ts";
import { defineCommand } from "../command.ts";
import { withCluster } from "../connection.ts";
import { takingOptions, takingSpec } from "./checkpoint-create.ts";

/** On a paused Job: the Checkpoint that its work goes on from. */
export const pausedAnnotation = "fleetwright.dev/paused-checkpoint";

/** The one pod of a Job that runs. */
export async function podOfJob(client: Client, namespace: string, job: string): Promise<Pod | undefined> {
  const { items } = await client.list(Pods, { namespace, labelSelector: `batch.kubernetes.io/job-name=${job}` });
  const alive = items.filter(
    ({ status, metadata }) =>
      metadata.deletionTimestamp === undefined && status?.phase !== "Failed" && status?.phase !== "Succeeded",
  );
  if (alive.length > 1)
    throw new FleetwrightError(
      "FW_CHECKPOINT_PAUSE",
      `job "${job}" runs ${alive.length} pods: only a Job with one pod can be paused`,
    );
  return alive[0];
}

/** `fleetwright checkpoint pause POD|job/NAME` */
export const checkpointPauseCommand = defineCommand({
  name: "checkpoint pause",
  summary: "Save a pod or a Job's pod, then stop it, so that its resources are free; resume lets it go on",
  arguments: [{ name: "<pod>", description: "the pod, or job/NAME for a Job with one pod" }],
  options: { ...waitOptions, ...takingOptions },
  run: (context, options, [what = ""]) =>
    withCluster(context, options, async (client) => {
      const { namespace, wait: waitMs } = options;
      const job = what.startsWith("job/") ? what.slice("job/".length) : undefined;
      const pod = job === undefined ? what : (await podOfJob(client, namespace, job))?.metadata.name;
      if (pod === undefined)
        throw new FleetwrightError(
          "FW_CHECKPOINT_PAUSE",
          `job "${job}" has no pod that runs: there is nothing to save`,
        );
      const name = freshName(context, `${pod}-pause`);
      const taken = await takeCheckpoint(context, client, {
        namespace,
        name,
        trigger: "pause",
        spec: takingSpec(pod, options),
        waitMs: Math.max(waitMs, 1_000),
      });
      if (taken.status?.phase !== "Completed") {
        context.stderr(storyOf(taken));
        return 1;
      }
      const uid = taken.status.podUID;
      if (job !== undefined)
        // The Job deletes its pod itself, and makes no other.
        await client.patch(
          Jobs,
          { namespace, name: job },
          {
            type: "merge",
            patch: { metadata: { annotations: { [pausedAnnotation]: name } }, spec: { suspend: true } },
          },
        );
      else await client.delete(Pods, { namespace, name: pod }, uid === undefined ? {} : { preconditions: { uid } });
      context.stdout(
        `checkpoint/${name}: ${what} is paused; "fleetwright checkpoint resume ${job === undefined ? name : what}" lets it go on\n`,
      );
      return 0;
    }),
});

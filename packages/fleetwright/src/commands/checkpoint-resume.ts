import { FleetwrightError, Jobs, sleep, type Client } from "@fleetwright/kube";
import { findCheckpoint, freshName, makeRestore, storyOf, waitOptions } from "../checkpoint-objects.ts";
import { defineCommand, flag, type CommandContext } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";
import { pausedAnnotation, podOfJob } from "./checkpoint-pause.ts";

/** Lets a suspended Job make its pod again, into which its work comes back. */
async function resumeJob(
  context: CommandContext,
  client: Client,
  namespace: string,
  job: string,
): Promise<{ readonly checkpoint: string; readonly pod: string }> {
  const { metadata } = await client.get(Jobs, { namespace, name: job });
  const checkpoint = metadata.annotations?.[pausedAnnotation];
  if (checkpoint === undefined)
    throw new FleetwrightError(
      "FW_CHECKPOINT_PAUSE",
      `job "${job}" was not paused by "fleetwright checkpoint pause": it lacks the annotation ${pausedAnnotation}`,
    );
  await client.patch(Jobs, { namespace, name: job }, { type: "merge", patch: { spec: { suspend: false } } });
  for (;;) {
    const pod = (await podOfJob(client, namespace, job))?.metadata.name;
    if (pod !== undefined) return { checkpoint, pod };
    await sleep(context.clock, 250, context.signal);
  }
}

/** `fleetwright checkpoint resume CHECKPOINT|job/NAME` */
export const checkpointResumeCommand = defineCommand({
  name: "checkpoint resume",
  summary: "Let what was paused go on: a pod under its name, or a Job",
  arguments: [{ name: "<checkpoint>", description: "name of the Checkpoint that pause made, pod/NAME, or job/NAME" }],
  options: { ...waitOptions, acceptRisks: flag("--accept-risks", "restore although a verdict warns") },
  run: (context, options, [what = ""]) =>
    withCluster(context, options, async (client) => {
      const { namespace, output, wait: waitMs, acceptRisks } = options;
      const job = what.startsWith("job/") ? what.slice("job/".length) : undefined;
      const resumed = job === undefined ? undefined : await resumeJob(context, client, namespace, job);
      const checkpoint = await findCheckpoint(client, namespace, resumed?.checkpoint ?? what);
      const restored = await makeRestore(context, client, {
        namespace,
        name: freshName(context, checkpoint.metadata.name ?? ""),
        spec: {
          checkpointName: checkpoint.metadata.name ?? "",
          podName: resumed?.pod ?? checkpoint.spec.podName,
          mode: resumed ? "InPlace" : "Create",
          ...(acceptRisks && { acceptRisks }),
          ...(!resumed && { stopSource: true }),
        },
        waitMs,
      });
      if (job !== undefined && restored.status?.phase === "Succeeded")
        await client.patch(
          Jobs,
          { namespace, name: job },
          { type: "merge", patch: { metadata: { annotations: { [pausedAnnotation]: null } } } },
        );
      context.stdout(formatOutput(output, restored, () => storyOf(restored)));
      return restored.status?.phase === "Failed" ? 1 : 0;
    }),
});

import { isNotFound, Pods } from "@fleetwright/kube";
import { findCheckpoint, freshName, makeRestore, storyOf, waitOptions } from "../checkpoint-objects.ts";
import { defineCommand, flag, text } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";

/** `fleetwright checkpoint rehearse CHECKPOINT` */
export const checkpointRehearseCommand = defineCommand({
  name: "checkpoint rehearse",
  summary:
    "Prove that a checkpoint can be restored: in a scratch pod without labels and claims, which is deleted again",
  arguments: [{ name: "<checkpoint>", description: "name of the Checkpoint, or pod/NAME for a pod's newest" }],
  options: {
    ...waitOptions,
    node: text("--node <name>", "where (default: where the checkpoint was taken, or a node like it)"),
    keep: flag("--keep", "leave the scratch pod"),
  },
  run: (context, options, [from = ""]) =>
    withCluster(context, options, async (client) => {
      const { namespace, output, wait: waitMs, node, keep } = options;
      const checkpoint = await findCheckpoint(client, namespace, from);
      const name = freshName(context, `${checkpoint.metadata.name}-rehearsal`);
      const restored = await makeRestore(context, client, {
        namespace,
        name,
        spec: {
          checkpointName: checkpoint.metadata.name ?? "",
          podName: name,
          isolated: true,
          volumes: "Scratch",
          acceptRisks: true,
          ...(node !== "" && { nodeName: node }),
        },
        waitMs: Math.max(waitMs, 1_000),
      });
      if (!keep)
        try {
          await client.delete(Pods, { namespace, name }, { gracePeriodSeconds: 1 });
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      context.stdout(formatOutput(output, restored, () => storyOf(restored)));
      return restored.status?.phase === "Succeeded" ? 0 : 1;
    }),
});

import { findCheckpoint, freshName, makeRestore, storyOf, waitOptions } from "../checkpoint-objects.ts";
import { defineCommand, flag, text } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";

/** `fleetwright checkpoint restore CHECKPOINT` */
export const checkpointRestoreCommand = defineCommand({
  name: "checkpoint restore",
  summary: "Let a pod go on from a checkpoint",
  arguments: [{ name: "<checkpoint>", description: "name of the Checkpoint, or pod/NAME for a pod's newest" }],
  options: {
    ...waitOptions,
    as: text("--as <pod>", "name of the new pod (default: the old one's and five letters)"),
    inPlace: flag("--in-place", "the pod that is there goes back to the checkpoint, instead of a new one"),
    node: text("--node <name>", "where the new pod runs (default: where the checkpoint was taken, or a node like it)"),
    stopSource: flag("--stop-source", "stop the pod that was checkpointed first, for certain"),
    volumes: {
      ...text("--volumes <how>", "what becomes of claims, ConfigMaps and Secrets that are mounted", "Require"),
      choices: ["Require", "Empty", "Scratch"],
    },
    serviceAccount: text("--service-account <name>", "of the new pod (default: the old one's)"),
    acceptRisks: flag("--accept-risks", "restore although a verdict warns"),
    report: flag("--report-only", "differences from the checkpoint are told, but are no failure"),
  },
  run: (context, options, [from = ""]) =>
    withCluster(context, options, async (client) => {
      const {
        namespace,
        output,
        wait: waitMs,
        node,
        inPlace,
        stopSource,
        volumes,
        serviceAccount,
        acceptRisks,
        report,
      } = options;
      const checkpoint = await findCheckpoint(client, namespace, from);
      const { podName } = checkpoint.spec;
      const restored = await makeRestore(context, client, {
        namespace,
        name: freshName(context, checkpoint.metadata.name ?? ""),
        spec: {
          checkpointName: checkpoint.metadata.name ?? "",
          podName: options.as !== "" ? options.as : inPlace || stopSource ? podName : freshName(context, podName),
          mode: inPlace ? "InPlace" : "Create",
          ...(node !== "" && { nodeName: node }),
          ...(stopSource && { stopSource }),
          ...(volumes !== "Require" && { volumes: volumes === "Empty" ? "Empty" : "Scratch" }),
          ...(serviceAccount !== "" && { serviceAccountName: serviceAccount }),
          ...(acceptRisks && { acceptRisks }),
          ...(report && { verify: "Report" }),
        },
        waitMs,
      });
      context.stdout(formatOutput(output, restored, () => storyOf(restored)));
      return restored.status?.phase === "Failed" ? 1 : 0;
    }),
});

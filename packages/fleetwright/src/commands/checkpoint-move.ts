import { freshName, makeRestore, storyOf, takeCheckpoint, waitOptions } from "../checkpoint-objects.ts";
import { defineCommand, text } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";
import { takingOptions, takingSpec } from "./checkpoint-create.ts";

/** `fleetwright checkpoint move POD` */
export const checkpointMoveCommand = defineCommand({
  name: "checkpoint move",
  summary: "Move a running pod to another node: checkpoint, stop it for certain, let it go on there",
  details:
    "What it does between its checkpoint and its stop is lost. A pod that a controller made is replaced by that controller as well: pause and resume fit it better.",
  arguments: [{ name: "<pod>", description: "the pod" }],
  options: {
    ...waitOptions,
    node: text("--node <name>", "where to (default: a node like the one that it is on)"),
    ...takingOptions,
  },
  run: (context, options, [pod = ""]) =>
    withCluster(context, options, async (client) => {
      const { namespace, output, wait: waitMs, node, acceptRisks } = options;
      const name = freshName(context, `${pod}-move`);
      const taken = await takeCheckpoint(context, client, {
        namespace,
        name,
        trigger: "manual",
        spec: takingSpec(pod, options),
        waitMs: Math.max(waitMs, 1_000),
      });
      if (taken.status?.phase !== "Completed") {
        context.stderr(storyOf(taken));
        return 1;
      }
      const restored = await makeRestore(context, client, {
        namespace,
        name,
        spec: {
          checkpointName: name,
          podName: pod,
          stopSource: true,
          ...(node !== "" && { nodeName: node }),
          ...(acceptRisks && { acceptRisks }),
        },
        waitMs,
      });
      context.stdout(formatOutput(output, restored, () => storyOf(restored)));
      return restored.status?.phase === "Failed" ? 1 : 0;
    }),
});

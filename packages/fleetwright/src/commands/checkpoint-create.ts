import type { CheckpointSpec } from "@fleetwright/api";
import { freshName, storyOf, takeCheckpoint, waitOptions } from "../checkpoint-objects.ts";
import { defineCommand, flag, integer, text } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";

const listOf = (value: string): readonly string[] => value.split(",").filter((part) => part !== "");

/** Options that say what a new checkpoint is of, and where it goes. */
export const takingOptions = {
  containers: text("-c, --containers <names>", "containers, with commas between (default: all that run)"),
  to: text("--to <repository>", "repository of a registry that it is pushed to (default: it stays on its node)"),
  secret: text("--registry-secret <name>", "Secret of type kubernetes.io/dockerconfigjson for that registry"),
  form: { ...text("--form <form>", "how it is pushed", "Artifact"), choices: ["Artifact", "EngineImage"] },
  recipients: text("--recipients <keys>", "age public keys that an artifact is encrypted to, with commas between"),
  timeout: integer("--timeout <seconds>", "time for one container; 0: chosen from its memory", 0, 0, 86_400),
  acceptRisks: flag("--accept-risks", "take it although a verdict warns"),
};

/** The spec of a Checkpoint from a command's options. */
export function takingSpec(
  podName: string,
  options: {
    readonly containers: string;
    readonly to: string;
    readonly secret: string;
    readonly form: string;
    readonly recipients: string;
    readonly timeout: number;
    readonly acceptRisks: boolean;
  },
): CheckpointSpec {
  const { containers, to, secret, form, recipients, timeout, acceptRisks } = options;
  return {
    podName,
    ...(containers !== "" && { containers: listOf(containers) }),
    ...(timeout > 0 && { timeoutSeconds: timeout }),
    ...(acceptRisks && { acceptRisks }),
    ...(to !== "" && {
      destination: {
        repository: to,
        form: form === "EngineImage" ? "EngineImage" : "Artifact",
        ...(secret !== "" && { secretName: secret }),
        ...(recipients !== "" && { recipients: listOf(recipients) }),
      },
    }),
  };
}

/** `fleetwright checkpoint create POD` */
export const checkpointCreateCommand = defineCommand({
  name: "checkpoint create",
  summary: "Take a checkpoint of a running pod, which goes on",
  arguments: [{ name: "<pod>", description: "the pod" }],
  options: {
    ...waitOptions,
    name: text("--name <name>", "of the Checkpoint (default: the pod's and five letters)"),
    ...takingOptions,
  },
  run: (context, options, [pod = ""]) =>
    withCluster(context, options, async (client) => {
      const { namespace, output, wait: waitMs } = options;
      const name = options.name === "" ? freshName(context, pod) : options.name;
      const taken = await takeCheckpoint(context, client, {
        namespace,
        name,
        trigger: "manual",
        spec: takingSpec(pod, options),
        waitMs,
      });
      context.stdout(formatOutput(output, taken, () => storyOf(taken)));
      return taken.status?.phase === "Failed" ? 1 : 0;
    }),
});

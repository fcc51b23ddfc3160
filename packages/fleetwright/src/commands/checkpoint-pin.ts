import { checkpoints } from "@fleetwright/checkpoint";
import { FleetwrightError } from "@fleetwright/kube";
import { checkpointOptions, findCheckpoint } from "../checkpoint-objects.ts";
import { defineCommand, duration, flag, text } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";

/** `fleetwright checkpoint pin CHECKPOINT` */
export const checkpointPinCommand = defineCommand({
  name: "checkpoint pin",
  summary: "Demand that a checkpoint is kept, whatever retention says, or take that back",
  arguments: [{ name: "<checkpoint>", description: "name of the Checkpoint, or pod/NAME for a pod's newest" }],
  options: {
    ...checkpointOptions,
    owner: text("--owner <name>", "who demands it, in words that others understand (required)"),
    for: duration("--for <duration>", "how long; 0s: until it is taken back", 0),
    remove: flag("--remove", "take the owner's pin away"),
  },
  run: (context, options, [name = ""]) =>
    withCluster(context, options, async (client) => {
      const { namespace, owner, remove, output, for: lasting } = options;
      if (owner === "")
        throw new FleetwrightError(
          "FW_CHECKPOINT_PIN",
          "--owner is missing: say who demands that the checkpoint is kept",
        );
      const checkpoint = await findCheckpoint(client, namespace, name);
      const others = (checkpoint.spec.pins ?? []).filter((pin) => pin.owner !== owner);
      const until = lasting > 0 ? { until: new Date(context.clock.now() + lasting).toISOString() } : {};
      const pins = remove ? others : [...others, { owner, ...until }];
      // The version that was read: two owners at once don't undo each other.
      const { resourceVersion } = checkpoint.metadata;
      const patch = { metadata: { ...(resourceVersion && { resourceVersion }) }, spec: { pins } };
      const pinned = await client.patch(
        checkpoints,
        { namespace, name: checkpoint.metadata.name ?? "" },
        { type: "merge", patch },
        { signal: context.signal },
      );
      const owners = (pinned.spec.pins ?? []).map((pin) => `${pin.owner}${pin.until ? ` until ${pin.until}` : ""}`);
      context.stdout(
        formatOutput(
          output,
          pinned.spec.pins ?? [],
          () =>
            `checkpoint/${pinned.metadata.name}: ${owners.length === 0 ? "pinned by nobody" : `pinned by ${owners.join(", ")}`}\n`,
        ),
      );
    }),
});

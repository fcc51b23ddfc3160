import { checkpoints, isDone, type CheckpointObject } from "@fleetwright/checkpoint";
import { checkpointOptions } from "../checkpoint-objects.ts";
import { defineCommand, flag, text } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";
import { formatTable } from "../table.ts";
import { sizeText } from "./checkpoint-file.ts";

const sum = ({ status }: CheckpointObject, field: "sizeBytes" | "frozenMicroseconds"): number =>
  (status?.containers ?? []).reduce((total, container) => total + (container[field] ?? 0), 0);

/** Of one that is not whole there is nothing to tell. */
const ofWhole =
  (value: (checkpoint: CheckpointObject) => string | undefined) =>
  (checkpoint: CheckpointObject): string =>
    isDone(checkpoint) ? (value(checkpoint) ?? "") : "";

/** `fleetwright checkpoint list` */
export const checkpointListCommand = defineCommand({
  name: "checkpoint list",
  summary: "List checkpoints, the newest first: of which pod, where they are, how large, how long the freeze was",
  options: {
    ...checkpointOptions,
    all: flag("-A, --all-namespaces", "of all namespaces"),
    pod: text("--pod <name>", "of this pod only"),
  },
  run: (context, options) =>
    withCluster(context, options, async (client) => {
      const { items } = await client.list(checkpoints, {
        ...(!options.all && { namespace: options.namespace }),
        signal: context.signal,
      });
      const listed = items
        .filter(({ spec }) => options.pod === "" || spec.podName === options.pod)
        .toSorted(
          (a, b) => Date.parse(b.metadata.creationTimestamp ?? "") - Date.parse(a.metadata.creationTimestamp ?? ""),
        );
      const table = (): string =>
        formatTable(
          [
            ...(options.all
              ? [{ heading: "namespace", value: ({ metadata }: CheckpointObject) => metadata.namespace ?? "" }]
              : []),
            { heading: "name", value: ({ metadata }) => metadata.name ?? "" },
            { heading: "pod", value: ({ spec }) => spec.podName },
            { heading: "node", value: ({ status }) => status?.nodeName ?? "" },
            { heading: "phase", value: ({ status }) => status?.phase ?? "Pending" },
            { heading: "size", value: ofWhole((each) => sizeText(sum(each, "sizeBytes"))) },
            { heading: "frozen", value: ofWhole((each) => `${Math.round(sum(each, "frozenMicroseconds") / 1000)} ms`) },
            {
              heading: "in registry",
              value: ({ status }) => (status?.containers?.some(({ artifact }) => artifact) ? "yes" : ""),
            },
            { heading: "pinned by", value: ({ spec }) => (spec.pins ?? []).map(({ owner }) => owner).join(",") },
            { heading: "taken", value: ofWhole(({ status }) => status?.completionTime) },
          ],
          listed,
        );
      context.stdout(formatOutput(options.output, listed, () => (listed.length === 0 ? "no checkpoints\n" : table())));
    }),
});

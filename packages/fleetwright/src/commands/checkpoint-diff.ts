import { differCheckpoints, openArchiveFile, type CheckpointDifference } from "@fleetwright/checkpoint";
import { defineCommand, flag, outputOption } from "../command.ts";
import { formatOutput } from "../output.ts";
import { formatTable } from "../table.ts";

const shown = (value: string | undefined): string => value ?? "";

function tableOf({ settings, processes, mounts, rootfs }: CheckpointDifference): string {
  const parts = [
    settings.length > 0 &&
      formatTable(
        [
          { heading: "setting", value: ({ setting }) => setting },
          { heading: "name", value: ({ name }) => shown(name) },
          { heading: "change", value: ({ change }) => change },
          { heading: "before", value: ({ before }) => shown(before) },
          { heading: "after", value: ({ after }) => shown(after) },
        ],
        settings,
      ),
    processes.length > 0 &&
      formatTable(
        [
          { heading: "process", value: ({ path }) => path.join(" > ") },
          { heading: "change", value: ({ change }) => change },
          {
            heading: "pid",
            value: ({ before, after }) => [before?.pid, after?.pid].filter((pid) => pid !== undefined).join(" → "),
          },
          { heading: "files", value: ({ files }) => String(files.length) },
          { heading: "sockets", value: ({ sockets }) => String(sockets.length) },
          { heading: "pages changed", value: ({ memory }) => (memory ? String(memory.pages.changed) : "") },
          { heading: "equal", value: ({ memory }) => (memory ? String(memory.pages.equal) : "") },
        ],
        processes,
      ),
    mounts.length > 0 &&
      formatTable(
        [
          { heading: "mount", value: ({ name }) => name },
          { heading: "change", value: ({ change }) => change },
        ],
        mounts,
      ),
    rootfs.length > 0 &&
      formatTable(
        [
          { heading: "changed file", value: ({ name }) => name },
          { heading: "change", value: ({ change }) => change },
        ],
        rootfs,
      ),
  ].filter((part) => part !== false);
  return parts.length === 0 ? "no difference\n" : parts.join("\n");
}

/** `fleetwright checkpoint diff A B` */
export const checkpointDiffCommand = defineCommand({
  name: "checkpoint diff",
  summary: "Compare two checkpoints: settings, processes, open files, memory page by page, changed files",
  details: "Exits with 1 when they differ.",
  arguments: [
    { name: "<before>", description: "an archive" },
    { name: "<after>", description: "another one" },
  ],
  options: {
    output: outputOption,
    values: flag("--values", "show the values of environment variables: secrets are among them"),
    noMemory: flag("--no-pages", "leave memory out: it is all read otherwise"),
  },
  async run(context, { output, values, noMemory }, [left = "", right = ""]) {
    await using before = await openArchiveFile(left);
    await using after = await openArchiveFile(right);
    const difference = await differCheckpoints(before, after, { values, memory: !noMemory });
    context.stdout(formatOutput(output, difference, () => tableOf(difference)));
    for (const [side, problems] of Object.entries(difference.problems))
      for (const { message } of problems) context.stderr(`fleetwright: ${side}: ${message}\n`);
    const { settings, processes, mounts, rootfs } = difference;
    return settings.length + processes.length + mounts.length + rootfs.length > 0 ? 1 : 0;
  },
});

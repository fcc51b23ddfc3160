import { readMounts, readPlugins, readStatistics, type CheckpointMetadata } from "@fleetwright/checkpoint";
import { defineCommand, outputOption } from "../command.ts";
import { formatOutput } from "../output.ts";
import { problemLines, sizeText, withArchive } from "./checkpoint-file.ts";

const whose = ({ namespace, pod, container }: CheckpointMetadata): string =>
  [namespace, pod, container].filter((part) => part !== undefined && part !== "").join("/");

/** `fleetwright checkpoint inspect FILE` */
export const checkpointInspectCommand = defineCommand({
  name: "checkpoint inspect",
  summary: "Say whose checkpoint an archive is, what is in it, and what its restore needs",
  arguments: [{ name: "<file>", description: "the archive: tar, plain or compressed with gzip or zstd" }],
  options: { output: outputOption },
  async run(context, options, [file = ""]) {
    const report = await withArchive(file, async (archive, images) => {
      const [statistics, plugins, mounts] = [
        await readStatistics(images),
        await readPlugins(images),
        await readMounts(images),
      ];
      const rootfsChanges: string[] = [];
      for await (const { kind, name } of archive.rootfsChanges()) if (kind !== "directory") rootfsChanges.push(name);
      for (const line of problemLines(images)) context.stderr(line);
      const { metadata, sizes } = archive;
      return {
        ...metadata,
        sizes,
        ...(statistics ? { statistics } : {}),
        ...plugins,
        containerMounts: mounts,
        rootfsChanges,
      };
    });
    const { sizes, statistics, mounts, devices, plugins, rootfsChanges } = report;
    const lines: readonly (readonly [string, string | undefined])[] = [
      ["container", whose(report)],
      ["pod UID", report.podUid],
      ["engine", `${report.engine}${report.runtime === undefined ? "" : ` (${report.runtime})`}`],
      ["image", report.image],
      ["image ref", report.imageRef],
      ["created", report.createdAt],
      ["checkpointed", report.checkpointedAt],
      ["restarts", report.restarts === undefined ? undefined : String(report.restarts)],
      [
        "size",
        `${sizeText(sizes.total)}: ${sizeText(sizes.pages)} of memory, ${sizeText(sizes.rootfsDiff)} of file changes`,
      ],
      ["GPU memory", sizes.gpuPages === 0 ? undefined : sizeText(sizes.gpuPages)],
      ["stood still", statistics && `${(statistics.frozenMicroseconds / 1000).toFixed(1)} ms`],
      ["needs plugins", plugins.length === 0 ? undefined : plugins.join(", ")],
      ["needs mounts", mounts.length === 0 ? undefined : mounts.map(({ destination }) => destination).join(", ")],
      ["needs devices", devices?.join(", ")],
      ["files changed", String(rootfsChanges.length)],
    ];
    const table = (): string =>
      lines.flatMap(([name, value]) => (value === undefined ? [] : [`${`${name}:`.padEnd(16)}${value}\n`])).join("");
    context.stdout(formatOutput(options.output, report, table));
  },
});

import { readProcesses, type CheckpointProcess } from "@fleetwright/checkpoint";
import { defineCommand, flag, outputOption } from "../command.ts";
import { formatOutput } from "../output.ts";
import { formatTable } from "../table.ts";
import { problemLines, sizeText, withArchive } from "./checkpoint-file.ts";

/** How deep each process stands below its ancestors that are in the checkpoint. */
function depths(processes: readonly CheckpointProcess[]): ReadonlyMap<number, number> {
  const depth = new Map<number, number>();
  for (const { pid, parent } of processes) depth.set(pid, (depth.get(parent) ?? -1) + 1);
  return depth;
}

/** Control characters of a process must not reach a terminal. */
const printable = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}]/gu, "?");

/** Only names: the values are what is secret in an environment. */
const nameOnly = (variable: string): string => `${variable.split("=", 1)[0]}=…`;

/** `fleetwright checkpoint ps FILE` */
export const checkpointPsCommand = defineCommand({
  name: "checkpoint ps",
  summary: "List the processes of a checkpoint",
  arguments: [{ name: "<file>", description: "the archive" }],
  options: {
    output: outputOption,
    environment: flag("--environment", "show the names of environment variables"),
    showSecrets: flag("--show-secrets", "show the values of environment variables too"),
  },
  async run(context, options, [file = ""]) {
    const { environment, showSecrets } = options;
    const processes = await withArchive(file, async (_, images) => {
      const found = await readProcesses(images, { environments: environment || showSecrets });
      for (const line of problemLines(images)) context.stderr(line);
      return found.map((process) => ({
        ...process,
        ...(process.environment && !showSecrets ? { environment: process.environment.map(nameOnly) } : {}),
      }));
    });
    const depth = depths(processes);
    const rows = processes.flatMap((process) => [
      { process, text: printable(process.commandLine?.join(" ") ?? `[${process.command}]`) },
      ...(process.environment ?? []).map((variable) => ({
        process: undefined,
        text: printable(variable),
        of: process.pid,
      })),
    ]);
    const table = (): string =>
      formatTable(
        [
          { heading: "pid", value: ({ process }) => String(process?.pid ?? "") },
          { heading: "user", value: ({ process }) => String(process?.user ?? "") },
          { heading: "state", value: ({ process }) => process?.state ?? "" },
          { heading: "threads", value: ({ process }) => String(process?.threads.length ?? "") },
          { heading: "memory", value: ({ process }) => (process ? sizeText(process.memoryBytes) : "") },
          {
            heading: "command",
            value: ({ process, text }) =>
              process ? `${"  ".repeat(depth.get(process.pid) ?? 0)}${text}` : `    ${text}`,
          },
        ],
        rows,
      );
    context.stdout(formatOutput(options.output, processes, table));
  },
});

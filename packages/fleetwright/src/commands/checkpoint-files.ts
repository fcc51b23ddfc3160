import { readOpenFiles, readProcesses, type OpenFile } from "@fleetwright/checkpoint";
import { defineCommand, outputOption } from "../command.ts";
import { formatOutput } from "../output.ts";
import { formatTable } from "../table.ts";
import { problemLines, withArchive } from "./checkpoint-file.ts";

function what({ path, pipe, socket }: OpenFile): string {
  if (socket) {
    const { family, type, state, source, destination } = socket;
    const ends = destination === undefined ? source : `${source} -> ${destination}`;
    return [family, type, state, ends].filter((part) => part !== undefined).join(" ");
  }
  return path ?? (pipe === undefined ? "" : `pipe ${pipe}`);
}

/** `fleetwright checkpoint files FILE` */
export const checkpointFilesCommand = defineCommand({
  name: "checkpoint files",
  summary: "List what the processes of a checkpoint have open: files, pipes, sockets",
  arguments: [{ name: "<file>", description: "the archive" }],
  options: { output: outputOption },
  async run(context, options, [file = ""]) {
    const processes = await withArchive(file, async (_, images) => {
      const found: { pid: number; command: string; files: readonly OpenFile[] }[] = [];
      for (const { pid, command } of await readProcesses(images, { commandLines: false }))
        found.push({ pid, command, files: await readOpenFiles(images, pid) });
      for (const line of problemLines(images)) context.stderr(line);
      return found;
    });
    const table = (): string =>
      formatTable(
        [
          { heading: "pid", value: ({ pid }) => pid },
          { heading: "command", value: ({ command }) => command },
          { heading: "fd", value: ({ open }) => String(open.fd) },
          { heading: "type", value: ({ open }) => open.type },
          { heading: "what", value: ({ open }) => what(open) },
        ],
        processes.flatMap(({ pid, command, files }) =>
          files.map((open, index) => ({
            pid: index === 0 ? String(pid) : "",
            command: index === 0 ? command : "",
            open,
          })),
        ),
      );
    context.stdout(formatOutput(options.output, processes, table));
  },
});

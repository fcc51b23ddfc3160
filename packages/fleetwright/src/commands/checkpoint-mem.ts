import { FleetwrightError } from "@fleetwright/kube";
import { readMemoryMap, readProcesses, searchMemory } from "@fleetwright/checkpoint";
import { defineCommand, integer, outputOption, text } from "../command.ts";
import { formatOutput } from "../output.ts";
import { formatTable } from "../table.ts";
import { problemLines, sizeText, withArchive } from "./checkpoint-file.ts";

/** `fleetwright checkpoint mem FILE` */
export const checkpointMemCommand = defineCommand({
  name: "checkpoint mem",
  summary: "Show the memory map of a process of a checkpoint, or where its memory holds a text",
  arguments: [{ name: "<file>", description: "the archive" }],
  options: {
    output: outputOption,
    pid: integer("--pid <pid>", "of the process; 0: the first one", 0, 0, 2 ** 22),
    search: text("--search <text>", "say at which addresses this text is, instead of the map"),
    limit: integer("--limit <count>", "most addresses to say", 1000, 1, 1_000_000),
  },
  async run(context, { output, pid: asked, search, limit }, [file = ""]) {
    await withArchive(file, async (_, images) => {
      const processes = await readProcesses(images, { commandLines: false });
      const process = asked === 0 ? processes[0] : processes.find(({ pid }) => pid === asked);
      if (!process) {
        const pids = processes.map(({ pid }) => pid).join(", ");
        throw new FleetwrightError(
          "FW_CHECKPOINT_PROCESS",
          asked === 0
            ? `${file}: no process can be read from it`
            : `${file}: no process ${asked} in it; --pid takes one of ${pids}`,
        );
      }
      if (search === "") {
        const map = await readMemoryMap(images, process.pid);
        const table = (): string =>
          formatTable(
            [
              { heading: "from", value: ({ from }) => from },
              { heading: "to", value: ({ to }) => to },
              { heading: "access", value: ({ access }) => access },
              { heading: "size", value: ({ bytes }) => sizeText(bytes) },
              { heading: "dumped", value: ({ dumpedBytes }) => sizeText(dumpedBytes) },
              { heading: "name", value: ({ name }) => name },
            ],
            map,
          );
        context.stdout(formatOutput(output, map, table));
      } else {
        const matches = await searchMemory(images, process.pid, Buffer.from(search), { limit });
        context.stdout(formatOutput(output, matches, () => matches.map(({ address }) => `${address}\n`).join("")));
      }
      for (const line of problemLines(images)) context.stderr(line);
    });
  },
});

import { open, rm, writeFile } from "node:fs/promises";
import { FleetwrightError } from "@fleetwright/kube";
import { memoryRange, readMemoryMap, readProcesses, searchMemory } from "@fleetwright/checkpoint";
import { defineCommand, flag, integer, outputOption, text } from "../command.ts";
import { formatOutput } from "../output.ts";
import { formatTable } from "../table.ts";
import { problemLines, sizeText, withArchive } from "./checkpoint-file.ts";

function address(value: string, option: string): bigint {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(value)) return BigInt(value);
  throw new FleetwrightError(
    "FW_CHECKPOINT_PROCESS",
    `${option}: "${value}" is no address; take one of the map: 0x7f0000000000`,
  );
}

/** `fleetwright checkpoint mem FILE` */
export const checkpointMemCommand = defineCommand({
  name: "checkpoint mem",
  summary:
    "Show the memory map of a process of a checkpoint, where its memory holds a text, or write a part of it to a file",
  arguments: [{ name: "<file>", description: "the archive" }],
  options: {
    output: outputOption,
    pid: integer("--pid <pid>", "of the process; 0: the first one", 0, 0, 2 ** 22),
    search: text("--search <text>", "say at which addresses this text is, instead of the map"),
    expression: text(
      "--regex <expression>",
      "the same for a regular expression over bytes, without anchors, back-references and looking around",
    ),
    raw: text("--raw <file>", "write the bytes from --from to --to into this file, readable by its owner alone"),
    from: text("--from <address>", "where --raw begins: 0x…"),
    to: text("--to <address>", "where it ends, which is not in it any more"),
    zeros: flag("--zeros", "with --raw: zeros for what the checkpoint does not hold, instead of an error"),
    limit: integer("--limit <count>", "most addresses to say", 1000, 1, 1_000_000),
  },
  async run(context, options, [file = ""]) {
    const { output, pid: asked, search, expression, raw, limit } = options;
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
      if (raw !== "") {
        const [from, to] = [address(options.from, "--from"), address(options.to, "--to")];
        const absent = options.zeros ? "zeros" : "error";
        await using file = await open(raw, "wx", 0o600).catch((error: unknown) => {
          const why =
            (error as NodeJS.ErrnoException).code === "EEXIST" ? "is there already" : String((error as Error).message);
          throw new FleetwrightError("FW_CHECKPOINT_FILE", `${raw}: ${why}; name another file for --raw`, {
            cause: error,
          });
        });
        try {
          await writeFile(file, memoryRange(images, process.pid, from, to, { absent, reuse: true }), {
            signal: context.signal,
          });
        } catch (error) {
          await rm(raw, { force: true });
          throw error;
        }
        context.stdout(`${raw}: ${to - from} bytes of process ${process.pid}\n`);
      } else if (search === "" && expression === "") {
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
        const matches = await searchMemory(
          images,
          process.pid,
          expression === "" ? Buffer.from(search) : new RegExp(expression),
          { limit },
        );
        context.stdout(formatOutput(output, matches, () => matches.map(({ address }) => `${address}\n`).join("")));
      }
      for (const line of problemLines(images)) context.stderr(line);
    });
  },
});

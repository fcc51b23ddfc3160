import {
  lintCheckpoint,
  lintUnreadable,
  openArchiveFile,
  type LintExpectations,
  type LintFinding,
} from "@fleetwright/checkpoint";
import { defineCommand, outputOption, text } from "../command.ts";
import { formatOutput } from "../output.ts";
import { formatTable } from "../table.ts";

/** `fleetwright checkpoint lint FILE` */
export const checkpointLintCommand = defineCommand({
  name: "checkpoint lint",
  summary:
    "Look at a checkpoint that somebody else made, before it is restored: attacks on engines, rights on the host, what it says of itself",
  details:
    "Exits with 1 when there are errors. docs/checkpoint-lint.md lists the codes. That nothing is found does not make it safe.",
  arguments: [{ name: "<file>", description: "the archive" }],
  options: {
    output: outputOption,
    namespace: text("--namespace <name>", "where it is to be restored"),
    image: text("--image <reference>", "image that the container must be of"),
    mounts: text("--mounts <paths>", "mounts of the new pod's container, with commas between"),
  },
  async run(context, { output, namespace, image, mounts }, [file = ""]) {
    const expected: LintExpectations = {
      ...(namespace !== "" && { namespace }),
      ...(image !== "" && { image }),
      ...(mounts !== "" && { mounts: mounts.split(",") }),
    };
    const lint = async (): Promise<readonly LintFinding[]> => {
      try {
        await using archive = await openArchiveFile(file);
        return await lintCheckpoint(archive, { expected });
      } catch (error) {
        return lintUnreadable(error);
      }
    };
    const findings = await lint();
    const table = (): string =>
      findings.length === 0
        ? "nothing found\n"
        : formatTable(
            [
              { heading: "severity", value: ({ severity }) => severity },
              { heading: "code", value: ({ code }) => code },
              { heading: "place", value: ({ place }) => place },
              { heading: "found", value: ({ message }) => message },
            ],
            findings,
          );
    context.stdout(formatOutput(output, findings, table));
    return findings.some(({ severity }) => severity === "error") ? 1 : 0;
  },
});

import { Command as Program, CommanderError, InvalidArgumentError, Option as ProgramOption } from "commander";
import { ApiError, FleetwrightError, TransportError } from "@fleetwright/kube";
import type { Command, CommandContext, Options, OptionValues } from "./command.ts";

/**
 * Runs a command line.
 *
 * @returns the exit code: 0, what the command returned, 2 for what the user can mend (words, files, kubeconfig, rights), 1 for the rest
 */
export async function runProgram(
  commands: readonly Command<Options>[],
  argv: readonly string[],
  context: CommandContext,
  version: string,
): Promise<number> {
  let exitCode = 0;
  const program = new Program("fleetwright")
    .description("Runs a GPU fleet on Kubernetes. Also a kubectl plugin: kubectl fleetwright …")
    .version(version, "-V, --version", "print the version")
    .configureHelp({ sortSubcommands: true, showGlobalOptions: true });
  const plain = (command: Program): Program =>
    command.exitOverride().configureOutput({
      writeOut: context.stdout,
      writeErr: context.stderr,
      outputError: (message, write) => write(`fleetwright: ${oneLine(message)}; --help lists what it takes\n`),
    });
  plain(program);

  const nouns = new Map<string, Program>();
  for (const declaration of commands) {
    const [first = "", second] = declaration.name.split(" ");
    let parent = program;
    if (second !== undefined) {
      parent = nouns.get(first) ?? plain(program.command(first)).description(nounDescriptions[first] ?? first);
      nouns.set(first, parent);
    }
    const command = plain(parent.command(second ?? first)).summary(declaration.summary);
    command.description(declaration.details ? `${declaration.summary}\n\n${declaration.details}` : declaration.summary);
    for (const argument of declaration.arguments ?? []) command.argument(argument.name, argument.description);
    const names = new Map<string, string>();
    for (const [key, option] of Object.entries(declaration.options)) {
      const built = new ProgramOption(option.flags, option.description);
      if (option.initial !== "" && option.initial !== false) built.default(option.initial);
      if (option.choices) built.choices([...option.choices]);
      const { parse } = option;
      if (parse) {
        built.argParser((value: string) => {
          try {
            return parse(value);
          } catch (error) {
            throw new InvalidArgumentError(error instanceof Error ? `${error.message}.` : String(error));
          }
        });
      }
      names.set(key, built.attributeName());
      command.addOption(built);
    }
    command.action(async () => {
      const given: Record<string, unknown> = command.opts();
      const values = Object.fromEntries(
        Object.entries(declaration.options).map(([key, option]) => [
          key,
          given[names.get(key) ?? key] ?? option.initial,
        ]),
      );
      exitCode = (await declaration.run(context, values as OptionValues<Options>, command.args)) ?? 0;
    });
  }

  try {
    await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof FleetwrightError) {
      context.stderr(`fleetwright: ${error.message}\n`);
      return isTrouble(error) ? 1 : 2;
    }
    const { aborted, reason } = context.signal;
    // Streams put an error of their own around it.
    if (aborted && (error === reason || (error instanceof Error && error.cause === reason))) return 130;
    context.stderr(`fleetwright: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  }
}

/** commander's complaint, which may have a suggestion on a second line. */
function oneLine(message: string): string {
  const text = message
    .replace(/^error: /, "")
    .trim()
    .replaceAll(/\s*\n\s*/g, " ");
  return text.replace(/\.$/, "");
}

/** Nothing to mend before the next try: the server failed, went away, or has another leader. */
function isTrouble(error: FleetwrightError): boolean {
  if (error instanceof TransportError || error.code === "FW_LEADERSHIP_LOST") return true;
  return error instanceof ApiError && error.httpStatus >= 500;
}

const nounDescriptions: Readonly<Record<string, string>> = {
  quota: "Nested business-group quotas: who has what, and what fits",
  checkpoint: "Checkpoints of containers: what is in an archive",
};

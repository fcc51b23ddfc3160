import { parseQuantity, type Clock, type Logger, type Random } from "@fleetwright/kube";

/** What a command may touch: everything from outside comes through here. */
export interface CommandContext {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly stdin: () => Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly createLogger: (level: string) => Logger;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** One option of a command, with the text that `--help` shows and the value that the handler gets. */
export interface Option<T> {
  /** As commander writes them: `-o, --output <format>`. */
  readonly flags: string;
  readonly description: string;
  readonly initial: T;
  readonly choices?: readonly string[];
  /** Reads the text after the flag; throws with what is wrong. */
  readonly parse?: (text: string) => T;
}

export type Options = Readonly<Record<string, Option<unknown>>>;
export type OptionValues<O extends Options> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

interface Argument {
  /** `<group>` is required, `[group]` is not. */
  readonly name: string;
  readonly description: string;
}

/** A command as data: the tree, the help and the docs are made from these. */
export interface Command<O extends Options = Options> {
  /** Noun, then verb: `quota tree`. */
  readonly name: string;
  readonly summary: string;
  /** Shown under the summary by `--help`. */
  readonly details?: string;
  readonly arguments?: readonly Argument[];
  readonly options: O;
  /** Returns the exit code. @default 0 */
  run(context: CommandContext, options: OptionValues<O>, args: readonly string[]): Promise<number | void>;
}

export function defineCommand<const O extends Options>(command: Command<O>): Command<O> {
  return command;
}

/** `--name <value>`, text. */
export function text(flags: string, description: string, initial = ""): Option<string> {
  return { flags, description, initial };
}

/** `--name`, off by default. */
export function flag(flags: string, description: string): Option<boolean> {
  return { flags, description, initial: false };
}

/** A whole number within bounds. */
export function integer(flags: string, description: string, initial: number, min: number, max: number): Option<number> {
  return {
    flags,
    description: `${description} (${min} to ${max})`,
    initial,
    parse(value) {
      const number = Number(value);
      if (!/^\d+$/.test(value) || number < min || number > max) {
        throw new Error(`"${value}" is not a whole number from ${min} to ${max}`);
      }
      return number;
    },
  };
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Go's short durations (`90s`, `5m`, `1h30m`), as milliseconds. */
function parseDuration(value: string): number {
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join("") !== value) {
    throw new Error(`"${value}" is not a duration; write for example 500ms, 90s, 5m or 1h30m`);
  }
  return parts.reduce((sum, [, amount = "0", unit = "ms"]) => sum + Number(amount) * (units[unit] ?? 1), 0);
}

/** A duration option; the handler gets milliseconds. */
export function duration(flags: string, description: string, initialMs: number): Option<number> {
  return { flags, description, initial: initialMs, parse: parseDuration };
}

/** A size as a Kubernetes quantity (`200Gi`); the handler gets bytes, and `undefined` when it is not given. */
export function bytes(flags: string, description: string): Option<number | undefined> {
  return {
    flags,
    description,
    initial: undefined,
    parse(value) {
      let size = 0;
      try {
        size = parseQuantity(value).toNumber();
      } catch {
        // Told below.
      }
      if (size <= 0) throw new Error(`"${value}" is not a size above 0; write for example 500Mi or 200Gi`);
      return size;
    },
  };
}

/** `-o table|json|yaml`, the same on every command that prints. */
export const outputOption: Option<string> = {
  flags: "-o, --output <format>",
  description: "how to print",
  initial: "table",
  choices: ["table", "json", "yaml"],
};

/** How every command that talks to a cluster finds it. */
export const clusterOptions = {
  kubeconfig: text(
    "--kubeconfig <file>",
    "path of the kubeconfig (default: KUBECONFIG, ~/.kube/config, then in-cluster)",
  ),
  context: text("--context <name>", "context of the kubeconfig (default: its current one)"),
};

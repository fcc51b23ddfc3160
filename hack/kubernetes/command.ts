import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Runs a program to its end and returns what it wrote; a failure says the command and its last lines. */
export async function command(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args, { maxBuffer: 64 * 2 ** 20, ...options });
    return stdout;
  } catch (error) {
    const { stderr = "", code } = error as { stderr?: string; code?: string | number };
    const lines = stderr.trim().split("\n").slice(-8).join("\n  ");
    const why = code === "ENOENT" ? "is not on this machine" : `failed (${code}):\n  ${lines}`;
    throw new Error(`${[program, ...args].join(" ").slice(0, 200)} ${why}`, { cause: error });
  }
}

import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Found on the PATH. */
export const goProgram = "go";

/** The `go` line of a go.mod: the oldest Go that builds the module. */
export function requiredGo(goMod: string): string {
  const version = /^go (\d+\.\d+(?:\.\d+)?)$/m.exec(goMod)?.[1];
  if (version === undefined) throw new Error("go.mod has no go line");
  return version;
}

/** What is wrong with the Go on this machine, and what to do; `undefined`: it will do. `found` is what `go env GOVERSION` says. */
export function goProblem(found: string | undefined, required: string): string | undefined {
  const install = `install Go ${required} or later (https://go.dev/dl)`;
  if (found === undefined) return `go not found: ${install}`;
  const version = /^go(\d+\.\d+(?:\.\d+)?)/.exec(found)?.[1];
  if (version === undefined || olderThan(version, required)) return `Go ${version ?? found} is too old: ${install}`;
  return undefined;
}

/** `undefined`: there is no Go on the PATH. */
export async function installedGo(environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(goProgram, ["env", "GOVERSION"], { env: environment });
    return stdout.trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function olderThan(left: string, right: string): boolean {
  const [a, b] = [left, right].map((version) => version.split(".").map(Number));
  for (let part = 0; part < 3; part++) {
    const difference = (a?.[part] ?? 0) - (b?.[part] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

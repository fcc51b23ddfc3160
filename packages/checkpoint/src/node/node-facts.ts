import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import type { HostFacts } from "../core/image/annotations.ts";
import { hostFacts } from "./host-facts.ts";

/** What decides whether a checkpoint can be taken or restored on a node. */
export interface NodeFacts extends HostFacts {
  readonly cpuModel?: string;
  /** Security modules that are on: `apparmor`, `selinux`, … */
  readonly securityModules: readonly string[];
  readonly nvidiaDriver?: string;
}

/** First number of versions in what a program says of itself; absent when there is no such program. */
async function versionOf(program: string, ...args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(program, args, { timeout: 10_000 });
    return /\d+\.\d+(?:\.\d+)?(?:[-+~][\w.]+)?/.exec(stdout)?.[0];
  } catch {
    return undefined;
  }
}

const textOf = async (path: string): Promise<string> => {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
};

/** Asks the machine; programs are those of the PATH, as the engine finds them. */
export async function readNodeFacts(): Promise<NodeFacts> {
  const [cpu, modules, nvidia, criuVersion, engineVersion, runtimeVersion] = await Promise.all([
    textOf("/proc/cpuinfo"),
    textOf("/sys/kernel/security/lsm"),
    textOf("/proc/driver/nvidia/version"),
    versionOf("criu", "--version"),
    versionOf("containerd", "--version"),
    versionOf("runc", "--version"),
  ]);
  const field = (name: string): string | undefined => new RegExp(`^${name}\\s*:\\s*(.*)$`, "m").exec(cpu)?.[1];
  const nvidiaDriver = /Kernel Module\D*(\d+\.\d+(?:\.\d+)?)/.exec(nvidia)?.[1];
  const cpuModel = field("model name");
  return {
    ...hostFacts(),
    ...(criuVersion && { criuVersion }),
    ...(engineVersion && { engineVersion }),
    ...(runtimeVersion && { runtimeVersion }),
    cpuFeatures: (field("flags") ?? field("Features") ?? "").split(" ").filter((flag) => flag !== ""),
    ...(cpuModel && { cpuModel }),
    securityModules: modules
      .trim()
      .split(",")
      .filter((name) => name !== ""),
    ...(nvidiaDriver && { nvidiaDriver }),
  };
}

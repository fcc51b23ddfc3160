import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { HostFacts } from "../core/image/annotations.ts";
import type { Engine } from "./engine.ts";
import { hostFacts } from "./host-facts.ts";
import { missingCudaTools, readNvidiaNode } from "./nvidia.ts";
import { textOf } from "./proc.ts";

/** What decides whether a checkpoint can be taken or restored on a node. */
export interface NodeFacts extends HostFacts {
  /** Security modules that are on: `apparmor`, `selinux`, … */
  readonly securityModules: readonly string[];
  /** Of what CRIU needs for GPUs; absent on nodes without an NVIDIA driver. */
  readonly missingCudaTools?: readonly string[];
  /** containerd's `enable_experimental_restore_via_create`; absent when the engine does not tell. */
  readonly restoreSwitch?: boolean;
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

/** What a checkpoint of this machine is recorded with; programs are those of the PATH, as the engine finds them. */
export async function readHostFacts(): Promise<HostFacts> {
  const [cpu, nvidia, criuVersion, engineVersion, runtimeVersion] = await Promise.all([
    textOf("/proc/cpuinfo"),
    readNvidiaNode(),
    versionOf("criu", "--version"),
    versionOf("containerd", "--version"),
    versionOf("runc", "--version"),
  ]);
  const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpu)?.[1] ?? "";
  return {
    ...hostFacts(),
    ...(criuVersion && { criuVersion }),
    ...(engineVersion && { engineVersion }),
    ...(runtimeVersion && { runtimeVersion }),
    cpuFeatures: flags.split(" ").filter((flag) => flag !== ""),
    ...nvidia,
  };
}

/** Asks the machine and its engine. */
export async function readNodeFacts(engine: Pick<Engine, "restoreSwitch">): Promise<NodeFacts> {
  const [host, modules, restoreSwitch] = await Promise.all([
    readHostFacts(),
    textOf("/sys/kernel/security/lsm"),
    engine.restoreSwitch(),
  ]);
  return {
    ...host,
    securityModules: modules
      .trim()
      .split(",")
      .filter((name) => name !== ""),
    ...(host.nvidiaDriver && { missingCudaTools: await missingCudaTools() }),
    ...(restoreSwitch !== undefined && { restoreSwitch }),
  };
}

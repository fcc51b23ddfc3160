import { execFile } from "node:child_process";
import { readdir, readlink } from "node:fs/promises";
import { promisify } from "node:util";
import type { HostFacts } from "../core/image/annotations.ts";
import { hostFacts } from "./host-facts.ts";
import { missingCudaTools, readNvidiaNode, type NvidiaNode } from "./nvidia.ts";
import { orGone, textOf } from "./proc.ts";

/** What decides whether a checkpoint can be taken or restored on a node. */
export interface NodeFacts extends HostFacts, NvidiaNode {
  /** Security modules that are on: `apparmor`, `selinux`, … */
  readonly securityModules: readonly string[];
  /** Of what CRIU needs for GPUs; absent on nodes without an NVIDIA driver. */
  readonly missingCudaTools?: readonly string[];
  /** containerd's `enable_experimental_restore_via_create`; absent when its configuration cannot be read. */
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

/** From the configuration of the containerd that runs: `--config`, or where it looks by itself. */
async function restoreSwitch(): Promise<boolean | undefined> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    if ((await textOf(`/proc/${pid}/comm`)).trim() !== "containerd") continue;
    // One of this very machine's namespaces: others may have their own.
    if ((await linkOf(`/proc/${pid}/ns/mnt`)) !== (await linkOf("/proc/self/ns/mnt"))) continue;
    const words = (await textOf(`/proc/${pid}/cmdline`)).split("\0");
    const flag = words.findIndex((word) => /^(--config|-c)$/.test(word));
    const path =
      flag >= 0 ? words[flag + 1] : words.find((word) => word.startsWith("--config="))?.slice("--config=".length);
    const text = await textOf(path ?? "/etc/containerd/config.toml");
    if (text === "") return path === undefined ? false : undefined;
    return /^\s*enable_experimental_restore_via_create\s*=\s*true\b/m.test(text);
  }
  return undefined;
}

const linkOf = async (path: string): Promise<string> => (await orGone(readlink(path))) ?? "";

/** What a checkpoint of this machine is recorded with; programs are those of the PATH, as the engine finds them. */
export async function readHostFacts(): Promise<HostFacts> {
  const [cpu, { gpuModels }, criuVersion, engineVersion, runtimeVersion] = await Promise.all([
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
    ...(gpuModels && { gpuModels }),
  };
}

/** Asks the machine. */
export async function readNodeFacts(): Promise<NodeFacts> {
  const [host, modules, { nvidiaDriver }, restores] = await Promise.all([
    readHostFacts(),
    textOf("/sys/kernel/security/lsm"),
    readNvidiaNode(),
    restoreSwitch(),
  ]);
  return {
    ...host,
    securityModules: modules
      .trim()
      .split(",")
      .filter((name) => name !== ""),
    ...(nvidiaDriver && { nvidiaDriver, missingCudaTools: await missingCudaTools() }),
    ...(restores !== undefined && { restoreSwitch: restores }),
  };
}

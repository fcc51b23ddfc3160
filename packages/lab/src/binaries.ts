import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { labError } from "./errors.ts";

/** The one version of Kubernetes that is built, cached and tested with; `hack/kubernetes/control-plane/go.mod` pins the same. */
export const kubernetesVersion = "v1.36.3";

/** What a control plane needs, and the package that each is built from, in the order in which they are built. */
export const binarySources = {
  etcd: "go.etcd.io/etcd/server/v3",
  "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
  "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
  "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
  kubectl: "k8s.io/kubernetes/cmd/kubectl",
} as const;

export type BinaryName = keyof typeof binarySources;

export const binaryNames = Object.keys(binarySources) as readonly BinaryName[];

/** etcd has a version of its own: the one that this Kubernetes is built with. */
const etcdVersion = "3.6.8";

/** Where each program is, as an absolute path. */
export type Binaries = Readonly<Record<BinaryName, string>>;

/** The environment variables that say where binaries are. */
export interface BinaryEnvironment {
  readonly KUBEBUILDER_ASSETS?: string | undefined;
  readonly XDG_CACHE_HOME?: string | undefined;
}

/** `$XDG_CACHE_HOME/fleetwright/kubernetes/<version>`, by default below `~/.cache`. */
export function cacheDirectory(environment: BinaryEnvironment = process.env): string {
  // The XDG base directory specification: a relative path is invalid and must be ignored.
  const root = environment.XDG_CACHE_HOME?.startsWith("/") ? environment.XDG_CACHE_HOME : join(homedir(), ".cache");
  return join(root, "fleetwright", "kubernetes", kubernetesVersion);
}

/**
 * One program: `KUBEBUILDER_ASSETS` (only if it is exactly the pinned version: versions are never mixed), then the cache.
 * `undefined`: neither has it.
 */
export async function findBinary(
  name: BinaryName,
  environment: BinaryEnvironment = process.env,
): Promise<{ readonly path: string; readonly from: "KUBEBUILDER_ASSETS" | "cache" } | undefined> {
  const assets = environment.KUBEBUILDER_ASSETS;
  if (assets) {
    const path = join(assets, name);
    if ((await isExecutable(path)) && (await isPinnedVersion(name, path))) return { path, from: "KUBEBUILDER_ASSETS" };
  }
  // Only whole builds of the pinned version are ever renamed into this folder.
  const cached = join(cacheDirectory(environment), name);
  return (await isExecutable(cached)) ? { path: cached, from: "cache" } : undefined;
}

/**
 * All programs of the control plane.
 *
 * @throws FleetwrightError `FW_LAB_BINARIES` that names those missing
 */
export async function findBinaries(environment: BinaryEnvironment = process.env): Promise<Binaries> {
  const found: Partial<Record<BinaryName, string>> = {};
  for (const name of binaryNames) {
    const binary = await findBinary(name, environment);
    if (binary) found[name] = binary.path;
  }
  const missing = binaryNames.filter((name) => found[name] === undefined);
  if (missing.length > 0)
    throw labError(
      "FW_LAB_BINARIES",
      `${missing.join(", ")} of Kubernetes ${kubernetesVersion} not found in ${cacheDirectory(environment)}: run "make kubernetes"`,
    );
  return found as Binaries;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function isPinnedVersion(name: BinaryName, path: string): Promise<boolean> {
  try {
    const args = name === "kubectl" ? ["version", "--client"] : ["--version"];
    const { stdout } = await promisify(execFile)(path, args, { timeout: 30_000 });
    return saysVersion(name, stdout);
  } catch {
    // A program that cannot even say its version is not one that we may use.
    return false;
  }
}

/** Whether what a program printed about itself names the pinned version exactly (`v1.36.3-dirty` does not). */
export function saysVersion(name: BinaryName, output: string): boolean {
  const found =
    name === "etcd"
      ? /^etcd Version: (\S+)$/m.exec(output)?.[1]
      : /^(?:Kubernetes|Client Version:) (\S+)$/m.exec(output)?.[1];
  return found === (name === "etcd" ? etcdVersion : kubernetesVersion);
}

import { access } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "./binaries.ts";
import type { BinaryEnvironment } from "./binaries.ts";
import { labError } from "./errors.ts";

/** What `make node` puts into {@link nodeDirectory}, besides kubelet. */
export const nodePrograms = [
  "kubelet",
  "kube-proxy",
  "containerd",
  "containerd-shim-runc-v2",
  "ctr",
  "runc",
  "registry",
  "checkpointctl",
] as const;

export type NodeProgram = (typeof nodePrograms)[number];

/** Images that are made here, as archives of OCI layouts: `localhost/<name>:1`. */
export const nodeImages = ["pause", "busybox", "counter-server"] as const;

/** Everything that a real node needs, by absolute path. */
export interface NodePrograms {
  readonly directory: string;
  readonly programs: Readonly<Record<NodeProgram, string>>;
  /** CRIU with the libraries that it was built with. */
  readonly criu: string;
  /** For kube-proxy. */
  readonly nft: string;
  /** The folder of CNI plugins. */
  readonly cni: string;
  readonly images: Readonly<Record<(typeof nodeImages)[number], string>>;
}

/** Beside the control plane's programs. */
export const nodeDirectory = (environment: BinaryEnvironment = process.env): string =>
  join(cacheDirectory(environment), "node");

/** Where a program of the unpacked Debian packages is. */
export const criuPath = (directory: string): string => join(directory, "criu", "usr", "sbin", "criu");
export const nftPath = (directory: string): string => join(directory, "nftables", "usr", "sbin", "nft");
export const cniPath = (directory: string): string => join(directory, "debian", "usr", "lib", "cni");
export const imagePath = (directory: string, name: string): string => join(directory, `${name}.image.tar`);

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * What `make node` made.
 *
 * @throws FleetwrightError `FW_LAB_BINARIES` that names what is missing
 */
export async function findNodePrograms(environment: BinaryEnvironment = process.env): Promise<NodePrograms> {
  const directory = nodeDirectory(environment);
  const paths = [
    ...nodePrograms.map((name) => join(directory, name)),
    criuPath(directory),
    nftPath(directory),
    join(cniPath(directory), "bridge"),
    ...nodeImages.map((name) => imagePath(directory, name)),
  ];
  const found = await Promise.all(paths.map(exists));
  const missing = paths.filter((_, index) => found[index] === false);
  if (missing.length > 0)
    throw labError("FW_LAB_BINARIES", `${missing.join(", ")} not found: run "make node" on Linux as root`);
  const record = <Name extends string>(names: readonly Name[], path: (name: Name) => string): Record<Name, string> =>
    Object.fromEntries(names.map((name) => [name, path(name)])) as Record<Name, string>;
  return {
    directory,
    programs: record(nodePrograms, (name) => join(directory, name)),
    criu: criuPath(directory),
    nft: nftPath(directory),
    cni: cniPath(directory),
    images: record(nodeImages, (name) => imagePath(directory, name)),
  };
}

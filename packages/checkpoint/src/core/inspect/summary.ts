import { listOf, numberOf, objectOf, textOf } from "./entry-fields.ts";
import type { Images } from "./image-set.ts";

/** A mount of the container's mount namespace. */
export interface Mount {
  readonly path: string;
  readonly source: string;
  readonly root: string;
  /** The key under which whoever restores must give it: a bind mount from outside. */
  readonly external?: string;
}

/** The mounts of all mount namespaces in the checkpoint, by path. */
export async function readMounts(images: Images): Promise<readonly Mount[]> {
  const mounts: Mount[] = [];
  for (const name of images.set.list().filter((image) => /^mountpoints-\d+\.img$/.test(image)))
    for (const entry of (await images.entries(name, "MNTS")) ?? []) {
      const external = textOf(entry, "ext_key");
      mounts.push({
        path: textOf(entry, "mountpoint") ?? "",
        source: textOf(entry, "source") ?? "",
        root: textOf(entry, "root") ?? "/",
        ...(external === undefined ? {} : { external }),
      });
    }
  return mounts.toSorted((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
}

/** What CRIU measured while it dumped (`stats-dump`). */
export interface DumpStatistics {
  readonly freezingMicroseconds: number;
  /** How long the tasks stood still. */
  readonly frozenMicroseconds: number;
  readonly memoryDumpMicroseconds: number;
  readonly memoryWriteMicroseconds: number;
  readonly pagesScanned: number;
  readonly pagesWritten: number;
  readonly pagesSkipped: number;
  readonly pagesLazy: number;
}

export async function readStatistics(images: Images): Promise<DumpStatistics | undefined> {
  const [entry] = (await images.entries("stats-dump", "STATS", "optional")) ?? [];
  const dump = objectOf(entry, "dump");
  if (dump === undefined) return undefined;
  const value = (field: string): number => numberOf(dump, field) ?? 0;
  return {
    freezingMicroseconds: value("freezing_time"),
    frozenMicroseconds: value("frozen_time"),
    memoryDumpMicroseconds: value("memdump_time"),
    memoryWriteMicroseconds: value("memwrite_time"),
    pagesScanned: value("pages_scanned"),
    pagesWritten: value("pages_written"),
    pagesSkipped: value("pages_skipped_parent"),
    pagesLazy: value("pages_lazy"),
  };
}

/** CRIU's plugin for NVIDIA GPUs, as it names itself in a checkpoint's inventory. */
export const cudaPlugin = "cuda_plugin";

/** Whether GPU memory is in the checkpoint, and what is needed to restore it. */
export interface PluginUse {
  /** CRIU plugins that took part (`cuda_plugin`, `amdgpu_plugin`): a restore without them fails. */
  readonly plugins: readonly string[];
  readonly amdgpuImages: readonly string[];
}

export async function readPlugins(images: Images): Promise<PluginUse> {
  const [inventory] = (await images.entries("inventory.img", "INVENTORY")) ?? [];
  return {
    plugins: listOf(objectOf(inventory, "plugins_entry"), "plugins").filter((name) => typeof name === "string"),
    amdgpuImages: images.set.list().filter((name) => name.startsWith("amdgpu-")),
  };
}

/** The security module of the host, and the profiles under which processes ran: CRIU restores none of them where they are not. */
export interface SecurityUse {
  /** `apparmor` or `selinux`, as in `/sys/kernel/security/lsm`. */
  readonly module: string;
  /** AppArmor's profiles, SELinux' contexts; never empty. */
  readonly profiles: readonly string[];
}

/** `undefined` when no process ran under a profile (criu/lsm.c: an unconfined one has none in its image). */
export async function readSecurity(images: Images): Promise<SecurityUse | undefined> {
  const [inventory] = (await images.entries("inventory.img", "INVENTORY")) ?? [];
  const module = textOf(inventory, "lsmtype")?.toLowerCase();
  if (module === undefined || module === "no_lsm") return undefined;
  const profiles = new Set<string>();
  for (const name of images.set.list().filter((image) => /^core-\d+\.img$/.test(image)))
    for (const core of (await images.entries(name, "CORE")) ?? []) {
      const profile = textOf(objectOf(objectOf(core, "thread_core"), "creds"), "lsm_profile");
      if (profile !== undefined) profiles.add(profile);
    }
  return profiles.size === 0 ? undefined : { module, profiles: [...profiles].toSorted() };
}

/** `core_entry.march` of CRIU 4.2 (images/core.proto) in Go's names, for the machines that engines run on. */
const architectures: Readonly<Record<string, string>> = {
  X86_64: "amd64",
  AARCH64: "arm64",
  ARM: "arm",
  PPC64: "ppc64le",
  S390: "s390x",
  LOONGARCH64: "loong64",
  RISCV64: "riscv64",
};

/** What machine the processes ran on, as Go names it: `amd64`, `arm64`; `undefined` when no process says it. */
export async function readArchitecture(images: Images): Promise<string | undefined> {
  const name = images.set.list().find((image) => /^core-\d+\.img$/.test(image));
  const [core] = (name === undefined ? undefined : await images.entries(name, "CORE")) ?? [];
  return architectures[textOf(core, "mtype") ?? ""];
}

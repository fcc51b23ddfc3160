import { existsSync, readFileSync } from "node:fs";
import { arch, release } from "node:os";
import type { HostFacts } from "../core/image/annotations.ts";

const architectures: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };

/** What this machine is, as restores are judged by. */
export function hostFacts(): HostFacts {
  const osRelease = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const field = (key: string): string | undefined => new RegExp(`^${key}="?([^"\n]*)"?$`, "m").exec(osRelease)?.[1];
  const [name, version] = [field("ID"), field("VERSION_ID")];
  return {
    architecture: architectures[arch()] ?? arch(),
    kernel: release(),
    cgroups: existsSync("/sys/fs/cgroup/cgroup.controllers") ? "v2" : "v1",
    ...(name === undefined || version === undefined ? {} : { distribution: { name, version } }),
  };
}

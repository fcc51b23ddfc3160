import { checkpointError } from "../../errors.ts";
import type { CheckpointArchive } from "../archive/checkpoint-archive.ts";
import { plainName } from "../archive/member-name.ts";
import type { TarMember } from "../archive/tar-header.ts";
import { findingOf, quoted, some } from "./lint-codes.ts";
import type { LintFinding } from "./lint-codes.ts";

/** What the engines write beside CRIU's folder (reference: CRI-O, containerd, podman). */
const written =
  /^(checkpoint(\/[^/]+)?|config\.dump|spec\.dump|status\.dump|status|network\.status|rootfs-diff\.tar|deleted\.files|dump\.log|restore\.log|stats-dump|stats-restore|bind\.mounts|io\.kubernetes\.cri-o\.LogPath|container\.log|ctr\.log|devshm-checkpoint\.tar|volumes(\/[^/]+)?|artifacts(\/.*)?|pre-checkpoint(\/.*)?|pod\.options|pod\.dump)$/;

const setIds = 0o6000;

/** The archive's own members: links, devices, strangers. */
export function lintMembers(archive: CheckpointArchive): readonly LintFinding[] {
  const findings: LintFinding[] = [];
  const strangers: string[] = [];
  const links: string[] = [];
  const devices: string[] = [];
  for (const [path, { kind, mode, target = "" }] of archive.members) {
    if (path === "checkpoint/parent" && kind === "symlink")
      findings.push(findingOf("IncrementalDump", path, `leads to ${quoted(target)}`));
    else if (kind === "symlink" || kind === "hardlink") links.push(`${path} -> ${target}`);
    else if (kind !== "file" && kind !== "directory") devices.push(`${path} (${kind})`);
    else if (kind === "file" && (mode & setIds) !== 0) devices.push(`${path} (mode ${mode.toString(8)})`);
    if (!written.test(path)) strangers.push(path);
  }
  if (links.length > 0) findings.push(findingOf("ArchiveLink", "archive", some(links)));
  if (devices.length > 0) findings.push(findingOf("ArchiveDevice", "archive", some(devices)));
  if (strangers.length > 0) findings.push(findingOf("UnknownMember", "archive", some(strangers)));
  return findings;
}

/** A few of what was found, and a count of all: a hostile layer may hold a hundred thousand. */
class Sample {
  readonly #shown: string[] = [];
  count = 0;

  add(text: string): void {
    this.count += 1;
    if (this.#shown.length < 10) this.#shown.push(text);
  }

  toString(): string {
    const more = this.count - this.#shown.length;
    return `${some(this.#shown)}${more > 0 ? ` and ${more} more` : ""}`;
  }
}

const leaves = (name: string): boolean => {
  try {
    plainName(name);
    return false;
  } catch {
    return true;
  }
};

/** Names of a layer are taken from the container's root; a hard link's target is one of them, a symbolic link's is the container's own affair. */
const escapes = ({ name, kind, target = "" }: TarMember): boolean =>
  leaves(name.replace(/^\/+/, "")) || (kind === "hardlink" && leaves(target.replace(/^\/+/, "")));

/** The changes of the container's files, which an engine unpacks as root. Reads all of them. */
export async function lintRootfs(archive: CheckpointArchive): Promise<readonly LintFinding[]> {
  const place = "rootfs-diff.tar";
  const samples = { RootfsEscape: new Sample(), RootfsDevice: new Sample(), RootfsSetuid: new Sample() };
  const findings: LintFinding[] = [];
  try {
    const diff = archive.members.get(place);
    if (diff !== undefined && diff.kind !== "file")
      throw checkpointError("FW_CHECKPOINT_ARCHIVE", `is a ${diff.kind}, not a file`);
    for await (const member of archive.rootfsChanges()) {
      if (escapes(member))
        samples.RootfsEscape.add(`${member.name}${member.target === undefined ? "" : ` -> ${member.target}`}`);
      if (member.kind === "character" || member.kind === "block") samples.RootfsDevice.add(member.name);
      if (member.kind === "file" && (member.mode & setIds) !== 0) samples.RootfsSetuid.add(member.name);
    }
  } catch (error) {
    findings.push(findingOf("RootfsUnreadable", place, (error as Error).message));
  }
  for (const code of ["RootfsEscape", "RootfsDevice", "RootfsSetuid"] as const)
    if (samples[code].count > 0) findings.push(findingOf(code, place, samples[code].toString()));
  return findings;
}

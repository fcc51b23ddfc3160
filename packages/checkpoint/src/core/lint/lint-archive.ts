import type { CheckpointArchive } from "../archive/checkpoint-archive.ts";
import { decompressed } from "../archive/compression.ts";
import { plainName } from "../archive/member-name.ts";
import { documentBytes } from "../archive/metadata.ts";
import type { TarMember } from "../archive/tar-header.ts";
import { readTar } from "../archive/tar-reader.ts";
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

/** A layer's names as they are taken: from the container's root; a whiteout (`.wh.x`) stands for what it hides. */
const fromRoot = (name: string): string => name.replace(/^\/+/, "").replace(/(^|\/)\.wh\.(\.\.?)$/, "$1$2");

/** Watches the names of a layer for those that lead out of it: by `..`, or through a link that the layer itself brought. */
class LayerNames {
  readonly #links = new Set<string>();

  /** A symbolic link's target is the container's own affair, a hard link's is one of the layer's names. */
  escapes({ name, kind, target = "" }: TarMember): boolean {
    const found = this.#leads(name) || (kind === "hardlink" && this.#leads(target));
    if (found) return true;
    const plain = plainName(fromRoot(name));
    if (kind === "symlink") this.#links.add(plain);
    else this.#links.delete(plain);
    return false;
  }

  #leads(name: string): boolean {
    if (leaves(fromRoot(name))) return true;
    if (this.#links.size === 0) return false;
    const plain = plainName(fromRoot(name));
    for (let slash = plain.indexOf("/"); slash !== -1; slash = plain.indexOf("/", slash + 1))
      if (this.#links.has(plain.slice(0, slash))) return true;
    return false;
  }
}

/** @param members of a layer that an engine unpacks as root */
async function lintLayer(place: string, members: AsyncIterable<TarMember>): Promise<readonly LintFinding[]> {
  const samples = { RootfsEscape: new Sample(), RootfsDevice: new Sample(), RootfsSetuid: new Sample() };
  const names = new LayerNames();
  const findings: LintFinding[] = [];
  try {
    for await (const member of members) {
      const { name, kind, mode, target } = member;
      if (names.escapes(member)) samples.RootfsEscape.add(`${name}${target === undefined ? "" : ` -> ${target}`}`);
      if (kind === "character" || kind === "block") samples.RootfsDevice.add(name);
      if (kind === "file" && (mode & setIds) !== 0) samples.RootfsSetuid.add(name);
    }
  } catch (error) {
    findings.push(findingOf("RootfsUnreadable", place, (error as Error).message));
  }
  for (const code of ["RootfsEscape", "RootfsDevice", "RootfsSetuid"] as const)
    if (samples[code].count > 0) findings.push(findingOf(code, place, samples[code].toString()));
  return findings;
}

async function* membersOf(archive: CheckpointArchive, path: string): AsyncGenerator<TarMember, void, undefined> {
  const name = `${archive.name}: ${path}`;
  for await (const { member } of readTar(decompressed(archive.open(path), { name }), { name })) yield member;
}

/** What an engine unpacks as root: the changes of the container's files; podman's volumes and shared memory. Reads all of them. */
export async function lintLayers(archive: CheckpointArchive): Promise<readonly LintFinding[]> {
  const layers = [...archive.members].filter(([path]) =>
    /^(rootfs-diff\.tar|devshm-checkpoint\.tar|volumes\/[^/]+\.tar)$/.test(path),
  );
  const findings: LintFinding[] = [];
  for (const [path, { kind }] of layers)
    if (kind === "file") findings.push(...(await lintLayer(path, membersOf(archive, path))));
    else findings.push(findingOf("RootfsUnreadable", path, `is a ${kind}, not a file`));
  return findings;
}

/** CRI-O and podman delete what `deleted.files` names, below the container's root. */
export async function lintDeletedFiles(archive: CheckpointArchive): Promise<readonly LintFinding[]> {
  const place = "deleted.files";
  try {
    const text = await readDocument(archive, place);
    const paths: unknown = text === undefined ? [] : JSON.parse(text);
    if (!Array.isArray(paths) || paths.some((path) => typeof path !== "string")) throw new Error("is no list of paths");
    const escaping = (paths as readonly string[]).filter((path) => leaves(path.replace(/^\/+/, "")));
    return escaping.length > 0 ? [findingOf("DeletedEscape", place, some(escaping))] : [];
  } catch (error) {
    return [findingOf("DeletedEscape", place, (error as Error).message)];
  }
}

/** A small document of an archive; `undefined` when there is none. Throws for one that is larger than any engine's. */
export async function readDocument(archive: CheckpointArchive, name: string): Promise<string | undefined> {
  const member = archive.members.get(name);
  if (member?.kind !== "file") return undefined;
  if (member.size > documentBytes) throw new Error(`has ${member.size} bytes, the limit is ${documentBytes}`);
  const parts: Uint8Array[] = [];
  for await (const part of archive.open(name)) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}

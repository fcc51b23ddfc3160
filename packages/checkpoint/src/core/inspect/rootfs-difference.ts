import { createHash } from "node:crypto";
import { checkpointError } from "../../errors.ts";
import type { CheckpointArchive } from "../archive/checkpoint-archive.ts";
import { decompressed } from "../archive/compression.ts";
import type { TarKind } from "../archive/tar-header.ts";
import { readTar } from "../archive/tar-reader.ts";
import { changesByName } from "./change.ts";
import type { Change } from "./change.ts";

/** A file of the container's that differs from its image. Layers mark what was deleted by a name that begins with `.wh.`. */
interface ChangedFile {
  readonly kind: TarKind;
  readonly size: number;
  /** Octal, with setuid, setgid and sticky. */
  readonly mode: string;
  readonly user: number;
  readonly group: number;
  readonly target?: string;
  /** `sha256:…` of its contents; absent for what has none. */
  readonly digest?: string;
}

export type RootfsChange = Change<ChangedFile> & { readonly name: string };

/** Of all names in one `rootfs-diff.tar`, which are held while it is read. */
const nameBytes = 64 * 1024 * 1024;

async function changedFiles(archive: CheckpointArchive): Promise<ReadonlyMap<string, ChangedFile>> {
  const files = new Map<string, ChangedFile>();
  if (archive.members.get("rootfs-diff.tar")?.kind !== "file") return files;
  const name = `${archive.name}: rootfs-diff.tar`;
  let names = 0;
  for await (const { member, data } of readTar(decompressed(archive.open("rootfs-diff.tar"), { name }), { name })) {
    names += member.name.length + (member.target?.length ?? 0);
    if (names > nameBytes)
      throw checkpointError("FW_CHECKPOINT_LIMIT", `${name}: more than ${nameBytes} bytes of names`);
    const hash = createHash("sha256");
    for await (const part of data) hash.update(part);
    files.set(member.name.replace(/^(\.?\/)+/, "").replace(/\/$/, ""), {
      kind: member.kind,
      size: member.size,
      mode: member.mode.toString(8).padStart(4, "0"),
      user: member.uid,
      group: member.gid,
      ...(member.target === undefined ? {} : { target: member.target }),
      ...(member.kind === "file" ? { digest: `sha256:${hash.digest("hex")}` } : {}),
    });
  }
  return files;
}

const isSame = (before: ChangedFile, after: ChangedFile): boolean =>
  (["kind", "size", "mode", "user", "group", "target", "digest"] as const).every((key) => before[key] === after[key]);

/** What the container had changed of its image's files in one checkpoint and not, or otherwise, in the other; times alone are no change. */
export async function differRootfs(
  before: CheckpointArchive,
  after: CheckpointArchive,
): Promise<readonly RootfsChange[]> {
  return changesByName(await changedFiles(before), await changedFiles(after), isSame);
}

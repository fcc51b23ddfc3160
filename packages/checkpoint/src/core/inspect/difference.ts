import { isDeepStrictEqual } from "node:util";
import type { CheckpointArchive } from "../archive/checkpoint-archive.ts";
import { byName, changesByName } from "./change.ts";
import type { Change } from "./change.ts";
import { openImages } from "./image-set.ts";
import type { ImageProblem, Images } from "./image-set.ts";
import { differMemory } from "./memory-difference.ts";
import type { MemoryDifference } from "./memory-difference.ts";
import { readOpenFiles } from "./open-files.ts";
import type { OpenFile } from "./open-files.ts";
import { pairProcesses } from "./process-pairs.ts";
import type { ProcessPair } from "./process-pairs.ts";
import { readProcesses } from "./processes.ts";
import type { CheckpointProcess } from "./processes.ts";
import { differRootfs } from "./rootfs-difference.ts";
import type { RootfsChange } from "./rootfs-difference.ts";
import { readRuntimeSpec } from "./runtime-spec.ts";
import type { RuntimeSpec } from "./runtime-spec.ts";
import { readMounts } from "./summary.ts";
import type { Mount } from "./summary.ts";

/** A setting of the container. The values of variables are given only when they were asked for. */
export interface SettingChange {
  readonly setting: "arguments" | "environment" | "mount" | "image" | "user" | "workingDirectory" | "hostname";
  /** Of the variable, or the mount's destination. */
  readonly name?: string;
  readonly change: Change<unknown>["change"];
  readonly before?: string;
  readonly after?: string;
}

/** A descriptor; `fd` is `cwd` and `root` for the folders. */
export type OpenFileChange = Change<OpenFile> & { readonly fd: string };

/** A process that is not the same in both checkpoints, or has other memory or open files. */
export interface ProcessDifference {
  /** Commands from the first process down to it. */
  readonly path: readonly string[];
  /** `changed`: it runs another program or has another command line. */
  readonly change: Change<unknown>["change"] | "same";
  readonly before?: Pick<CheckpointProcess, "pid" | "command" | "commandLine" | "state">;
  readonly after?: Pick<CheckpointProcess, "pid" | "command" | "commandLine" | "state">;
  readonly files: readonly OpenFileChange[];
  readonly sockets: readonly OpenFileChange[];
  /** Of processes that both have. */
  readonly memory?: MemoryDifference;
}

export interface CheckpointDifference {
  readonly settings: readonly SettingChange[];
  readonly processes: readonly ProcessDifference[];
  readonly mounts: readonly (Change<Mount> & { readonly name: string })[];
  readonly rootfs: readonly RootfsChange[];
  /** What could not be read of either: the rest stands without it. */
  readonly problems: { readonly before: readonly ImageProblem[]; readonly after: readonly ImageProblem[] };
}

export interface DifferenceOptions {
  /** Give the values of environment variables: secrets are among them. @default false */
  readonly values?: boolean;
  /** Compare memory, which reads all pages of both. @default true */
  readonly memory?: boolean;
  /** Page ranges that are listed for each process, at most. @default 1000 */
  readonly ranges?: number;
}

/** One checkpoint, for the comparison. */
interface Side {
  readonly archive: CheckpointArchive;
  readonly images: Images;
}

function settingChanges(before: Side, after: Side, specs: readonly [RuntimeSpec, RuntimeSpec], values: boolean) {
  const [was, is] = specs;
  const changes: SettingChange[] = [];
  const compare = (
    setting: SettingChange["setting"],
    left: ReadonlyMap<string, string>,
    right: ReadonlyMap<string, string>,
    show = true,
  ): void => {
    for (const found of changesByName(left, right, Object.is))
      changes.push({
        setting,
        change: found.change,
        ...(found.name === "" ? {} : { name: found.name }),
        ...(show && "before" in found ? { before: found.before } : {}),
        ...(show && "after" in found ? { after: found.after } : {}),
      });
  };
  const single = (setting: SettingChange["setting"], left: string | undefined, right: string | undefined): void => {
    const map = (value: string | undefined): ReadonlyMap<string, string> =>
      new Map(value === undefined || value === "" ? [] : [["", value]]);
    compare(setting, map(left), map(right));
  };
  const mounts = (spec: RuntimeSpec): ReadonlyMap<string, string> =>
    new Map(
      [...byName(spec.mounts, ({ destination }) => destination)].map(([name, { type, source, options }]) => [
        name,
        [type, source, options.join(",")].join(" "),
      ]),
    );
  single("image", before.archive.metadata.imageRef, after.archive.metadata.imageRef);
  single("hostname", before.archive.metadata.hostname, after.archive.metadata.hostname);
  single("arguments", JSON.stringify(was.arguments), JSON.stringify(is.arguments));
  single("workingDirectory", was.workingDirectory, is.workingDirectory);
  single("user", `${was.user}:${was.group}`, `${is.user}:${is.group}`);
  compare("environment", was.environment, is.environment, values);
  compare("mount", mounts(was), mounts(is));
  return changes;
}

/** A pipe's number is an inode of the host, chosen by chance. */
const isSameFile = (before: OpenFile, after: OpenFile): boolean =>
  isDeepStrictEqual({ ...before, pipe: undefined }, { ...after, pipe: undefined });

async function fileChanges(before: Side, after: Side, { before: was, after: is }: ProcessPair) {
  const files = async ({ images }: Side, pid: number | undefined): Promise<ReadonlyMap<string, OpenFile>> =>
    byName(pid === undefined ? [] : await readOpenFiles(images, pid), ({ fd }) => String(fd));
  const changes = changesByName(await files(before, was?.pid), await files(after, is?.pid), isSameFile).map(
    ({ name, ...change }): OpenFileChange => ({ ...change, fd: name }),
  );
  const isSocket = (change: OpenFileChange): boolean =>
    ("after" in change && change.after.socket !== undefined) ||
    ("before" in change && change.before.socket !== undefined);
  return { files: changes.filter((change) => !isSocket(change)), sockets: changes.filter(isSocket) };
}

const shown = ({ pid, command, commandLine, state }: CheckpointProcess): ProcessDifference["before"] => ({
  pid,
  command,
  state,
  ...(commandLine ? { commandLine } : {}),
});

async function processDifference(
  before: Side,
  after: Side,
  pair: ProcessPair,
  { memory: withMemory = true, ranges }: DifferenceOptions,
): Promise<ProcessDifference | undefined> {
  const { path, before: was, after: is } = pair;
  const isSame = was?.command === is?.command && isDeepStrictEqual(was?.commandLine, is?.commandLine);
  const change = was === undefined ? "added" : is === undefined ? "removed" : isSame ? "same" : "changed";
  // The files of a process that came or went are its own affair.
  const open = was && is ? await fileChanges(before, after, pair) : { files: [], sockets: [] };
  const memory =
    withMemory && was && is
      ? await differMemory(
          { images: before.images, pid: was.pid },
          { images: after.images, pid: is.pid },
          ranges === undefined ? {} : { ranges },
        )
      : undefined;
  if (change === "same" && open.files.length + open.sockets.length === 0 && (memory?.mappings.length ?? 0) === 0)
    return undefined;
  return {
    path,
    change,
    ...(was ? { before: shown(was) } : {}),
    ...(is ? { after: shown(is) } : {}),
    ...open,
    ...(memory ? { memory } : {}),
  };
}

/**
 * What is different between two checkpoints, of the same container or of two: settings, processes, open files, sockets, mounts, changed files, memory page by page. Reads each
 * page once, a mebibyte at a time. What one of them does not hold is in `problems`; equal things are not listed.
 *
 * @throws FW_CHECKPOINT_ARCHIVE, FW_CHECKPOINT_LIMIT, FW_CHECKPOINT_IMAGE (pages that are truncated)
 * @example
 * ```ts
 * const { processes } = await differCheckpoints(yesterday, today);
 * for (const { path, memory } of processes) console.log(path.join("/"), memory?.pages.changed);
 * ```
 */
export async function differCheckpoints(
  beforeArchive: CheckpointArchive,
  afterArchive: CheckpointArchive,
  options: DifferenceOptions = {},
): Promise<CheckpointDifference> {
  const [before, after] = [beforeArchive, afterArchive].map((archive) => ({
    archive,
    images: openImages(archive.images),
  })) as [Side, Side];
  const specs = [await readRuntimeSpec(beforeArchive), await readRuntimeSpec(afterArchive)] as const;
  const processes: ProcessDifference[] = [];
  for (const pair of pairProcesses(await readProcesses(before.images), await readProcesses(after.images))) {
    const difference = await processDifference(before, after, pair, options);
    if (difference) processes.push(difference);
  }
  const mounts = async ({ images }: Side): Promise<ReadonlyMap<string, Mount>> =>
    byName(await readMounts(images), ({ path }) => path);
  return {
    settings: settingChanges(before, after, specs, options.values ?? false),
    processes,
    mounts: changesByName(await mounts(before), await mounts(after), isDeepStrictEqual),
    rootfs: await differRootfs(beforeArchive, afterArchive),
    problems: { before: before.images.problems, after: after.images.problems },
  };
}

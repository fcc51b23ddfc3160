import { mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { systemClock } from "@fleetwright/kube";
import type { Clock } from "@fleetwright/kube";
import { labError } from "./errors.ts";
import { endProcess, identityOf, isAlive } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/**
 * A folder of one run: data, certificates, logs, and the record of the processes that were started in it.
 * Its name says who owns it (`<pid>_<start time>_…`), so that ownership is known from the moment it exists.
 */
export interface Workspace {
  readonly directory: string;
  /** Records a process before anything else is done with it. Synchronous: a kill right after leaves it recorded. */
  record(name: string, pid: number): ProcessIdentity;
  forget(identity: ProcessIdentity): void;
  remove(): Promise<void>;
}

interface RecordedProcess extends ProcessIdentity {
  readonly name: string;
}

const recordFile = "processes.json";

/** Below the temporary folder, one per user: keys lie in it. */
const workspaceRoot = (): string => join(tmpdir(), `fleetwright-lab-${process.getuid?.() ?? 0}`);

/** A new empty folder, owned by this process. */
export async function createWorkspace(root: string = workspaceRoot()): Promise<Workspace> {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const self = identityOf(process.pid);
  if (self === undefined)
    throw labError("FW_LAB_START", "/proc/self/stat cannot be read: the lab needs Linux with /proc mounted");
  const directory = await mkdtemp(join(root, `${self.pid}_${self.startTime}_`));
  let recorded: readonly RecordedProcess[] = [];
  const write = (next: readonly RecordedProcess[]): void => {
    recorded = next;
    const path = join(directory, recordFile);
    writeFileSync(`${path}.tmp`, JSON.stringify(recorded));
    renameSync(`${path}.tmp`, path);
  };
  return {
    directory,
    record(name, pid) {
      // A process that has ended before we could look is still a child of ours: nobody else can have its number yet.
      const identity = identityOf(pid) ?? { pid, startTime: "ended" };
      write([...recorded, { name, ...identity }]);
      return identity;
    },
    forget(identity) {
      write(recorded.filter(({ pid, startTime }) => pid !== identity.pid || startTime !== identity.startTime));
    },
    remove: () => rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }),
  };
}

/** What {@link cleanUpLeftovers} did. */
export interface CleanUpResult {
  readonly endedProcesses: number;
  readonly removedFolders: number;
}

/**
 * Ends the processes and removes the folders of runs whose owner is gone (`kill -9`, a crash).
 * A process is ended only when its number and its start time are the recorded ones. Every start calls this first.
 */
export async function cleanUpLeftovers(
  options: { readonly root?: string; readonly clock?: Clock } = {},
): Promise<CleanUpResult> {
  const root = options.root ?? workspaceRoot();
  const clock = options.clock ?? systemClock;
  let endedProcesses = 0;
  let removedFolders = 0;
  for (const entry of listFolder(root)) {
    const owner = ownerOf(entry);
    if (owner === undefined || isAlive(owner)) continue;
    const directory = join(root, entry);
    let allEnded = true;
    for (const recorded of readRecord(directory)) {
      if (!isAlive(recorded)) continue;
      if (await endProcess(recorded, clock, 10_000)) endedProcesses++;
      else allEnded = false;
    }
    // A folder whose process would not end is kept, so that the next start tries again.
    if (!allEnded) continue;
    await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    removedFolders++;
  }
  return { endedProcesses, removedFolders };
}

/** Who made a folder, by its name; `undefined`: not one of ours. */
export function ownerOf(directory: string): ProcessIdentity | undefined {
  const match = /^(\d+)_([0-9a-f]+-\d+)_/.exec(basename(directory));
  return match?.[1] && match[2] ? { pid: Number(match[1]), startTime: match[2] } : undefined;
}

function listFolder(root: string): readonly string[] {
  try {
    return readdirSync(root);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function readRecord(directory: string): readonly RecordedProcess[] {
  try {
    return JSON.parse(readFileSync(join(directory, recordFile), "utf8")) as readonly RecordedProcess[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

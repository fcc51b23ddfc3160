import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive } from "./process-identity.ts";
import { cleanUpLeftovers, createWorkspace, ownerOf } from "./workspace.ts";

const cgroupRoot = "/sys/fs/cgroup";
const cgroupPrefix = "fleetwright-";

/** Tells a process that it runs in {@link runInNodeNamespace}; the name of the control group for its nodes' pods. */
const laneVariable = "FLEETWRIGHT_NODE_CGROUP";

/** The control group for nodes' pods; `undefined` outside {@link runInNodeNamespace}. */
export const nodeCgroup = (): string | undefined => process.env[laneVariable];

/** Why real nodes cannot run in this process; `undefined`: they can. */
export function nodeProblem(): string | undefined {
  if (process.platform !== "linux") return "real nodes need Linux";
  if (process.getuid?.() !== 0) return "real nodes need root";
  // Root of a container may be no root at all.
  const [program = "", ...args] = isolated("true", []);
  const { status, error, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) return `namespaces cannot be made here (${error?.message ?? stderr.trim()})`;
  try {
    const probe = `${cgroupPrefix}probe-${process.pid}`;
    makeCgroups(probe);
    for (const hierarchy of hierarchies()) removeCgroup(join(hierarchy, probe));
  } catch (failure) {
    return `control groups cannot be made here (${failure instanceof Error ? failure.message : String(failure)})`;
  }
  return undefined;
}

/** The command line that runs a program in namespaces of its own, which end with whoever started it. */
const isolated = (program: string, args: readonly string[]): readonly string[] =>
  "setpriv --pdeathsig KILL -- unshare --net --mount --pid --fork --kill-child --mount-proc --"
    .split(" ")
    .concat(program, args);

const subfolders = (path: string): readonly string[] => {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    // Gone meanwhile, or not a hierarchy.
    return [];
  }
};

/** Each hierarchy of cgroup v1, or the one of v2. */
function hierarchies(): readonly string[] {
  const isV2 = (() => {
    try {
      return readFileSync(join(cgroupRoot, "cgroup.controllers"), "utf8") !== "";
    } catch {
      return false;
    }
  })();
  return isV2 ? [cgroupRoot] : subfolders(cgroupRoot).map((name) => join(cgroupRoot, name));
}

function makeCgroups(name: string): void {
  for (const hierarchy of hierarchies()) {
    const path = join(hierarchy, name);
    mkdirSync(path, { recursive: true });
    // Version 1: a new cpuset is empty, and nothing can run in it.
    if (hierarchy.endsWith("/cpuset"))
      for (const file of ["cpuset.cpus", "cpuset.mems"])
        writeFileSync(join(path, file), readFileSync(join(hierarchy, file), "utf8"));
  }
}

/** Removes a group from below; one in which something still runs stays for the next time. */
function removeCgroup(path: string): void {
  for (const name of subfolders(path)) removeCgroup(join(path, name));
  try {
    rmdirSync(path);
  } catch {
    // Busy.
  }
}

function removeDeadCgroups(): void {
  for (const hierarchy of hierarchies())
    for (const name of subfolders(hierarchy)) {
      const owner = name.startsWith(cgroupPrefix) ? ownerOf(name.slice(cgroupPrefix.length)) : undefined;
      if (owner !== undefined && !isAlive(owner)) removeCgroup(join(hierarchy, name));
    }
}

/**
 * Runs a command where real nodes can be started: in network, mount and process namespaces of their own, with no way out. Whatever is started in there ends with the
 * command, however it ends, `kill -9` of this process included; what namespaces do not end (a folder, control groups) is removed afterwards, or by the next run.
 * Returns the exit code.
 */
export async function runInNodeNamespace(program: string, args: readonly string[]): Promise<number> {
  removeDeadCgroups();
  await cleanUpLeftovers();
  const workspace = await createWorkspace();
  const cgroup = `${cgroupPrefix}${workspace.directory.slice(workspace.directory.lastIndexOf("/") + 1)}`;
  makeCgroups(cgroup);
  try {
    const [launcher = "", ...rest] = isolated(program, args);
    const child = spawn(launcher, rest, {
      stdio: "inherit",
      env: { ...process.env, TMPDIR: workspace.directory, [laneVariable]: cgroup },
    });
    // Ctrl-C reaches the command too: it ends in its own time, and so do we.
    const wait = (): void => undefined;
    process.on("SIGINT", wait);
    try {
      return await new Promise<number>((resolve, reject) => {
        child.once("error", reject);
        child.once("close", (code) => resolve(code ?? 1));
      });
    } finally {
      process.off("SIGINT", wait);
    }
  } finally {
    for (const hierarchy of hierarchies()) removeCgroup(join(hierarchy, cgroup));
    await workspace.remove();
  }
}

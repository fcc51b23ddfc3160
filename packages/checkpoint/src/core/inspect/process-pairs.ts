import type { CheckpointProcess } from "./processes.ts";

/** A process in two checkpoints, or in one of them. */
export interface ProcessPair {
  /** Commands from the first process down to this one, by which it was found; of a deep tree the last 32. */
  readonly path: readonly string[];
  readonly before?: CheckpointProcess;
  readonly after?: CheckpointProcess;
}

const pathLength = 32;

interface Group {
  readonly path: readonly string[];
  readonly before: readonly CheckpointProcess[];
  readonly after: readonly CheckpointProcess[];
}

/** Children by parent, each process once: what a hostile tree repeats or hangs in a ring comes with the roots. */
function treeOf(processes: readonly CheckpointProcess[]): {
  readonly roots: readonly CheckpointProcess[];
  readonly children: (of: CheckpointProcess | undefined) => readonly CheckpointProcess[];
} {
  const pids = new Set(processes.map(({ pid }) => pid));
  const byParent = Map.groupBy(processes, ({ pid, parent }) => (pids.has(parent) && parent !== pid ? parent : 0));
  const reachable = new Set(byParent.get(0));
  // A set goes on over what is added to it meanwhile, and takes nothing twice.
  for (const process of reachable) for (const child of byParent.get(process.pid) ?? []) reachable.add(child);
  const roots = [...(byParent.get(0) ?? []), ...processes.filter((process) => !reachable.has(process))];
  const given = new Set(roots);
  return {
    roots,
    children: (of) => {
      const children = of === undefined ? [] : (byParent.get(of.pid) ?? []).filter((child) => !given.has(child));
      for (const child of children) given.add(child);
      return children;
    },
  };
}

/** Brothers by command, with the same id first, in order else; what is left and kept its id has become another program. */
function pairGroup({ before, after }: Group): readonly (readonly [CheckpointProcess?, CheckpointProcess?])[] {
  const found = new Map<CheckpointProcess, CheckpointProcess>();
  const free = new Set(after);
  const take = (keyOf: (process: CheckpointProcess) => string): void => {
    const byKey = Map.groupBy(free, keyOf);
    const used = new Map<string, number>();
    for (const process of before) {
      if (found.has(process)) continue;
      const key = keyOf(process);
      const position = used.get(key) ?? 0;
      const other = byKey.get(key)?.[position];
      if (other === undefined) continue;
      used.set(key, position + 1);
      found.set(process, other);
      free.delete(other);
    }
  };
  take(({ pid, command }) => `${pid} ${command}`);
  take(({ command }) => command);
  take(({ pid }) => String(pid));
  return [
    ...before.map((process) => [process, found.get(process)] as const),
    ...[...free].map((process) => [undefined, process] as const),
  ];
}

/**
 * Finds the processes of one checkpoint again in another: by their place in the tree and their command, because a container that was started anew has other process ids.
 * Every process is in one pair; parents come before their children.
 */
export function pairProcesses(
  before: readonly CheckpointProcess[],
  after: readonly CheckpointProcess[],
): readonly ProcessPair[] {
  const [left, right] = [treeOf(before), treeOf(after)];
  const pairs: ProcessPair[] = [];
  const groups: Group[] = [{ path: [], before: left.roots, after: right.roots }];
  for (const group of groups)
    for (const [was, is] of pairGroup(group)) {
      const path = [...group.path, (is ?? was)?.command ?? ""].slice(-pathLength);
      pairs.push({ path, ...(was ? { before: was } : {}), ...(is ? { after: is } : {}) });
      const next = { path, before: left.children(was), after: right.children(is) };
      if (next.before.length + next.after.length > 0) groups.push(next);
    }
  return pairs;
}

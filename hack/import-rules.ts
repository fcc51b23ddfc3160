/** The wall between the rooms: which workspace package may import which. `"*"` is all of ours. */
export const importRules: Readonly<Record<string, readonly string[] | "*">> = {
  api: [],
  kube: [],
  nodes: ["kube"],
  lab: ["kube"],
  twin: ["kube", "nodes"],
  quota: ["api", "kube"],
  teams: ["api", "kube"],
  scheduler: ["api", "kube"],
  stack: ["api", "kube"],
  health: ["api", "kube"],
  telemetry: ["api", "kube"],
  checkpoint: ["api", "kube"],
  relay: ["api", "kube"],
  fleetwright: "*",
  console: ["api"],
};

/** One import statement, as written. */
export interface ImportStatement {
  /** Path from the repository's root, with `/`. */
  readonly file: string;
  readonly specifier: string;
  readonly line: number;
}

const roomOf = (file: string): string | undefined => /^packages\/([^/]+)\//.exec(file)?.[1];

/** What an import breaks, in one sentence; `undefined` when it is allowed. Tests and `hack/` may import every room. */
export function violation(statement: ImportStatement): string | undefined {
  const room = roomOf(statement.file);
  const { specifier } = statement;
  if (specifier.startsWith(".")) {
    const target = new URL(specifier, `file:///${statement.file}`).pathname.slice(1);
    const targetRoom = roomOf(target);
    if (targetRoom !== room)
      return `"${specifier}" leaves ${room === undefined ? "its folder into" : `packages/${room} for`} ${target}: import @fleetwright/… instead`;
    return undefined;
  }
  const match = /^@fleetwright\/([^/]+)(\/.*)?$/.exec(specifier);
  if (!match) return undefined;
  const [, target = "", deep] = match;
  if (deep) return `"${specifier}" is a deep import: use what @fleetwright/${target} exports`;
  if (room === undefined) return undefined;
  const rule = importRules[room];
  if (rule === undefined) return `packages/${room} is not in the table of hack/import-rules.ts`;
  if (rule === "*" || rule.includes(target)) return undefined;
  return `${room} may import ${rule.length === 0 ? "nothing of ours" : rule.join(", ")}, not ${target}`;
}

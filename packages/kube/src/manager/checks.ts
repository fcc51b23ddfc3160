/** Resolves when all is well; throws or rejects with what is not. */
export type Check = () => void | Promise<void>;

/** Named checks behind one path, answered as kube-apiserver and controller-runtime answer. */
export interface CheckReport {
  readonly ok: boolean;
  readonly text: string;
  /** What failed, for the log: the answer keeps reasons to itself. */
  readonly failures: readonly { readonly name: string; readonly error: unknown }[];
}

/**
 * @param path `healthz` or `readyz`
 * @param only the name of one check (`/healthz/<name>`)
 * @returns `undefined` when there is no check of that name
 */
export async function runChecks(
  path: string,
  checks: ReadonlyMap<string, Check>,
  options: {
    readonly only?: string | undefined;
    readonly verbose?: boolean;
    readonly exclude?: readonly string[];
  } = {},
): Promise<CheckReport | undefined> {
  const { only, verbose = false, exclude = [] } = options;
  if (only !== undefined && !checks.has(only)) return undefined;
  const names = only === undefined ? [...checks.keys()].toSorted() : [only];
  const lines: string[] = [];
  const failures: { name: string; error: unknown }[] = [];
  for (const name of names) {
    if (exclude.includes(name)) {
      lines.push(`[+]${name} excluded: ok`);
      continue;
    }
    try {
      await checks.get(name)?.();
      lines.push(`[+]${name} ok`);
    } catch (error) {
      failures.push({ name, error });
      // Probes are open to anybody who reaches the port.
      lines.push(`[-]${name} failed: reason withheld`);
    }
  }
  const ok = failures.length === 0;
  if (ok && !verbose) return { ok, text: "ok", failures };
  return { ok, text: `${[...lines, `${path} check ${ok ? "passed" : "failed"}`].join("\n")}\n`, failures };
}

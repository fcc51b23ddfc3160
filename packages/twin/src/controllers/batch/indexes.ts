/** Sets of indexes as the API writes them: `0-2,5` (pkg/controller/job/indexed_job_utils.go). */

export function parseIndexes(text: string | undefined, below = Number.MAX_SAFE_INTEGER): ReadonlySet<number> {
  const indexes = new Set<number>();
  for (const part of (text ?? "").split(",")) {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(part.trim()) ?? [];
    if (first === undefined) continue;
    const end = Math.min(Number(last ?? first), below - 1);
    for (let index = Number(first); index <= end; index++) indexes.add(index);
  }
  return indexes;
}

export function formatIndexes(indexes: ReadonlySet<number>): string {
  const sorted = [...indexes].toSorted((left, right) => left - right);
  const parts: string[] = [];
  for (let at = 0; at < sorted.length;) {
    let end = at;
    while (end + 1 < sorted.length && sorted[end + 1] === (sorted[end] ?? 0) + 1) end++;
    const [first, last] = [sorted[at] ?? 0, sorted[end] ?? 0];
    // Two neighbours are written one by one.
    if (last === first) parts.push(String(first));
    else if (last === first + 1) parts.push(String(first), String(last));
    else parts.push(`${first}-${last}`);
    at = end + 1;
  }
  return parts.join(",");
}

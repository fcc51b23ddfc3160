import type { PodSpec } from "@fleetwright/kube";

/** Lines around a change, as `diff -u` shows them. */
const contextLines = 3;
/** Above it a difference is not worked out line by line: its cost grows with the square. */
const mostLines = 2000;

interface Line {
  readonly mark: " " | "+" | "-";
  readonly text: string;
}

/** The longest common subsequence of what is left between equal ends. */
function compareMiddle(before: readonly string[], after: readonly string[]): Line[] {
  const removed = (text: string): Line => ({ mark: "-", text });
  const added = (text: string): Line => ({ mark: "+", text });
  if (before.length > mostLines || after.length > mostLines) return [...before.map(removed), ...after.map(added)];
  const width = after.length + 1;
  const lengths = new Uint16Array((before.length + 1) * width);
  for (let row = before.length - 1; row >= 0; row--) {
    for (let column = after.length - 1; column >= 0; column--) {
      lengths[row * width + column] =
        before[row] === after[column]
          ? (lengths[(row + 1) * width + column + 1] ?? 0) + 1
          : Math.max(lengths[(row + 1) * width + column] ?? 0, lengths[row * width + column + 1] ?? 0);
    }
  }
  const lines: Line[] = [];
  let row = 0;
  let column = 0;
  while (row < before.length || column < after.length) {
    const [old, now] = [before[row], after[column]];
    if (old !== undefined && old === now) {
      lines.push({ mark: " ", text: old });
      row++;
      column++;
    } else if (
      old !== undefined &&
      (now === undefined || (lengths[(row + 1) * width + column] ?? 0) >= (lengths[row * width + column + 1] ?? 0))
    ) {
      lines.push(removed(old));
      row++;
    } else {
      lines.push(added(now ?? ""));
      column++;
    }
  }
  return lines;
}

function compareLines(before: readonly string[], after: readonly string[]): Line[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  const shortest = Math.min(before.length, after.length) - start;
  while (end < shortest && before.at(-1 - end) === after.at(-1 - end)) end++;
  const same = (text: string): Line => ({ mark: " ", text });
  return [
    ...before.slice(0, start).map(same),
    ...compareMiddle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map(same),
  ];
}

/** Keys sorted: what is sent and what is stored have orders of their own. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(entries.map(([key, part]) => [key, inOrder(part)]));
}

/**
 * What changed between two specs, as a unified difference of their JSON. Upstream prints its internal type, with Go's
 * names of fields; this prints the fields that a client wrote.
 */
export function specDifference(before: PodSpec, after: PodSpec): string {
  const linesOf = (spec: PodSpec): string[] => JSON.stringify(inOrder(spec), undefined, 1).split("\n");
  const lines = compareLines(linesOf(before), linesOf(after));
  const shown = lines.map(() => false);
  for (const [index, { mark }] of lines.entries()) {
    if (mark === " ") continue;
    shown.fill(true, Math.max(0, index - contextLines), index + contextLines + 1);
  }
  const out: string[] = [];
  let [oldLine, newLine] = [1, 1];
  for (let index = 0; index < lines.length; index++) {
    if (shown[index] === true && shown[index - 1] !== true) {
      let end = index;
      while (shown[end] === true) end++;
      const hunk = lines.slice(index, end);
      const count = (mark: Line["mark"]): number => hunk.filter((line) => line.mark !== mark).length;
      out.push(`@@ -${oldLine},${count("+")} +${newLine},${count("-")} @@`);
    }
    const line = lines[index];
    if (line === undefined) break;
    if (shown[index] === true) out.push(`${line.mark}${line.text}`);
    if (line.mark !== "+") oldLine++;
    if (line.mark !== "-") newLine++;
  }
  return `${out.join("\n")}\n`;
}

import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Recording } from "./assess.ts";

const pathOf = (group: string): string => fileURLToPath(new URL(`./recordings/${group}.json`, import.meta.url));

export function readRecordings(group: string): ReadonlyMap<string, Recording> {
  const path = pathOf(group);
  const recordings = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as readonly Recording[]) : [];
  return new Map(recordings.map((recording) => [recording.scenario, recording]));
}

/** Adds to what is recorded of a group; equal runs are kept once. */
export async function writeRecordings(group: string, recordings: readonly Recording[]): Promise<void> {
  const all = new Map(readRecordings(group));
  for (const { scenario, runs } of recordings) {
    const different = new Map(runs.map((run) => [JSON.stringify(run), run]));
    all.set(scenario, { scenario, runs: [...different.values()] });
  }
  const sorted = [...all.values()].toSorted((left, right) => (left.scenario < right.scenario ? -1 : 1));
  const lines = sorted.map((recording) => JSON.stringify(recording));
  await writeFile(pathOf(group), `[\n${lines.join(",\n")}\n]\n`);
}

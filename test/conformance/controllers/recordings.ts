import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Recording } from "./assess.ts";
import type { State } from "./normalise.ts";
import type { Run } from "./observe.ts";

/** A file of recordings: states are many times the same, and are kept once. */
interface Packed {
  readonly states: readonly string[];
  readonly recordings: readonly { readonly scenario: string; readonly runs: readonly PackedRun[] }[];
}

interface PackedRun {
  readonly quiet: readonly Readonly<Record<string, number>>[];
  readonly passed: Readonly<Record<string, readonly number[]>>;
  readonly events: readonly string[];
}

const pathOf = (group: string): string => fileURLToPath(new URL(`./recordings/${group}.json`, import.meta.url));

export function readRecordings(group: string): ReadonlyMap<string, Recording> {
  const path = pathOf(group);
  if (!existsSync(path)) return new Map();
  const { states, recordings } = JSON.parse(readFileSync(path, "utf8")) as Packed;
  const text = (index: number): string => states[index] ?? "";
  const unpacked = ({ quiet, passed, events }: PackedRun): Run => ({
    quiet: quiet.map((present) => mapValues(present, (index) => JSON.parse(text(index)) as State)),
    passed: mapValues(passed, (indexes) => indexes.map(text)),
    events,
  });
  return new Map(recordings.map(({ scenario, runs }) => [scenario, { scenario, runs: runs.map(unpacked) }]));
}

/** Adds to what is recorded of a group; equal runs are kept once. */
export async function writeRecordings(group: string, recordings: readonly Recording[]): Promise<void> {
  const all = new Map(readRecordings(group));
  for (const { scenario, runs } of recordings) {
    const different = new Map(runs.map((run) => [JSON.stringify(run), run]));
    all.set(scenario, { scenario, runs: [...different.values()] });
  }
  const states = new Map<string, number>();
  const index = (text: string): number => {
    const known = states.get(text) ?? states.size;
    states.set(text, known);
    return known;
  };
  const packed = [...all.values()]
    .toSorted((left, right) => (left.scenario < right.scenario ? -1 : 1))
    .map(({ scenario, runs }) => ({
      scenario,
      runs: runs.map(({ quiet, passed, events }) => ({
        quiet: quiet.map((present) => mapValues(present, (state) => index(JSON.stringify(state)))),
        passed: mapValues(passed, (texts) => texts.map(index)),
        events,
      })),
    }));
  const lines = (values: readonly unknown[]): string => values.map((value) => JSON.stringify(value)).join(",\n");
  await writeFile(pathOf(group), `{"states":[\n${lines([...states.keys()])}\n],"recordings":[\n${lines(packed)}\n]}\n`);
}

const mapValues = <T, R>(values: Readonly<Record<string, T>>, change: (value: T) => R): Readonly<Record<string, R>> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value)]));

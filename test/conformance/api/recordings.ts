import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { kubernetesVersion } from "@fleetwright/lab";
import type { Exchange, Recording } from "./scenario.ts";
import type { Played } from "./run.ts";

const folder = join(import.meta.dirname, "recordings");

/** `<area>/<name>` of a scenario. */
export const keyOf = ({ area, name }: { readonly area: string; readonly name: string }): string => `${area}/${name}`;

/** What the real server answered, by {@link keyOf}. */
export async function readRecordings(): Promise<ReadonlyMap<string, readonly Exchange[]>> {
  const recorded = new Map<string, readonly Exchange[]>();
  for (const file of (await readdir(folder)).filter((name) => name.endsWith(".json"))) {
    const { scenarios } = JSON.parse(await readFile(join(folder, file), "utf8")) as Recording;
    for (const [name, exchanges] of Object.entries(scenarios))
      recorded.set(keyOf({ area: file.slice(0, -".json".length), name }), exchanges);
  }
  return recorded;
}

/** Replaces the recordings of the areas that were played. */
export async function writeRecordings(played: readonly Played[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  const areas = Map.groupBy(played, ({ scenario }) => scenario.area);
  for (const [area, those] of areas) await writeFile(join(folder, `${area}.json`), format(those));
}

/** Removes recordings of areas that no longer exist. */
export async function removeOtherRecordings(areas: ReadonlySet<string>): Promise<void> {
  for (const file of await readdir(folder))
    if (file.endsWith(".json") && !areas.has(file.slice(0, -".json".length))) await rm(join(folder, file));
}

/** One exchange a line: compact, and a change shows which answer changed. */
function format(played: readonly Played[]): string {
  const scenarios = played.map(({ scenario, exchanges }) => {
    const lines = exchanges.map((exchange) => `      ${JSON.stringify(exchange)}`);
    return `    ${JSON.stringify(scenario.name)}: [\n${lines.join(",\n")}\n    ]`;
  });
  return `{\n  "server": ${JSON.stringify(kubernetesVersion)},\n  "scenarios": {\n${scenarios.join(",\n")}\n  }\n}\n`;
}

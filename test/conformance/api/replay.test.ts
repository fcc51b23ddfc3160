/** The twin answers as the real server was recorded to answer. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findBinary } from "@fleetwright/lab";
import { allScenarios } from "./all-scenarios.ts";
import { assess } from "./assessment.ts";
import { explainedDifferences } from "./differences.ts";
import { keyOf, readRecordings } from "./recordings.ts";
import { playAll } from "./run.ts";
import type { Played } from "./run.ts";
import type { Exchange } from "./scenario.ts";
import { startTwinServer } from "./servers.ts";

const kubectlIsThere = (await findBinary("kubectl")) !== undefined;
const usesKubectl = (exchanges: readonly Exchange[] | undefined): boolean =>
  exchanges?.some(({ request }) => request.startsWith("kubectl ")) ?? false;
const recorded = await readRecordings();
const scenarios = allScenarios.filter((each) => kubectlIsThere || !usesKubectl(recorded.get(keyOf(each))));
const skipped = allScenarios.length - scenarios.length;
if (skipped > 0) console.warn(`SKIPPED: ${skipped} conversations of kubectl, which is missing (make kubernetes)`);

let played: readonly Played[] = [];
beforeAll(async () => {
  const server = await startTwinServer();
  try {
    played = await playAll(server, scenarios);
  } finally {
    await server.stop();
  }
}, 300_000);
let counts = "";
afterAll(() => console.info(counts));

describe("the twin, held against recordings of the real server", () => {
  it.each([...new Set(scenarios.map(({ area }) => area))])("answers as recorded: %s", (area) => {
    const { complaints } = assess(
      recorded,
      played.filter(({ scenario }) => scenario.area === area),
      explainedDifferences,
    );
    expect([...complaints].map(([key, text]) => `${key}\n${text}`).join("\n")).toBe("");
  });

  it("differs in few conversations, each for a reason that still holds", () => {
    const { complaints: _, unused, ...rest } = assess(recorded, played, explainedDifferences);
    counts = JSON.stringify(rest);
    expect(skipped > 0 ? [] : unused).toEqual([]);
    expect(rest.explained / rest.conversations).toBeLessThanOrEqual(0.05);
  });
});

describe("the recordings", () => {
  it("are there for every scenario, and for nothing else", () => {
    expect([...recorded.keys()].toSorted()).toEqual(allScenarios.map(keyOf).toSorted());
  });

  it("hold at least 600 conversations under names of their own", () => {
    expect(new Set(allScenarios.map(keyOf)).size).toBe(allScenarios.length);
    expect(allScenarios.length).toBeGreaterThanOrEqual(600);
  });
});

it("docs/twin-differences.md explains what differences.ts excuses, and no more", () => {
  const page = readFileSync(new URL("../../../docs/twin-differences.md", import.meta.url), "utf8");
  const documented = [...page.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, id = ""]) => id);
  expect(documented.toSorted()).toEqual(explainedDifferences.map(({ id }) => id).toSorted());
});

/** `node test/conformance/api/record.ts [AREA…]`: records afresh what the real server answers. */
import { allScenarios } from "./all-scenarios.ts";
import { removeOtherRecordings, writeRecordings } from "./recordings.ts";
import { playAll } from "./run.ts";
import type { Played } from "./run.ts";
import { startRealServer } from "./servers.ts";

const areas = process.argv.slice(2);
const scenarios = allScenarios.filter(({ area }) => areas.length === 0 || areas.includes(area));
const server = await startRealServer();
let played: readonly Played[];
try {
  played = await playAll(server, scenarios);
} finally {
  await server.stop();
}
for (const { scenario, error } of played)
  if (error) console.error(`${scenario.area}: ${scenario.name}: ${error.message}`);
const failed = played.filter(({ error }) => error).length;
if (failed > 0) {
  process.exitCode = 1;
  console.error(`fleetwright: ${failed} scenarios could not be played; their areas are not written`);
}
const broken = new Set(played.filter(({ error }) => error).map(({ scenario }) => scenario.area));
await writeRecordings(played.filter(({ scenario }) => !broken.has(scenario.area)));
if (areas.length === 0) await removeOtherRecordings(new Set(allScenarios.map(({ area }) => area)));
console.log(JSON.stringify({ recorded: played.length - failed, failed }));

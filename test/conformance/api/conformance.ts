/**
 * `npm run conformance [-- AREA…]`: plays all scenarios on a real server and on the twin, and holds the committed
 * recordings and the twin against the real server. The last line counts the twin's conversations.
 */
import { allScenarios } from "./all-scenarios.ts";
import { assess } from "./assessment.ts";
import type { Assessment } from "./assessment.ts";
import { explainedDifferences } from "./differences.ts";
import { keyOf, readRecordings } from "./recordings.ts";
import { playAll } from "./run.ts";
import type { Played } from "./run.ts";
import { startRealServer, startTwinServer } from "./servers.ts";
import type { TestServer } from "./servers.ts";

const areas = process.argv.slice(2);
const scenarios = allScenarios.filter(({ area }) => areas.length === 0 || areas.includes(area));

async function playOn(start: () => Promise<TestServer>): Promise<readonly Played[]> {
  const server = await start();
  try {
    return await playAll(server, scenarios);
  } finally {
    await server.stop();
  }
}

function tell(title: string, { complaints }: Assessment): void {
  for (const [key, text] of complaints) console.log(`${title}: ${key}\n${text}`);
}

const real = await playOn(startRealServer);
const recordings = assess(await readRecordings(), real, []);
tell("the recording is out of date", recordings);

const answers = new Map(real.map(({ scenario, exchanges }) => [keyOf(scenario), exchanges]));
const twin = assess(answers, await playOn(startTwinServer), explainedDifferences);
tell("the twin differs", twin);
for (const id of areas.length === 0 ? twin.unused : [])
  console.log(
    `the explanation ${id} is not needed any more: remove it from differences.ts and docs/twin-differences.md`,
  );

const { conversations, equal, explained, different } = twin;
if (different > 0 || recordings.different > 0 || (areas.length === 0 && twin.unused.length > 0)) process.exitCode = 1;
if (recordings.different > 0)
  console.log(
    `${recordings.different} recordings differ from the real server: run node test/conformance/api/record.ts`,
  );
console.log(JSON.stringify({ conversations, equal, explained, different }));

/**
 * `node test/conformance/controllers/record.ts [FILTER]`: runs the scenarios three times on the real control plane and writes down what its
 * controllers and scheduler did.
 */
import { setTimeout as pause } from "node:timers/promises";
import { createClient, Namespaces } from "@fleetwright/kube";
import { startControlPlane } from "@fleetwright/lab";
import { startNodes } from "@fleetwright/nodes";
import { allScenarios } from "./all-scenarios.ts";
import type { Recording } from "./assess.ts";
import { writeRecordings } from "./recordings.ts";
import { pools, runScenario } from "./run.ts";
import type { Stage } from "./run.ts";
import type { Scenario } from "./scenario.ts";

const rounds = 3;
const atATime = 16;
const [filter = ""] = process.argv.slice(2);

const controlPlane = await startControlPlane({ controllerManager: true, scheduler: true });
const client = createClient({
  kubeconfig: controlPlane.kubeconfigPath,
  connections: 64,
  timeoutMs: 120_000,
  onWarning() {},
});
const nodes = await startNodes({ client, pools });
const stage: Stage = { client, pass: (ms) => pause(ms) };

async function record(scenario: Scenario): Promise<Recording> {
  const runs = [];
  for (let round = 0; round < rounds; round++) {
    runs.push(await runScenario(scenario, stage));
    while ((await client.list(Namespaces)).items.some(({ metadata }) => metadata.name === scenario.name))
      await pause(300);
  }
  console.error(`recorded ${scenario.name}`);
  return { scenario: scenario.name, runs };
}

for (const [group, scenarios] of Object.entries(allScenarios)) {
  const chosen = scenarios.filter(({ name }) => `${group}/${name}`.includes(filter));
  if (chosen.length === 0) continue;
  const shared = chosen.filter(({ exclusive }) => exclusive !== true);
  const recordings: Recording[] = [];
  const waiting = [...shared];
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) recordings.push(await record(next));
    }),
  );
  for (const each of chosen) if (each.exclusive === true) recordings.push(await record(each));
  await writeRecordings(group, recordings);
}
await nodes.stop();
await client.close();
await controlPlane.stop();

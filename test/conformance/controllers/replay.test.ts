import { describe, expect, it } from "vitest";
import { startSimulation } from "@fleetwright/twin";
import { allScenarios } from "./all-scenarios.ts";
import { differences } from "./assess.ts";
import { readRecordings } from "./recordings.ts";
import { pools, runScenario } from "./run.ts";

/** Held against recordings of kube-controller-manager and kube-scheduler 1.36.3 (`record.ts`). */
describe.each(Object.entries(allScenarios))("%s", (group, scenarios) => {
  const recordings = readRecordings(group);
  it.each(scenarios.map((each) => [each.name, each] as const))(
    "%s goes as on the real control plane",
    async (name, scenario) => {
      const recording = recordings.get(name);
      if (recording === undefined)
        throw new Error(`${name} is not recorded: node test/conformance/controllers/record.ts ${name}`);
      const simulation = await startSimulation({ seed: 1, pools, freezes: true });
      const { client, clock } = simulation;
      try {
        await clock.advance(10_000);
        // As on a real cluster, nothing happens in no time.
        simulation.setRates({ slow: 1, slowMs: 10 });
        for (const node of simulation.cluster.nodes.names)
          simulation.cluster.nodes.fault(node, { kind: "slowStart", ms: 100 });
        let isOver = false;
        const running = runScenario(scenario, {
          client,
          pass: (ms) => new Promise((resolve) => void clock.setTimer(ms, () => resolve())),
        }).finally(() => (isOver = true));
        running.catch(() => {});
        await clock.runUntil(() => isOver, 3_600_000);
        expect(differences(recording, await running)).toEqual([]);
      } finally {
        await simulation.stop();
      }
    },
  );
});

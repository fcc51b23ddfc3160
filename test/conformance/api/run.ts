import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@fleetwright/kube";
import { findBinary } from "@fleetwright/lab";
import { normalise } from "./normalise.ts";
import type { Exchange, Scenario } from "./scenario.ts";
import type { TestServer } from "./servers.ts";
import { createAgent, play } from "./session.ts";
import type { Stage } from "./session.ts";

/** What one scenario gave; `error`: it could not be played to its end. */
export interface Played {
  readonly scenario: Scenario;
  readonly exchanges: readonly Exchange[];
  readonly error?: Error;
}

/** Plays scenarios one after another on a server. */
export async function playAll(server: TestServer, scenarios: readonly Scenario[]): Promise<readonly Played[]> {
  const home = await mkdtemp(join(tmpdir(), "conformance-"));
  const agent = createAgent(server);
  const stage: Stage = { server, home, agent, kubectl: (await findBinary("kubectl"))?.path };
  const played: Played[] = [];
  try {
    for (const scenario of scenarios) played.push(await playOne(stage, scenario));
    return played;
  } finally {
    agent.destroy();
    await rm(home, { recursive: true, force: true });
  }
}

async function playOne(stage: Stage, scenario: Scenario): Promise<Played> {
  try {
    const { exchanges, baseRevision } = await play(stage, scenario);
    const surroundings = {
      url: stage.server.url,
      now: systemClock.now(),
      baseRevision,
      managedFields: scenario.managedFields === true,
    };
    return { scenario, exchanges: normalise(exchanges, surroundings) };
  } catch (error) {
    return { scenario, exchanges: [], error: error instanceof Error ? error : new Error(String(error)) };
  }
}

import { expect, it } from "vitest";
import { silentLogger, type Clock, type Informer, type Node } from "@fleetwright/kube";
import type { AgentCheckpoint } from "../node/agent-service.ts";
import type { AgentClient } from "./agent-client.ts";
import type { CheckpointObject } from "./resources.ts";
import { UnclaimedReconciler } from "./unclaimed-reconciler.ts";

const hour = 3_600_000;
const archive = (file: string, ageMs: number): AgentCheckpoint =>
  ({ file, layer: { digest: `sha256:${file}`, size: 1000 }, modifiedMs: 24 * hour - ageMs }) as AgentCheckpoint;

it("tells once of archives that no Checkpoint names, and of none that may still become one's", async () => {
  const notes: string[] = [];
  const counts: unknown[] = [];
  let stored = [archive("mine", hour), archive("by-hand", hour), archive("fresh", 60_000)];
  let present: readonly Node[] = [{ metadata: { name: "node-1" } }];
  const claims = { metadata: {}, status: { containers: [{ name: "main", digest: "sha256:mine" }] } };
  const reconciler = new UnclaimedReconciler({
    nodes: {
      get: ({ name }: { name: string }) => present.find(({ metadata }) => metadata.name === name),
    } as Informer<Node>,
    checkpoints: { list: () => [claims] } as unknown as Informer<CheckpointObject>,
    agents: { of: () => ({ list: () => Promise.resolve({ checkpoints: stored }) }) as unknown as AgentClient },
    clock: { now: () => 24 * hour } as Clock,
    logger: silentLogger,
    events: { event: ({ note }) => void notes.push(note) },
    metrics: { unclaimed: (...of) => void counts.push(of) },
  });
  const look = () => reconciler.reconcile({ name: "node-1" }, new AbortController().signal);
  expect(await look()).toEqual({ requeueAfterMs: 600_000 });
  await look();
  expect(notes).toEqual([expect.stringMatching(/^1 archives of 1000 bytes .*by-hand/)]);
  stored = [archive("mine", hour)];
  await look();
  present = [];
  expect(await look()).toBeUndefined();
  expect(notes.length).toBe(1);
  expect(counts).toEqual([
    ["node-1", 1, 1000],
    ["node-1", 1, 1000],
    ["node-1", 0, 0],
    ["node-1", 0, 0],
  ]);
});

import { restoreReasons, type ContainerCheckpoint } from "@fleetwright/api";
import type { Client } from "@fleetwright/kube";
import type { AgentClient } from "./agent-client.ts";
import type { Agents } from "./agents.ts";
import type { Artifacts } from "./artifacts.ts";
import { engineId, Refused } from "./refused.ts";
import { checkpoints, type CheckpointObject } from "./resources.ts";

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function agentOf(agents: Agents, nodeName: string): AgentClient {
  const agent = agents.of(nodeName);
  if (agent === undefined) throw new Refused(restoreReasons.wrongNode, `node "${nodeName}" is gone`);
  return agent;
}

interface Parts {
  readonly client: Client;
  readonly agents: Agents;
  readonly artifacts: Artifacts;
}

/** Brings the archives of a Checkpoint that are not on this node yet, from other nodes or the registry. */
export async function bringArchives(
  checkpoint: CheckpointObject,
  nodeName: string,
  parts: Parts,
  signal: AbortSignal,
): Promise<void> {
  const target = agentOf(parts.agents, nodeName);
  let current = checkpoint;
  for (const container of checkpoint.status?.containers ?? []) {
    if (container.digest === undefined) continue;
    if (await target.get(container.digest, signal)) continue;
    const { copies = [] } = current.status ?? {};
    // Before the first byte: a copy that nobody knows of would be nobody's.
    if (nodeName !== current.status?.nodeName && !copies.includes(nodeName))
      current = await parts.client.updateStatus(
        checkpoints,
        { ...current, status: { ...current.status, copies: [...copies, nodeName] } },
        { signal },
      );
    await bring(current, container, target, parts, signal);
  }
}

async function bring(
  checkpoint: CheckpointObject,
  { name, digest = "", artifact }: ContainerCheckpoint,
  target: AgentClient,
  { agents, artifacts }: Parts,
  signal: AbortSignal,
): Promise<void> {
  const home = checkpoint.status?.nodeName ?? "";
  const failures: string[] = [];
  for (const place of [home, ...(checkpoint.status?.copies ?? [])]) {
    const source = agents.of(place);
    if (source === undefined) continue;
    try {
      if ((await source.get(digest, signal)) === undefined) continue;
      await source.copyTo(digest, target, signal);
      return;
    } catch (error) {
      if (signal.aborted) throw error;
      failures.push(messageOf(error));
    }
  }
  if (artifact !== undefined) {
    await artifacts.pull(target, checkpoint, artifact, digest, signal);
    return;
  }
  if (failures.length > 0) throw new Error(failures.join("; "));
  throw new Refused(
    restoreReasons.wrongNode,
    `the archive of container "${name}" (${digest}) is on no node and in no registry any more`,
  );
}

/** Names of the containers whose archives a Checkpoint has. */
export const savedContainers = ({ status }: CheckpointObject): ReadonlySet<string> =>
  new Set((status?.containers ?? []).flatMap(({ name, digest }) => (digest === undefined ? [] : [name])));

/** The images by which the node's engine restores, by container. */
export async function imagesOn(
  nodeName: string,
  checkpoint: CheckpointObject,
  agents: Agents,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const agent = agentOf(agents, nodeName);
  const { imagePort } = await agent.node(signal);
  const images = new Map<string, string>();
  for (const { name, digest } of checkpoint.status?.containers ?? []) {
    if (digest === undefined) continue;
    const stored = await agent.get(digest, signal);
    if (stored === undefined) throw new Error(`node "${nodeName}" has lost archive ${digest}`);
    images.set(name, `localhost:${imagePort}/checkpoint@${stored.image}`);
  }
  return images;
}

/** Why it is not certain that the containers of a Checkpoint have ended on their node; `undefined` when it is. */
export async function stillRuns(
  checkpoint: CheckpointObject,
  agent: AgentClient | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { nodeName = "", containers = [] } = checkpoint.status ?? {};
  const advice = `once it is certain that it is off, taint it: kubectl taint node ${nodeName} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`;
  if (agent === undefined)
    return `whether the source has stopped cannot be told: node "${nodeName}" is gone or has no address; ${advice}`;
  try {
    for (const { name, containerID } of containers) {
      const { processes } = await agent.container(engineId(containerID), signal);
      if (processes.length > 0)
        return `container "${name}" still has ${processes.length} processes on node "${nodeName}"`;
    }
    return undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    return `whether the source has stopped cannot be told: ${messageOf(error)}; ${advice}`;
  }
}

import type { ContainerCheckpoint } from "@fleetwright/api";
import type { Client, Clock, Informer, Node } from "@fleetwright/kube";
import { dumpLogOf, type FailedDump } from "../core/verdict/refusal.ts";
import type { AgentCheckpoint } from "../node/agent-service.ts";
import type { AgentClient } from "./agent-client.ts";
import type { Agents } from "./agents.ts";
import type { Artifacts } from "./artifacts.ts";
import { engineId } from "./refused.ts";
import { checkpoints, type CheckpointObject } from "./resources.ts";

/** A node's clock may be behind the API server's by this much. */
const clockSkewMs = 30_000;
/** After the deadline that the kubelet was given, it has this long to leave the archive. */
const graceMs = 5_000;

/** When no archive of this attempt can come any more, as the kubelet was told. Milliseconds since the epoch. */
export const attemptEnds = ({ attemptTime = "", timeoutSeconds = 120 }: ContainerCheckpoint): number =>
  Date.parse(attemptTime) + timeoutSeconds * 1000 + graceMs;

/** The archive of this attempt: this very container's, of after it was begun, and nobody else's. @param file as the kubelet told it, if it did */
export async function findArchive(
  client: Client,
  checkpoint: CheckpointObject,
  container: ContainerCheckpoint,
  agent: AgentClient,
  signal: AbortSignal,
  file?: string,
): Promise<AgentCheckpoint | undefined> {
  if (container.attemptTime === undefined) return undefined;
  const since = Date.parse(checkpoint.status?.startTime ?? "") - clockSkewMs;
  const id = engineId(container.containerID);
  const { checkpoints: stored } = await agent.list(signal);
  const own = stored
    .filter(({ metadata, modifiedMs }) => metadata.id === id && modifiedMs >= since)
    .toSorted((a, b) => a.modifiedMs - b.modifiedMs);
  const told = own.find((each) => each.file === file);
  if (told || own.length === 0) return told;
  // The kubelet's answer was lost: what nobody else has recorded is ours, and that must be known for certain.
  const { namespace = "" } = checkpoint.metadata;
  const { items } = await client.list(checkpoints, { namespace, signal });
  const others = items.filter(({ metadata }) => metadata.uid !== checkpoint.metadata.uid);
  const claimed = new Set(
    others.flatMap(({ status }) => (status?.containers ?? []).flatMap(({ digest }) => digest ?? [])),
  );
  return own.find(({ layer }) => !claimed.has(layer.digest));
}

/** Whether an archive of this container may still come: its runtime dumps, or some archive is being written. */
export async function isUnderWay(agent: AgentClient, id: string, signal: AbortSignal): Promise<boolean> {
  const [{ checkpointing }, { unreadable }] = [await agent.container(id, signal), await agent.list(signal)];
  return checkpointing || unreadable.length > 0;
}

interface Parts {
  readonly client: Client;
  readonly nodes: Informer<Node>;
  readonly agents: Agents;
  readonly artifacts: Artifacts;
  readonly clock: Clock;
}

/**
 * Deletes what there is of a Checkpoint on nodes and in the registry, the archive of a lost answer as well.
 *
 * @returns whether that is all; not while a kubelet may still leave an archive
 */
export async function deleteArchives(
  checkpoint: CheckpointObject,
  { client, nodes, agents, artifacts, clock }: Parts,
  signal: AbortSignal,
): Promise<boolean> {
  const { spec, status } = checkpoint;
  const { namespace, name } = checkpoint.metadata;
  const containers = status?.containers ?? [];
  const mayCome = containers.some(
    (container) =>
      container.digest === undefined && container.attemptTime !== undefined && clock.now() < attemptEnds(container),
  );
  for (const nodeName of new Set([status?.nodeName ?? "", ...(status?.copies ?? [])])) {
    // A node that is gone took its archives with it.
    if (nodeName === "" || nodes.get({ name: nodeName }) === undefined) continue;
    const agent = agents.of(nodeName);
    if (agent === undefined) throw new Error(`node "${nodeName}" has no address yet`);
    for (const container of containers) {
      const isLost = container.digest === undefined && nodeName === status?.nodeName;
      const found = isLost ? await findArchive(client, checkpoint, container, agent, signal) : undefined;
      const digest = container.digest ?? found?.layer.digest;
      if (digest !== undefined) await agent.remove(digest, `Checkpoint ${namespace}/${name} was deleted`, signal);
    }
  }
  // What the kubelet still writes would be nobody's.
  if (mayCome) return false;
  for (const { name: container, digest, artifact } of containers)
    if (
      artifact !== undefined ||
      (spec.destination !== undefined && digest !== undefined && status?.phase === "Stored")
    )
      await artifacts.remove(checkpoint, container, artifact, signal);
  return true;
}

/** What the node knows of a dump that failed, where the engine's answer names CRIU's log; otherwise the answer must do. */
export async function failedDump(
  agent: AgentClient,
  id: string,
  body: string,
  signal: AbortSignal,
): Promise<FailedDump> {
  const log = dumpLogOf(body);
  if (log === undefined) return { errors: [] };
  try {
    return await agent.failedDump(id, log, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    return { errors: [] };
  }
}

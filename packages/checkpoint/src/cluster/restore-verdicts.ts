import type { CheckpointVerdict } from "@fleetwright/api";
import {
  ConfigMaps,
  isNotFound,
  PersistentVolumeClaims,
  Secrets,
  type Client,
  type Informer,
  type Node,
} from "@fleetwright/kube";
import { neededObjects, type SavedTemplate } from "../core/restore/pod-template.ts";
import { verdictOf } from "../core/verdict/verdict-codes.ts";
import type { AgentCheckpoint } from "../node/agent-service.ts";
import type { AgentClient } from "./agent-client.ts";
import type { Agents } from "./agents.ts";
import type { CheckpointObject, RestoreObject } from "./resources.ts";
import type { RestoreJudge } from "./restore-judge.ts";

interface Asked {
  readonly restore: RestoreObject;
  readonly checkpoint: CheckpointObject;
  readonly template: SavedTemplate["spec"];
}

interface Parts {
  readonly client: Client;
  readonly nodes: Informer<Node>;
  readonly agents: Agents;
  readonly judge: RestoreJudge;
}

/** What speaks against a restore on this node. */
export async function verdictsOn(
  nodeName: string,
  { restore, checkpoint, template }: Asked,
  { client, nodes, agents, judge }: Parts,
  signal: AbortSignal,
): Promise<readonly CheckpointVerdict[]> {
  const node = nodes.get({ name: nodeName });
  if (node === undefined) return [verdictOf("NodeGone", `there is no node "${nodeName}"`)];
  try {
    const agent = agents.of(nodeName);
    if (agent === undefined) throw new Error(`node "${nodeName}" has no address`);
    const facts = await agent.node(signal);
    const source = await sourceFacts(checkpoint, agent, agents, signal);
    return [
      ...(await judge.judge({ checkpoint, template, node, facts, agent, source, restore }, signal)),
      ...(await missingVolumes(client, restore, template, signal)),
    ];
  } catch (error) {
    if (signal.aborted) throw error;
    return [verdictOf("AgentUnreachable", error instanceof Error ? error.message : String(error))];
  }
}

/** Of the archives, from whichever agent has them; without one, verdicts do without. */
async function sourceFacts(
  { status }: CheckpointObject,
  near: AgentClient,
  agents: Agents,
  signal: AbortSignal,
): Promise<AgentCheckpoint | undefined> {
  const digest = status?.containers?.[0]?.digest;
  if (digest === undefined) return undefined;
  const home = agents.of(status?.nodeName ?? "");
  for (const agent of [near, ...(home ? [home] : [])]) {
    try {
      const found = await agent.get(digest, signal);
      if (found) return found;
    } catch (error) {
      if (signal.aborted) throw error;
    }
  }
  return undefined;
}

async function missingVolumes(
  client: Client,
  { spec, metadata: { namespace = "" } }: RestoreObject,
  template: SavedTemplate["spec"],
  signal: AbortSignal,
): Promise<readonly CheckpointVerdict[]> {
  if ((spec.volumes ?? "Require") !== "Require" || spec.mode === "InPlace") return [];
  return (await missingObjects(client, namespace, template, signal)).map(({ kind, name, volume }) =>
    verdictOf("VolumeMissing", `${kind} "${name}" of volume "${volume}" does not exist in namespace "${namespace}"`),
  );
}

/** What the volumes of a pod need and the namespace does not have. */
export async function missingObjects(
  client: Client,
  namespace: string,
  template: SavedTemplate["spec"],
  signal: AbortSignal,
): Promise<ReturnType<typeof neededObjects>> {
  const missing = [];
  for (const needed of neededObjects(template)) {
    const resource = { PersistentVolumeClaim: PersistentVolumeClaims, Secret: Secrets, ConfigMap: ConfigMaps }[
      needed.kind
    ];
    try {
      await client.get(resource, { namespace, name: needed.name }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      missing.push(needed);
    }
  }
  return missing;
}

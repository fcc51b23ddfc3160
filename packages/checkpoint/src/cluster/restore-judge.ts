import type { CheckpointVerdict } from "@fleetwright/api";
import type { Node } from "@fleetwright/kube";
import type { SavedTemplate } from "../core/restore/pod-template.ts";
import type { AgentCheckpoint } from "../node/agent-service.ts";
import type { AgentClient, AgentNode } from "./agent-client.ts";
import type { CheckpointObject, RestoreObject } from "./resources.ts";

/** What a restore on a node is judged by. */
interface RestoreCase {
  readonly checkpoint: CheckpointObject;
  readonly restore: RestoreObject;
  readonly template: SavedTemplate["spec"];
  readonly node: Node;
  readonly facts: AgentNode;
  /** Of the node. */
  readonly agent: Pick<AgentClient, "findImage">;
  /** What is known of the archive; absent while it is only in a registry. */
  readonly source: AgentCheckpoint | undefined;
}

/** Says beforehand whether a checkpoint can go on on a node. */
export interface RestoreJudge {
  judge(of: RestoreCase, signal: AbortSignal): Promise<readonly CheckpointVerdict[]>;
}

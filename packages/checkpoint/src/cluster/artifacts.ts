import type { CheckpointDestination } from "@fleetwright/api";
import type { AgentCheckpoint } from "../node/agent-service.ts";
import type { AgentClient } from "./agent-client.ts";
import type { CheckpointObject } from "./resources.ts";

/** Checkpoints in registries. The bytes go from node to registry and back; the manager brings the credentials. */
export interface Artifacts {
  /** @returns `repository@sha256:…` */
  push(
    agent: AgentClient,
    checkpoint: CheckpointObject,
    container: string,
    digest: string,
    destination: CheckpointDestination,
    signal: AbortSignal,
  ): Promise<string>;
  /** Brings an archive onto a node. */
  pull(
    agent: AgentClient,
    checkpoint: CheckpointObject,
    artifact: string,
    digest: string,
    signal: AbortSignal,
  ): Promise<AgentCheckpoint>;
  /**
   * Deletes what was pushed of a container. One that is gone already is no error.
   *
   * @param artifact as it was recorded; `undefined`: a push was begun, and what became of it is not known
   */
  remove(
    checkpoint: CheckpointObject,
    container: string,
    artifact: string | undefined,
    signal: AbortSignal,
  ): Promise<void>;
}

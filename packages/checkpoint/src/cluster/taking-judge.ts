import type { CheckpointVerdict } from "@fleetwright/api";
import type { Pod } from "@fleetwright/kube";
import type { TakingRefusal } from "../core/verdict/refusal.ts";
import type { AgentClient } from "./agent-client.ts";

/** What a taking is judged by. */
interface TakingCase {
  readonly pod: Pod;
  readonly nodeName: string;
  readonly containers: readonly string[];
  /** `engine://id` by name. */
  readonly containerIds: ReadonlyMap<string, string>;
  readonly agent: AgentClient;
}

/** Says beforehand whether a checkpoint can be taken, and afterwards why it could not. */
export interface TakingJudge {
  judge(
    of: TakingCase,
    signal: AbortSignal,
  ): Promise<{
    readonly verdicts: readonly CheckpointVerdict[];
    /** For one container. */ readonly timeoutSeconds: number;
  }>;
  explain(refusal: TakingRefusal, container: string, nodeName: string): CheckpointVerdict;
}

import type { CheckpointVerdict } from "@fleetwright/api";
import type { Pod } from "@fleetwright/kube";
import type { AgentClient } from "./agent-client.ts";
import type { KubeletRefusal } from "./kubelet.ts";

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
  explain(refusal: KubeletRefusal, container: string, nodeName: string): CheckpointVerdict;
}

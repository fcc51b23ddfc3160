import type {
  Clock,
  EventRecorder,
  Informer,
  Logger,
  Node,
  Reconciler,
  ReconcileRequest,
  ReconcileResult,
} from "@fleetwright/kube";
import type { Agents } from "./agents.ts";
import type { CheckpointObject } from "./resources.ts";

export interface UnclaimedReconcilerOptions {
  readonly nodes: Informer<Node>;
  readonly checkpoints: Informer<CheckpointObject>;
  readonly agents: Agents;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events?: Pick<EventRecorder, "event">;
  readonly metrics?: UnclaimedMetrics;
}

export interface UnclaimedMetrics {
  /** @param count none: the node is gone, or all of its archives are somebody's */
  unclaimed(nodeName: string, count: number, bytes: number): void;
}

const lookMs = 600_000;
/** Younger ones may be of a Checkpoint that has not written them down yet. */
const settledMs = 900_000;
const claimsMs = 60_000;

/**
 * Tells of archives on nodes that no Checkpoint names: taken by hand at the kubelet, or left by `deletionPolicy: Retain`. They take room, and hold memory of programs; nothing deletes them,
 * because nobody said so.
 */
export class UnclaimedReconciler implements Reconciler {
  readonly #options: UnclaimedReconcilerOptions;
  /** What was told of each node. */
  readonly #told = new Map<string, string>();
  #claims: { readonly digests: ReadonlySet<string>; readonly madeMs: number } = {
    digests: new Set(),
    madeMs: -Infinity,
  };

  constructor(options: UnclaimedReconcilerOptions) {
    this.#options = options;
  }

  /** Digests that Checkpoints name. Nodes are looked at in crowds: what was so a minute ago is so for archives that are older by far. */
  #claimed(): ReadonlySet<string> {
    const { checkpoints, clock } = this.#options;
    if (clock.now() - this.#claims.madeMs > claimsMs) {
      const digests = new Set<string>();
      for (const { status } of checkpoints.list())
        for (const { digest } of status?.containers ?? []) if (digest !== undefined) digests.add(digest);
      this.#claims = { digests, madeMs: clock.now() };
    }
    return this.#claims.digests;
  }

  async reconcile({ name }: ReconcileRequest, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { nodes, agents, clock, logger, events, metrics } = this.#options;
    const node = nodes.get({ name });
    const agent = agents.of(name);
    if (node === undefined || agent === undefined) {
      this.#told.delete(name);
      metrics?.unclaimed(name, 0, 0);
      return node && { requeueAfterMs: lookMs };
    }
    let stored;
    try {
      ({ checkpoints: stored } = await agent.list(signal));
    } catch (error) {
      if (signal.aborted) throw error;
      // Nodes without an agent have no checkpoints of ours; one that does not answer is told by whoever needs it.
      logger.debug({ error, node: name }, "archives are not known");
      return { requeueAfterMs: lookMs };
    }
    const old = stored.filter(({ modifiedMs }) => clock.now() - modifiedMs > settledMs);
    const unclaimed = old.filter(({ layer }) => !this.#claimed().has(layer.digest));
    const bytes = unclaimed.reduce((sum, { layer }) => sum + layer.size, 0);
    metrics?.unclaimed(name, unclaimed.length, bytes);
    const files = unclaimed.map(({ file }) => file);
    const telling = files.join("\n");
    if (files.length > 0 && this.#told.get(name) !== telling) {
      logger.info({ node: name, files, bytes }, "archives that no Checkpoint names");
      events?.event({
        regarding: node,
        type: "Normal",
        reason: "UnclaimedArchives",
        action: "Checkpoint",
        note: `${files.length} archives of ${bytes} bytes that no Checkpoint names, ${files[0]} among them: delete the files that nobody needs`,
      });
    }
    this.#told.set(name, telling);
    return { requeueAfterMs: lookMs };
  }
}

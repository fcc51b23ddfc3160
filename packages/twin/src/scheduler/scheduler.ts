import {
  controllerOf,
  createEventRecorder,
  createPacer,
  isNotFound,
  keyOf,
  keyString,
  Namespaces,
  Nodes,
  parseKey,
  PodDisruptionBudgets,
  Pods,
  timeText,
} from "@fleetwright/kube";
import type { Cache, Client, Clock, EventRecorder, Informer, Logger, Node, Pod, Random } from "@fleetwright/kube";
import type { Part } from "../controllers/context.ts";
import { conditionOf, isFinished } from "../controllers/pods/pod-state.ts";
import { sameValue } from "../controllers/same-value.ts";
import { cycleState, enoughNodes, filterNode, pickBest, scoreNodes } from "./framework.ts";
import type { Candidate, CycleState, Rejection, Scored } from "./framework.ts";
import { findPreemption } from "./preemption.ts";
import { SchedulingQueue } from "./queue.ts";
import type { QueuedPod } from "./queue.ts";
import { priorityOf } from "./resources.ts";
import { afterFilters, noPreemptionText, unavailableText } from "./scheduling-events.ts";
import { podInfo, Snapshot } from "./snapshot.ts";
import type { NodeInfo, PodInfo } from "./snapshot.ts";

export interface SchedulerOptions {
  /** Acts as `system:kube-scheduler`. */
  readonly client: Client;
  readonly cache: Cache;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** @default "default-scheduler" */
  readonly schedulerName?: string;
  /** Whether to say `Scheduled` of every pod. @default true */
  readonly events?: boolean;
}

/** Binds on their way at a time. */
const maxBinding = 64;
/**
 * Pods of one shape that are placed by one look at the nodes, or as many as nodes were looked at; below so many nodes each pod gets a look of its
 * own.
 */
const batchSize = 100;

/** kube-scheduler's default profile (pkg/scheduler/schedule_one.go), as far as docs/twin-differences.md says. */
export function createScheduler(options: SchedulerOptions): Part {
  // Informers are asked for before the cache is waited for.
  const scheduler = new Scheduler(options);
  return { name: "scheduler", start: (signal) => scheduler.run(signal) };
}

/** What one look at the nodes found for pods of one shape. */
interface Batch {
  readonly signature: string;
  readonly state: CycleState;
  readonly scored: Scored;
  candidates: Candidate[];
  readonly freed: number;
  left: number;
}

class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #name: string;
  readonly #pods: Informer<Pod>;
  readonly #nodes: Informer<Node>;
  readonly #namespaces;
  readonly #budgets;
  readonly #events: EventRecorder;
  readonly #snapshot = new Snapshot();
  readonly #queue: SchedulingQueue;
  /** Pods that wait for their victims to go, by the node that they are to get. */
  readonly #nominated = new Map<string, Map<string, PodInfo>>();
  /** UIDs of pods whose binding is on its way. */
  readonly #assumed = new Set<string>();
  #batch: Batch | undefined;
  #nextStart = 0;
  #binding = 0;
  #idle = Promise.withResolvers<void>();
  #freeBind: (() => void) | undefined;

  constructor(options: SchedulerOptions) {
    const { cache, clock, client, random, logger, schedulerName = "default-scheduler" } = options;
    this.#options = options;
    this.#name = schedulerName;
    this.#pods = cache.informer(Pods);
    this.#nodes = cache.informer(Nodes);
    this.#namespaces = cache.informer(Namespaces);
    this.#budgets = cache.informer(PodDisruptionBudgets);
    this.#queue = new SchedulingQueue(clock, () => this.#idle.resolve());
    this.#events = createEventRecorder({
      client,
      clock,
      random,
      logger,
      reporter: { controller: schedulerName, instance: `${schedulerName}-0` },
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const removers = [this.#followNodes(), this.#followPods()];
    signal.addEventListener("abort", () => this.#idle.resolve(), { once: true });
    const events = this.#events.start(signal);
    const pacer = createPacer(this.#options.clock);
    while (!signal.aborted) {
      const queued = this.#queue.pop();
      if (queued === undefined) {
        await this.#idle.promise;
        this.#idle = Promise.withResolvers<void>();
        continue;
      }
      if (this.#binding >= maxBinding) await new Promise<void>((resolve) => (this.#freeBind = resolve));
      try {
        this.#scheduleOne(queued);
      } catch (error) {
        this.#options.logger.error({ pod: queued.key, error }, "a pod could not be scheduled; it is tried again");
        this.#queue.addBackoff(queued);
      }
      const pause = pacer.pause();
      if (pause !== undefined) await pause;
    }
    this.#queue.stop();
    for (const remove of removers) remove();
    await events;
  }

  #followNodes(): () => void {
    return this.#nodes.addHandler({
      added: (node) => {
        this.#snapshot.setNode(node);
        this.#queue.move(() => true);
      },
      updated: (before, after) => {
        const [old, next] = [before, after].map(({ metadata, spec, status }) => [
          metadata.labels,
          spec,
          status?.allocatable,
        ]);
        if (sameValue(old, next)) return;
        this.#snapshot.setNode(after);
        this.#queue.move(() => true);
      },
      deleted: ({ metadata }) => this.#snapshot.removeNode(metadata.name ?? ""),
    });
  }

  #followPods(): () => void {
    return this.#pods.addHandler({
      added: (pod) => this.#see(undefined, pod),
      updated: (before, after) => this.#see(before, after),
      deleted: (pod) => this.#forget(pod),
    });
  }

  #see(before: Pod | undefined, pod: Pod): void {
    const { uid = "" } = pod.metadata;
    const nodeName = pod.spec?.nodeName ?? "";
    if (nodeName === "") return this.#seeUnbound(before, pod);
    this.#queue.remove(uid);
    this.#denominate(uid);
    this.#assumed.delete(uid);
    if (isFinished(pod)) {
      if (this.#snapshot.nodeOf(uid) !== undefined) {
        this.#snapshot.removePod(uid);
        this.#queue.move(() => true);
      }
      return;
    }
    const isKnown = this.#snapshot.nodeOf(uid) === nodeName;
    if (isKnown && before !== undefined && sameValue(before.spec?.containers, pod.spec?.containers))
      return this.#snapshot.refresh(pod);
    this.#snapshot.addPod(podInfo(pod), nodeName);
    // Company may be what another one waits for.
    if (!isKnown)
      this.#queue.move(({ key }) => this.#pods.get(parseKey(key))?.spec?.affinity?.podAffinity !== undefined);
  }

  #seeUnbound(before: Pod | undefined, pod: Pod): void {
    const { uid = "", deletionTimestamp } = pod.metadata;
    if ((pod.spec?.schedulerName ?? "default-scheduler") !== this.#name) return;
    const isGated = (pod.spec?.schedulingGates?.length ?? 0) > 0;
    if (deletionTimestamp !== undefined || isGated || isFinished(pod)) return this.#queue.remove(uid);
    if (this.#assumed.has(uid)) return;
    if (this.#queue.has(uid)) {
      const changed =
        before !== undefined && !sameValue([before.spec, before.metadata.labels], [pod.spec, pod.metadata.labels]);
      if (changed) this.#queue.move((queued) => queued.uid === uid);
      return;
    }
    const created = Date.parse(pod.metadata.creationTimestamp ?? "");
    this.#queue.add({ key: keyString(keyOf(pod)), uid, priority: priorityOf(pod), since: created, attempts: 0 });
  }

  #forget(pod: Pod): void {
    const { uid = "" } = pod.metadata;
    this.#queue.remove(uid);
    this.#denominate(uid);
    this.#assumed.delete(uid);
    if (this.#snapshot.nodeOf(uid) === undefined) return;
    this.#snapshot.removePod(uid);
    this.#queue.move(() => true);
  }

  #denominate(uid: string): void {
    for (const [node, pods] of this.#nominated) if (pods.delete(uid) && pods.size === 0) this.#nominated.delete(node);
  }

  #scheduleOne(queued: QueuedPod): void {
    const pod = this.#pods.get(parseKey(queued.key));
    if (
      pod === undefined ||
      pod.metadata.uid !== queued.uid ||
      pod.metadata.deletionTimestamp !== undefined ||
      pod.spec?.nodeName
    )
      return;
    queued.attempts += 1;
    const moves = this.#queue.moves;
    const info = podInfo(pod);
    const chosen = this.#fromBatch(info);
    if (chosen !== undefined) return this.#assume(queued, info, chosen);
    const state = cycleState(info, this.#snapshot, (name) => this.#namespaces.get({ name })?.metadata.labels);
    const nominated = this.#snapshot.nodes.get(pod.status?.nominatedNodeName ?? "");
    if (nominated !== undefined && this.#filter(state, nominated) === undefined)
      return this.#assume(queued, info, nominated);
    const { feasible, rejected } = this.#findNodes(state);
    if (feasible.length === 0) return this.#onUnschedulable(queued, state, rejected, moves);
    const scored = scoreNodes(state, feasible);
    const best = feasible.length === 1 ? scored.candidates[0] : pickBest(scored.candidates, this.#options.random);
    if (best === undefined) return;
    this.#keepBatch(state, scored);
    this.#assume(queued, info, best.node);
  }

  /** A node by an earlier look for a pod of the same shape (KEP-5598's idea); nodes that changed since are looked at again. */
  #fromBatch(info: PodInfo): NodeInfo | undefined {
    const batch = this.#batch;
    if (
      batch === undefined ||
      batch.left === 0 ||
      batch.freed !== this.#snapshot.freed ||
      batch.signature !== signatureOf(info)
    )
      return undefined;
    for (;;) {
      const best = pickBest(batch.candidates, this.#options.random);
      if (best === undefined) return undefined;
      if (best.generation === best.node.generation) {
        batch.left -= 1;
        return best.node;
      }
      const index = batch.candidates.indexOf(best);
      if (this.#filter(batch.state, best.node) === undefined) batch.candidates[index] = batch.scored.again(best.node);
      else batch.candidates.splice(index, 1);
    }
  }

  #keepBatch(state: CycleState, scored: Scored): void {
    const isPlain = state.affinity === undefined && (state.info.spec.topologySpreadConstraints ?? []).length === 0;
    const isLarge = this.#snapshot.nodes.size > batchSize;
    this.#batch =
      isPlain && isLarge && this.#nominated.size === 0
        ? {
            signature: signatureOf(state.info),
            state,
            scored,
            candidates: [...scored.candidates],
            freed: this.#snapshot.freed,
            left: Math.max(batchSize, scored.candidates.length),
          }
        : undefined;
  }

  #findNodes(state: CycleState): {
    readonly feasible: readonly NodeInfo[];
    readonly rejected: ReadonlyMap<NodeInfo, Rejection>;
  } {
    const { order } = this.#snapshot;
    const enough = enoughNodes(order.length);
    const feasible: NodeInfo[] = [];
    const rejected = new Map<NodeInfo, Rejection>();
    let looked = 0;
    for (; looked < order.length && feasible.length < enough; looked++) {
      const node = order[(this.#nextStart + looked) % order.length];
      if (node === undefined) break;
      const rejection = this.#filter(state, node);
      if (rejection === undefined) feasible.push(node);
      else rejected.set(node, rejection);
    }
    if (order.length > 0) this.#nextStart = (this.#nextStart + looked) % order.length;
    return { feasible, rejected };
  }

  /** With the pods that are to come onto the node and matter more, and without them. */
  #filter(state: CycleState, node: NodeInfo): Rejection | undefined {
    const coming = [...(this.#nominated.get(node.name)?.values() ?? [])].filter(
      ({ pod }) => pod.metadata.uid !== state.info.pod.metadata.uid && priorityOf(pod) >= priorityOf(state.info.pod),
    );
    if (coming.length > 0) {
      const later = node.clone();
      for (const info of coming) later.add(info);
      const rejection = filterNode(state, later);
      if (rejection !== undefined) return rejection;
    }
    return filterNode(state, node);
  }

  #assume(queued: QueuedPod, info: PodInfo, node: NodeInfo): void {
    this.#snapshot.addPod(info, node.name);
    this.#assumed.add(queued.uid);
    this.#binding += 1;
    void this.#bind(queued, info, node.name).finally(() => {
      this.#binding -= 1;
      this.#freeBind?.();
      this.#freeBind = undefined;
    });
  }

  async #bind(queued: QueuedPod, { pod }: PodInfo, nodeName: string): Promise<void> {
    const { client, logger, events = true } = this.#options;
    try {
      const key = parseKey(queued.key);
      await client.bind(key, nodeName, { uid: queued.uid });
      if (!events) return;
      const note = `Successfully assigned ${queued.key} to ${nodeName}`;
      this.#events.event({ regarding: pod, type: "Normal", reason: "Scheduled", action: "Binding", note });
    } catch (error) {
      // Bound after all, by an answer that was lost or by somebody else: the cache says so, and then it is no longer assumed.
      if (!this.#assumed.delete(queued.uid)) return;
      this.#snapshot.removePod(queued.uid);
      if (isNotFound(error)) return;
      logger.warn({ pod: queued.key, node: nodeName, error }, "a pod could not be bound; it is scheduled again");
      this.#queue.addBackoff(queued);
    }
  }

  #onUnschedulable(
    queued: QueuedPod,
    state: CycleState,
    rejected: ReadonlyMap<NodeInfo, Rejection>,
    moves: number,
  ): void {
    const { pod } = state.info;
    const all = this.#snapshot.nodes.size;
    const reasons = unavailableText(rejected, all);
    const preemption = all === 0 ? { text: "", nominated: undefined } : this.#preempt(state, rejected, all);
    this.#queue.addUnschedulable(queued, moves);
    const message = reasons + preemption.text;
    this.#events.event({
      regarding: pod,
      type: "Warning",
      reason: "FailedScheduling",
      action: "Scheduling",
      note: message,
    });
    void this.#tell(pod, message, preemption.nominated).catch((error: unknown) => {
      if (!isNotFound(error))
        this.#options.logger.warn({ pod: queued.key, error }, "a pod's condition could not be written");
    });
  }

  #preempt(
    state: CycleState,
    rejected: ReadonlyMap<NodeInfo, Rejection>,
    all: number,
  ): { readonly text: string; readonly nominated: string | undefined } {
    const { pod } = state.info;
    if (pod.spec?.preemptionPolicy === "Never")
      return { text: afterFilters("not eligible due to preemptionPolicy=Never."), nominated: undefined };
    const earlier = this.#snapshot.nodes.get(pod.status?.nominatedNodeName ?? "");
    const waits = [...(earlier?.pods.values() ?? [])].some(
      (other) => other.pod.metadata.deletionTimestamp !== undefined && priorityOf(other.pod) < priorityOf(pod),
    );
    if (waits)
      return {
        text: afterFilters("not eligible due to a terminating pod on the nominated node."),
        nominated: earlier?.name,
      };
    const found = findPreemption(state, rejected, this.#budgets.list(), (node) => filterNode(state, node));
    if (found === undefined) return { text: afterFilters(noPreemptionText(rejected, all)), nominated: undefined };
    const nominated = this.#nominated.get(found.node.name) ?? new Map<string, PodInfo>();
    nominated.set(pod.metadata.uid ?? "", state.info);
    this.#nominated.set(found.node.name, nominated);
    this.#batch = undefined;
    for (const victim of found.victims) void this.#evict(victim, pod, found.node.name);
    return { text: "", nominated: found.node.name };
  }

  async #evict(victim: Pod, preemptor: Pod, nodeName: string): Promise<void> {
    const { client, clock, logger } = this.#options;
    try {
      const condition = {
        type: "DisruptionTarget",
        status: "True",
        reason: "PreemptionByScheduler",
        message: `${this.#name}: preempting to accommodate a higher priority pod`,
        lastTransitionTime: timeText(clock.now()),
      };
      const patch = { metadata: { uid: victim.metadata.uid }, status: { conditions: [condition] } };
      await client.patch(Pods, keyOf(victim), { type: "strategic", patch }, { subresource: "status" });
      await client.delete(Pods, keyOf(victim));
      const note = `Preempted by pod ${preemptor.metadata.uid} on node ${nodeName}`;
      this.#events.event({
        regarding: victim,
        related: preemptor,
        type: "Normal",
        reason: "Preempted",
        action: "Preempting",
        note,
      });
    } catch (error) {
      if (!isNotFound(error)) logger.warn({ pod: keyString(keyOf(victim)), error }, "a pod could not be preempted");
    }
  }

  async #tell(pod: Pod, message: string, nominated: string | undefined): Promise<void> {
    const { client, clock } = this.#options;
    const before = conditionOf(pod, "PodScheduled");
    const isSame = before?.status === "False" && before.reason === "Unschedulable" && before.message === message;
    if (isSame && (nominated === undefined || pod.status?.nominatedNodeName === nominated)) return;
    const condition = {
      type: "PodScheduled",
      status: "False",
      reason: "Unschedulable",
      message,
      observedGeneration: pod.metadata.generation,
      lastProbeTime: null,
      lastTransitionTime: before?.status === "False" ? before.lastTransitionTime : timeText(clock.now()),
    };
    const status = { conditions: [condition], ...(nominated === undefined ? {} : { nominatedNodeName: nominated }) };
    await client.patch(
      Pods,
      keyOf(pod),
      { type: "strategic", patch: { metadata: { uid: pod.metadata.uid }, status } },
      { subresource: "status" },
    );
  }
}

/** What decides where a pod without spreading and pod affinity can go, and where best. */
function signatureOf({ pod, spec, requests, ports }: PodInfo): string {
  const { nodeSelector, affinity, tolerations } = spec;
  return JSON.stringify([
    nodeSelector,
    affinity,
    tolerations,
    requests,
    ports,
    priorityOf(pod),
    controllerOf(pod)?.uid,
  ]);
}

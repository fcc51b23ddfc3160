import { basename } from "node:path";
import {
  checkpointReasons,
  setCondition,
  type CheckpointPhase,
  type CheckpointStatus,
  type ContainerCheckpoint,
} from "@fleetwright/api";
import {
  addFinalizer,
  hasFinalizer,
  isBeingDeleted,
  isNotFound,
  Pods,
  removeFinalizer,
  type Client,
  type Clock,
  type EventRecorder,
  type Informer,
  type Logger,
  type Node,
  type Pod,
  type Reconciler,
  type ReconcileRequest,
  type ReconcileResult,
} from "@fleetwright/kube";
import { savedTemplate } from "../core/restore/pod-template.ts";
import { verdictOf } from "../core/verdict/verdict-codes.ts";
import type { AgentCheckpoint } from "../node/agent-service.ts";
import type { Agents } from "./agents.ts";
import type { Artifacts } from "./artifacts.ts";
import { attemptEnds, deleteArchives, failedDump, findArchive, isUnderWay } from "./checkpoint-archives.ts";
import { KubeletRefusal } from "./kubelet.ts";
import type { Taker } from "./kubelet.ts";
import type { NodeSlots } from "./node-slots.ts";
import { engineId, Refused } from "./refused.ts";
import { checkpoints, type CheckpointObject } from "./resources.ts";
import type { TakingJudge } from "./taking-judge.ts";

/** Until it is gone, archives and artifacts are looked for and deleted. */
const checkpointFinalizer = "fleetwright.dev/checkpoint";

export interface CheckpointReconcilerOptions {
  readonly client: Client;
  readonly checkpoints: Informer<CheckpointObject>;
  readonly nodes: Informer<Node>;
  readonly agents: Agents;
  readonly taker: Taker;
  readonly judge: TakingJudge;
  readonly artifacts: Artifacts;
  readonly slots: NodeSlots;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events?: Pick<EventRecorder, "event">;
  /** Containers of one node that are frozen at once. @default 1 */
  readonly maxConcurrentPerNode?: number;
  readonly metrics?: CheckpointMetrics;
}

/** What the reconciler tells of its work. */
export interface CheckpointMetrics {
  taken(result: "completed" | "failed", seconds: number): void;
  container(of: { readonly bytes: number; readonly memoryBytes: number; readonly frozenSeconds: number }): void;
  pushed(result: "completed" | "failed", bytes: number): void;
}

const pollMs = 1_000;
const maxAttempts = 3;
/** From the question until the engine shows that it works on it. */
const settleMs = 10_000;
/** An agent that cannot be reached when the checkpoint should begin. */
const agentPatienceMs = 60_000;

/** The containers of a pod that run, by name: init containers of the kind that goes on are among them. */
function runningContainers(pod: Pod): ReadonlyMap<string, string> {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  return new Map(
    statuses.flatMap(({ name, state, containerID }) =>
      state?.running && containerID ? [[name, containerID] as const] : [],
    ),
  );
}

/**
 * Brings a Checkpoint from its wish to archives on its node and, if it has a destination, to the registry; deletes them with it.
 *
 * What was begun is written before it is done: whoever goes on after a crash finds the archive that the kubelet left by the container's id and its time, and does not ask twice.
 */
export class CheckpointReconciler implements Reconciler {
  readonly #options: CheckpointReconcilerOptions;
  /** Calls that this process itself waits for. */
  readonly #calls = new Set<string>();
  /** By container: the one Checkpoint whose turn it is. Whose archive is whose could not be told otherwise. */
  readonly #turns = new Map<string, string>();

  constructor(options: CheckpointReconcilerOptions) {
    this.#options = options;
  }

  async reconcile(
    { namespace = "", name }: ReconcileRequest,
    signal: AbortSignal,
  ): Promise<ReconcileResult | undefined> {
    const { client } = this.#options;
    let checkpoint: CheckpointObject;
    try {
      checkpoint = await client.get(checkpoints, { namespace, name }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      this.#endTurns(`${namespace}/${name}`);
      return undefined;
    }
    if (isBeingDeleted(checkpoint)) return this.#delete(checkpoint, signal);
    try {
      return await this.#advance(checkpoint, signal);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const last = await client.get(checkpoints, { namespace, name }, { signal });
      await this.#fail(last, error, signal);
      return undefined;
    }
  }

  /** Whether it is this Checkpoint's turn at a container, from now until {@link #endTurns}. */
  #hasTurn({ metadata: { namespace, name } }: CheckpointObject, container: ContainerCheckpoint): boolean {
    const id = engineId(container.containerID);
    const holder = this.#turns.get(id) ?? `${namespace}/${name}`;
    this.#turns.set(id, holder);
    return holder === `${namespace}/${name}`;
  }

  #endTurns(key: string): void {
    for (const [id, holder] of this.#turns) if (holder === key) this.#turns.delete(id);
  }

  async #advance(checkpoint: CheckpointObject, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { phase } = checkpoint.status ?? {};
    // Whatever became of the answer to the write that ended it.
    if (phase !== "InProgress") this.#endTurns(`${checkpoint.metadata.namespace}/${checkpoint.metadata.name}`);
    switch (phase) {
      case undefined:
      case "Pending":
        return this.#begin(checkpoint, signal);
      case "InProgress":
        return this.#take(checkpoint, signal);
      case "Stored":
        return this.#push(checkpoint, signal);
      default:
        return undefined;
    }
  }

  async #pod({ metadata: { namespace = "" }, spec, status }: CheckpointObject, signal: AbortSignal): Promise<Pod> {
    const wanted = status?.podUID ?? spec.podUID;
    let pod: Pod;
    try {
      pod = await this.#options.client.get(Pods, { namespace, name: spec.podName }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new Refused(checkpointReasons.failed, `there is no pod "${spec.podName}" in namespace "${namespace}"`, [
        verdictOf("PodGone", `pod "${spec.podName}" does not exist`),
      ]);
    }
    if (wanted !== undefined && pod.metadata.uid !== wanted)
      throw new Refused(
        checkpointReasons.podReplaced,
        `pod "${spec.podName}" is another one now: its UID is ${pod.metadata.uid}, not ${wanted}`,
      );
    return pod;
  }

  /** Judges, and writes down what will be done. */
  async #begin(checkpoint: CheckpointObject, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { client, agents, clock, judge } = this.#options;
    const { spec } = checkpoint;
    const pod = await this.#pod(checkpoint, signal);
    const running = runningContainers(pod);
    const nodeName = pod.spec?.nodeName;
    const names = spec.containers ?? [...running.keys()];
    const still = names.filter((name) => !running.has(name));
    if (nodeName === undefined || names.length === 0 || still.length > 0) {
      const known = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].map(({ name }) => name);
      const unknown = still.filter((name) => !known.includes(name));
      const message =
        unknown.length > 0
          ? `pod "${spec.podName}" has no container "${unknown[0]}"; it has ${known.join(", ")}`
          : `pod "${spec.podName}" is ${pod.status?.phase ?? "not started"}: ${still.length > 0 ? `container "${still[0]}" does not run` : "no container runs"}`;
      throw new Refused(checkpointReasons.failed, message, [verdictOf("ContainerNotRunning", message)]);
    }
    const agent = agents.of(nodeName);
    const waited = clock.now() - Date.parse(checkpoint.metadata.creationTimestamp ?? "");
    let verdict;
    try {
      if (agent === undefined) throw new Error(`node "${nodeName}" has no address`);
      verdict = await judge.judge({ pod, nodeName, containers: names, containerIds: running, agent }, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const message = error instanceof Error ? error.message : String(error);
      if (waited > agentPatienceMs)
        throw new Refused(checkpointReasons.failed, message, [verdictOf("AgentUnreachable", message)]);
      await this.#write(checkpoint, { phase: "Pending" }, checkpointReasons.pending, message, signal);
      return { requeueAfterMs: 5_000 };
    }
    const verdicts = verdict.verdicts.slice(0, 64);
    const bad = verdicts.find(({ severity }) => severity === "error");
    if (bad) throw new Refused(checkpointReasons.refused, bad.message, verdicts);
    const risk = verdicts.find(({ severity }) => severity === "warning");
    if (risk && spec.acceptRisks !== true)
      throw new Refused(
        checkpointReasons.risky,
        `${risk.message}; set spec.acceptRisks to take it nevertheless`,
        verdicts,
      );
    const kept = await addFinalizer(client, checkpoints, checkpoint, checkpointFinalizer, { signal });
    const { labels, annotations, spec: podSpec } = savedTemplate(pod);
    const begun = await this.#write(
      kept,
      {
        phase: "InProgress",
        nodeName,
        podUID: pod.metadata.uid ?? "",
        startTime: new Date(clock.now()).toISOString(),
        containers: names.map((name) => ({
          name,
          containerID: running.get(name) ?? "",
          timeoutSeconds: spec.timeoutSeconds ?? verdict.timeoutSeconds,
        })),
        template: { metadata: { labels, annotations }, spec: podSpec },
        verdicts,
      },
      checkpointReasons.inProgress,
      `${names.join(", ")} on node "${nodeName}"`,
      signal,
    );
    return this.#take(begun, signal);
  }

  /** One container after the other: their states are then nearest to each other, and a node freezes few at once. */
  async #take(checkpoint: CheckpointObject, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { nodeName = "", containers = [] } = checkpoint.status ?? {};
    let current = checkpoint;
    for (const { name } of containers) {
      const container = current.status?.containers?.find((each) => each.name === name);
      if (container?.digest !== undefined) this.#turns.delete(engineId(container.containerID));
      if (container === undefined || container.digest !== undefined) continue;
      const result = await this.#takeOne(current, container, nodeName, signal);
      if (!("metadata" in result)) return result;
      current = result;
    }
    const done = current.spec.destination === undefined;
    const bytes = (current.status?.containers ?? []).reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0);
    const completionTime = new Date(this.#options.clock.now()).toISOString();
    const next = await this.#write(
      current,
      { phase: done ? "Completed" : "Stored", completionTime },
      done ? checkpointReasons.completed : checkpointReasons.pushing,
      done ? `${bytes} bytes on node "${nodeName}"` : `to ${current.spec.destination?.repository}`,
      signal,
    );
    this.#options.metrics?.taken(
      "completed",
      (Date.parse(completionTime) - Date.parse(current.status?.startTime ?? completionTime)) / 1000,
    );
    if (done) this.#tell(next, "Normal", checkpointReasons.completed, `${bytes} bytes on node "${nodeName}"`);
    return done ? undefined : this.#push(next, signal);
  }

  async #takeOne(
    checkpoint: CheckpointObject,
    container: ContainerCheckpoint,
    nodeName: string,
    signal: AbortSignal,
  ): Promise<CheckpointObject | ReconcileResult> {
    const { agents, taker, slots, clock, maxConcurrentPerNode = 1 } = this.#options;
    const { namespace = "", uid = "" } = checkpoint.metadata;
    const { name, attemptTime, attempts = 0, timeoutSeconds = 120 } = container;
    const agent = agents.of(nodeName);
    if (agent === undefined) throw new Refused(checkpointReasons.failed, `node "${nodeName}" is gone`);
    if (!this.#hasTurn(checkpoint, container)) return { requeueAfterMs: pollMs };
    const found = await findArchive(this.#options.client, checkpoint, container, agent, signal);
    if (found) return this.#record(checkpoint, container, found, signal);
    const call = `${uid}/${name}`;
    if (attemptTime !== undefined) {
      // Whoever asked before us is gone; the kubelet and the engine may go on.
      const age = clock.now() - Date.parse(attemptTime);
      if (this.#calls.has(call)) return { requeueAfterMs: pollMs };
      if (
        clock.now() < attemptEnds(container) &&
        (age < settleMs || (await isUnderWay(agent, engineId(container.containerID), signal)))
      )
        return { requeueAfterMs: pollMs };
      if (attempts >= maxAttempts)
        throw new Refused(
          checkpointReasons.failed,
          `container "${name}": no archive came, though the kubelet was asked ${attempts} times`,
          [verdictOf("NoArchive", `no archive within ${timeoutSeconds} s, ${attempts} times`, name)],
        );
    }
    const release = slots.take(nodeName, maxConcurrentPerNode);
    if (release === undefined) return { requeueAfterMs: pollMs };
    this.#calls.add(call);
    try {
      const attempt = { ...container, attemptTime: new Date(clock.now()).toISOString(), attempts: attempts + 1 };
      const asked = await this.#write(
        checkpoint,
        { containers: replaced(checkpoint, attempt) },
        checkpointReasons.inProgress,
        `container "${name}" on node "${nodeName}"`,
        signal,
      );
      const pod = checkpoint.spec.podName;
      const path = await taker.take({ nodeName, namespace, pod, container: name, timeoutSeconds }, signal);
      const taken = await findArchive(this.#options.client, asked, attempt, agent, signal, basename(path));
      return taken ? await this.#record(asked, container, taken, signal) : { requeueAfterMs: pollMs };
    } catch (error) {
      if (signal.aborted || !(error instanceof KubeletRefusal)) throw error;
      const { status, body, through } = error;
      const dump = await failedDump(agent, engineId(container.containerID), body, signal);
      throw new Refused(
        checkpointReasons.failed,
        [`container "${name}": ${error.message}`, ...dump.errors.slice(0, 1)].join("; CRIU: "),
        [this.#options.judge.explain({ status, body, through, dump }, name, nodeName)],
      );
    } finally {
      this.#calls.delete(call);
      release();
    }
  }

  async #record(
    checkpoint: CheckpointObject,
    container: ContainerCheckpoint,
    found: AgentCheckpoint,
    signal: AbortSignal,
  ): Promise<CheckpointObject> {
    const frozen = found.statistics?.frozenMicroseconds;
    this.#options.metrics?.container({
      bytes: found.layer.size,
      memoryBytes: found.sizes.pages,
      frozenSeconds: (frozen ?? 0) / 1e6,
    });
    const recorded = await this.#write(
      checkpoint,
      {
        containers: replaced(checkpoint, {
          name: container.name,
          ...(container.containerID && { containerID: container.containerID }),
          archive: found.file,
          digest: found.layer.digest,
          image: found.image,
          sizeBytes: found.layer.size,
          memoryBytes: found.sizes.pages,
          ...(frozen !== undefined && { frozenMicroseconds: frozen }),
        }),
      },
      checkpointReasons.inProgress,
      `container "${container.name}": ${found.layer.size} bytes`,
      signal,
    );
    this.#turns.delete(engineId(container.containerID));
    return recorded;
  }

  async #push(checkpoint: CheckpointObject, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { agents, artifacts, metrics } = this.#options;
    const { nodeName = "", containers = [] } = checkpoint.status ?? {};
    const { destination, keepOnNode = true } = checkpoint.spec;
    const agent = agents.of(nodeName);
    if (destination === undefined || agent === undefined)
      throw new Refused(checkpointReasons.pushFailed, `node "${nodeName}" is gone`);
    let current = checkpoint;
    for (const { name, digest, artifact, sizeBytes = 0 } of containers) {
      if (digest === undefined || artifact !== undefined) continue;
      try {
        const reference = await artifacts.push(agent, current, name, digest, destination, signal);
        const container = current.status?.containers?.find((each) => each.name === name);
        if (container)
          current = await this.#write(
            current,
            { containers: replaced(current, { ...container, artifact: reference }) },
            checkpointReasons.pushing,
            reference,
            signal,
          );
        metrics?.pushed("completed", sizeBytes);
      } catch (error) {
        if (signal.aborted) throw error;
        metrics?.pushed("failed", 0);
        const message = error instanceof Error ? error.message : String(error);
        await this.#write(current, {}, checkpointReasons.pushFailed, message, signal);
        this.#tell(current, "Warning", checkpointReasons.pushFailed, message);
        throw error;
      }
    }
    const done = await this.#write(
      current,
      { phase: "Completed" },
      checkpointReasons.completed,
      `in ${destination.repository}`,
      signal,
    );
    this.#tell(done, "Normal", checkpointReasons.completed, `in ${destination.repository}`);
    if (!keepOnNode)
      for (const { digest } of containers)
        if (digest) await agent.remove(digest, `pushed to ${destination.repository}`, signal);
    return undefined;
  }

  async #delete(checkpoint: CheckpointObject, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { client, clock } = this.#options;
    if (!hasFinalizer(checkpoint, checkpointFinalizer)) return undefined;
    const { spec, status } = checkpoint;
    const { namespace, name } = checkpoint.metadata;
    if (spec.deletionPolicy !== "Retain") {
      const pins = (spec.pins ?? []).filter(({ until }) => until === undefined || Date.parse(until) > clock.now());
      if (pins.length > 0) {
        const owners = pins.map(({ owner }) => owner).join(", ");
        this.#tell(checkpoint, "Warning", "Pinned", `kept until these take their pins away: ${owners}`);
        const ends = pins.map(({ until }) =>
          until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until) - clock.now(),
        );
        return { requeueAfterMs: Math.min(300_000, Math.max(1_000, ...ends.filter(Number.isFinite))) };
      }
      const lost = (status?.containers ?? []).filter(
        ({ digest, attemptTime }) => digest === undefined && attemptTime !== undefined,
      );
      if (!lost.every((container) => this.#hasTurn(checkpoint, container))) return { requeueAfterMs: pollMs };
      if (!(await deleteArchives(checkpoint, this.#options, signal))) return { requeueAfterMs: pollMs };
    }
    await removeFinalizer(client, checkpoints, checkpoint, checkpointFinalizer, { signal });
    this.#endTurns(`${namespace}/${name}`);
    return undefined;
  }

  async #fail(
    checkpoint: CheckpointObject,
    { reason, message, verdicts }: Refused,
    signal: AbortSignal,
  ): Promise<void> {
    const completionTime = new Date(this.#options.clock.now()).toISOString();
    const failed = await this.#write(
      checkpoint,
      { phase: "Failed", completionTime, ...(verdicts.length > 0 && { verdicts }) },
      reason,
      message,
      signal,
    );
    this.#endTurns(`${failed.metadata.namespace}/${failed.metadata.name}`);
    this.#options.metrics?.taken("failed", 0);
    this.#tell(failed, "Warning", reason, message);
  }

  #tell(regarding: CheckpointObject, type: "Normal" | "Warning", reason: string, note: string): void {
    this.#options.events?.event({ regarding, type, reason, action: "Checkpoint", note });
  }

  async #write(
    checkpoint: CheckpointObject,
    change: Partial<CheckpointStatus>,
    reason: string,
    message: string,
    signal: AbortSignal,
  ): Promise<CheckpointObject> {
    const phase: CheckpointPhase = change.phase ?? checkpoint.status?.phase ?? "Pending";
    const generation = checkpoint.metadata.generation;
    const conditions = setCondition(checkpoint.status?.conditions ?? [], {
      type: "Ready",
      status: phase === "Completed" ? "True" : phase === "Failed" ? "False" : "Unknown",
      reason,
      message: message.slice(0, 32_000),
      lastTransitionTime: new Date(this.#options.clock.now()).toISOString(),
      ...(generation !== undefined && { observedGeneration: generation }),
    });
    const status: CheckpointStatus = { ...checkpoint.status, ...change, phase, conditions };
    return this.#options.client.updateStatus(checkpoints, { ...checkpoint, status }, { signal });
  }
}

function replaced(checkpoint: CheckpointObject, container: ContainerCheckpoint): readonly ContainerCheckpoint[] {
  return (checkpoint.status?.containers ?? []).map((each) => (each.name === container.name ? container : each));
}

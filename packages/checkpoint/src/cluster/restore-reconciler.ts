import {
  restoredByAnnotation,
  restoreReasons,
  setCondition,
  type CheckpointRestoreStatus,
  type RestoreDifference,
  type RestorePhase,
} from "@fleetwright/api";
import {
  isBeingDeleted,
  isNotFound,
  Pods,
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
import { verdictOf } from "../core/verdict/verdict-codes.ts";
import type { Agents } from "./agents.ts";
import type { Artifacts } from "./artifacts.ts";
import { engineId, Refused } from "./refused.ts";
import { checkpoints, restores, type CheckpointObject, type RestoreObject } from "./resources.ts";
import { bringArchives, imagesOn, savedContainers, stillRuns } from "./restore-archives.ts";
import type { RestoreJudge } from "./restore-judge.ts";
import { nodeOfPod, nodesForPod } from "./restore-placement.ts";
import { createRestored, putImages, templateOf } from "./restore-start.ts";
import { verdictsOn } from "./restore-verdicts.ts";

export interface RestoreReconcilerOptions {
  readonly client: Client;
  readonly nodes: Informer<Node>;
  readonly agents: Agents;
  readonly artifacts: Artifacts;
  readonly judge: RestoreJudge;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events?: Pick<EventRecorder, "event">;
  readonly metrics?: RestoreMetrics;
}

export interface RestoreMetrics {
  restored(result: "succeeded" | "failed", seconds: number): void;
}

const pollMs = 500;
const defaultTimeoutMs = 600_000;

/** The engines' own words on why a container does not come up. */
const waitingFor = (
  pod: Pod,
): readonly { readonly name: string; readonly reason: string; readonly message: string }[] =>
  (pod.status?.containerStatuses ?? []).flatMap(({ name, state }) =>
    state?.waiting ? [{ name, reason: state.waiting.reason ?? "", message: state.waiting.message ?? "" }] : [],
  );

/** Whether each of these containers has started once, or cannot by itself. */
const hasBegun = (pod: Pod, names: ReadonlySet<string>): boolean =>
  [...names].every((name) => {
    const { containerID, state } = pod.status?.containerStatuses?.find((container) => container.name === name) ?? {};
    return containerID !== undefined || /BackOff$|^ErrImage/.test(state?.waiting?.reason ?? "");
  });

/**
 * Brings a pod up from a Checkpoint: chooses the node and judges, brings the archives there, stops the source for certain if it is a move, starts the pod, and compares what runs with what was saved.
 * Every step looks first whether it was done already.
 */
export class RestoreReconciler implements Reconciler {
  readonly #options: RestoreReconcilerOptions;

  constructor(options: RestoreReconcilerOptions) {
    this.#options = options;
  }

  async reconcile(
    { namespace = "", name }: ReconcileRequest,
    signal: AbortSignal,
  ): Promise<ReconcileResult | undefined> {
    const { client, clock } = this.#options;
    const read = () => client.get(restores, { namespace, name }, { signal });
    let restore: RestoreObject;
    try {
      restore = await read();
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
    const phase = restore.status?.phase ?? "Pending";
    if (isBeingDeleted(restore) || phase === "Succeeded" || phase === "Failed") return undefined;
    try {
      const start = Date.parse(restore.status?.startTime ?? restore.metadata.creationTimestamp ?? "");
      const limit = (restore.spec.timeoutSeconds ?? defaultTimeoutMs / 1000) * 1000;
      const left = start + limit - clock.now();
      if (left <= 0) {
        const said = restore.status?.conditions?.find(({ type }) => type === "Ready")?.message ?? "";
        throw new Refused(restoreReasons.failed, `not done within ${limit / 1000} s: ${said}`);
      }
      const result = await this.#advance(restore, signal);
      return result?.requeueAfterMs === undefined ? result : { requeueAfterMs: Math.min(result.requeueAfterMs, left) };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      await this.#fail(await read(), error, signal);
      return undefined;
    }
  }

  async #advance(restore: RestoreObject, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { client } = this.#options;
    const { namespace = "" } = restore.metadata;
    const { checkpointName } = restore.spec;
    let checkpoint: CheckpointObject;
    try {
      checkpoint = await client.get(checkpoints, { namespace, name: checkpointName }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new Refused(
        restoreReasons.checkpointNotReady,
        `there is no Checkpoint "${checkpointName}" in namespace "${namespace}"`,
      );
    }
    const phase = checkpoint.status?.phase ?? "Pending";
    if (phase === "Failed")
      throw new Refused(
        restoreReasons.checkpointNotReady,
        `Checkpoint "${checkpointName}" failed: there is nothing to restore`,
      );
    if (phase !== "Completed" && phase !== "Stored") {
      await this.#write(
        restore,
        { phase: "Pending" },
        restoreReasons.checkpointNotReady,
        `Checkpoint "${checkpointName}" is ${phase}`,
        signal,
      );
      return { requeueAfterMs: 1_000 };
    }
    switch (restore.status?.phase) {
      case undefined:
      case "Pending":
        return this.#begin(restore, checkpoint, signal);
      case "Preparing":
        return this.#prepare(restore, checkpoint, signal);
      case "Stopping":
        return this.#stop(restore, checkpoint, signal);
      case "Starting":
        return this.#start(restore, checkpoint, signal);
      default:
        return this.#verify(restore, checkpoint, signal);
    }
  }

  /** The pod that exists, for a restore in place. */
  async #target(restore: RestoreObject, signal: AbortSignal): Promise<Pod | undefined> {
    const { namespace = "" } = restore.metadata;
    try {
      return await this.#options.client.get(Pods, { namespace, name: restore.spec.podName }, { signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #begin(
    restore: RestoreObject,
    checkpoint: CheckpointObject,
    signal: AbortSignal,
  ): Promise<ReconcileResult | undefined> {
    const { clock, nodes } = this.#options;
    const { spec } = restore;
    const template = templateOf(checkpoint);
    if (template === undefined)
      throw new Refused(
        restoreReasons.checkpointNotReady,
        `Checkpoint "${spec.checkpointName}" keeps no template of its pod`,
      );
    const pod = await this.#target(restore, signal);
    if (spec.mode === "InPlace" && pod?.spec?.nodeName === undefined) {
      await this.#write(
        restore,
        { phase: "Pending" },
        restoreReasons.inProgress,
        `waiting for pod "${spec.podName}" to be on a node`,
        signal,
      );
      return { requeueAfterMs: 1_000 };
    }
    const candidates =
      spec.mode === "InPlace" && pod !== undefined
        ? nodeOfPod(pod, checkpoint)
        : nodesForPod(pod, restore, checkpoint, nodes);
    if (candidates.length === 0)
      throw new Refused(
        restoreReasons.wrongNode,
        "no node takes pods now that is like the one that the checkpoint was taken on",
        [verdictOf("NoNode", "no Ready, schedulable node of that architecture")],
      );
    let refusal: Refused | undefined;
    for (const nodeName of candidates) {
      const verdicts = await verdictsOn(
        nodeName,
        { restore, checkpoint, template: template.spec },
        this.#options,
        signal,
      );
      const bad = verdicts.find(({ severity }) => severity === "error");
      const risk = verdicts.find(({ severity }) => severity === "warning");
      if (bad || (risk && spec.acceptRisks !== true)) {
        refusal ??= bad
          ? new Refused(restoreReasons.refused, `node "${nodeName}": ${bad.message}`, verdicts)
          : new Refused(
              restoreReasons.risky,
              `node "${nodeName}": ${risk?.message}; set spec.acceptRisks to restore nevertheless`,
              verdicts,
            );
        continue;
      }
      const startTime = restore.status?.startTime ?? new Date(clock.now()).toISOString();
      const next = await this.#write(
        restore,
        { phase: "Preparing", nodeName, startTime, verdicts: verdicts.slice(0, 64) },
        restoreReasons.inProgress,
        `bringing the archives to node "${nodeName}"`,
        signal,
      );
      return this.#prepare(next, checkpoint, signal);
    }
    if (refusal) throw refusal;
    return undefined;
  }

  async #prepare(
    restore: RestoreObject,
    checkpoint: CheckpointObject,
    signal: AbortSignal,
  ): Promise<ReconcileResult | undefined> {
    await bringArchives(checkpoint, restore.status?.nodeName ?? "", this.#options, signal);
    const next = await this.#write(
      restore,
      { phase: restore.spec.stopSource ? "Stopping" : "Starting" },
      restoreReasons.inProgress,
      restore.spec.stopSource ? `stopping pod "${checkpoint.spec.podName}"` : `starting pod "${restore.spec.podName}"`,
      signal,
    );
    return restore.spec.stopSource ? this.#stop(next, checkpoint, signal) : this.#start(next, checkpoint, signal);
  }

  /**
   * The fence: whoever was frozen must not go on beside its copy. The API object goes only when the kubelet says that the containers ended, unless it was deleted by force or the node is lost:
   * hence the node's own word, or the administrator's that it is out of service.
   */
  async #stop(
    restore: RestoreObject,
    checkpoint: CheckpointObject,
    signal: AbortSignal,
  ): Promise<ReconcileResult | undefined> {
    const { client, agents, nodes } = this.#options;
    const { namespace = "" } = restore.metadata;
    const { podName } = checkpoint.spec;
    const uid = checkpoint.status?.podUID;
    let source: Pod | undefined;
    try {
      source = await client.get(Pods, { namespace, name: podName }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    if (source !== undefined && source.metadata.uid === uid) {
      if (source.metadata.deletionTimestamp === undefined)
        try {
          await client.delete(Pods, { namespace, name: podName }, { ...(uid && { preconditions: { uid } }), signal });
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      return { requeueAfterMs: pollMs };
    }
    const nodeName = checkpoint.status?.nodeName ?? "";
    const node = nodes.get({ name: nodeName });
    const outOfService = node?.spec?.taints?.some(({ key }) => key === "node.kubernetes.io/out-of-service") === true;
    if (!outOfService) {
      const problem = await stillRuns(checkpoint, agents.of(nodeName), signal);
      if (problem !== undefined) {
        await this.#write(restore, {}, restoreReasons.sourceNotStopped, problem, signal);
        return { requeueAfterMs: 2_000 };
      }
    }
    const next = await this.#write(
      restore,
      { phase: "Starting" },
      restoreReasons.inProgress,
      `starting pod "${restore.spec.podName}"`,
      signal,
    );
    return this.#start(next, checkpoint, signal);
  }

  async #start(
    restore: RestoreObject,
    checkpoint: CheckpointObject,
    signal: AbortSignal,
  ): Promise<ReconcileResult | undefined> {
    const { client, agents } = this.#options;
    const { spec, metadata, status } = restore;
    const { uid = "" } = metadata;
    const images = () => imagesOn(status?.nodeName ?? "", checkpoint, agents, signal);
    let pod = await this.#target(restore, signal);
    if (spec.mode === "InPlace") {
      if (pod === undefined || (status?.podUID !== undefined && pod.metadata.uid !== status.podUID))
        throw new Refused(restoreReasons.specMismatch, `pod "${spec.podName}" is gone`);
      if (status?.replaced === undefined) {
        // A container that is about to start for the first time could be taken for the restored one.
        if (!hasBegun(pod, savedContainers(checkpoint))) return { requeueAfterMs: pollMs };
        const replaced = (pod.status?.containerStatuses ?? []).flatMap(({ containerID }) => containerID ?? []);
        return this.#start(
          await this.#write(
            restore,
            { podUID: pod.metadata.uid ?? "", replaced },
            restoreReasons.inProgress,
            `pod "${spec.podName}"`,
            signal,
          ),
          checkpoint,
          signal,
        );
      }
      pod = await putImages(client, pod, restore, await images(), signal);
    } else if (pod === undefined || pod.metadata.annotations?.[restoredByAnnotation] !== uid)
      pod = await createRestored(client, restore, checkpoint, await images(), signal);
    const next = await this.#write(
      restore,
      { phase: "Verifying", podUID: pod.metadata.uid ?? "" },
      restoreReasons.inProgress,
      `waiting for pod "${spec.podName}" to run`,
      signal,
    );
    return this.#verify(next, checkpoint, signal);
  }

  async #verify(
    restore: RestoreObject,
    checkpoint: CheckpointObject,
    signal: AbortSignal,
  ): Promise<ReconcileResult | undefined> {
    const { agents, clock, metrics } = this.#options;
    const { spec, status = {} } = restore;
    const nodeName = status.nodeName ?? "";
    const pod = await this.#target(restore, signal);
    if (pod === undefined || pod.metadata.uid !== status.podUID)
      throw new Refused(restoreReasons.failed, `pod "${spec.podName}" was deleted`);
    const saved = savedContainers(checkpoint);
    const containers = (pod.status?.containerStatuses ?? []).filter(({ name }) => saved.has(name));
    // An engine calls a restored container by the image of the program, not of the checkpoint.
    const up = containers.filter(
      ({ state, containerID = "" }) => state?.running !== undefined && !status.replaced?.includes(containerID),
    );
    if (up.length < saved.size) {
      const scheduled = pod.status?.conditions?.find(({ type }) => type === "PodScheduled");
      const [waiting] = waitingFor(pod);
      const ended = containers.find(({ state }) => state?.terminated);
      if (pod.status?.phase === "Failed" || pod.status?.phase === "Succeeded")
        throw new Refused(
          restoreReasons.failed,
          `pod "${spec.podName}" ended (${pod.status.phase}): ${ended?.state?.terminated?.message ?? ended?.state?.terminated?.reason ?? pod.status.message ?? ""}`,
        );
      const why = waiting
        ? `container "${waiting.name}": ${waiting.reason}: ${waiting.message}`
        : scheduled?.status === "False"
          ? `the scheduler: ${scheduled.message ?? ""}`
          : `waiting for pod "${spec.podName}" to run`;
      const before = status.conditions?.find(({ type }) => type === "Ready")?.message;
      if (why !== before) await this.#write(restore, {}, restoreReasons.inProgress, why, signal);
      return { requeueAfterMs: pollMs };
    }
    const agent = agents.of(nodeName);
    if (agent === undefined) throw new Refused(restoreReasons.wrongNode, `node "${nodeName}" is gone`);
    const differences: RestoreDifference[] = [];
    for (const { name, containerID, restartCount } of up) {
      const digest = checkpoint.status?.containers?.find((container) => container.name === name)?.digest ?? "";
      const answer = await agent.verifyContainer(engineId(containerID), digest, signal);
      for (const { subject, message } of answer.differences)
        differences.push({ container: name, subject, message: message.slice(0, 4_000) });
      if (spec.mode !== "InPlace" && restartCount > 0)
        differences.push({
          container: name,
          subject: "restarts",
          message: `it was started ${restartCount + 1} times: from the checkpoint each time`,
        });
    }
    const began = up.map(({ state }) => Date.parse(state?.running?.startedAt ?? "")).filter(Number.isFinite);
    const runs = Math.max(...began);
    const start = Date.parse(status.startTime ?? "");
    // Pods tell their start to the second.
    const timeToRestoreMs = Math.max(0, Math.min(clock.now(), runs + 999) - start);
    const change = {
      restoredTime: new Date(Number.isFinite(runs) ? runs : clock.now()).toISOString(),
      timeToRestoreMs,
      differences: differences.slice(0, 64),
    };
    const [worst] = differences;
    if (worst && spec.verify !== "Report") {
      await this.#write(restore, change, restoreReasons.inProgress, worst.message, signal);
      throw new Refused(restoreReasons.notAsSaved, `container "${worst.container}": ${worst.message}`);
    }
    const message = `pod "${spec.podName}" goes on on node "${nodeName}"${worst ? `, but ${worst.message}` : ", as it was saved"}`;
    const done = await this.#write(
      restore,
      { ...change, phase: "Succeeded" },
      restoreReasons.succeeded,
      message,
      signal,
    );
    metrics?.restored("succeeded", timeToRestoreMs / 1000);
    this.#options.events?.event({
      regarding: done,
      type: "Normal",
      reason: restoreReasons.succeeded,
      action: "Restore",
      note: message,
    });
    return undefined;
  }

  /** Nothing half-begun stays: a pod of ours that never ran goes again. One that runs, though not as saved, is the user's to judge. */
  async #fail(restore: RestoreObject, { reason, message, verdicts }: Refused, signal: AbortSignal): Promise<void> {
    const { client, events, metrics } = this.#options;
    const { namespace = "" } = restore.metadata;
    if (restore.spec.mode !== "InPlace" && reason !== restoreReasons.notAsSaved) {
      const pod = await this.#target(restore, signal);
      const uid = pod?.metadata.uid;
      const ran = pod?.status?.containerStatuses?.some(
        ({ state, lastState }) => state?.running ?? state?.terminated ?? lastState?.terminated,
      );
      if (pod && uid && pod.metadata.annotations?.[restoredByAnnotation] === restore.metadata.uid && !ran)
        await client
          .delete(Pods, { namespace, name: restore.spec.podName }, { preconditions: { uid }, signal })
          .catch((error: unknown) => {
            if (!isNotFound(error)) throw error;
          });
    }
    const failed = await this.#write(
      restore,
      { phase: "Failed", ...(verdicts.length > 0 && { verdicts }) },
      reason,
      message,
      signal,
    );
    metrics?.restored("failed", 0);
    events?.event({ regarding: failed, type: "Warning", reason, action: "Restore", note: message });
  }

  async #write(
    restore: RestoreObject,
    change: Partial<CheckpointRestoreStatus>,
    reason: string,
    message: string,
    signal: AbortSignal,
  ): Promise<RestoreObject> {
    const phase: RestorePhase = change.phase ?? restore.status?.phase ?? "Pending";
    const conditions = setCondition(restore.status?.conditions ?? [], {
      type: "Ready",
      status: phase === "Succeeded" ? "True" : phase === "Failed" ? "False" : "Unknown",
      reason,
      message: message.slice(0, 32_000),
      lastTransitionTime: new Date(this.#options.clock.now()).toISOString(),
    });
    const status: CheckpointRestoreStatus = { ...restore.status, ...change, phase, conditions };
    return this.#options.client.updateStatus(restores, { ...restore, status }, { signal });
  }
}

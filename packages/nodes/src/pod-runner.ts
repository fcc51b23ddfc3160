import {
  ApiError,
  compareResourceVersions,
  isConflict,
  isNotFound,
  keyOf,
  keyString,
  parseKey,
  Pods,
  timeText,
} from "@fleetwright/kube";
import type { Client, Clock, CoreEventInput, Informer, Logger, Pod, PodStatus, Random, Timer } from "@fleetwright/kube";
import { wishesOf } from "./annotations.ts";
import { BoundedTasks } from "./bounded-tasks.ts";
import { podAddress } from "./node-object.ts";
import { eventsOf, killingEvents } from "./pod-events.ts";
import { isFinished, nextStep } from "./pod-life.ts";

export interface PodRunnerOptions {
  readonly client: Client;
  readonly informer: Informer<Pod>;
  /** The node's address; `undefined`: not one that runs pods (now). */
  readonly hostIPOf: (nodeName: string) => string | undefined;
  readonly jobRunForMs: number;
  /** How much longer a pod that starts on the node needs, in milliseconds. */
  readonly startDelayOf: (nodeName: string) => number;
  /** Says what kubelets say. */
  readonly events: ((nodeName: string, event: CoreEventInput) => void) | undefined;
  /** Calls at a time. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Carries out what {@link nextStep} says, for the pods of all nodes. */
export class PodRunner {
  readonly #options: PodRunnerOptions;
  readonly #tasks: BoundedTasks;
  readonly #queued = new Set<string>();
  readonly #timers = new Map<string, Timer>();
  readonly #failures = new Map<string, number>();
  /** Pods that a slow node starts later. */
  readonly #slowStarts = new Map<string, number>();
  /** What we wrote and the cache does not show yet: deciding on the older state would write it again. */
  readonly #written = new Map<string, { readonly uid: string; readonly resourceVersion: string }>();
  readonly #addresses = new Set<string>();
  #nextAddress = 0;
  #stopped = false;
  #removeHandler: () => void = () => {};

  constructor(options: PodRunnerOptions) {
    this.#options = options;
    this.#tasks = new BoundedTasks(options.concurrency);
  }

  start(): void {
    this.#removeHandler = this.#options.informer.addHandler({
      added: (pod) => this.#see(pod),
      updated: (before, pod) => {
        const { events } = this.#options;
        const isToldToGo =
          pod.metadata.deletionTimestamp !== undefined && before.metadata.deletionTimestamp === undefined;
        const nodeName = pod.spec?.nodeName ?? "";
        if (events !== undefined && isToldToGo && this.#options.hostIPOf(nodeName) !== undefined) {
          for (const event of killingEvents(pod)) events(nodeName, event);
        }
        this.#see(pod);
      },
      deleted: (pod) => this.#forget(pod),
    });
  }

  #podsOn(nodeName: string): readonly Pod[] {
    return this.#options.informer.list().filter(({ spec }) => spec?.nodeName === nodeName);
  }

  /** The machine has started anew: containers were killed, and run again where their policy says so. */
  async reboot(nodeName: string): Promise<void> {
    const now = this.#options.clock.now();
    for (const pod of this.#podsOn(nodeName)) {
      if (isFinished(pod) || pod.status?.startTime === undefined) continue;
      const statuses = (pod.status.containerStatuses ?? []).map((status) => {
        const startedAt = status.state?.running?.startedAt;
        if (startedAt === undefined) return status;
        const terminated = { exitCode: 255, reason: "Unknown", startedAt, finishedAt: timeText(now) };
        return { ...status, ready: false, started: false, state: { terminated } };
      });
      await this.#write(pod, { ...pod.status, containerStatuses: statuses });
    }
  }

  /** The pod that matters least is told to go for want of room (pkg/kubelet/eviction). */
  async evict(nodeName: string, resource: "memory" | "disk"): Promise<void> {
    const now = this.#options.clock.now();
    const running = this.#podsOn(nodeName).filter(
      (pod) => !isFinished(pod) && pod.metadata.deletionTimestamp === undefined,
    );
    const rank = (pod: Pod): number => (pod.status?.qosClass === "BestEffort" ? 0 : 1_000) + (pod.spec?.priority ?? 0);
    const [victim] = running.toSorted(
      (left, right) => rank(left) - rank(right) || (keyString(keyOf(left)) < keyString(keyOf(right)) ? -1 : 1),
    );
    if (victim === undefined) return;
    const message = `The node was low on resource: ${resource === "memory" ? "memory" : "ephemeral-storage"}. `;
    const condition = {
      type: "DisruptionTarget",
      status: "True",
      reason: "TerminationByKubelet",
      message,
      lastTransitionTime: timeText(now),
    };
    const terminated = {
      exitCode: 137,
      reason: "Error",
      finishedAt: timeText(now),
      startedAt: victim.status?.startTime ?? timeText(now),
    };
    const containerStatuses = (victim.status?.containerStatuses ?? []).map((status) => ({
      ...status,
      ready: false,
      started: false,
      state: { terminated },
    }));
    this.#options.events?.(nodeName, { about: victim, type: "Warning", reason: "Evicted", message });
    await this.#write(victim, {
      ...victim.status,
      phase: "Failed",
      reason: "Evicted",
      message,
      containerStatuses,
      conditions: [condition],
    });
  }

  async #write(pod: Pod, status: PodStatus): Promise<void> {
    await this.#options.client
      .patch(Pods, keyOf(pod), statusPatch(pod, status), { subresource: "status" })
      .catch((error: unknown) => {
        if (!isNotFound(error))
          this.#options.logger.warn(
            { pod: keyString(keyOf(pod)), error },
            "a simulated node could not write what a fault did",
          );
      });
  }

  /** Looks at all pods of a node again: it runs pods once more. */
  revisit(nodeName: string): void {
    for (const pod of this.#options.informer.list()) if (pod.spec?.nodeName === nodeName) this.#see(pod);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#removeHandler();
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.#tasks.clear();
    await this.#tasks.idle();
  }

  #see(pod: Pod): void {
    if (pod.status?.podIP) this.#addresses.add(pod.status.podIP);
    const nodeName = pod.spec?.nodeName;
    if (nodeName !== undefined && this.#options.hostIPOf(nodeName) !== undefined) this.#queue(keyString(keyOf(pod)));
  }

  #forget(pod: Pod): void {
    const key = keyString(keyOf(pod));
    this.#timers.get(key)?.cancel();
    this.#timers.delete(key);
    this.#failures.delete(key);
    this.#slowStarts.delete(key);
    this.#written.delete(key);
    if (pod.status?.podIP) this.#addresses.delete(pod.status.podIP);
  }

  #queue(key: string): void {
    if (this.#stopped || this.#queued.has(key)) return;
    this.#queued.add(key);
    this.#tasks.add(async () => {
      this.#queued.delete(key);
      await this.#visit(key);
    });
  }

  #queueAt(key: string, time: number): void {
    this.#timers.get(key)?.cancel();
    if (this.#stopped) return;
    const { clock } = this.#options;
    const timer = clock.setTimer(time - clock.now(), () => {
      this.#timers.delete(key);
      this.#queue(key);
    });
    this.#timers.set(key, timer);
  }

  async #visit(key: string): Promise<void> {
    const pod = this.#options.informer.get(parseKey(key));
    if (pod === undefined || this.#isOutdated(key, pod)) return;
    try {
      await this.#advance(key, pod);
      this.#failures.delete(key);
    } catch (error) {
      this.#retry(key, error);
    }
  }

  #isOutdated(key: string, pod: Pod): boolean {
    const written = this.#written.get(key);
    if (written === undefined) return false;
    const caughtUp =
      written.uid !== pod.metadata.uid ||
      compareResourceVersions(pod.metadata.resourceVersion ?? "", written.resourceVersion) >= 0;
    if (caughtUp) this.#written.delete(key);
    return !caughtUp;
  }

  async #advance(key: string, pod: Pod): Promise<void> {
    const { clock, client, logger, hostIPOf, jobRunForMs, events } = this.#options;
    const nodeName = pod.spec?.nodeName ?? "";
    const hostIP = hostIPOf(nodeName);
    if (hostIP === undefined || this.#waitsToStart(key, pod, nodeName)) return;
    const wishes = wishesOf(pod.metadata, jobRunForMs);
    if (wishes.ignored.length > 0 && pod.status?.startTime === undefined)
      logger.warn({ pod: key, annotations: wishes.ignored }, "annotations of a simulated pod are not understood");
    const podIP = pod.status?.podIP ?? this.#freeAddress();
    const step = nextStep(pod, wishes, { hostIP, podIP }, clock.now());
    switch (step.kind) {
      case "status": {
        this.#addresses.add(podIP);
        if (events !== undefined) for (const event of eventsOf(pod, step.status)) events(nodeName, event);
        const after = await client.patch(Pods, keyOf(pod), statusPatch(pod, step.status), { subresource: "status" });
        const { uid = "", resourceVersion = "" } = after.metadata;
        // The event may have overtaken the answer: then nothing would come that looks at the pod again.
        const seen = this.#options.informer.get(keyOf(pod))?.metadata.resourceVersion ?? "";
        if (compareResourceVersions(seen, resourceVersion) < 0) this.#written.set(key, { uid, resourceVersion });
        else this.#queue(key);
        return;
      }
      case "delete":
        await client.delete(Pods, keyOf(pod), {
          gracePeriodSeconds: 0,
          ...(pod.metadata.uid !== undefined && { preconditions: { uid: pod.metadata.uid } }),
        });
        return;
      case "wait":
        this.#queueAt(key, step.until);
        return;
      case "rest":
        return;
    }
  }

  /** On a slow node, new pods take their time. */
  #waitsToStart(key: string, pod: Pod, nodeName: string): boolean {
    const delayMs =
      pod.status?.startTime === undefined && pod.metadata.deletionTimestamp === undefined
        ? this.#options.startDelayOf(nodeName)
        : 0;
    if (delayMs === 0) return false;
    const until = this.#slowStarts.get(key) ?? this.#options.clock.now() + delayMs;
    this.#slowStarts.set(key, until);
    if (this.#options.clock.now() >= until) return false;
    this.#queueAt(key, until);
    return true;
  }

  #retry(key: string, error: unknown): void {
    // Gone: the cache will say so. A conflict may be another pod of the same name, and then the next visit sees that one.
    if (this.#stopped || isNotFound(error)) return;
    const { clock, random, logger } = this.#options;
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    if (failures === 1 && !isConflict(error))
      logger.warn({ pod: key, error }, "a simulated node could not write; it tries again");
    const retryAfterMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const backoffMs = Math.min(30_000, 500 * 2 ** (failures - 1)) * (0.5 + random.next() / 2);
    this.#queueAt(key, clock.now() + Math.max(retryAfterMs, backoffMs));
  }

  #freeAddress(): string {
    let address = podAddress(this.#nextAddress++);
    while (this.#addresses.has(address)) address = podAddress(this.#nextAddress++);
    return address;
  }
}

/** The UID is a precondition: a pod that took the name meanwhile is not ours to describe. */
function statusPatch(pod: Pod, status: PodStatus): { readonly type: "strategic"; readonly patch: unknown } {
  // Conditions are merged by type: what a condition no longer says has to be taken away by name.
  const conditions = status.conditions?.map((condition) => ({ reason: null, message: null, ...condition }));
  return { type: "strategic", patch: { metadata: { uid: pod.metadata.uid }, status: { ...status, conditions } } };
}

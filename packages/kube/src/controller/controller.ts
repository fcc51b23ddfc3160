import type { Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import { FleetwrightError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { keyString, parseKey } from "../core/object.ts";
import { createPacer } from "../core/turn.ts";
import type { BackoffOptions } from "./backoff.ts";
import { controllerMetrics, noControllerMetrics, type ControllerMetrics } from "./controller-metrics.ts";
import { TerminalError, type Reconciler, type ReconcileResult } from "./reconciler.ts";
import type { Enqueue, Source } from "./source.ts";
import { WorkQueue } from "./work-queue.ts";

export interface ControllerOptions {
  /** Unique in a process: names logs and metrics. */
  readonly name: string;
  readonly reconciler: Reconciler;
  readonly sources: readonly Source[];
  /** Keys reconciled at the same time; one key never is. @default 1 */
  readonly concurrency?: number;
  readonly backoff?: BackoffOptions;
  /** A reconcile's signal aborts after this many milliseconds. @default none */
  readonly reconcileTimeoutMs?: number;
  /** Reconciles on every replica, not only on the leader. @default false */
  readonly everyReplica?: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** @default none */
  readonly metrics?: Registry;
}

/** Calls a reconciler for every name that its sources bring, one at a time per name, again with backoff on failure. */
export interface Controller {
  readonly name: string;
  readonly needLeaderElection: boolean;
  /** Asks for a reconcile from outside the sources. */
  readonly enqueue: Enqueue;
  /** Works until the signal aborts, then waits for the reconciles in flight, whose signals abort too. Call once. */
  start(signal: AbortSignal): Promise<void>;
}

/** @throws FleetwrightError `FW_CONTROLLER` when started twice, since a work queue that was shut down stays so */
export function createController(options: ControllerOptions): Controller {
  const { name, sources, clock, concurrency = 1 } = options;
  const logger = options.logger.child({ controller: name });
  const queue = new WorkQueue({
    clock,
    name,
    ...(options.backoff === undefined ? {} : { backoff: options.backoff }),
    ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
  });
  const metrics =
    options.metrics === undefined ? noControllerMetrics : controllerMetrics(options.metrics, name, concurrency);
  const worker = createWorker(options, queue, logger, metrics);
  const enqueue: Enqueue = (request, addOptions) => queue.add(keyString(request), addOptions);
  let started = false;
  return {
    name,
    needLeaderElection: options.everyReplica !== true,
    enqueue,
    async start(signal) {
      if (started)
        throw new FleetwrightError("FW_CONTROLLER", `controller "${name}" was started twice; make a new one`);
      started = true;
      const stops = sources.map((source) => source.start(enqueue));
      logger.info({ concurrency }, "controller started");
      const onAbort = (): void => void queue.shutdown();
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
      await Promise.all(Array.from({ length: concurrency }, () => worker(signal)));
      for (const stop of stops) stop();
      logger.info({}, "controller stopped");
    },
  };
}

type Worker = (signal: AbortSignal) => Promise<void>;

function createWorker(
  options: ControllerOptions,
  queue: WorkQueue,
  logger: Logger,
  metrics: ControllerMetrics,
): Worker {
  const { clock } = options;
  /** Key → what was logged last; only of keys that fail. */
  const lastErrors = new Map<string, string>();

  const onError = (key: string, priority: number, error: unknown, signal: AbortSignal): void => {
    // Stopping makes reconciles fail; that is no failure of theirs, and the next leader does it all again.
    if (signal.aborted) return;
    const terminal = error instanceof TerminalError;
    if (terminal) metrics.terminalError();
    else queue.addRateLimited(key, { priority });
    const text = error instanceof Error ? error.message : String(error);
    if (lastErrors.get(key) === text) return;
    lastErrors.set(key, text);
    logger.error({ key, error }, terminal ? "reconcile failed for good" : "reconcile failed; it is tried again");
  };

  const onResult = (key: string, priority: number, result: ReconcileResult | undefined): void => {
    queue.forget(key);
    lastErrors.delete(key);
    if (result?.requeueAfterMs !== undefined && result.requeueAfterMs > 0) {
      queue.add(key, { priority, afterMs: result.requeueAfterMs });
    }
  };

  return async (signal) => {
    const pacer = createPacer(clock);
    for (let item = await queue.get(); item !== undefined; item = await queue.get()) {
      const { key, priority } = item;
      const started = clock.now();
      metrics.started();
      let outcome: "error" | "requeue_after" | "success" = "error";
      try {
        const result = (await callReconciler(options, key, signal, metrics)) ?? undefined;
        onResult(key, priority, result);
        outcome = (result?.requeueAfterMs ?? 0) > 0 ? "requeue_after" : "success";
      } catch (error) {
        onError(key, priority, error, signal);
      } finally {
        metrics.ended(outcome, (clock.now() - started) / 1000);
        queue.done(key);
      }
      const pause = pacer.pause();
      if (pause !== undefined) await pause;
    }
  };
}

async function callReconciler(
  options: ControllerOptions,
  key: string,
  signal: AbortSignal,
  metrics: ControllerMetrics,
): Promise<ReconcileResult | undefined | void> {
  const { reconciler, reconcileTimeoutMs, clock, name } = options;
  if (reconcileTimeoutMs === undefined) return reconciler.reconcile(parseKey(key), signal);
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = clock.setTimer(reconcileTimeoutMs, () => {
    metrics.timedOut();
    controller.abort(
      new FleetwrightError("FW_RECONCILE_TIMEOUT", `${name}: ${key} took longer than ${reconcileTimeoutMs} ms`),
    );
  });
  try {
    return await reconciler.reconcile(parseKey(key), controller.signal);
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", onAbort);
  }
}

import { Gauge, type Registry } from "prom-client";
import type { Cache } from "../cache/informer.ts";
import type { Client } from "../client/client.ts";
import { sleep, type Clock } from "../core/clock.ts";
import { FleetwrightError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { Random } from "../core/random.ts";
import type { Check } from "./checks.ts";
import { runAsLeader, type LeaderElectionOptions, type Leadership } from "./leader-election.ts";
import { startProbeServer, type ProbeServer } from "./probe-server.ts";

/** Something that runs as long as the manager does: a controller, a timer, a server. */
export interface Runnable {
  readonly name: string;
  /** Runs on the leader only, otherwise on every replica. @default true */
  readonly needLeaderElection?: boolean;
  /** Runs until the signal aborts; resolving earlier is fine, rejecting stops the manager. */
  start(signal: AbortSignal): Promise<void>;
}

/** What a manager needs of a webhook server. */
export interface Listener {
  listen(): Promise<void>;
  stop(): Promise<void>;
}

export interface ManagerOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Started first; nothing else runs before it has synced. */
  readonly cache?: Cache;
  /** Served by every replica, leader or not, from before the caches start until after all work ended. */
  readonly webhooks?: Listener;
  /** Who leads. Absent: there is one replica, and it leads. */
  readonly leaderElection?: Omit<LeaderElectionOptions, "client" | "clock" | "random" | "logger">;
  /** Served under `/metrics`. */
  readonly metrics?: Registry;
  /** `host:port` of `/healthz` and `/readyz`; `"0"`: off. @default ":8081" */
  readonly healthAddress?: string;
  /** `host:port` of `/metrics`, may be the same; `"0"`: off. @default ":8080" */
  readonly metricsAddress?: string;
  /** How long a stop may take, in milliseconds. @default 30_000 */
  readonly gracefulShutdownMs?: number;
  /** How long caches may take to sync, in milliseconds. @default 120_000, controller-runtime's */
  readonly cacheSyncTimeoutMs?: number;
  /** Called the moment leadership is lost; `run` rejects in any case. Programs exit here without delay. */
  readonly onLeaderLost?: (error: FleetwrightError) => void;
}

/** Starts the parts of a program in order and stops them in reverse. */
export interface Manager {
  /** Before `run`. */
  add(runnable: Runnable): void;
  /** Under `/healthz/<name>`: failing means that this process should be restarted. */
  addHealthCheck(name: string, check: Check): void;
  /** Under `/readyz/<name>`: failing means that no requests should be sent here. */
  addReadyCheck(name: string, check: Check): void;
  /** Where probes and metrics are served; `undefined` when off or not yet. */
  readonly ports: { readonly health: number | undefined; readonly metrics: number | undefined };
  isLeading(): boolean;
  /**
   * For right before a leader's write; see {@link fencedClient}.
   *
   * @throws FleetwrightError `FW_LEADERSHIP_LOST`
   */
  assertLeading(): void;
  /**
   * Runs until the signal aborts and everything has stopped.
   *
   * @throws FleetwrightError `FW_LEADERSHIP_LOST`, `FW_CACHE_SYNC`, `FW_SHUTDOWN` (it names what did not stop in
   *   time), `FW_PROBE_LISTEN`; or whatever a runnable rejected with
   */
  run(signal: AbortSignal): Promise<void>;
}

/**
 * @example
 * const manager = createManager({ client, cache, clock: systemClock, random: systemRandom, logger });
 * manager.add(createController({ name: "quota", reconciler, sources: [watch(quotas)], clock: systemClock, logger }));
 * await manager.run(stopSignal(logger));
 */
export function createManager(options: ManagerOptions): Manager {
  return new LiveManager(options);
}

class LiveManager implements Manager {
  readonly #options: ManagerOptions;
  readonly #runnables: Runnable[] = [];
  readonly #healthChecks = new Map<string, Check>([["ping", () => {}]]);
  readonly #readyChecks = new Map<string, Check>();
  readonly #master: Gauge<"name"> | undefined;
  #healthServer: ProbeServer | undefined;
  #metricsServer: ProbeServer | undefined;
  #leadership: Leadership | undefined;
  #cacheSynced = false;
  /** What runs, by name: told when a stop takes too long. */
  readonly #running = new Map<Promise<void>, string>();
  readonly #failure = Promise.withResolvers<never>();

  constructor(options: ManagerOptions) {
    this.#options = options;
    // Whoever waits for a failure hears of it; nobody waiting is fine, too.
    this.#failure.promise.catch(() => {});
    if (options.cache !== undefined) {
      this.#readyChecks.set("caches", () => {
        if (!this.#cacheSynced) throw new Error("the caches have not synced");
      });
    }
    if (options.metrics === undefined) return;
    this.#master = new Gauge({
      name: "leader_election_master_status",
      help: "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.",
      labelNames: ["name"],
      registers: [options.metrics],
    });
  }

  add(runnable: Runnable): void {
    this.#runnables.push(runnable);
  }

  addHealthCheck(name: string, check: Check): void {
    this.#healthChecks.set(name, check);
  }

  addReadyCheck(name: string, check: Check): void {
    this.#readyChecks.set(name, check);
  }

  get ports(): { readonly health: number | undefined; readonly metrics: number | undefined } {
    return { health: this.#healthServer?.port, metrics: this.#metricsServer?.port };
  }

  isLeading(): boolean {
    return this.#leadership?.isLeading() ?? false;
  }

  assertLeading(): void {
    if (this.#leadership !== undefined) return this.#leadership.assertLeading();
    throw new FleetwrightError("FW_LEADERSHIP_LOST", "this process does not lead (yet): it must not write");
  }

  async run(signal: AbortSignal): Promise<void> {
    const { webhooks, logger } = this.#options;
    const work = new AbortController();
    const caches = new AbortController();
    const onAbort = (): void => work.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.#serveProbes();
      await Promise.race([this.#work(work.signal, caches.signal), this.#failure.promise]);
    } catch (error) {
      if (!signal.aborted || isOwn(error)) failure = { error };
    }
    signal.removeEventListener("abort", onAbort);
    logger.info({}, failure === undefined ? "stopping" : "stopping after a failure");
    work.abort(failure?.error);
    const inTime = await this.#stopAll(caches, webhooks);
    if (failure !== undefined) throw failure.error;
    if (!inTime) throw this.#overdue();
  }

  /** Starts everything in order; resolves when the signal aborts, rejects when something failed. */
  async #work(signal: AbortSignal, cacheSignal: AbortSignal): Promise<void> {
    const { webhooks, cache } = this.#options;
    if (webhooks !== undefined) await webhooks.listen();
    if (cache !== undefined) {
      this.#track("cache", cache.run(cacheSignal));
      await this.#syncCache(cache, signal);
    }
    const { true: everywhere = [], false: leaderOnly = [] } = Object.groupBy(this.#runnables, (runnable) =>
      runnable.needLeaderElection === false ? "true" : "false",
    );
    for (const runnable of everywhere) this.#track(runnable.name, runnable.start(signal));
    if (!signal.aborted) this.#track("leader election", this.#lead(leaderOnly, signal));
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  async #lead(runnables: readonly Runnable[], signal: AbortSignal): Promise<void> {
    const { client, clock, random, logger, leaderElection } = this.#options;
    const work = async (leadership: Leadership): Promise<void> => {
      this.#leadership = leadership;
      this.#master?.set({ name: leaderElection?.lease.name ?? "" }, 1);
      leadership.signal.addEventListener("abort", () => this.#onLeadershipOver(leadership), { once: true });
      await Promise.all(
        runnables.map((runnable) => {
          const run = runnable.start(leadership.signal);
          this.#track(runnable.name, run);
          return run.catch(() => {});
        }),
      );
      if (leadership.signal.aborted) return;
      // Without work of its own, a leader still holds its place until it is told to stop.
      await new Promise<void>((resolve) => {
        leadership.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    };
    if (leaderElection === undefined) return work({ signal, isLeading: () => !signal.aborted, assertLeading() {} });
    this.#master?.set({ name: leaderElection.lease.name }, 0);
    return runAsLeader({ client, clock, random, logger, ...leaderElection }, work, signal);
  }

  #onLeadershipOver(leadership: Leadership): void {
    this.#master?.set({ name: this.#options.leaderElection?.lease.name ?? "" }, 0);
    const { reason } = leadership.signal;
    if (!(reason instanceof FleetwrightError) || reason.code !== "FW_LEADERSHIP_LOST") return;
    // Before anything else: what is left of this process must not write.
    this.#options.onLeaderLost?.(reason);
    this.#failure.reject(reason);
  }

  async #syncCache(cache: Cache, signal: AbortSignal): Promise<void> {
    const { clock, cacheSyncTimeoutMs = 120_000 } = this.#options;
    const give = new AbortController();
    const onAbort = (): void => give.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    const timer = clock.setTimer(cacheSyncTimeoutMs, () =>
      give.abort(
        new FleetwrightError(
          "FW_CACHE_SYNC",
          `the caches did not sync within ${cacheSyncTimeoutMs} ms; the log names the kind and the reason, ` +
            `often a missing right to list or watch it`,
        ),
      ),
    );
    try {
      await cache.waitForSync(give.signal);
      this.#cacheSynced = true;
    } finally {
      timer.cancel();
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #serveProbes(): Promise<void> {
    const { healthAddress = ":8081", metricsAddress = ":8080", metrics, logger } = this.#options;
    const health = { healthz: this.#healthChecks, readyz: this.#readyChecks };
    const numbers = metrics === undefined ? {} : { metrics };
    const shared = metrics !== undefined && healthAddress === metricsAddress;
    if (healthAddress !== "0") {
      this.#healthServer = await startProbeServer(healthAddress, shared ? { ...health, ...numbers } : health, logger);
    }
    if (shared) this.#metricsServer = this.#healthServer;
    else if (metricsAddress !== "0" && metrics !== undefined) {
      this.#metricsServer = await startProbeServer(metricsAddress, numbers, logger);
    }
  }

  /** In reverse: work, caches, webhooks, probes. @returns whether all stopped in time */
  async #stopAll(caches: AbortController, webhooks: Listener | undefined): Promise<boolean> {
    const { clock, gracefulShutdownMs = 30_000, logger } = this.#options;
    const deadline = new AbortController();
    const tooLate = sleep(clock, gracefulShutdownMs, deadline.signal).then(
      () => false,
      () => true,
    );
    const stopping = async (): Promise<boolean> => {
      await this.#ended((name) => name !== "cache");
      caches.abort();
      await this.#ended(() => true);
      await webhooks?.stop();
      return true;
    };
    const inTime = await Promise.race([
      stopping().catch((error: unknown) => {
        logger.error({ error }, "stopping failed");
        return true;
      }),
      tooLate,
    ]);
    deadline.abort();
    caches.abort();
    await Promise.all([this.#healthServer?.close(), this.#metricsServer?.close()]);
    return inTime;
  }

  async #ended(which: (name: string) => boolean): Promise<void> {
    const waited = [...this.#running].filter(([, name]) => which(name)).map(([run]) => run);
    await Promise.allSettled(waited);
  }

  #track(name: string, run: Promise<void>): void {
    this.#running.set(run, name);
    run.then(
      () => this.#running.delete(run),
      (error: unknown) => {
        this.#running.delete(run);
        this.#options.logger.error({ runnable: name, error }, "a part of the manager failed");
        this.#failure.reject(error);
      },
    );
  }

  #overdue(): FleetwrightError {
    const names = [...this.#running.values()].join(", ") || "the webhook server";
    const { gracefulShutdownMs = 30_000 } = this.#options;
    return new FleetwrightError("FW_SHUTDOWN", `still running ${gracefulShutdownMs} ms after the stop: ${names}`);
  }
}

/** A stop makes many things reject with its reason; these two are failures all the same. */
const isOwn = (error: unknown): boolean =>
  error instanceof FleetwrightError && (error.code === "FW_LEADERSHIP_LOST" || error.code === "FW_PROBE_LISTEN");

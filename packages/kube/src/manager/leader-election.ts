import { Leases, type Lease } from "../builtin/coordination-v1.generated.ts";
import type { Client } from "../client/client.ts";
import { sleep, type Clock, type Timer } from "../core/clock.ts";
import { FleetwrightError, isNotFound } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { Random } from "../core/random.ts";
import {
  acquired,
  isFree,
  recordOf,
  released,
  renewed,
  sameRecord,
  withRecord,
  type LeaseRecord,
} from "./lease-record.ts";

export interface LeaderElectionOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Unique to this process, not to its host: a twin with the same name would not be told apart. */
  readonly identity: string;
  /** How long others leave a silent leader alone, in milliseconds; whole seconds. @default 15_000 */
  readonly leaseDurationMs?: number;
  /** How long a leader trusts its last renewal. @default 10_000 */
  readonly renewDeadlineMs?: number;
  /** Between tries; candidates add up to 20 %. @default 2_000 */
  readonly retryPeriodMs?: number;
}

/** The right to work as the leader, for as long as it lasts. */
export interface Leadership {
  /** Aborts when leadership is lost (reason `FW_LEADERSHIP_LOST`) or is about to be given up. */
  readonly signal: AbortSignal;
  /**
   * Whether nobody else can lead now. True at most `renewDeadlineMs` from the start of the last renewal that went
   * well, by our own clock: right even when this process was stopped for a minute and no timer fired yet.
   */
  isLeading(): boolean;
  /**
   * For right before a write.
   *
   * @throws FleetwrightError `FW_LEADERSHIP_LOST`
   */
  assertLeading(): void;
}

/**
 * Waits until it leads, does the work, and gives the lease back when the work is over. client-go's algorithm, with a
 * stricter fence: the deadline counts from the start of the last good renewal, and a leader that missed it never
 * renews again.
 *
 * Safe while clocks run at rates that differ by less than `leaseDurationMs / renewDeadlineMs`; what clocks show does
 * not matter. A write that was sent in time may still arrive late: writes carry a resourceVersion or UID besides.
 *
 * @param work must end soon after its `leadership.signal` aborts; the lease is kept until it has
 * @param signal aborts to stop: candidacy at once, work through `leadership.signal`
 * @throws FleetwrightError `FW_LEADERSHIP_LOST` when leadership was lost; a process must not go on then
 */
export async function runAsLeader(
  options: LeaderElectionOptions,
  work: (leadership: Leadership) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const election = new Election(options);
  if (!(await election.campaign(signal))) return;
  await election.serve(work, signal);
}

class Election {
  readonly #options: LeaderElectionOptions;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #leadership = new AbortController();
  #lease: Lease | undefined;
  #observed: { readonly record: LeaseRecord; readonly at: number } | undefined;
  /** What we wrote and had no answer to: if it is found in place, it was we who put it there. */
  #unanswered: { readonly record: LeaseRecord; readonly startedAt: number } | undefined;
  /** The start of the last renewal that went well. */
  #renewedAt: number | undefined;
  #held: LeaseRecord | undefined;
  #fence: Timer | undefined;
  #isLost = false;
  #reportedHolder: string | undefined;
  #lastError = "";

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    const ordered = this.#leaseDurationMs > this.#renewDeadlineMs && this.#renewDeadlineMs > 1.2 * this.#retryPeriodMs;
    if (ordered && this.#leaseDurationMs % 1000 === 0 && options.identity !== "") return;
    throw new FleetwrightError(
      "FW_LEADER_ELECTION",
      `leader election needs an identity and leaseDuration > renewDeadline > 1.2 × retryPeriod in whole seconds: ` +
        `identity ${JSON.stringify(options.identity)}, ${this.#leaseDurationMs}, ${this.#renewDeadlineMs}, ` +
        `${this.#retryPeriodMs} ms`,
    );
  }

  /** True when elected, false when the signal aborted first. */
  async campaign(signal: AbortSignal): Promise<boolean> {
    const { clock, random, logger, lease, identity } = this.#options;
    while (!signal.aborted) {
      if (await this.#try(() => this.#acquire(signal), signal)) {
        logger.info({ lease, identity }, "elected leader");
        return true;
      }
      await sleep(clock, this.#retryPeriodMs * (1 + 0.2 * random.next()), signal).catch(ignoreAbort);
    }
    return false;
  }

  async serve(work: (leadership: Leadership) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { logger, lease } = this.#options;
    const ended = new AbortController();
    const onAbort = (): void => this.#leadership.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    const renewing = this.#keepRenewing(ended.signal);
    const leadership: Leadership = {
      signal: this.#leadership.signal,
      isLeading: () => this.#isLeading(),
      assertLeading: () => {
        if (!this.#isLeading()) throw this.#lostError();
      },
    };
    try {
      await work(leadership);
    } catch (error) {
      if (!this.#isLeading()) throw this.#lostError(error);
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
      ended.abort();
      await renewing;
      this.#fence?.cancel();
      // Nothing of ours runs any more: the next leader need not wait.
      if (this.#isLeading()) await this.#release();
    }
    if (this.#isLost || !this.#isLeading()) throw this.#lostError();
    this.#renewedAt = undefined;
    this.#leadership.abort();
    logger.info({ lease }, "gave leadership up");
  }

  #isLeading(): boolean {
    const { clock } = this.#options;
    if (this.#isLost || this.#renewedAt === undefined) return false;
    const elapsed = clock.now() - this.#renewedAt;
    // A clock that was set back says nothing about how long ago it was.
    return elapsed >= 0 && elapsed < this.#renewDeadlineMs;
  }

  #lostError(cause?: unknown): FleetwrightError {
    const { namespace, name } = this.#options.lease;
    return new FleetwrightError(
      "FW_LEADERSHIP_LOST",
      `lease ${namespace}/${name} was not renewed within ${this.#renewDeadlineMs} ms; another may lead now: ` +
        `this process must stop its work and be started again`,
      { cause },
    );
  }

  async #keepRenewing(ended: AbortSignal): Promise<void> {
    while (!ended.aborted && this.#isLeading()) {
      await sleep(this.#options.clock, this.#retryPeriodMs, ended).catch(ignoreAbort);
      // Past the deadline nothing is renewed, though the lease might still be ours: someone was told it is lost.
      if (ended.aborted || !this.#isLeading()) break;
      await this.#try(() => this.#renew(ended), ended);
    }
    if (!ended.aborted) this.#fenceOff();
  }

  /** Errors are the ordinary case here (partition, restart): logged once per change, counted as "not now". */
  async #try(attempt: () => Promise<boolean>, signal: AbortSignal): Promise<boolean> {
    try {
      const done = await attempt();
      this.#lastError = "";
      return done;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (!signal.aborted && text !== this.#lastError) {
        this.#lastError = text;
        this.#options.logger.warn({ lease: this.#options.lease, error }, "leader election: a try failed");
      }
      return false;
    }
  }

  async #acquire(signal: AbortSignal): Promise<boolean> {
    const { client, clock, identity, lease: key } = this.#options;
    const lease = await this.#observe(signal);
    if (this.#unanswered !== undefined && this.#observed !== undefined) {
      const { record, startedAt } = this.#unanswered;
      if (sameRecord(record, this.#observed.record)) return this.#hold(record, startedAt);
    }
    const before = this.#observed?.record;
    const startedAt = clock.now();
    if (before !== undefined && !isFree(before, this.#observed?.at ?? startedAt, startedAt)) return false;
    const record = acquired(before, identity, this.#leaseDurationMs, startedAt);
    this.#unanswered = { record, startedAt };
    const empty: Lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: key };
    const options = { signal, timeoutMs: this.#callTimeoutMs() };
    this.#lease =
      lease === undefined
        ? await client.create(Leases, withRecord(empty, record), options)
        : await client.update(Leases, withRecord(lease, record), options);
    return this.#hold(record, startedAt);
  }

  async #renew(signal: AbortSignal): Promise<boolean> {
    const { client, clock } = this.#options;
    const held = this.#held;
    if (held === undefined || this.#lease === undefined) return false;
    const startedAt = clock.now();
    const record = renewed(held, startedAt);
    const options = { signal, timeoutMs: this.#callTimeoutMs() };
    try {
      this.#lease = await client.update(Leases, withRecord(this.#lease, record), options);
    } catch (error) {
      // Someone touched the lease, or an answer was lost: look again, and go on if it is still ours.
      const lease = await this.#observe(signal);
      const found = this.#observed?.record;
      const ours = found?.holder === held.holder && found.transitions === held.transitions;
      if (lease === undefined || !ours) throw error;
      this.#lease = lease;
      return sameRecord(found, record) && this.#hold(record, startedAt);
    }
    return this.#hold(record, startedAt);
  }

  async #release(): Promise<void> {
    const { client, clock, logger, lease } = this.#options;
    if (this.#lease === undefined || this.#held === undefined) return;
    try {
      const record = released(this.#held, clock.now());
      await client.update(Leases, withRecord(this.#lease, record), { timeoutMs: this.#callTimeoutMs() });
    } catch (error) {
      logger.warn({ lease, error }, "the lease could not be given back; others wait for its end");
    }
  }

  /** Reads the lease and notes, by our clock, when its record was first seen as it is. */
  async #observe(signal: AbortSignal): Promise<Lease | undefined> {
    const { client, clock, lease: key, logger } = this.#options;
    let lease: Lease | undefined;
    try {
      lease = await client.get(Leases, key, { signal, timeoutMs: this.#callTimeoutMs() });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      this.#observed = undefined;
      return undefined;
    }
    const record = recordOf(lease);
    if (this.#observed === undefined || !sameRecord(record, this.#observed.record)) {
      this.#observed = { record, at: clock.now() };
    }
    if (record.holder !== this.#reportedHolder) {
      this.#reportedHolder = record.holder;
      logger.info({ lease: key, holder: record.holder }, "leader seen");
    }
    return lease;
  }

  /** @returns whether the lease is ours still, counted from when it was asked for */
  #hold(record: LeaseRecord, startedAt: number): boolean {
    const { clock } = this.#options;
    this.#unanswered = undefined;
    const left = startedAt + this.#renewDeadlineMs - clock.now();
    if (left <= 0 || this.#isLost) return false;
    this.#held = record;
    this.#observed = { record, at: clock.now() };
    this.#renewedAt = startedAt;
    this.#fence?.cancel();
    this.#fence = clock.setTimer(left, () => this.#fenceOff());
    return true;
  }

  #fenceOff(): void {
    if (this.#isLost || this.#isLeading()) return;
    this.#isLost = true;
    this.#fence?.cancel();
    const error = this.#lostError();
    this.#options.logger.error({ lease: this.#options.lease }, error.message);
    this.#leadership.abort(error);
  }

  #callTimeoutMs(): number {
    return this.#renewDeadlineMs / 2;
  }
}

/** The loops look at the signal themselves. */
function ignoreAbort(): void {}

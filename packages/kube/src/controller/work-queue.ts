import type { Registry } from "prom-client";
import type { Clock, Timer } from "../core/clock.ts";
import { Heap } from "../core/heap.ts";
import { createBackoff, type Backoff, type BackoffOptions } from "./backoff.ts";
import { noWorkQueueMetrics, workQueueMetrics, type WorkQueueMetrics } from "./work-queue-metrics.ts";

export interface WorkQueueOptions {
  readonly clock: Clock;
  /** Names the queue in metrics. */
  readonly name: string;
  readonly backoff?: BackoffOptions;
  /** @default none */
  readonly metrics?: Registry;
}

export interface AddOptions {
  /** Higher goes first; equal ones in the order in which they became ready. @default 0 */
  readonly priority?: number;
  /** Not before this many milliseconds. @default 0 */
  readonly afterMs?: number;
}

/** Of what exists when a controller starts: a restart must not delay what users do now (controller-runtime's). */
export const lowPriority = -100;

interface Entry {
  readonly key: string;
  priority: number;
  /** When it may be handed out. */
  readyAt: number;
  /** Since when it is ready; `undefined` while it is delayed. */
  readySince: number | undefined;
  sequence: number;
}

interface Ticket {
  readonly entry: Entry;
  readonly sequence: number;
}

interface Waiter {
  readonly give: (item: { readonly key: string; readonly priority: number } | undefined) => void;
}

/**
 * Keys that want to be looked at: each at most once in the queue and at most once in work, however often it is added
 * (client-go's workqueue with controller-runtime's priorities).
 *
 * - A key that is added while it is in work waits until `done`.
 * - Added again, a key keeps the higher priority and the earlier time.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #metrics: WorkQueueMetrics;
  readonly #entries = new Map<string, Entry>();
  /** Key → since when it is in work. */
  readonly #inWork = new Map<string, number>();
  // Heaps hold tickets; one whose entry has moved on since is dropped when it comes up.
  readonly #ready = new Heap<Ticket>(
    (left, right) =>
      left.entry.priority > right.entry.priority ||
      (left.entry.priority === right.entry.priority && left.sequence < right.sequence),
  );
  readonly #delayed = new Heap<Ticket>(
    (left, right) =>
      left.entry.readyAt < right.entry.readyAt ||
      (left.entry.readyAt === right.entry.readyAt && left.sequence < right.sequence),
  );
  readonly #waiters: Waiter[] = [];
  #sequence = 0;
  #timer: { readonly at: number; readonly timer: Timer } | undefined;
  #shutdown: "no" | "drain" | "now" = "no";
  #drained: (() => void) | undefined;

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#backoff = createBackoff(options.clock, options.backoff);
    this.#metrics =
      options.metrics === undefined
        ? noWorkQueueMetrics
        : workQueueMetrics(options.metrics, options.name, () =>
            Array.from(this.#inWork.values(), (since) => (this.#clock.now() - since) / 1000),
          );
  }

  /** Keys that could be handed out now but for those in work; delayed ones are not counted. */
  get length(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (entry.readySince !== undefined) count += 1;
    return count;
  }

  get inWork(): number {
    return this.#inWork.size;
  }

  /** Adds a key, unless the queue shuts down. */
  add(key: string, options: AddOptions = {}): void {
    if (this.#shutdown !== "no") return;
    const { priority = 0, afterMs = 0 } = options;
    const now = this.#clock.now();
    const readyAt = now + Math.max(0, afterMs);
    const present = this.#entries.get(key);
    if (present === undefined) {
      const entry = { key, priority, readyAt, readySince: undefined, sequence: 0 };
      this.#entries.set(key, entry);
      this.#place(entry, now, true);
      return;
    }
    if (priority <= present.priority && (readyAt >= present.readyAt || present.readySince !== undefined)) return;
    const wasReady = present.readySince !== undefined;
    if (wasReady) this.#metrics.depth(present.priority, -1);
    // A ticket orders by its entry: a changed entry needs a new ticket, and the old one must not be moved by it.
    const entry: Entry = {
      key,
      priority: Math.max(priority, present.priority),
      readyAt: Math.min(readyAt, present.readyAt),
      readySince: present.readySince,
      sequence: 0,
    };
    this.#entries.set(key, entry);
    if (wasReady) this.#metrics.depth(entry.priority, 1);
    this.#place(entry, now, !wasReady);
  }

  /** Adds a key after its backoff, which grows with each call until {@link forget}. */
  addRateLimited(key: string, options: { readonly priority?: number } = {}): void {
    if (this.#shutdown !== "no") return;
    this.#metrics.retried();
    this.add(key, { ...options, afterMs: this.#backoff.next(key) });
  }

  /** The key did well: its next failure waits as a first one does. */
  forget(key: string): void {
    this.#backoff.forget(key);
  }

  /** Failures since the last {@link forget}. */
  failures(key: string): number {
    return this.#backoff.failures(key);
  }

  /** The next key, taken into work: `done` must follow. `undefined` once the queue has shut down. */
  get(): Promise<{ readonly key: string; readonly priority: number } | undefined> {
    return new Promise((give) => {
      this.#waiters.push({ give });
      this.#serve();
    });
  }

  /** The work on a key is over; if it was added meanwhile, it comes again. */
  done(key: string): void {
    const since = this.#inWork.get(key);
    if (since === undefined) return;
    this.#inWork.delete(key);
    this.#metrics.worked((this.#clock.now() - since) / 1000);
    const entry = this.#entries.get(key);
    // Its ticket was dropped while the key was in work.
    if (entry?.readySince !== undefined) this.#ready.push(ticketOf(entry));
    this.#serve();
    this.#settleDrain();
  }

  /**
   * Takes no more keys. With `drain`, what is ready is still handed out and this resolves when all work is done;
   * without, `get` gives `undefined` at once and this resolves when what is in work is done. Delayed keys are dropped.
   */
  shutdown(options: { readonly drain?: boolean } = {}): Promise<void> {
    this.#shutdown = options.drain === true ? "drain" : "now";
    this.#timer?.timer.cancel();
    for (const entry of this.#entries.values()) {
      if (entry.readySince !== undefined && this.#shutdown === "drain") continue;
      if (entry.readySince !== undefined) this.#metrics.depth(entry.priority, -1);
      this.#entries.delete(entry.key);
    }
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#serve();
      this.#settleDrain();
    });
  }

  #place(entry: Entry, now: number, isNew: boolean): void {
    entry.sequence = ++this.#sequence;
    if (entry.readySince !== undefined || entry.readyAt <= now) this.#makeReady(entry, now, isNew);
    else {
      this.#delayed.push(ticketOf(entry));
      this.#setTimer();
    }
    this.#serve();
  }

  #makeReady(entry: Entry, now: number, isNew: boolean): void {
    if (isNew) {
      entry.readySince = now;
      this.#metrics.added();
      this.#metrics.depth(entry.priority, 1);
    }
    this.#ready.push(ticketOf(entry));
  }

  #setTimer(): void {
    const next = this.#delayed.peek();
    if (next === undefined || this.#shutdown !== "no") return;
    const at = next.entry.readyAt;
    if (this.#timer !== undefined && this.#timer.at <= at) return;
    this.#timer?.timer.cancel();
    this.#timer = { at, timer: this.#clock.setTimer(Math.max(0, at - this.#clock.now()), () => this.#wake()) };
  }

  #wake(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (let ticket = this.#delayed.peek(); ticket !== undefined; ticket = this.#delayed.peek()) {
      const { entry } = ticket;
      const stale = !this.#isCurrent(ticket) || entry.readySince !== undefined;
      if (!stale && entry.readyAt > now) break;
      this.#delayed.pop();
      if (stale) continue;
      entry.sequence = ++this.#sequence;
      this.#makeReady(entry, now, true);
    }
    this.#setTimer();
    this.#serve();
  }

  #isCurrent(ticket: Ticket): boolean {
    const { entry, sequence } = ticket;
    return this.#entries.get(entry.key) === entry && entry.sequence === sequence;
  }

  #serve(): void {
    while (this.#waiters.length > 0) {
      const entry = this.#next();
      if (entry === undefined) break;
      const now = this.#clock.now();
      this.#entries.delete(entry.key);
      this.#inWork.set(entry.key, now);
      this.#metrics.depth(entry.priority, -1);
      this.#metrics.queued((now - (entry.readySince ?? now)) / 1000);
      this.#waiters.shift()?.give({ key: entry.key, priority: entry.priority });
    }
    // While draining, a key in work may still have an entry that waits for its `done`.
    if (this.#shutdown === "no" || this.#entries.size > 0) return;
    for (const waiter of this.#waiters.splice(0)) waiter.give(undefined);
  }

  #next(): Entry | undefined {
    for (let ticket = this.#ready.pop(); ticket !== undefined; ticket = this.#ready.pop()) {
      if (this.#isCurrent(ticket) && !this.#inWork.has(ticket.entry.key)) return ticket.entry;
    }
    return undefined;
  }

  #settleDrain(): void {
    if (this.#shutdown === "no" || this.#inWork.size > 0 || this.#entries.size > 0) return;
    this.#drained?.();
  }
}

const ticketOf = (entry: Entry): Ticket => ({ entry, sequence: entry.sequence });

import { Counter, type Registry } from "prom-client";
import { EventsEvents, type EventsEvent } from "../builtin/events-v1.generated.ts";
import type { Client } from "../client/client.ts";
import { sleep, type Clock, type Timer } from "../core/clock.ts";
import { ApiError, isNotFound } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { keyOf } from "../core/object.ts";
import type { Random } from "../core/random.ts";
import { microTime } from "../manager/micro-time.ts";
import { eventObject, objectId, seriesKey, type EventInput, type EventReporter } from "./event-object.ts";
import { createSpamFilter } from "./spam-filter.ts";

export type { EventInput, EventReporter } from "./event-object.ts";

/** client-go's `finishTime`: silence after which the same event is a new one. */
const seriesEndMs = 360_000;
/** A series that goes on is written at most this often. */
const rewriteMs = 10_000;
/** What waits to be written; more is dropped, since events must never cost memory without bound. */
const maxWaiting = 1000;
/** Series that are remembered: client-go's LRU size. */
const maxSeries = 4096;
const maxTries = 5;
const flushTimeoutMs = 5_000;

export interface EventRecorderOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly reporter: EventReporter;
  /** Counts events by what became of them. @default none */
  readonly metrics?: Registry;
}

/** Tells users what happened to their objects, as Events (`kubectl describe`). Best effort: never blocks, never fails. */
export interface EventRecorder {
  event(input: EventInput): void;
  /** Writes what waits, within five seconds. */
  flush(): Promise<void>;
  /** For a manager: flushes when the signal aborts. */
  readonly name: string;
  readonly needLeaderElection: false;
  start(signal: AbortSignal): Promise<void>;
}

interface Series {
  readonly input: EventInput;
  event: EventsEvent;
  count: number;
  lastObserved: number;
  /** Occurrences that the server knows of; 0: the event has not been created. */
  written: number;
  writtenAt: number;
  waiting: boolean;
  timer: Timer | undefined;
}

/**
 * @example
 * const events = createEventRecorder({ client, clock, random, logger, reporter: { controller: "fleetwright.dev/quota", instance: "manager-0" } });
 * manager.add(events);
 * events.event({ regarding: deployment, type: "Warning", reason: "QuotaExceeded", action: "Admit", note: "needs 8, 3 left" });
 */
export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const recorder = new LiveRecorder(options);
  return {
    name: "event recorder",
    needLeaderElection: false,
    event: (input) => recorder.event(input),
    flush: () => recorder.flush(),
    async start(signal) {
      if (!signal.aborted) {
        await new Promise<void>((resolve) => {
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
      await recorder.flush();
    },
  };
}

class LiveRecorder {
  readonly #options: EventRecorderOptions;
  readonly #series = new Map<string, Series>();
  readonly #mayCreate: (object: string) => boolean;
  readonly #outcomes: Counter<"outcome"> | undefined;
  #waiting: Series[] = [];
  #pumping: Promise<void> | undefined;
  #lastError = "";

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#mayCreate = createSpamFilter(options.clock);
    if (options.metrics === undefined) return;
    this.#outcomes = new Counter({
      name: "event_recorder_events_total",
      help: "Events by outcome: created, patched, filtered (spam), dropped (queue full), failed.",
      labelNames: ["outcome"],
      registers: [options.metrics],
    });
  }

  event(input: EventInput): void {
    try {
      this.#record(input);
    } catch (error) {
      this.#failed(error);
    }
  }

  async flush(): Promise<void> {
    const { clock } = this.#options;
    for (const series of this.#series.values()) if (series.count > series.written) this.#enqueue(series);
    const give = new AbortController();
    const tooLate = sleep(clock, flushTimeoutMs, give.signal).catch(() => {});
    await Promise.race([this.#pumping, tooLate]);
    give.abort();
    // A timer that is left would keep the process alive.
    for (const series of this.#series.values()) series.timer?.cancel();
  }

  #record(input: EventInput): void {
    const { clock, random, reporter } = this.#options;
    const now = clock.now();
    const key = seriesKey(input);
    const known = this.#series.get(key);
    if (known !== undefined && now - known.lastObserved < seriesEndMs) {
      known.count += 1;
      known.lastObserved = now;
      this.#schedule(known, now);
      return;
    }
    if (!this.#mayCreate(objectId(input.regarding))) {
      this.#outcomes?.inc({ outcome: "filtered" });
      return;
    }
    const suffix = `${now.toString(16)}${Math.floor(random.next() * 2 ** 32)
      .toString(16)
      .padStart(8, "0")}`;
    const event = eventObject(input, reporter, now, suffix);
    const series: Series = {
      input,
      event,
      count: 1,
      lastObserved: now,
      written: 0,
      writtenAt: 0,
      waiting: false,
      timer: undefined,
    };
    known?.timer?.cancel();
    this.#series.delete(key);
    this.#series.set(key, series);
    this.#prune(now);
    this.#enqueue(series);
  }

  /** At once when it has been quiet, otherwise when its turn to be rewritten comes. */
  #schedule(series: Series, now: number): void {
    if (series.waiting || series.timer !== undefined) return;
    const wait = series.writtenAt + rewriteMs - now;
    if (wait <= 0) return this.#enqueue(series);
    series.timer = this.#options.clock.setTimer(wait, () => {
      series.timer = undefined;
      this.#enqueue(series);
    });
  }

  #enqueue(series: Series): void {
    if (series.waiting || series.count === series.written) return;
    if (this.#waiting.length >= maxWaiting) {
      this.#outcomes?.inc({ outcome: "dropped" });
      return;
    }
    series.waiting = true;
    this.#waiting.push(series);
    this.#pumping ??= this.#pump();
  }

  /** One at a time: events never compete with the work that they are about. Never rejects. */
  async #pump(): Promise<void> {
    // The caller goes on first, whatever the transport does synchronously.
    await Promise.resolve();
    for (let series = this.#waiting.shift(); series !== undefined; series = this.#waiting.shift()) {
      await this.#write(series);
      series.waiting = false;
      if (series.count > series.written && series.written > 0) this.#schedule(series, this.#options.clock.now());
    }
    this.#pumping = undefined;
  }

  async #write(series: Series): Promise<void> {
    const { clock, random } = this.#options;
    for (let tries = 1; ; tries++) {
      const { count, lastObserved } = series;
      try {
        await this.#send(series, count, lastObserved);
        series.written = count;
        series.writtenAt = clock.now();
        this.#lastError = "";
        return;
      } catch (error) {
        // What the server refused it will refuse again: a missing right, a namespace that is going.
        const refused = error instanceof ApiError && error.httpStatus < 500 && error.httpStatus !== 429;
        if (refused || tries >= maxTries) {
          this.#failed(error);
          // Not again and again: the next occurrence tries anew.
          if (series.written === 0) this.#forget(series);
          else series.written = count;
          return;
        }
        await sleep(clock, 500 * 2 ** tries * (0.5 + random.next()));
      }
    }
  }

  async #send(series: Series, count: number, lastObserved: number): Promise<void> {
    const { client } = this.#options;
    const repeated = { series: { count, lastObservedTime: microTime(lastObserved) } };
    if (series.written > 0) {
      try {
        await client.patch(EventsEvents, keyOf(series.event), { type: "merge", patch: repeated });
        this.#outcomes?.inc({ outcome: "patched" });
        return;
      } catch (error) {
        // Events live for an hour; a series may outlive its own.
        if (!isNotFound(error)) throw error;
      }
    }
    await client.create(EventsEvents, count > 1 ? { ...series.event, ...repeated } : series.event);
    this.#outcomes?.inc({ outcome: "created" });
  }

  #forget(series: Series): void {
    const key = seriesKey(series.input);
    if (this.#series.get(key) === series) this.#series.delete(key);
  }

  /** Series are in the order of their beginning: the oldest go first. */
  #prune(now: number): void {
    for (const [key, series] of this.#series) {
      const over = now - series.lastObserved >= seriesEndMs && series.count === series.written;
      if (!over && this.#series.size <= maxSeries) break;
      series.timer?.cancel();
      this.#series.delete(key);
    }
  }

  /** Once per change, not per event. */
  #failed(error: unknown): void {
    this.#outcomes?.inc({ outcome: "failed" });
    const text = error instanceof ApiError ? `${error.httpStatus} ${error.reason}` : String(error);
    if (text === this.#lastError) return;
    this.#lastError = text;
    this.#options.logger.warn({ error }, "an event could not be recorded");
  }
}

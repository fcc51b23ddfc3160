import type { WatchEvent } from "../client/client.ts";
import { sleep, type Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import { compareResourceVersions, keyOf, keyString, type KubeObject, type ObjectKey } from "../core/object.ts";
import type { Random } from "../core/random.ts";
import { groupResourceOf, type Resource } from "../core/resource.ts";
import { createPacer } from "../core/turn.ts";
import type { CacheMetrics } from "./cache-metrics.ts";
import { HandlerSet } from "./handlers.ts";
import type { Informer, InformerHandler } from "./informer.ts";
import { isInitialEventsEnd, WatchOverdue, type ListWatch } from "./list-watch.ts";
import {
  adviceFor,
  advance,
  failureOf,
  initialState,
  stepOf,
  type ReflectorOutcome,
  type ReflectorStep,
} from "./reflector.ts";
import { ObjectStore, type IndexFunction } from "./store.ts";
import { typedAs, withoutManagedFields } from "./transform.ts";

export interface LiveInformerParts<T extends KubeObject> {
  readonly resource: Resource<T>;
  readonly listWatch: ListWatch<T>;
  readonly transform: ((object: T) => T) | undefined;
  /** Ask for a streaming list first. */
  readonly streaming: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: CacheMetrics | undefined;
}

/** The thin shell around `reflector.ts`: makes the requests, keeps the store, tells the handlers. */
export class LiveInformer<T extends KubeObject> implements Informer<T> {
  readonly resource: Resource<T>;
  readonly #parts: LiveInformerParts<T>;
  readonly #store: ObjectStore<T>;
  readonly #handlers: HandlerSet<T>;
  readonly #typed: (object: T) => T;
  readonly #transform: (object: T) => T;
  readonly #kind: string;
  readonly #waiting = new Set<() => void>();
  #synced = false;
  #resourceVersion = "";
  #lastError = "";

  constructor(parts: LiveInformerParts<T>) {
    this.#parts = parts;
    this.resource = parts.resource;
    this.#kind = groupResourceOf(parts.resource);
    this.#typed = typedAs(parts.resource);
    this.#transform = parts.transform ?? withoutManagedFields;
    this.#store = new ObjectStore((error) => {
      parts.logger.error(
        { kind: this.#kind, error },
        "an index function failed; the object is not found by that index",
      );
    });
    this.#handlers = new HandlerSet(parts.clock, (error) => {
      parts.logger.error({ kind: this.#kind, error }, "a handler failed; it is told of the next change all the same");
    });
  }

  get(key: ObjectKey): T | undefined {
    return this.#store.get(keyString(key));
  }

  list(namespace?: string): readonly T[] {
    return this.#store.list(namespace);
  }

  byIndex(index: string, value: string): readonly T[] {
    return this.#store.byIndex(index, value);
  }

  addIndex(name: string, valuesOf: IndexFunction<T>): void {
    this.#store.addIndex(name, valuesOf);
  }

  get size(): number {
    return this.#store.size;
  }

  synced(): boolean {
    return this.#synced;
  }

  get resourceVersion(): string {
    return this.#resourceVersion;
  }

  addHandler(handler: InformerHandler<T>): () => void {
    return this.#handlers.add(handler, this.#store.list());
  }

  /** Resolves once the first list is in; rejects with the signal's reason. */
  waitForSync(signal?: AbortSignal): Promise<void> {
    if (this.#synced) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.delete(onSync);
        reject(signal?.reason);
      };
      const onSync = (): void => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      if (signal?.aborted === true) return onAbort();
      this.#waiting.add(onSync);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Lists and watches until the signal aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, streaming } = this.#parts;
    let state = { ...initialState(streaming ? "stream" : "pages"), resourceVersion: this.#resourceVersion };
    let step = stepOf(state);
    while (!signal.aborted) {
      if (step.delayMs > 0) await sleep(clock, step.delayMs, signal).catch(ignoreAbort);
      if (signal.aborted) return;
      const outcome = await this.#perform(step, signal);
      if (signal.aborted) return;
      ({ state, step } = advance(state, outcome, random));
    }
  }

  #perform(step: ReflectorStep, signal: AbortSignal): Promise<ReflectorOutcome> {
    if (step.kind === "list") return this.#list(step.limit, signal);
    return this.#watch(step, signal);
  }

  async #list(limit: number | undefined, signal: AbortSignal): Promise<ReflectorOutcome> {
    const pacer = createPacer(this.#parts.clock);
    const objects = new Map<string, T>();
    let resourceVersion = "";
    try {
      for await (const page of this.#parts.listWatch.list(limit, signal)) {
        this.#parts.metrics?.lists.inc({ kind: this.#kind });
        for (const item of page.items) {
          this.#collect(objects, item);
          const pause = pacer.pause();
          if (pause !== undefined) await pause;
        }
        resourceVersion = page.metadata.resourceVersion ?? "";
      }
      await this.#replace(objects, resourceVersion);
      this.#wentWell();
      return { kind: "list", resourceVersion };
    } catch (error) {
      this.#wentWrong("list", error, signal);
      return { kind: "list", resourceVersion: "", failure: failureOf(error) };
    }
  }

  async #watch(step: ReflectorStep & { kind: "watch" | "stream" }, signal: AbortSignal): Promise<ReflectorOutcome> {
    const { clock, listWatch, metrics } = this.#parts;
    const started = clock.now();
    const pacer = createPacer(clock);
    /** What a streaming list has brought so far; `undefined` once it is in the store. */
    let arriving = step.kind === "stream" ? new Map<string, T>() : undefined;
    let events = 0;
    const outcome = (): ReflectorOutcome & { kind: "watch" | "stream" } => ({
      kind: step.kind,
      resourceVersion: arriving === undefined ? this.#resourceVersion : "",
      events,
      lastedMs: clock.now() - started,
    });
    metrics?.watches.inc({ kind: this.#kind });
    try {
      const stream = step.kind === "stream" ? listWatch.stream(signal) : listWatch.watch(step.from, signal);
      for await (const event of stream) {
        events += 1;
        metrics?.events.inc({ kind: this.#kind });
        if (arriving === undefined) this.#apply(event);
        else if (isInitialEventsEnd(event)) {
          await this.#replace(arriving, event.object.metadata.resourceVersion ?? "");
          arriving = undefined;
        } else if (event.type === "DELETED") arriving.delete(keyString(keyOf(event.object)));
        else if (event.type !== "BOOKMARK") this.#collect(arriving, event.object);
        if (arriving === undefined && events === 1) this.#wentWell();
        const pause = pacer.pause();
        if (pause !== undefined) await pause;
      }
      return outcome();
    } catch (error) {
      if (error instanceof WatchOverdue) return outcome();
      this.#wentWrong(step.kind, error, signal);
      return { ...outcome(), failure: failureOf(error) };
    }
  }

  #collect(objects: Map<string, T>, received: T): void {
    const object = this.#shaped(received);
    objects.set(keyString(keyOf(object)), object);
  }

  #shaped(received: T): T {
    const object = this.#typed(received);
    try {
      return this.#transform(object);
    } catch (error) {
      const at = `${this.#kind} ${keyString(keyOf(object))}`;
      this.#parts.logger.error({ error }, `the transform failed on ${at}; the object is kept as it came`);
      return object;
    }
  }

  /**
   * Makes the store equal to a full list by its differences: readers never see it empty, and handlers hear of every
   * change once. The list is the truth even where the store has something newer: then history went back.
   */
  async #replace(objects: ReadonlyMap<string, T>, resourceVersion: string): Promise<void> {
    const pacer = createPacer(this.#parts.clock);
    for (const key of this.#store.keys()) {
      const before = objects.has(key) ? undefined : this.#store.get(key);
      if (before !== undefined) this.#delete(key, before);
      const pause = pacer.pause();
      if (pause !== undefined) await pause;
    }
    // Updates before additions, each in the list's order.
    for (const phase of ["updated", "added"] as const) {
      for (const [key, object] of objects) {
        const present = this.#store.get(key);
        if ((present !== undefined) === (phase === "updated") && !isSame(present, object)) this.#set(key, object);
        const pause = pacer.pause();
        if (pause !== undefined) await pause;
      }
    }
    this.#resourceVersion = resourceVersion;
    this.#parts.metrics?.objects.set({ kind: this.#kind }, this.#store.size);
    if (this.#synced) return;
    this.#synced = true;
    for (const onSync of this.#waiting) onSync();
    this.#waiting.clear();
  }

  #apply(event: WatchEvent<T>): void {
    const version = event.object.metadata.resourceVersion ?? "";
    const order = compareResourceVersions(version, this.#resourceVersion);
    // A watch is in order (KEP-5504 lets us compare): what is older was seen, or would bring back what is gone.
    // Objects that expire together (Events) share one version, so equal is only stale for an object that has it.
    if (order < 0) return;
    if (event.type !== "BOOKMARK") {
      const object = this.#shaped(event.object);
      const key = keyString(keyOf(object));
      const present = this.#store.get(key);
      if (event.type === "DELETED") {
        if (present !== undefined) this.#delete(key, object);
      } else if (!isSame(present, object) && !(order === 0 && present === undefined)) {
        this.#set(key, object);
      }
      this.#parts.metrics?.objects.set({ kind: this.#kind }, this.#store.size);
    }
    this.#resourceVersion = version;
  }

  #set(key: string, object: T): void {
    const before = this.#store.get(key);
    if (before !== undefined && before.metadata.uid !== object.metadata.uid) {
      // Deleted and made again unseen: another object, and whoever counts by UID must hear of both.
      this.#delete(key, before);
      this.#set(key, object);
      return;
    }
    this.#store.set(key, object);
    if (before === undefined) this.#handlers.tell({ kind: "added", object, initial: !this.#synced });
    else this.#handlers.tell({ kind: "updated", before, after: object });
  }

  #delete(key: string, last: T): void {
    this.#store.delete(key);
    this.#handlers.tell({ kind: "deleted", object: last });
  }

  /** Once per change, not per try. */
  #wentWrong(what: string, error: unknown, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#parts.metrics?.errors.inc({ kind: this.#kind });
    const text = error instanceof Error ? error.message : String(error);
    // Query parameters are random (timeoutSeconds) and would make each message a new one.
    const known = `${what}: ${text.replace(/\?\S*/g, "")}`;
    if (known === this.#lastError) return;
    this.#lastError = known;
    this.#parts.logger.warn({ kind: this.#kind, error }, `${what} of ${this.#kind} failed: ${adviceFor(error)}`);
  }

  #wentWell(): void {
    if (this.#lastError === "") return;
    this.#lastError = "";
    this.#parts.logger.info({ kind: this.#kind }, `${this.#kind} is being followed again`);
  }
}

const isSame = (present: KubeObject | undefined, object: KubeObject): boolean =>
  present?.metadata.resourceVersion === object.metadata.resourceVersion &&
  present?.metadata.uid === object.metadata.uid;

/** The loop looks at the signal itself. */
function ignoreAbort(): void {}

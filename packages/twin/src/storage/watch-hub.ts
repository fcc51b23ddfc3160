import { type BacklogWatch, Compacted, type StoreEvent, type WatchScope } from "./store.ts";

/** `next` returns at most so many events, so that a slow reader of a long history does not hold all of it. */
const batchLimit = 1000;

/** The events that all watches with the same scope get, kept once for all of them. */
interface Lane {
  events: StoreEvent[];
  /** How many events of this lane are forgotten: `events[0]` is number `base`. */
  base: number;
  readonly watches: Set<Watch>;
  waiting: Set<Watch>;
  dirty: boolean;
  /** The batch that was cut last: watches that keep up all get the same array. */
  batch: { readonly from: number; readonly to: number; readonly events: readonly StoreEvent[] } | undefined;
  readonly forget: () => void;
}

const namespaceOf = (key: string): string => {
  const slash = key.indexOf("/");
  return slash < 0 ? "" : key.slice(0, slash);
};

/** Whether a watch of this scope gets the event. */
export function inScope(scope: WatchScope, event: StoreEvent): boolean {
  const { key, index } = event.object;
  if (scope.key !== undefined && scope.key !== key) return false;
  if (scope.namespace !== undefined && namespaceOf(key) !== scope.namespace) return false;
  return scope.index === undefined || scope.index === index || scope.index === event.previous?.index;
}

/**
 * The watches of one collection, found by what they watch: an event costs nothing for watches of other nodes, names or
 * namespaces, and one reference for all that share a scope. Waiting watches are told once in a turn of the event loop.
 */
export class WatchHub {
  readonly #all = new Map<string, Lane>();
  readonly #byNamespace = new Map<string, Lane>();
  readonly #byKey = new Map<string, Lane>();
  readonly #byIndex = new Map<string, Lane>();
  readonly #schedule: (deliver: () => void) => void;
  #dirty: Lane[] = [];

  /** @param schedule calls back later in this turn or in the next; called once per batch */
  constructor(schedule: (deliver: () => void) => void) {
    this.#schedule = schedule;
  }

  publish(event: StoreEvent): void {
    const { key, index } = event.object;
    this.#append(this.#all.get(""), event);
    if (this.#byKey.size > 0) this.#append(this.#byKey.get(key), event);
    if (this.#byNamespace.size > 0) this.#append(this.#byNamespace.get(namespaceOf(key)), event);
    if (this.#byIndex.size > 0) {
      this.#append(this.#byIndex.get(index), event);
      const before = event.previous?.index ?? index;
      if (before !== index) this.#append(this.#byIndex.get(before), event);
    }
  }

  /** @param history what the watch gets first: events after `after` and up to the last published one */
  open(after: number, scope: WatchScope, history: readonly StoreEvent[], published: () => number): Watch {
    const [lanes, value] =
      scope.key !== undefined
        ? [this.#byKey, scope.key]
        : scope.index !== undefined
          ? [this.#byIndex, scope.index]
          : scope.namespace !== undefined
            ? [this.#byNamespace, scope.namespace]
            : [this.#all, ""];
    let lane = lanes.get(value);
    if (lane === undefined) {
      lane = {
        events: [],
        base: 0,
        watches: new Set(),
        waiting: new Set(),
        dirty: false,
        batch: undefined,
        forget: () => lanes.delete(value),
      };
      lanes.set(value, lane);
    }
    const narrow = Object.values(scope).filter((part) => part !== undefined).length > 1;
    const watch = new Watch(lane, after, narrow ? scope : undefined, history, published);
    lane.watches.add(watch);
    return watch;
  }

  /** Watches that have not taken an event up to the revision have fallen out. */
  compact(oldest: number): void {
    for (const lanes of [this.#all, this.#byNamespace, this.#byKey, this.#byIndex]) {
      for (const lane of lanes.values()) {
        for (const watch of lane.watches) watch.skip();
        let dead = 0;
        while ((lane.events[dead]?.revision ?? Number.POSITIVE_INFINITY) <= oldest) dead++;
        if (dead > 0) {
          lane.events = lane.events.slice(dead);
          lane.base += dead;
          lane.batch = undefined;
        }
        for (const watch of lane.watches) watch.compact(oldest);
      }
    }
  }

  /** Ends every watch; those that wait fail with the reason. */
  fail(reason: unknown): void {
    for (const lanes of [this.#all, this.#byNamespace, this.#byKey, this.#byIndex]) {
      for (const lane of lanes.values()) for (const watch of lane.watches) watch.fail(reason);
    }
  }

  #append(lane: Lane | undefined, event: StoreEvent): void {
    if (lane === undefined) return;
    lane.events.push(event);
    if (lane.dirty || lane.waiting.size === 0) return;
    lane.dirty = true;
    if (this.#dirty.push(lane) === 1) this.#schedule(() => this.#deliver());
  }

  #deliver(): void {
    const lanes = this.#dirty;
    this.#dirty = [];
    for (const lane of lanes) {
      lane.dirty = false;
      const waiting = lane.waiting;
      lane.waiting = new Set();
      for (const watch of waiting) if (!watch.deliver()) lane.waiting.add(watch);
    }
  }
}

interface Waiter {
  resolve(events: readonly StoreEvent[]): void;
  reject(reason: unknown): void;
}

class Watch implements BacklogWatch {
  readonly #lane: Lane;
  readonly #after: number;
  readonly #scope: WatchScope | undefined;
  readonly #published: () => number;
  #history: readonly StoreEvent[];
  #historyCursor = 0;
  /** The number of the next event of the lane. */
  #cursor: number;
  #waiter: Waiter | undefined;
  #woken = false;
  #closed = false;
  #failure: { readonly reason: unknown } | undefined;

  constructor(
    lane: Lane,
    after: number,
    scope: WatchScope | undefined,
    history: readonly StoreEvent[],
    published: () => number,
  ) {
    this.#lane = lane;
    this.#after = after;
    this.#scope = scope;
    this.#history = history;
    this.#published = published;
    this.#cursor = lane.base + lane.events.length;
  }

  get position(): number {
    const pending = this.#pending();
    return Math.max(this.#after, pending === undefined ? this.#published() : pending.revision - 1);
  }

  next(signal?: AbortSignal): Promise<readonly StoreEvent[]> {
    if (this.#waiter !== undefined) return Promise.reject(new Error("a watch is read by one reader at a time"));
    if (signal?.aborted) return Promise.reject(asError(signal.reason));
    if (this.#failure !== undefined) return Promise.reject(asError(this.#failure.reason));
    if (this.#closed) return Promise.reject(new Error("the watch is closed"));
    const events = this.#take();
    if (events.length > 0 || this.#woken) {
      this.#woken = false;
      return Promise.resolve(events);
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#settle()?.reject(signal?.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      const done = (): void => signal?.removeEventListener("abort", onAbort);
      this.#waiter = {
        resolve: (taken) => (done(), resolve(taken)),
        reject: (reason) => (done(), reject(asError(reason))),
      };
      this.#lane.waiting.add(this);
    });
  }

  rest(): readonly StoreEvent[] {
    if (this.#failure !== undefined || this.#closed || this.#waiter !== undefined) return [];
    const all: StoreEvent[] = [];
    for (;;) {
      const events = this.#take();
      if (events.length === 0) return all;
      all.push(...events);
    }
  }

  wake(): void {
    const waiter = this.#settle();
    if (waiter === undefined) this.#woken = true;
    else waiter.resolve([]);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#history = [];
    this.#lane.watches.delete(this);
    if (this.#lane.watches.size === 0) this.#lane.forget();
    this.#settle()?.resolve([]);
  }

  /** Answers whether it has nothing to wait for any more. */
  deliver(): boolean {
    if (this.#waiter === undefined) return true;
    const events = this.#take();
    if (events.length === 0) return false;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter.resolve(events);
    return true;
  }

  /** Passes over events that this watch does not want, so that it cannot miss them. */
  skip(): void {
    if (this.#historyCursor < this.#history.length) return;
    for (;;) {
      const event = this.#lane.events[this.#cursor - this.#lane.base];
      if (event === undefined || this.#wants(event)) return;
      this.#cursor++;
    }
  }

  compact(oldest: number): void {
    const pending = this.#history[this.#historyCursor];
    const missed = pending !== undefined ? pending.revision <= oldest : this.#cursor < this.#lane.base;
    if (missed) this.fail(new Compacted(this.position, oldest));
  }

  fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#history = [];
    this.#historyCursor = 0;
    this.#settle()?.reject(reason);
  }

  #settle(): Waiter | undefined {
    const waiter = this.#waiter;
    if (waiter === undefined) return undefined;
    this.#waiter = undefined;
    this.#lane.waiting.delete(this);
    return waiter;
  }

  #wants(event: StoreEvent): boolean {
    return event.revision > this.#after && (this.#scope === undefined || inScope(this.#scope, event));
  }

  #pending(): StoreEvent | undefined {
    return this.#history[this.#historyCursor] ?? this.#lane.events[Math.max(0, this.#cursor - this.#lane.base)];
  }

  #take(): readonly StoreEvent[] {
    if (this.#historyCursor < this.#history.length) {
      const end = this.#historyCursor + batchLimit;
      const events = this.#history.slice(this.#historyCursor, end);
      this.#historyCursor = end;
      if (end >= this.#history.length) {
        this.#history = [];
        this.#historyCursor = 0;
      }
      return events;
    }
    for (;;) {
      const batch = this.#cut();
      if (batch.length === 0) return batch;
      const all = this.#scope === undefined && (batch[0]?.revision ?? 0) > this.#after;
      const events = all ? batch : batch.filter((event) => this.#wants(event));
      if (events.length > 0) return events;
    }
  }

  #cut(): readonly StoreEvent[] {
    const lane = this.#lane;
    const from = Math.max(this.#cursor, lane.base);
    const to = Math.min(lane.base + lane.events.length, from + batchLimit);
    if (from >= to) return [];
    this.#cursor = to;
    if (lane.watches.size === 1) {
      // Nobody else needs them.
      const events = lane.events;
      lane.events = events.slice(to - lane.base);
      const taken = events.length === to - from ? events : events.slice(from - lane.base, to - lane.base);
      lane.base = to;
      lane.batch = undefined;
      return taken;
    }
    if (lane.batch?.from !== from || lane.batch.to !== to) {
      lane.batch = { from, to, events: lane.events.slice(from - lane.base, to - lane.base) };
    }
    return lane.batch.events;
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));

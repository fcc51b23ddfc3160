import type { Clock, Timer } from "@fleetwright/kube";

/** How many items go at once before others get their turn. */
const batch = 200;

/**
 * Calls `expire` for items whose time has come, within a second, as etcd's leases do. An item has one time: a later `set`
 * replaces it.
 */
export class Expiry<T> {
  readonly #clock: Clock;
  readonly #expire: (item: T) => void;
  /** By the second in which they go. */
  readonly #due = new Map<number, Set<T>>();
  readonly #secondOf = new Map<T, number>();
  #timer: Timer | undefined;
  #timerSecond = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, expire: (item: T) => void) {
    this.#clock = clock;
    this.#expire = expire;
  }

  set(item: T, atMs: number): void {
    this.clear(item);
    const second = Math.ceil(atMs / 1000);
    let items = this.#due.get(second);
    if (items === undefined) this.#due.set(second, (items = new Set()));
    items.add(item);
    this.#secondOf.set(item, second);
    if (second < this.#timerSecond) this.#arm(second, second * 1000 - this.#clock.now());
  }

  clear(item: T): void {
    const second = this.#secondOf.get(item);
    if (second === undefined) return;
    this.#secondOf.delete(item);
    const items = this.#due.get(second);
    items?.delete(item);
    if (items?.size !== 0) return;
    this.#due.delete(second);
    if (this.#due.size === 0) this.stop();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerSecond = Number.POSITIVE_INFINITY;
  }

  #arm(second: number, delayMs: number): void {
    this.#timer?.cancel();
    this.#timerSecond = second;
    this.#timer = this.#clock.setTimer(Math.max(0, delayMs), () => this.#fire());
  }

  #fire(): void {
    this.#timer = undefined;
    this.#timerSecond = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    let left = batch;
    let next = Number.POSITIVE_INFINITY;
    for (const [second, items] of [...this.#due].toSorted(([one], [other]) => one - other)) {
      if (second * 1000 > now || left === 0) {
        next = second;
        break;
      }
      for (const item of items) {
        if (left-- === 0) break;
        this.clear(item);
        this.#expire(item);
      }
      if (left < 0) left = 0;
      if (items.size > 0) {
        next = second;
        break;
      }
    }
    if (next < this.#timerSecond) this.#arm(next, Math.max(1, next * 1000 - now));
  }
}

import type { Clock, Timer } from "@fleetwright/kube";

/** A pod that waits for a node. */
export interface QueuedPod {
  readonly key: string;
  readonly uid: string;
  readonly priority: number;
  /** When it came, in milliseconds. */
  readonly since: number;
  attempts: number;
}

const initialBackoffMs = 1_000;
const maxBackoffMs = 10_000;
/** Pods that nothing has moved are tried again after this long. */
const maxUnschedulableMs = 300_000;

/**
 * Pods by priority, then by age; those that found no node wait for a change that could help, then for their back-off
 * (backend/queue/scheduling_queue.go).
 */
export class SchedulingQueue {
  readonly #clock: Clock;
  readonly #wake: () => void;
  readonly #active: QueuedPod[] = [];
  readonly #activeUids = new Set<string>();
  readonly #backingOff = new Map<
    string,
    { readonly pod: QueuedPod; readonly timer: Timer; readonly isError: boolean }
  >();
  readonly #unschedulable = new Map<string, { readonly pod: QueuedPod; readonly since: number }>();
  /** Counts changes of the cluster: what happened during an attempt counts for its pod. */
  #moves = 0;
  #flush: Timer | undefined;

  constructor(clock: Clock, wake: () => void) {
    this.#clock = clock;
    this.#wake = wake;
  }

  get moves(): number {
    return this.#moves;
  }

  get size(): number {
    return this.#active.length;
  }

  has(uid: string): boolean {
    return this.#activeUids.has(uid) || this.#backingOff.has(uid) || this.#unschedulable.has(uid);
  }

  add(pod: QueuedPod): void {
    if (this.has(pod.uid)) return;
    this.#activate(pod);
  }

  #activate(pod: QueuedPod): void {
    this.#activeUids.add(pod.uid);
    // A binary heap in an array: the best first.
    this.#active.push(pod);
    let index = this.#active.length - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#isBefore(index, parent)) break;
      this.#swap(index, parent);
      index = parent;
    }
    this.#wake();
  }

  /**
   * The next one; `undefined`: none. With nothing else to do, pods are not kept waiting for their back-off, unless something went wrong with them
   * (`SchedulerPopFromBackoffQ`).
   */
  pop(): QueuedPod | undefined {
    for (;;) {
      const pod = this.#popHeap();
      if (pod === undefined) return this.#popBackoff();
      // Removed meanwhile.
      if (this.#activeUids.delete(pod.uid)) return pod;
    }
  }

  #popBackoff(): QueuedPod | undefined {
    let best: QueuedPod | undefined;
    for (const { pod, isError } of this.#backingOff.values()) {
      if (!isError && (best === undefined || isBefore(pod, best))) best = pod;
    }
    if (best !== undefined) this.remove(best.uid);
    return best;
  }

  #popHeap(): QueuedPod | undefined {
    const first = this.#active[0];
    const last = this.#active.pop();
    if (first === undefined || last === undefined) return undefined;
    if (this.#active.length === 0) return first;
    this.#active[0] = last;
    for (let index = 0; ;) {
      let best = index;
      for (const child of [2 * index + 1, 2 * index + 2])
        if (child < this.#active.length && this.#isBefore(child, best)) best = child;
      if (best === index) return first;
      this.#swap(index, best);
      index = best;
    }
  }

  #isBefore(left: number, right: number): boolean {
    const [one, other] = [this.#active[left], this.#active[right]];
    return one !== undefined && other !== undefined && isBefore(one, other);
  }

  #swap(left: number, right: number): void {
    const [one, other] = [this.#active[left], this.#active[right]];
    if (one === undefined || other === undefined) return;
    this.#active[left] = other;
    this.#active[right] = one;
  }

  /** A pod found no node, when `moves` changes had been seen. */
  addUnschedulable(pod: QueuedPod, moves: number): void {
    if (moves !== this.#moves) return this.#backOff(pod, this.#clock.now(), false);
    this.#unschedulable.set(pod.uid, { pod, since: this.#clock.now() });
    this.#flush ??= this.#clock.setTimer(30_000, () => this.#flushOld());
  }

  /** Something went wrong: a pod is to be tried again after a while. */
  addBackoff(pod: QueuedPod): void {
    this.#backOff(pod, this.#clock.now(), true);
  }

  /** It counts from the attempt that failed. */
  #backOff(pod: QueuedPod, since: number, isError: boolean): void {
    const delay = Math.min(maxBackoffMs, initialBackoffMs * 2 ** Math.max(0, pod.attempts - 1));
    const left = since + delay - this.#clock.now();
    if (left <= 0) return this.#activate(pod);
    const timer = this.#clock.setTimer(left, () => {
      this.#backingOff.delete(pod.uid);
      this.#activate(pod);
    });
    this.#backingOff.set(pod.uid, { pod, timer, isError });
    if (!isError) this.#wake();
  }

  /** Something changed that could help the pods for which `helps` is true. */
  move(helps: (pod: QueuedPod) => boolean): void {
    this.#moves++;
    for (const [uid, { pod, since }] of this.#unschedulable) {
      if (!helps(pod)) continue;
      this.#unschedulable.delete(uid);
      this.#backOff(pod, since, false);
    }
  }

  #flushOld(): void {
    this.#flush = undefined;
    const now = this.#clock.now();
    for (const [uid, { pod, since }] of this.#unschedulable) {
      if (now - since < maxUnschedulableMs) continue;
      this.#unschedulable.delete(uid);
      this.#activate(pod);
    }
    if (this.#unschedulable.size > 0) this.#flush = this.#clock.setTimer(30_000, () => this.#flushOld());
  }

  remove(uid: string): void {
    this.#activeUids.delete(uid);
    this.#unschedulable.delete(uid);
    this.#backingOff.get(uid)?.timer.cancel();
    this.#backingOff.delete(uid);
  }

  stop(): void {
    this.#flush?.cancel();
    for (const { timer } of this.#backingOff.values()) timer.cancel();
  }
}

/** Higher priority, then earlier. */
function isBefore(one: QueuedPod, other: QueuedPod): boolean {
  if (one.priority !== other.priority) return one.priority > other.priority;
  return one.since !== other.since ? one.since < other.since : one.key < other.key;
}

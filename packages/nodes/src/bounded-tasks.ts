/** Runs tasks in the order in which they came, at most so many at a time. Tasks must not throw. */
export class BoundedTasks {
  readonly #limit: number;
  #waiting: (() => Promise<void>)[] = [];
  #next = 0;
  #running = 0;
  #onIdle: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Those that wait or run. */
  get size(): number {
    return this.#waiting.length - this.#next + this.#running;
  }

  add(task: () => Promise<void>): void {
    this.#waiting.push(task);
    this.#pump();
  }

  /** Forgets the tasks that wait. */
  clear(): void {
    this.#waiting = [];
    this.#next = 0;
    this.#settle();
  }

  /** Resolves when nothing waits or runs. */
  idle(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #pump(): void {
    while (this.#running < this.#limit) {
      const task = this.#waiting[this.#next];
      if (task === undefined) break;
      this.#next++;
      // The front is cut off now and then, not per task: that would move all the others each time.
      if (this.#next > 1024 && this.#next * 2 > this.#waiting.length) {
        this.#waiting = this.#waiting.slice(this.#next);
        this.#next = 0;
      }
      this.#running++;
      void task().finally(() => {
        this.#running--;
        this.#pump();
        this.#settle();
      });
    }
  }

  #settle(): void {
    if (this.size > 0) return;
    const idle = this.#onIdle;
    this.#onIdle = [];
    for (const resolve of idle) resolve();
  }
}

import type { Transport } from "../client/transport.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { TransportError } from "../core/errors.ts";
import type { VirtualClock } from "../core/virtual-clock.ts";

/**
 * A process in virtual time: its clock shows another time and runs at another rate, it can be stopped (SIGSTOP: its
 * timers and answers wait, its clock goes on) and cut off from the server.
 */
export class SimulatedProcess implements Clock {
  /** Requests and answers are lost on the way, without a word. */
  partitioned = false;
  readonly #world: VirtualClock;
  readonly #rate: number;
  readonly #offsetMs: number;
  readonly #born: number;
  #stopped: (() => void)[] | undefined;

  constructor(world: VirtualClock, options: { readonly rate: number; readonly offsetMs: number }) {
    this.#world = world;
    this.#rate = options.rate;
    this.#offsetMs = options.offsetMs;
    this.#born = world.now();
  }

  get stopped(): boolean {
    return this.#stopped !== undefined;
  }

  now(): number {
    return this.#born + this.#offsetMs + (this.#world.now() - this.#born) * this.#rate;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    let cancelled = false;
    const timer = this.#world.setTimer(delayMs / this.#rate, () => {
      this.#whenRunning(() => {
        if (!cancelled) callback();
      });
    });
    return {
      cancel() {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  stop(): void {
    this.#stopped ??= [];
  }

  resume(): void {
    const waiting = this.#stopped ?? [];
    this.#stopped = undefined;
    for (const callback of waiting) callback();
  }

  /** The server as this process reaches it. */
  connect(transport: Transport): Transport {
    return async (request, signal) => {
      await this.#running();
      if (this.partitioned) await lost(signal);
      const response = await transport(request, signal);
      await this.#running();
      if (this.partitioned) await lost(signal);
      return response;
    };
  }

  #whenRunning(callback: () => void): void {
    if (this.#stopped === undefined) callback();
    else this.#stopped.push(callback);
  }

  #running(): Promise<void> {
    return new Promise((resolve) => this.#whenRunning(resolve));
  }
}

function lost(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    const onAbort = (): void => reject(signal?.reason ?? new TransportError("no answer"));
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}

import type { Clock } from "../core/clock.ts";
import type { KubeObject } from "../core/object.ts";
import { createPacer } from "../core/turn.ts";
import type { InformerHandler } from "./informer.ts";

/** A change of the store, as handlers are told of it. */
export type Change<T> =
  | { readonly kind: "added"; readonly object: T; readonly initial: boolean }
  | { readonly kind: "updated"; readonly before: T; readonly after: T }
  | { readonly kind: "deleted"; readonly object: T };

interface Slot<T extends KubeObject> {
  readonly handler: InformerHandler<T>;
  /** Changes that came while what was present is still being replayed; `undefined` once it is not. */
  backlog: Change<T>[] | undefined;
  removed: boolean;
}

/**
 * Tells handlers of changes, each in the order of the changes. A handler that throws is reported and told of the next
 * change all the same. One that is added late first hears of what is present, a slice at a time.
 */
export class HandlerSet<T extends KubeObject> {
  readonly #slots = new Set<Slot<T>>();
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;

  constructor(clock: Clock, onError: (error: unknown) => void) {
    this.#clock = clock;
    this.#onError = onError;
  }

  add(handler: InformerHandler<T>, present: readonly T[]): () => void {
    const slot: Slot<T> = { handler, backlog: [], removed: false };
    this.#slots.add(slot);
    void this.#replay(slot, present);
    return () => {
      slot.removed = true;
      this.#slots.delete(slot);
    };
  }

  tell(change: Change<T>): void {
    for (const slot of this.#slots) {
      if (slot.backlog === undefined) this.#call(slot, change);
      else slot.backlog.push(change);
    }
  }

  /** Never rejects: `#call` catches what handlers throw. */
  async #replay(slot: Slot<T>, present: readonly T[]): Promise<void> {
    const pacer = createPacer(this.#clock);
    for (const object of present) {
      if (slot.removed) return;
      this.#call(slot, { kind: "added", object, initial: true });
      const pause = pacer.pause();
      if (pause !== undefined) await pause;
    }
    for (const change of slot.backlog ?? []) {
      this.#call(slot, change);
      const pause = pacer.pause();
      if (pause !== undefined) await pause;
    }
    slot.backlog = undefined;
  }

  #call(slot: Slot<T>, change: Change<T>): void {
    if (slot.removed) return;
    try {
      if (change.kind === "added") slot.handler.added?.(change.object, change.initial);
      else if (change.kind === "updated") slot.handler.updated?.(change.before, change.after);
      else slot.handler.deleted?.(change.object);
    } catch (error) {
      this.#onError(error);
    }
  }
}

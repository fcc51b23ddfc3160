import type { BacklogWatch, StoreEvent, StoreWatch } from "./store.ts";

/** As of any watch. */
const batchLimit = 1000;

/**
 * A watch that leaves out what was overtaken: of an object that has changed several times since its reader last asked, the reader gets one event,
 * from the state that it knows to the newest. An object that came and went meanwhile is not told of. A reader who cannot keep up with a burst
 * skips work instead of falling out of the window.
 */
export function newestStates(watch: BacklogWatch): StoreWatch {
  let ready: readonly StoreEvent[] = [];
  let told = 0;
  let pending = new Map<string, StoreEvent>();

  const gather = (events: readonly StoreEvent[]): void => {
    for (const event of events) overtake(pending, event);
  };
  return {
    async next(signal) {
      gather(watch.rest());
      if (told === ready.length) {
        if (pending.size === 0) {
          const events = await watch.next(signal);
          if (events.length === 0) return events;
          gather(events);
          gather(watch.rest());
        }
        // All of it is told before what comes now: nothing is overtaken for ever.
        ready = [...pending.values()];
        told = 0;
        pending = new Map();
      }
      const events = ready.slice(told, told + batchLimit);
      told += events.length;
      return events.length > 0 ? events : this.next(signal);
    },
    get position() {
      const [first] = told < ready.length ? [ready[told]] : pending.values();
      return first === undefined ? watch.position : Math.min(watch.position, first.revision - 1);
    },
    wake: () => watch.wake(),
    close: () => watch.close(),
  };
}

function overtake(pending: Map<string, StoreEvent>, event: StoreEvent): void {
  const { key } = event.object;
  const before = pending.get(key);
  // The order is that of the last changes: who breaks off goes on from the revision that it has seen.
  if (before !== undefined) pending.delete(key);
  if (before === undefined) pending.set(key, event);
  else if (before.type === "DELETED") {
    // Another object of the same name: both are told of.
    pending.set(`${key}\n${before.revision}`, before);
    pending.set(key, event);
  } else if (event.type !== "DELETED") {
    pending.set(key, { ...event, type: before.type, previous: before.previous });
  } else if (before.type !== "ADDED") pending.set(key, { ...event, previous: before.previous });
}

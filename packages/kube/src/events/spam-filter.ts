import type { Clock } from "../core/clock.ts";

/** client-go's `EventSourceObjectSpamFilter`: a burst of 25 new events per object, then one in five minutes. */
const burst = 25;
const refillMs = 300_000;
/** client-go's LRU size. */
const maxObjects = 4096;

/** Whether a new event about an object may be created; a loop gone wild must not fill etcd. */
export function createSpamFilter(clock: Clock): (object: string) => boolean {
  /** When each object's bucket is full again; in the order of use. */
  const fullAt = new Map<string, number>();
  return (object) => {
    const now = clock.now();
    const full = Math.max(fullAt.get(object) ?? 0, now);
    fullAt.delete(object);
    const allowed = full - now <= (burst - 1) * refillMs;
    fullAt.set(object, allowed ? full + refillMs : full);
    for (const oldest of fullAt.keys()) {
      if (fullAt.size <= maxObjects) break;
      fullAt.delete(oldest);
    }
    return allowed;
  };
}

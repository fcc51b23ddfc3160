import { Counter, Gauge, type Registry } from "prom-client";

/** What the informers of a cache count, by kind (`pods`, `deployments.apps`). */
export interface CacheMetrics {
  readonly lists: Counter<"kind">;
  readonly watches: Counter<"kind">;
  readonly events: Counter<"kind">;
  readonly errors: Counter<"kind">;
  readonly objects: Gauge<"kind">;
}

const made = new WeakMap<Registry, CacheMetrics>();

/** The metrics of a registry, made once. */
export function cacheMetrics(registry: Registry): CacheMetrics {
  const present = made.get(registry);
  if (present !== undefined) return present;
  const registers = [registry];
  const labelNames = ["kind"] as const;
  const metrics: CacheMetrics = {
    lists: new Counter({ name: "reflector_lists_total", help: "List requests (pages).", labelNames, registers }),
    watches: new Counter({ name: "reflector_watches_total", help: "Watch requests.", labelNames, registers }),
    events: new Counter({ name: "reflector_events_total", help: "Watch events received.", labelNames, registers }),
    errors: new Counter({ name: "reflector_errors_total", help: "Lists and watches failed.", labelNames, registers }),
    objects: new Gauge({ name: "informer_objects", help: "Objects held.", labelNames, registers }),
  };
  made.set(registry, metrics);
  return metrics;
}

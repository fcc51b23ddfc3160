import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What a queue counts; the default counts nothing. */
export interface WorkQueueMetrics {
  added(): void;
  retried(): void;
  depth(priority: number, delta: 1 | -1): void;
  queued(seconds: number): void;
  worked(seconds: number): void;
}

export const noWorkQueueMetrics: WorkQueueMetrics = {
  added() {},
  retried() {},
  depth() {},
  queued() {},
  worked() {},
};

/** Seconds that each key in work has been there. */
type InWork = () => readonly number[];

interface Family {
  readonly depth: Gauge<"name" | "controller" | "priority">;
  readonly adds: Counter<"name" | "controller">;
  readonly retries: Counter<"name" | "controller">;
  readonly queueDuration: Histogram<"name" | "controller">;
  readonly workDuration: Histogram<"name" | "controller">;
  readonly inWork: Map<string, InWork>;
}

const families = new WeakMap<Registry, Family>();

/** controller-runtime's: ten nanoseconds to a thousand seconds. */
const buckets = Array.from({ length: 12 }, (_, index) => 1e-8 * 10 ** index);

/** client-go's `workqueue_*` under controller-runtime's labels. */
export function workQueueMetrics(registry: Registry, name: string, inWork: InWork): WorkQueueMetrics {
  const family = families.get(registry) ?? makeFamily(registry);
  family.inWork.set(name, inWork);
  const labels = { name, controller: name };
  return {
    added: () => family.adds.inc(labels),
    retried: () => family.retries.inc(labels),
    depth: (priority, delta) => family.depth.inc({ ...labels, priority }, delta),
    queued: (seconds) => family.queueDuration.observe(labels, seconds),
    worked: (seconds) => family.workDuration.observe(labels, seconds),
  };
}

function makeFamily(registry: Registry): Family {
  const registers = [registry];
  const labelNames = ["name", "controller"] as const;
  const inWork = new Map<string, InWork>();
  const family: Family = {
    depth: new Gauge({
      name: "workqueue_depth",
      help: "Current depth of workqueue by workqueue and priority",
      labelNames: [...labelNames, "priority"],
      registers,
    }),
    adds: new Counter({
      name: "workqueue_adds_total",
      help: "Total number of adds handled by workqueue",
      labelNames,
      registers,
    }),
    retries: new Counter({
      name: "workqueue_retries_total",
      help: "Total number of retries handled by workqueue",
      labelNames,
      registers,
    }),
    queueDuration: new Histogram({
      name: "workqueue_queue_duration_seconds",
      help: "How long in seconds an item stays in workqueue before being requested",
      labelNames,
      buckets,
      registers,
    }),
    workDuration: new Histogram({
      name: "workqueue_work_duration_seconds",
      help: "How long in seconds processing an item from workqueue takes.",
      labelNames,
      buckets,
      registers,
    }),
    inWork,
  };
  const gauges: readonly [string, string, (seconds: readonly number[]) => number][] = [
    [
      "workqueue_unfinished_work_seconds",
      "How many seconds of work has been done that is in progress and hasn't been observed by work_duration. " +
        "Large values indicate stuck threads.",
      (seconds) => seconds.reduce((sum, value) => sum + value, 0),
    ],
    [
      "workqueue_longest_running_processor_seconds",
      "How many seconds has the longest running processor for workqueue been running.",
      (seconds) => seconds.reduce((most, value) => Math.max(most, value), 0),
    ],
  ];
  for (const [name, help, reduce] of gauges) {
    // Registers itself; it is read only when the registry is.
    void new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        for (const [queue, seconds] of inWork) this.set({ name: queue, controller: queue }, reduce(seconds()));
      },
    });
  }
  families.set(registry, family);
  return family;
}

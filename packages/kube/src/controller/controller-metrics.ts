import { Counter, Gauge, Histogram, type Registry } from "prom-client";

type ReconcileOutcome = "error" | "requeue_after" | "success";

/** controller-runtime's metrics of one controller. */
export interface ControllerMetrics {
  started(): void;
  ended(outcome: ReconcileOutcome, seconds: number): void;
  terminalError(): void;
  timedOut(): void;
}

export const noControllerMetrics: ControllerMetrics = {
  started() {},
  ended() {},
  terminalError() {},
  timedOut() {},
};

interface Family {
  readonly total: Counter<"controller" | "result">;
  readonly errors: Counter<"controller">;
  readonly terminalErrors: Counter<"controller">;
  readonly timeouts: Counter<"controller">;
  readonly time: Histogram<"controller">;
  readonly maxConcurrent: Gauge<"controller">;
  readonly activeWorkers: Gauge<"controller">;
}

const families = new WeakMap<Registry, Family>();

/** controller-runtime's. */
const buckets = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];

export function controllerMetrics(registry: Registry, controller: string, concurrency: number): ControllerMetrics {
  const family = families.get(registry) ?? makeFamily(registry);
  const labels = { controller };
  family.maxConcurrent.set(labels, concurrency);
  family.activeWorkers.set(labels, 0);
  // Zeros, so that rates are right from the first reconcile on.
  for (const result of ["error", "requeue_after", "success"]) family.total.inc({ controller, result }, 0);
  for (const counter of [family.errors, family.terminalErrors, family.timeouts]) counter.inc(labels, 0);
  return {
    started: () => family.activeWorkers.inc(labels),
    ended(result, seconds) {
      family.activeWorkers.dec(labels);
      family.total.inc({ controller, result });
      family.time.observe(labels, seconds);
      if (result === "error") family.errors.inc(labels);
    },
    terminalError: () => family.terminalErrors.inc(labels),
    timedOut: () => family.timeouts.inc(labels),
  };
}

function makeFamily(registry: Registry): Family {
  const registers = [registry];
  const labelNames = ["controller"] as const;
  const family: Family = {
    total: new Counter({
      name: "controller_runtime_reconcile_total",
      help: "Total number of reconciliations per controller",
      labelNames: ["controller", "result"],
      registers,
    }),
    errors: new Counter({
      name: "controller_runtime_reconcile_errors_total",
      help: "Total number of reconciliation errors per controller",
      labelNames,
      registers,
    }),
    terminalErrors: new Counter({
      name: "controller_runtime_terminal_reconcile_errors_total",
      help: "Total number of terminal reconciliation errors per controller",
      labelNames,
      registers,
    }),
    timeouts: new Counter({
      name: "controller_runtime_reconcile_timeouts_total",
      help: "Total number of reconciliation timeouts per controller",
      labelNames,
      registers,
    }),
    time: new Histogram({
      name: "controller_runtime_reconcile_time_seconds",
      help: "Length of time per reconciliation per controller",
      labelNames,
      buckets,
      registers,
    }),
    maxConcurrent: new Gauge({
      name: "controller_runtime_max_concurrent_reconciles",
      help: "Maximum number of concurrent reconciles per controller",
      labelNames,
      registers,
    }),
    activeWorkers: new Gauge({
      name: "controller_runtime_active_workers",
      help: "Number of currently used workers per controller",
      labelNames,
      registers,
    }),
  };
  families.set(registry, family);
  return family;
}

import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { CheckpointMetrics } from "./checkpoint-reconciler.ts";
import type { ScheduleMetrics } from "./schedule-reconciler.ts";
import type { RestoreMetrics } from "./restore-reconciler.ts";
import type { UnclaimedMetrics } from "./unclaimed-reconciler.ts";

const seconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** What checkpoints cost and bring, for Prometheus; docs/checkpoints.md lists them. */
export function checkpointMetrics(
  registry: Registry,
): CheckpointMetrics & RestoreMetrics & ScheduleMetrics & UnclaimedMetrics {
  const registers = [registry];
  const taken = new Counter({
    name: "fleetwright_checkpoints_total",
    help: "Checkpoints that ended, by result.",
    labelNames: ["result"],
    registers,
  });
  const duration = new Histogram({
    name: "fleetwright_checkpoint_duration_seconds",
    help: "From the first container's turn until all archives were whole.",
    buckets: seconds,
    registers,
  });
  const frozen = new Histogram({
    name: "fleetwright_checkpoint_frozen_seconds",
    help: "How long a container stood still for its checkpoint.",
    buckets: seconds,
    registers,
  });
  const archiveBytes = new Counter({
    name: "fleetwright_checkpoint_archive_bytes_total",
    help: "Bytes of archives that were written to nodes' disks.",
    registers,
  });
  const memoryBytes = new Counter({
    name: "fleetwright_checkpoint_memory_bytes_total",
    help: "Bytes of memory pages in archives.",
    registers,
  });
  const pushes = new Counter({
    name: "fleetwright_checkpoint_pushes_total",
    help: "Archives that were pushed to registries, by result.",
    labelNames: ["result"],
    registers,
  });
  const pushedBytes = new Counter({
    name: "fleetwright_checkpoint_pushed_bytes_total",
    help: "Bytes of archives that were pushed to registries.",
    registers,
  });
  const restored = new Counter({
    name: "fleetwright_checkpoint_restores_total",
    help: "Restores that ended, by result.",
    labelNames: ["result"],
    registers,
  });
  const restoreDuration = new Histogram({
    name: "fleetwright_checkpoint_restore_duration_seconds",
    help: "From a restore's beginning until its containers ran.",
    buckets: seconds,
    registers,
  });
  const pruned = new Counter({
    name: "fleetwright_checkpoints_pruned_total",
    help: "Checkpoints that retention deleted.",
    registers,
  });
  const rehearsals = new Counter({
    name: "fleetwright_checkpoint_rehearsals_total",
    help: "Rehearsed restores, by result.",
    labelNames: ["result"],
    registers,
  });
  const unclaimedArchives = new Gauge({
    name: "fleetwright_checkpoint_unclaimed_archives",
    help: "Archives on a node that no Checkpoint names; nodes without any are left out.",
    labelNames: ["node"],
    registers,
  });
  const unclaimedBytes = new Gauge({
    name: "fleetwright_checkpoint_unclaimed_bytes",
    help: "Bytes of archives on a node that no Checkpoint names; nodes without any are left out.",
    labelNames: ["node"],
    registers,
  });
  return {
    unclaimed(node, count, bytes) {
      if (count === 0) {
        unclaimedArchives.remove(node);
        unclaimedBytes.remove(node);
      } else {
        unclaimedArchives.set({ node }, count);
        unclaimedBytes.set({ node }, bytes);
      }
    },
    pruned: (count) => pruned.inc(count),
    rehearsed: (result) => rehearsals.inc({ result }),
    taken(result, took) {
      taken.inc({ result });
      if (result === "completed") duration.observe(took);
    },
    container(of) {
      archiveBytes.inc(of.bytes);
      memoryBytes.inc(of.memoryBytes);
      frozen.observe(of.frozenSeconds);
    },
    pushed(result, bytes) {
      pushes.inc({ result });
      pushedBytes.inc(bytes);
    },
    restored(result, took) {
      restored.inc({ result });
      if (result === "succeeded") restoreDuration.observe(took);
    },
  };
}

import { checkpointScheduleLabel } from "@fleetwright/api";
import {
  checkpoints,
  decideRetention,
  keptCheckpoints,
  policyOf,
  restores,
  schedules,
  type RetentionPolicy,
} from "@fleetwright/checkpoint";
import { isNotFound } from "@fleetwright/kube";
import { checkpointOptions } from "../checkpoint-objects.ts";
import { bytes, defineCommand, duration, flag, text } from "../command.ts";
import { withCluster } from "../connection.ts";
import { formatOutput } from "../output.ts";
import { formatTable } from "../table.ts";

const count = (value: string): number | undefined => (value === "" ? undefined : Number(value));

/** `fleetwright checkpoint prune` */
export const checkpointPruneCommand = defineCommand({
  name: "checkpoint prune",
  summary: "Delete checkpoints that rules don't keep, and say of each why it stays or goes",
  details:
    "Without a schedule, of the checkpoints that no schedule made. Pinned ones, those in use, and the newest of each pod always stay.",
  options: {
    ...checkpointOptions,
    schedule: text("--schedule <name>", "by the rules of this CheckpointSchedule, of what it made"),
    keepLast: text("--keep-last <count>", "keep this many newest of each pod"),
    daily: text("--daily <count>", "keep the newest of this many days"),
    weekly: text("--weekly <count>", "keep the newest of this many weeks"),
    maxAge: duration("--max-age <duration>", "delete older ones; 0s: of any age", 0),
    maxTotalSize: bytes("--max-total-size <quantity>", "delete the oldest beyond this size together: 200Gi"),
    dryRun: flag("--dry-run", "only say what would be done"),
  },
  run: (context, options) =>
    withCluster(context, options, async (client) => {
      const { namespace, schedule, keepLast, daily, weekly, maxAge, maxTotalSize, dryRun, output } = options;
      const { signal } = context;
      const policy: RetentionPolicy =
        schedule !== ""
          ? policyOf(await client.get(schedules, { namespace, name: schedule }, { signal }))
          : {
              ...(keepLast !== "" && { keepLast: count(keepLast) ?? 0 }),
              ...(daily !== "" && { daily: count(daily) ?? 0 }),
              ...(weekly !== "" && { weekly: count(weekly) ?? 0 }),
              ...(maxAge > 0 && { maxAgeMs: maxAge }),
              ...(maxTotalSize !== undefined && { maxTotalBytes: maxTotalSize }),
            };
      // Both lists whole, or an error: nothing is decided on half of them.
      const [all, asked] = await Promise.all([
        client.list(checkpoints, { namespace, signal }),
        client.list(restores, { namespace, signal }),
      ]);
      const own = all.items.filter(({ metadata }) => (metadata.labels?.[checkpointScheduleLabel] ?? "") === schedule);
      const now = context.clock.now();
      const decisions = decideRetention(
        { complete: true, checkpoints: keptCheckpoints(own, asked.items, now) },
        policy,
        now,
      );
      for (const { id, keep } of decisions) {
        if (keep || dryRun) continue;
        const { uid, resourceVersion } = own.find(({ metadata }) => metadata.name === id)?.metadata ?? {};
        const preconditions = { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) };
        await client.delete(checkpoints, { namespace, name: id }, { preconditions, signal }).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
      }
      const table = (): string =>
        formatTable(
          [
            { heading: "name", value: ({ id }) => id },
            { heading: "decision", value: ({ keep }) => (keep ? "kept" : dryRun ? "would be deleted" : "deleted") },
            { heading: "why", value: ({ reasons }) => reasons.join("; ") },
          ],
          decisions,
        );
      context.stdout(formatOutput(output, decisions, () => (decisions.length === 0 ? "no checkpoints\n" : table())));
    }),
});

import {
  channel,
  createController,
  watch,
  type AdmissionHandler,
  type Cache,
  type Client,
  type Clock,
  type Controller,
  type ControllerOptions,
  type EventRecorder,
  type Logger,
  type Random,
} from "@fleetwright/kube";
import { defaultBounds, type LedgerBounds } from "../core/admit.ts";
import { builtInKinds, type WorkloadKind } from "../core/workload-kind.ts";
import { createMayUse } from "./access-review.ts";
import type { Admission } from "./decide.ts";
import { createGroupStore } from "./group-store.ts";
import { GroupWriter, type GroupWriterOptions } from "./group-writer.ts";
import { createOwnerLookup } from "./owner-lookup.ts";
import { GroupReconciler } from "./reconciler.ts";
import { requireGroup } from "./require-group.ts";
import { UsageCache } from "./usage-cache.ts";
import { validateGroup } from "./validate-group.ts";
import { validateScale } from "./validate-scale.ts";
import { validateWorkload } from "./validate-workload.ts";
import { webhookPaths } from "./webhook-configuration.ts";

export interface QuotaOptions {
  /** Reads and writes groups on behalf of the webhooks: never fenced by leadership, every replica admits. */
  readonly client: Client;
  readonly cache: Cache;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly events?: Pick<EventRecorder, "event">;
  /** Where the controller's metrics go. @default none */
  readonly metrics?: ControllerOptions["metrics"];
  readonly onDecision?: Admission["onDecision"];
  readonly onWrite?: GroupWriterOptions["onWrite"];
  /** Fences the controller's writes: throws when this replica does not lead. Those of the webhooks are everybody's. @default no fence */
  readonly assertLeading?: GroupWriterOptions["assertLeading"];
  /** @default the six built-in kinds */
  readonly kinds?: readonly WorkloadKind[];
  /** Groups that are counted at the same time. @default 5 */
  readonly workers?: number;
  /** Every group is counted anew at least this often, in milliseconds. @default 300_000 */
  readonly refreshMs?: number;
  /** Milliseconds after which a hold is looked up; above the API server's request timeout. @default 90_000 */
  readonly holdLifeMs?: number;
  /** Time for one decision in milliseconds; below the webhook's timeout. @default 7_000 */
  readonly decisionMs?: number;
  readonly bounds?: LedgerBounds;
}

export interface Quota {
  /** By path, for the webhook server of every replica. */
  readonly handlers: Readonly<Record<string, { readonly name: string; readonly handler: AdmissionHandler }>>;
  /** For the leader: counts groups. */
  readonly controller: Controller;
  /** For readiness: nothing is decided before everything was listed. */
  ready(): boolean;
  readonly usage: UsageCache;
}

/** How a ledger with holds reads; parsing it for every write of every replica would cost more than coming in vain. */
const someHolds = '"holds":[[';

/** Writers without work beyond this many are dropped. */
const maxIdleWriters = 1_000;

/**
 * Puts quota together: caches, webhooks' handlers and the controller. Nothing runs until the cache and the controller are started.
 *
 * @example
 * const quota = createQuota({ client, cache, clock: systemClock, random: systemRandom, logger });
 * for (const [path, { name, handler }] of Object.entries(quota.handlers)) server.handle(path, name, handler);
 * manager.add(quota.controller);
 * manager.addReadyCheck("quota", () => { if (!quota.ready()) throw new Error("still reading the cluster"); });
 */
export function createQuota(options: QuotaOptions): Quota {
  const { client, clock, random, logger, holdLifeMs = 90_000, bounds = defaultBounds } = options;
  const usage = new UsageCache(options.cache, clock, options.kinds ?? builtInKinds);
  const store = createGroupStore(client, usage);
  const writers = new Map<string, GroupWriter>();
  const writer = (group: string): GroupWriter => {
    const known = writers.get(group);
    if (known) return known;
    if (writers.size >= maxIdleWriters) for (const [name, each] of writers) if (each.idle) writers.delete(name);
    const hooks = {
      ...(options.onWrite && { onWrite: options.onWrite }),
      ...(options.assertLeading && { assertLeading: options.assertLeading }),
    };
    const created = new GroupWriter(group, { store, clock, random, logger, holdLifeMs, bounds, ...hooks });
    writers.set(group, created);
    return created;
  };
  const admission: Admission = {
    cache: usage,
    writer,
    owners: createOwnerLookup(client, usage),
    mayUse: createMayUse({ client, clock }),
    clock,
    logger,
    decisionMs: options.decisionMs ?? 7_000,
    ...(options.onDecision && { onDecision: options.onDecision }),
  };
  const reconciler = new GroupReconciler({
    client,
    cache: usage,
    writer,
    clock,
    logger,
    holdLifeMs,
    ...(options.events && { events: options.events }),
    ...(options.refreshMs !== undefined && { refreshMs: options.refreshMs }),
  });

  const changes = channel();
  usage.onChange((name) => changes.enqueue({ name }));
  const comeForHolds = (group: { metadata: { name?: string }; status?: { ledger?: string } }): void => {
    if (group.status?.ledger?.includes(someHolds))
      changes.enqueue({ name: group.metadata.name ?? "" }, { afterMs: holdLifeMs + 1_000 });
  };
  // Other replicas' holds of objects that never appear bring no event but the group's own.
  usage.groups.addHandler({
    added: comeForHolds,
    updated: (_before, group) => comeForHolds(group),
  });
  const controller = createController({
    name: "quota",
    reconciler,
    sources: [
      watch(usage.groups, {
        predicates: [{ updated: (before, after) => before.metadata.generation !== after.metadata.generation }],
      }),
      changes,
    ],
    concurrency: options.workers ?? 5,
    clock,
    logger,
    ...(options.metrics && { metrics: options.metrics }),
  });
  return {
    handlers: {
      [webhookPaths.group]: { name: "bizrq", handler: validateGroup(admission, client) },
      [webhookPaths.workload]: { name: "workload", handler: validateWorkload(admission) },
      [webhookPaths.scale]: { name: "scale", handler: validateScale(admission) },
      [webhookPaths.require]: { name: "require", handler: requireGroup(admission) },
    },
    controller,
    ready: () => usage.synced(),
    usage,
  };
}

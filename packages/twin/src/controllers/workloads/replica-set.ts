import {
  createController,
  isNotFound,
  keyString,
  Pods,
  ReplicaSets,
  ReplicationControllers,
  timeText,
  toController,
  watch,
} from "@fleetwright/kube";
import type { KubeObject, LabelSelector, Pod, PodTemplateSpec, ReplicaSet, Resource } from "@fleetwright/kube";
import { batched } from "../batched.ts";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { claim } from "../pods/claim.ts";
import { byController, catchUpMs, controlledOrOrphaned, controllerIndex, WrittenVersions } from "../pods/controlled.ts";
import { byDeletionRank } from "../pods/deletion-rank.ts";
import { isActive, isAvailable, isReady, isTerminating, nextAvailableMs } from "../pods/pod-state.ts";
import { podOfTemplate, PodWriter, slowStart } from "../pods/pod-writer.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import { orphanRequests } from "./orphans.ts";

/** What the two kinds have in common. */
interface ReplicaKind {
  readonly resource: Resource<KubeObject>;
  readonly controller: string;
  readonly selectorOf: (object: ReplicaSet) => LabelSelector | undefined;
  /** KEP-3973: how many pods are going. */
  readonly countsTerminating: boolean;
}

const replicaSets: ReplicaKind = {
  resource: ReplicaSets as Resource<KubeObject>,
  controller: "replicaset-controller",
  selectorOf: ({ spec }) => spec?.selector,
  countsTerminating: true,
};
const replicationControllers: ReplicaKind = {
  resource: ReplicationControllers as Resource<KubeObject>,
  controller: "replication-controller",
  // A plain map of labels.
  selectorOf: ({ spec }) => ({ matchLabels: (spec?.selector ?? {}) as Readonly<Record<string, string>> }),
  countsTerminating: false,
};

/** Upstream's burst: pods that one look creates or deletes at most. */
const burst = 500;

/** Keeps so many pods of a template (pkg/controller/replicaset). */
export const replicaSetController: Controllers = (context) => [start(context, replicaSets)];
export const replicationController: Controllers = (context) => [start(context, replicationControllers)];

function start(context: ControllerContext, kind: ReplicaKind): Part {
  const { cache, clock, logger } = context;
  const sets = cache.informer(kind.resource as Resource<ReplicaSet>, { indexes: { [controllerIndex]: byController } });
  const pods = cache.informer(Pods, { indexes: { [controllerIndex]: byController } });
  const client = context.clientOf(kind.controller);
  const writer = new PodWriter(client, context.eventsOf(kind.controller));
  const written = new WrittenVersions(pods);
  const writtenOwn = new WrittenVersions(sets);

  async function reconcile(key: {
    readonly namespace?: string;
    readonly name: string;
  }): Promise<{ requeueAfterMs?: number }> {
    const id = keyString(key);
    const set = sets.get(key);
    if (set === undefined) {
      written.forget(id);
      writtenOwn.forget(id);
      return {};
    }
    const selector = kind.selectorOf(set);
    if (selector === undefined) return {};
    if (!written.caughtUp(id) || !writtenOwn.caughtUp(id)) return { requeueAfterMs: catchUpMs };
    const candidates = controlledOrOrphaned(pods, set);
    const note = (answer: unknown): void => written.note(id, answer);
    const all = await claim({
      client,
      resource: Pods,
      ownerResource: kind.resource,
      owner: set,
      selector,
      candidates,
      onWrite: note,
    });
    const active = all.filter(isActive);
    const failure = set.metadata.deletionTimestamp === undefined ? await manage(set, active, note) : undefined;
    const status = nextStatus(kind, set, active, all.filter(isTerminating).length, failure, clock.now());
    if (!sameValue(status, set.status ?? {})) {
      writtenOwn.note(id, await client.updateStatus(kind.resource as Resource<ReplicaSet>, { ...set, status }));
    }
    if (failure !== undefined) throw failure;
    const { minReadySeconds = 0 } = set.spec ?? {};
    const next = nextAvailableMs(active, minReadySeconds, clock.now());
    return next === undefined ? {} : { requeueAfterMs: next };
  }

  /** @returns what failed */
  async function manage(set: ReplicaSet, active: readonly Pod[], note: (answer: unknown) => void): Promise<unknown> {
    const owner = { resource: kind.resource, object: set };
    const difference = (set.spec?.replicas ?? 1) - active.length;
    if (difference > 0) {
      const pod = podOfTemplate(set.spec?.template as PodTemplateSpec | undefined, owner);
      const { error } = await slowStart(Math.min(burst, difference), async () =>
        note(await writer.createUnlessGoing(owner, pod)),
      );
      return error;
    }
    if (difference === 0) return undefined;
    const victims = byDeletionRank(active, ranksOf(set), clock.now()).slice(0, Math.min(burst, -difference));
    const results = await Promise.allSettled(victims.map(async (pod) => note(await writer.delete(owner, pod))));
    return results.find((result) => result.status === "rejected")?.reason;
  }

  /** How many pods of this set and of those with the same owner run on each node. */
  function ranksOf(set: ReplicaSet): ReadonlyMap<string, number> {
    const ranks = new Map<string, number>();
    const [owner] = byController(set);
    const siblings = owner?.startsWith("orphans/") === false ? sets.byIndex(controllerIndex, owner) : [set];
    for (const sibling of siblings) {
      for (const pod of pods.byIndex(controllerIndex, sibling.metadata.uid ?? "")) {
        const node = pod.spec?.nodeName;
        if (node !== undefined && isActive(pod)) ranks.set(node, (ranks.get(node) ?? 0) + 1);
      }
    }
    return ranks;
  }

  return createController({
    name: kind.controller,
    reconciler: retryConflicts(async (request) => {
      try {
        return await reconcile(request);
      } catch (error) {
        if (isNotFound(error) && sets.get(request) === undefined) return {};
        throw error;
      }
    }),
    sources: [
      watch(sets),
      batched(watch(pods, { map: toController(kind.resource) }), (key) => sets.get(key)?.spec?.replicas ?? 0),
      orphanRequests(pods, sets, kind.selectorOf),
    ],
    concurrency: 50,
    clock,
    logger,
  });
}

type ReplicaSetCondition = NonNullable<NonNullable<ReplicaSet["status"]>["conditions"]>[number];

const textOf = (error: unknown): string => (error instanceof Error ? error.message : JSON.stringify(error));

/** `calculateStatus` (replica_set_utils.go). */
function nextStatus(
  kind: ReplicaKind,
  set: ReplicaSet,
  active: readonly Pod[],
  terminating: number,
  failure: unknown,
  now: number,
): NonNullable<ReplicaSet["status"]> {
  const { minReadySeconds = 0, template, replicas: wanted = 1 } = set.spec ?? {};
  const labels = Object.entries(template?.metadata?.labels ?? {});
  const labeled = active.filter(({ metadata }) =>
    labels.every(([name, value]) => metadata.labels?.[name] === value),
  ).length;
  const ready = active.filter(isReady).length;
  const available = active.filter((pod) => isAvailable(pod, minReadySeconds, now)).length;
  const before = set.status?.conditions ?? [];
  let conditions: readonly ReplicaSetCondition[] = before;
  if (failure === undefined) conditions = before.filter(({ type }) => type !== "ReplicaFailure");
  else if (!before.some(({ type }) => type === "ReplicaFailure")) {
    const message = textOf(failure);
    const reason = active.length < wanted ? "FailedCreate" : "FailedDelete";
    conditions = [
      ...before,
      { type: "ReplicaFailure", status: "True", reason, message, lastTransitionTime: timeText(now) },
    ];
  }
  return {
    replicas: active.length,
    ...(labeled > 0 && { fullyLabeledReplicas: labeled }),
    ...(ready > 0 && { readyReplicas: ready }),
    ...(available > 0 && { availableReplicas: available }),
    ...(kind.countsTerminating && { terminatingReplicas: terminating }),
    observedGeneration: set.metadata.generation ?? 0,
    ...(conditions.length > 0 && { conditions }),
  };
}

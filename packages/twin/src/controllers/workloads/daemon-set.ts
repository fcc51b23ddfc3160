import {
  ControllerRevisions,
  createController,
  DaemonSets,
  keyOf,
  keyString,
  Nodes,
  Pods,
  toController,
  watch,
} from "@fleetwright/kube";
import type { DaemonSet, DaemonSetStatus, Node, Pod } from "@fleetwright/kube";
import { batched } from "../batched.ts";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { claim } from "../pods/claim.ts";
import { byController, catchUpMs, controlledOrOrphaned, controllerIndex, WrittenVersions } from "../pods/controlled.ts";
import { isAvailable, isFinished, isReady, isTerminating, nextAvailableMs } from "../pods/pod-state.ts";
import { podOfTemplate, PodWriter, slowStart } from "../pods/pod-writer.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import { belongsOn, daemonSpec, rollingBounds, targetNodeOf } from "./daemon-plan.ts";
import { byAge, needsOfNode, rolloutSteps } from "./daemon-rollout.ts";
import type { DaemonView } from "./daemon-rollout.ts";
import { orphanRequests } from "./orphans.ts";
import { ownedRevisions, presentRevision, revisionName, trimRevisions } from "./revision-history.ts";

const name = "daemon-set-controller";
const eventName = "daemonset-controller";
const generationAnnotation = "deprecated.daemonset.template.generation";
const hashLabel = "controller-revision-hash";
const burst = 250;
/** Failed pods on a node are replaced after 1 s, doubled to 15 min (`failedPodsBackoff`). */
const firstBackoffMs = 1_000;
const maxBackoffMs = 15 * 60_000;

/** One pod on each node that wants it (pkg/controller/daemon). */
export const daemonSetController: Controllers = (context) => [start(context)];

function start(context: ControllerContext): Part {
  const { cache, clock, logger } = context;
  const sets = cache.informer(DaemonSets);
  const pods = cache.informer(Pods, { indexes: { [controllerIndex]: byController } });
  const nodes = cache.informer(Nodes);
  const revisions = cache.informer(ControllerRevisions, { indexes: { [controllerIndex]: byController } });
  const client = context.clientOf(name);
  const events = context.eventsOf(eventName, name);
  const writer = new PodWriter(client, events);
  const written = new WrittenVersions(pods);
  const writtenOwn = new WrittenVersions(sets);
  const writtenRevisions = new WrittenVersions(revisions);
  /** By set, then by what it was at and the node. */
  const failures = new Map<string, Map<string, { readonly until: number; readonly delay: number }>>();

  async function reconcile(key: {
    readonly namespace?: string;
    readonly name: string;
  }): Promise<{ requeueAfterMs?: number }> {
    const id = keyString(key);
    const set = sets.get(key);
    if (set === undefined) {
      for (const each of [written, writtenOwn, writtenRevisions]) each.forget(id);
      failures.delete(id);
      return {};
    }
    // Its history may be gone before its pods are: nothing that could be said of it would be right.
    if (set.metadata.deletionTimestamp !== undefined) return {};
    if (!written.caughtUp(id) || !writtenOwn.caughtUp(id) || !writtenRevisions.caughtUp(id))
      return { requeueAfterMs: catchUpMs };
    const selector = set.spec?.selector ?? {};
    const owner = {
      resource: DaemonSets,
      object: set,
      selector,
      template: set.spec?.template,
      hashLabel,
      collisionCount: set.status?.collisionCount ?? 0,
    };
    const history = await ownedRevisions(client, revisions, owner);
    const { revision, collisionCount } = await presentRevision(client, owner, history);
    writtenRevisions.note(id, revision);
    const hash = revision.metadata.labels?.[hashLabel] ?? "";
    const owned = await claim({
      client,
      resource: Pods,
      ownerResource: DaemonSets,
      owner: set,
      selector,
      candidates: controlledOrOrphaned(pods, set),
      onWrite: (answer) => written.note(id, answer),
    });
    // One that has ended and is going does not stand in the way of its successor.
    const present = owned.filter((pod) => !isTerminating(pod) || !isFinished(pod));
    const byNode = Map.groupBy(present, (pod) => targetNodeOf(pod) ?? "");
    const view = { isCurrent: isOf(hash), minReadySeconds: set.spec?.minReadySeconds ?? 0, now: clock.now() };
    const runsOn = new Set(
      nodes
        .list()
        .filter((node) => belongsOn(set, node).run)
        .map(({ metadata }) => metadata.name ?? ""),
    );
    const failure: { error?: unknown } = {};
    const update = async (): Promise<number | undefined> => {
      const wait = await manage(set, id, hash, byNode, view);
      if (written.caughtUp(id) && set.spec?.updateStrategy?.type !== "OnDelete") {
        const bounds = rollingBounds(set, runsOn.size);
        const steps = { ...view, ...bounds, byNode, desired: runsOn.size, runsOn: (node: string) => runsOn.has(node) };
        const { remove, surgeOn } = rolloutSteps(steps);
        await write(set, id, hash, surgeOn, remove);
      }
      const live = new Set(owned.map((pod) => pod.metadata.labels?.[hashLabel]));
      const old = history.filter((each) => revisionName(each) !== revisionName(revision));
      const used = old.filter(({ metadata }) => live.has(metadata.labels?.[hashLabel]));
      // Unlike a StatefulSet's, revisions that pods are of count for the limit.
      const limit = Math.max(0, (set.spec?.revisionHistoryLimit ?? 10) - used.length);
      await trimRevisions(client, old, new Set(used.map(revisionName)), limit);
      return wait;
    };
    const wait = await update().catch((error: unknown) => {
      failure.error = error;
      return undefined;
    });
    const status = statusOf(set, byNode, runsOn, view, collisionCount);
    if (!sameValue(status, set.status ?? {}))
      writtenOwn.note(id, await client.updateStatus(DaemonSets, { ...set, status }));
    if (failure.error !== undefined) throw failure.error;
    const available = nextAvailableMs(owned, view.minReadySeconds, clock.now());
    const next = [wait, available].filter((each) => each !== undefined);
    return next.length === 0 ? {} : { requeueAfterMs: Math.max(1, Math.min(...next)) };
  }

  /** Missing pods come, unwanted and failed ones go (`manage`). @returns when to look again, for those that failed lately */
  async function manage(
    set: DaemonSet,
    id: string,
    hash: string,
    byNode: ReadonlyMap<string, readonly Pod[]>,
    view: DaemonView,
  ): Promise<number | undefined> {
    const missing: string[] = [];
    const unwanted: Pod[] = [];
    let wait: number | undefined;
    // Of one node: a share is more than none.
    const surges = rollingBounds(set, 1).surge > 0;
    for (const node of nodes.list()) {
      const nodeName = node.metadata.name ?? "";
      const needs = needsOfNode(belongsOn(set, node), byNode.get(nodeName) ?? [], surges, view);
      if (needs.isMissing) missing.push(nodeName);
      for (const pod of needs.failed) {
        const later = backoff(id, `${set.metadata.uid}/${set.status?.observedGeneration ?? 0}/${nodeName}`);
        if (later !== undefined) {
          wait = Math.min(wait ?? later, later);
          continue;
        }
        const message = `Found failed daemon pod ${pod.metadata.namespace}/${pod.metadata.name} on node ${nodeName}, will try to kill it`;
        events.event({ about: set, type: "Warning", reason: "FailedDaemonPod", message });
        unwanted.push(pod);
      }
      for (const pod of needs.succeeded) {
        const message = `Found succeeded daemon pod ${pod.metadata.namespace}/${pod.metadata.name} on node ${nodeName}, will try to delete it`;
        events.event({ about: set, type: "Normal", reason: "SucceededDaemonPod", message });
        unwanted.push(pod);
      }
      unwanted.push(...needs.excess);
    }
    // For nodes that are gone: no scheduler will ever bind them. Those that were bound are the pod collector's.
    for (const [nodeName, own] of byNode)
      if (nodes.get({ name: nodeName }) === undefined)
        unwanted.push(...own.filter((pod) => !isTerminating(pod) && !pod.spec?.nodeName));
    await write(set, id, hash, missing, unwanted);
    return wait;
  }

  function backoff(id: string, key: string): number | undefined {
    const now = clock.now();
    const ofSet = failures.get(id) ?? new Map<string, { readonly until: number; readonly delay: number }>();
    failures.set(id, ofSet);
    const known = ofSet.get(key);
    if (known !== undefined && now < known.until) return known.until - now;
    const delay =
      known === undefined || now - known.until > 2 * maxBackoffMs
        ? firstBackoffMs
        : Math.min(maxBackoffMs, known.delay * 2);
    ofSet.set(key, { until: now + delay, delay });
    return undefined;
  }

  async function write(
    set: DaemonSet,
    id: string,
    hash: string,
    missing: readonly string[],
    unwanted: readonly Pod[],
  ): Promise<void> {
    const owner = { resource: DaemonSets, object: set };
    const template = set.spec?.template;
    const { error } = await slowStart(Math.min(burst, missing.length), async (index) => {
      const pod = podOfTemplate(template, owner);
      const spec = daemonSpec(template?.spec ?? { containers: [] }, missing[index] ?? "");
      const generation = set.metadata.annotations?.[generationAnnotation];
      const labels = {
        ...pod.metadata.labels,
        [hashLabel]: hash,
        ...(generation === undefined ? {} : { "pod-template-generation": generation }),
      };
      written.note(id, await writer.createUnlessGoing(owner, { metadata: { ...pod.metadata, labels }, spec }));
    });
    const results = await Promise.allSettled(
      unwanted.slice(0, burst).map(async (pod) => written.note(id, await writer.delete(owner, pod))),
    );
    const failure = error ?? results.find((result) => result.status === "rejected")?.reason;
    if (failure !== undefined) throw failure;
  }

  function statusOf(
    set: DaemonSet,
    byNode: ReadonlyMap<string, readonly Pod[]>,
    runsOn: ReadonlySet<string>,
    { isCurrent, minReadySeconds, now }: DaemonView,
    collisionCount: number,
  ): DaemonSetStatus {
    let [current, misscheduled, ready, available, updated] = [0, 0, 0, 0, 0];
    for (const [nodeName, own] of byNode) {
      if (nodes.get({ name: nodeName }) === undefined) continue;
      if (!runsOn.has(nodeName)) {
        misscheduled += 1;
        continue;
      }
      current += 1;
      // The oldest speaks for the node, also during a surge.
      const [pod] = own.toSorted(byAge);
      if (pod === undefined) continue;
      if (isReady(pod)) ready += 1;
      if (isAvailable(pod, minReadySeconds, now)) available += 1;
      if (isCurrent(pod)) updated += 1;
    }
    const desired = runsOn.size;
    const unavailable = desired - available;
    return {
      currentNumberScheduled: current,
      numberMisscheduled: misscheduled,
      desiredNumberScheduled: desired,
      numberReady: ready,
      observedGeneration: set.metadata.generation ?? 0,
      ...(updated > 0 && { updatedNumberScheduled: updated }),
      ...(available > 0 && { numberAvailable: available }),
      ...(unavailable > 0 && { numberUnavailable: unavailable }),
      ...(collisionCount > 0 && { collisionCount }),
    };
  }

  const all = (): readonly { readonly namespace?: string; readonly name: string }[] => sets.list().map(keyOf);
  return createController({
    name: "daemonset",
    reconciler: retryConflicts(reconcile),
    sources: [
      watch(sets),
      batched(watch(pods, { map: toController(DaemonSets) })),
      orphanRequests(pods, sets, ({ spec }) => spec?.selector),
      watch(nodes, {
        map: all,
        predicates: [
          {
            added: () => sets.size > 0,
            updated: (before, after) => sets.size > 0 && !sameValue(placement(before), placement(after)),
          },
        ],
      }),
    ],
    concurrency: 5,
    clock,
    logger,
  });

  function isOf(hash: string): (pod: Pod) => boolean {
    return ({ metadata }) => metadata.labels?.[hashLabel] === hash;
  }
}

const placement = ({ metadata, spec }: Node): unknown => [metadata.labels, spec?.taints, spec?.unschedulable];

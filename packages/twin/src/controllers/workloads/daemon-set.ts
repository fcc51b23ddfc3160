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
import { isAvailable, isReady, isTerminating, nextAvailableMs } from "../pods/pod-state.ts";
import { podOfTemplate, PodWriter, slowStart } from "../pods/pod-writer.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import { belongsOn, daemonSpec, rollingBounds, targetNodeOf } from "./daemon-plan.ts";
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
  const failures = new Map<string, { readonly until: number; readonly delay: number }>();

  async function reconcile(key: {
    readonly namespace?: string;
    readonly name: string;
  }): Promise<{ requeueAfterMs?: number }> {
    const id = keyString(key);
    const set = sets.get(key);
    if (set === undefined) {
      written.forget(id);
      return {};
    }
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
    const byNode = Map.groupBy(owned, (pod) => targetNodeOf(pod) ?? "");
    let wait: number | undefined;
    if (set.metadata.deletionTimestamp === undefined) {
      wait = await manage(set, id, hash, byNode);
      if (written.caughtUp(id) && set.spec?.updateStrategy?.type !== "OnDelete") await roll(set, id, hash, byNode);
      const used = new Set([
        revisionName(revision),
        ...history
          .filter(({ metadata }) =>
            owned.some((pod) => pod.metadata.labels?.[hashLabel] === metadata.labels?.[hashLabel]),
          )
          .map(revisionName),
      ]);
      await trimRevisions(client, history, used, set.spec?.revisionHistoryLimit ?? 10);
    }
    const status = statusOf(set, hash, byNode, collisionCount);
    if (!sameValue(status, set.status ?? {}))
      writtenOwn.note(id, await client.updateStatus(DaemonSets, { ...set, status }));
    const available = nextAvailableMs(owned, set.spec?.minReadySeconds ?? 0, clock.now());
    const next = [wait, available].filter((each) => each !== undefined);
    return next.length === 0 ? {} : { requeueAfterMs: Math.max(1, Math.min(...next)) };
  }

  /** Missing pods come, unwanted and failed ones go. @returns when to look again, for those that failed lately */
  async function manage(
    set: DaemonSet,
    id: string,
    hash: string,
    byNode: ReadonlyMap<string, readonly Pod[]>,
  ): Promise<number | undefined> {
    const missing: string[] = [];
    const unwanted: Pod[] = [];
    let wait: number | undefined;
    for (const node of nodes.list()) {
      const nodeName = node.metadata.name ?? "";
      const { run, stay } = belongsOn(set, node);
      const own = byNode.get(nodeName) ?? [];
      const live = own.filter((pod) => !isTerminating(pod));
      if (run && own.length === 0) {
        missing.push(nodeName);
        continue;
      }
      if (!stay) {
        unwanted.push(...live);
        continue;
      }
      const failed = live.filter(({ status }) => status?.phase === "Failed");
      for (const pod of failed) {
        const later = backoff(`${id}/${nodeName}`);
        if (later !== undefined) {
          wait = Math.min(wait ?? later, later);
          continue;
        }
        const message = `Found failed daemon pod ${pod.metadata.namespace}/${pod.metadata.name} on node ${nodeName}, will try to kill it`;
        events.event({ about: set, type: "Warning", reason: "FailedDaemonPod", message });
        unwanted.push(pod);
      }
      for (const pod of live.filter(({ status }) => status?.phase === "Succeeded")) {
        const message = `Found succeeded daemon pod ${pod.metadata.namespace}/${pod.metadata.name} on node ${nodeName}, will try to delete it`;
        events.event({ about: set, type: "Normal", reason: "SucceededDaemonPod", message });
        unwanted.push(pod);
      }
      // More than one of a revision: the oldest stays (surges have one of each).
      const running = live.filter(({ status }) => status?.phase !== "Failed" && status?.phase !== "Succeeded");
      const { surge } = rollingBounds(set, nodes.size);
      const groups =
        surge === 0 ? [running] : [running.filter((pod) => isOf(pod, hash)), running.filter((pod) => !isOf(pod, hash))];
      for (const group of groups) unwanted.push(...group.toSorted(byAge).slice(1));
    }
    // Their nodes are gone.
    for (const [nodeName, own] of byNode)
      if (nodes.get({ name: nodeName }) === undefined) unwanted.push(...own.filter((pod) => !isTerminating(pod)));
    await write(set, id, hash, missing.slice(0, burst), unwanted.slice(0, burst));
    return wait;
  }

  function backoff(key: string): number | undefined {
    const now = clock.now();
    const known = failures.get(key);
    if (known !== undefined && now < known.until) return known.until - now;
    const delay =
      known === undefined || now - known.until > 2 * maxBackoffMs
        ? firstBackoffMs
        : Math.min(maxBackoffMs, known.delay * 2);
    failures.set(key, { until: now + delay, delay });
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
    const { error } = await slowStart(missing.length, async (index) => {
      const pod = podOfTemplate(template, owner);
      const spec = daemonSpec(template?.spec ?? { containers: [] }, missing[index] ?? "");
      const generation = set.metadata.annotations?.[generationAnnotation];
      const labels = {
        ...pod.metadata.labels,
        [hashLabel]: hash,
        ...(generation === undefined ? {} : { "pod-template-generation": generation }),
      };
      written.note(id, await writer.create(owner, { metadata: { ...pod.metadata, labels }, spec }));
    });
    const results = await Promise.allSettled(
      unwanted.map(async (pod) => written.note(id, await writer.delete(owner, pod))),
    );
    const failure = error ?? results.find((result) => result.status === "rejected")?.reason;
    if (failure !== undefined) throw failure;
  }

  /** Old pods go as far as availability allows; with a surge, new ones come first (`rollingUpdate`). */
  async function roll(
    set: DaemonSet,
    id: string,
    hash: string,
    byNode: ReadonlyMap<string, readonly Pod[]>,
  ): Promise<void> {
    const wanted = nodes.list().filter((node) => belongsOn(set, node).run);
    const { surge, unavailable: mayMiss } = rollingBounds(set, wanted.length);
    const minReadySeconds = set.spec?.minReadySeconds ?? 0;
    const available = (pod: Pod): boolean => isAvailable(pod, minReadySeconds, clock.now());
    let [missing, doubled] = [0, 0];
    const [replaceable, surgeable, done]: [Pod[], string[], Pod[]] = [[], [], []];
    for (const node of wanted) {
      const live = (byNode.get(node.metadata.name ?? "") ?? []).filter((pod) => !isTerminating(pod));
      const [fresh, old] = [live.find((pod) => isOf(pod, hash)), live.find((pod) => !isOf(pod, hash))];
      if (surge === 0) {
        if (fresh === undefined && old === undefined) missing += 1;
        else if (old === undefined) missing += fresh !== undefined && available(fresh) ? 0 : 1;
        else if (available(old)) replaceable.push(old);
        else {
          // It does not serve anyway.
          done.push(old);
          missing += 1;
        }
        continue;
      }
      if (old === undefined) continue;
      if (fresh !== undefined) {
        doubled += 1;
        if (available(fresh)) done.push(old);
      } else if (available(old)) surgeable.push(node.metadata.name ?? "");
      else done.push(old);
    }
    if (surge === 0) await write(set, id, hash, [], [...done, ...replaceable.slice(0, Math.max(0, mayMiss - missing))]);
    else await write(set, id, hash, surgeable.slice(0, Math.max(0, surge - doubled)), done);
  }

  function statusOf(
    set: DaemonSet,
    hash: string,
    byNode: ReadonlyMap<string, readonly Pod[]>,
    collisionCount: number,
  ): DaemonSetStatus {
    let [desired, current, misscheduled, ready, available, updated] = [0, 0, 0, 0, 0, 0];
    const minReadySeconds = set.spec?.minReadySeconds ?? 0;
    for (const node of nodes.list()) {
      const own = byNode.get(node.metadata.name ?? "") ?? [];
      if (!belongsOn(set, node).run) {
        if (own.length > 0) misscheduled += 1;
        continue;
      }
      desired += 1;
      if (own.length === 0) continue;
      current += 1;
      // The oldest ready one speaks for the node.
      const [pod] = own.toSorted((left, right) => Number(isReady(right)) - Number(isReady(left)) || byAge(left, right));
      if (pod === undefined) continue;
      if (isReady(pod)) {
        ready += 1;
        if (isAvailable(pod, minReadySeconds, clock.now())) available += 1;
      }
      if (isOf(pod, hash)) updated += 1;
    }
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

  function isOf(pod: Pod, hash: string): boolean {
    return pod.metadata.labels?.[hashLabel] === hash;
  }
}

const placement = ({ metadata, spec }: Node): unknown => [metadata.labels, spec?.taints, spec?.unschedulable];

const byAge = (left: Pod, right: Pod): number => {
  const [first, second] = [left.metadata.creationTimestamp ?? "", right.metadata.creationTimestamp ?? ""];
  if (first !== second) return first < second ? -1 : 1;
  return (left.metadata.name ?? "") < (right.metadata.name ?? "") ? -1 : 1;
};

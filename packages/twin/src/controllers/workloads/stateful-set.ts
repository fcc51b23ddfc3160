import {
  ControllerRevisions,
  createController,
  keyOf,
  keyString,
  PersistentVolumeClaims,
  Pods,
  StatefulSets,
  toController,
  watch,
} from "@fleetwright/kube";
import type { ControllerRevision, Pod, StatefulSet, StatefulSetStatus } from "@fleetwright/kube";
import { batched } from "../batched.ts";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { scaled } from "../percentage.ts";
import { claim } from "../pods/claim.ts";
import { byController, catchUpMs, controlledOrOrphaned, controllerIndex, WrittenVersions } from "../pods/controlled.ts";
import { isAvailable, isFinished, isReady, isTerminating, nextAvailableMs } from "../pods/pod-state.ts";
import { slowStart } from "../pods/pod-writer.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import { orphanRequests } from "./orphans.ts";
import { ownedRevisions, presentRevision, revisionName, trimRevisions } from "./revision-history.ts";
import { StatefulPodWriter } from "./stateful-pod-writer.ts";
import {
  isParallel,
  ordinalOf,
  historyLabel,
  revisionOfPod,
  startOrdinal,
  statefulPod,
  wantedOf,
} from "./stateful-pods.ts";

const name = "statefulset-controller";
/** Upstream's: calls of one parallel set at the same time. */
const maxBatch = 500;

/** Pods with names that stay (pkg/controller/statefulset). */
export const statefulSetController: Controllers = (context) => [start(context)];

function start(context: ControllerContext): Part {
  const { cache, clock, logger } = context;
  const sets = cache.informer(StatefulSets);
  const pods = cache.informer(Pods, { indexes: { [controllerIndex]: byController } });
  const revisions = cache.informer(ControllerRevisions, { indexes: { [controllerIndex]: byController } });
  const claims = cache.informer(PersistentVolumeClaims);
  const client = context.clientOf(name);
  const written = new WrittenVersions(pods);
  const writtenOwn = new WrittenVersions(sets);
  const writtenRevisions = new WrittenVersions(revisions);
  const writtenClaims = new WrittenVersions(claims);
  const all = [written, writtenOwn, writtenRevisions, writtenClaims];
  const writer = new StatefulPodWriter(client, context.eventsOf(name), claims, (set, claim) =>
    writtenClaims.note(keyString(keyOf(set)), claim),
  );

  async function reconcile(key: {
    readonly namespace?: string;
    readonly name: string;
  }): Promise<{ requeueAfterMs?: number }> {
    const id = keyString(key);
    const set = sets.get(key);
    if (set === undefined) {
      for (const each of all) each.forget(id);
      return {};
    }
    if (!all.every((each) => each.caughtUp(id))) return { requeueAfterMs: catchUpMs };
    const selector = set.spec?.selector ?? {};
    const owner = {
      resource: StatefulSets,
      object: set,
      selector,
      template: set.spec?.template,
      hashLabel: historyLabel,
      collisionCount: set.status?.collisionCount ?? 0,
    };
    const owned = await claim({
      client,
      resource: Pods,
      ownerResource: StatefulSets,
      owner: set,
      selector,
      candidates: controlledOrOrphaned(pods, set),
      isOurs: (pod) => ordinalOf(set, pod) >= 0,
      onWrite: (answer) => written.note(id, answer),
    });
    const history = await ownedRevisions(client, revisions, owner);
    const { revision: update, collisionCount } = await presentRevision(client, owner, history);
    writtenRevisions.note(id, update);
    const current = history.find((revision) => revisionName(revision) === set.status?.currentRevision) ?? update;
    const round = new Round(set, id, current, update, owned);
    const failure = await round.work().then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    const status = round.status(collisionCount);
    if (!sameValue(status, set.status ?? {}))
      writtenOwn.note(id, await client.updateStatus(StatefulSets, { ...set, status }));
    if (failure !== undefined) throw failure.error;
    const used = new Set([
      revisionName(current),
      revisionName(update),
      status.currentRevision ?? "",
      ...owned.map(revisionOfPod),
    ]);
    await trimRevisions(client, history, used, set.spec?.revisionHistoryLimit ?? 10);
    const wait = nextAvailableMs(owned, set.spec?.minReadySeconds ?? 0, clock.now());
    const next = round.waits ? Math.min(wait ?? catchUpMs, catchUpMs) : wait;
    return next === undefined ? {} : { requeueAfterMs: next };
  }

  /** One look at one set (`updateStatefulSet`). */
  class Round {
    readonly #set: StatefulSet;
    readonly #id: string;
    readonly #current: ControllerRevision;
    readonly #update: ControllerRevision;
    /** By number, from the first wanted one; those that are missing are to be created. */
    readonly #wanted: (Pod | undefined)[] = [];
    /** Beyond the wanted ones, the highest first. */
    readonly #condemned: Pod[];
    readonly #before: readonly Pod[];
    /** Deleted for a newer revision: upstream does not count them any more, though they are still there. */
    #replaced = 0;
    /** A pod waits for an old claim to go, of which no pod's event will tell. */
    waits = false;

    constructor(
      set: StatefulSet,
      id: string,
      current: ControllerRevision,
      update: ControllerRevision,
      owned: readonly Pod[],
    ) {
      this.#set = set;
      this.#id = id;
      this.#current = current;
      this.#update = update;
      this.#before = owned;
      const [first, count] = [startOrdinal(set), wantedOf(set)];
      for (let index = 0; index < count; index++) this.#wanted.push(undefined);
      const condemned: Pod[] = [];
      for (const pod of owned) {
        const ordinal = ordinalOf(set, pod);
        if (ordinal >= first && ordinal < first + count) this.#wanted[ordinal - first] = pod;
        else condemned.push(pod);
      }
      this.#condemned = condemned.toSorted((left, right) => ordinalOf(set, right) - ordinalOf(set, left));
    }

    /** Not there, not available, or about to go (`isUnavailable`). */
    #isMissing(pod: Pod | undefined): boolean {
      return pod === undefined || !this.#isAvailable(pod) || isTerminating(pod);
    }

    #isAvailable(pod: Pod): boolean {
      return isAvailable(pod, this.#set.spec?.minReadySeconds ?? 0, clock.now());
    }

    async work(): Promise<void> {
      if (this.#set.metadata.deletionTimestamp !== undefined) return;
      if (!(await this.#forAll(this.#wanted, (pod, index) => this.#fill(pod, index)))) return;
      const retained = await this.#forAll(this.#condemned, async (pod) => {
        await writer.retain(this.#set, pod);
        return "next";
      });
      const ordered = [...this.#wanted, ...this.#condemned.toReversed()];
      const firstUnavailable = ordered.find((pod) => this.#isMissing(pod));
      if (!retained || !(await this.#forAll(this.#condemned, (pod) => this.#shrink(pod, firstUnavailable)))) return;
      if (this.#set.spec?.updateStrategy?.type !== "OnDelete") await this.#updateOldest();
    }

    /** In order until one holds up all others, or all at once (`runForAll`). @returns whether to go on */
    async #forAll<T>(
      items: readonly T[],
      task: (item: T, index: number) => Promise<"next" | "wait">,
    ): Promise<boolean> {
      if (!isParallel(this.#set)) {
        for (const [index, item] of items.entries()) if ((await task(item, index)) === "wait") return false;
        return true;
      }
      const run = (index: number): Promise<unknown> => task(items[index] as T, index);
      const { error } = await slowStart(items.length, run, maxBatch);
      if (error !== undefined) throw error;
      return true;
    }

    /** One pod that is wanted (`processReplica`). */
    async #fill(pod: Pod | undefined, index: number): Promise<"next" | "wait"> {
      const set = this.#set;
      if (pod === undefined) {
        await this.#create(index + startOrdinal(set));
        return "wait";
      }
      if (isFinished(pod)) {
        // Its successor comes once it is gone.
        if (!isTerminating(pod)) await this.#delete(pod);
        return "wait";
      }
      if (pod.status?.phase === "Pending") await writer.createMissingClaims(set, pod);
      if (!isParallel(set) && (isTerminating(pod) || !isReady(pod) || !this.#isAvailable(pod))) return "wait";
      const kept = await writer.keep(set, pod);
      if (kept !== undefined) written.note(this.#id, kept);
      return "next";
    }

    async #create(ordinal: number): Promise<void> {
      const useUpdate = ordinal >= startOrdinal(this.#set) + this.#currentCount();
      const revision = useUpdate ? this.#update : this.#current;
      const spec = useUpdate
        ? this.#set.spec
        : ({ ...this.#set.spec, template: templateOf(this.#current) } as NonNullable<StatefulSet["spec"]>);
      const pod = statefulPod(this.#set, ordinal, spec, revisionName(revision));
      if (writer.mustWait(this.#set, pod)) this.waits = true;
      else written.note(this.#id, await writer.create(this.#set, pod));
    }

    /** How many of the first pods still get the current revision when they are made anew (`newVersionedStatefulSetPod`). */
    #currentCount(): number {
      const { updateStrategy } = this.#set.spec ?? {};
      if (updateStrategy?.type === "OnDelete") return 0;
      const { rollingUpdate } = updateStrategy ?? {};
      return rollingUpdate === undefined ? (this.#set.status?.currentReplicas ?? 0) : (rollingUpdate.partition ?? 0);
    }

    /** One pod that is left over (`processCondemned`). */
    async #shrink(pod: Pod, firstUnavailable: Pod | undefined): Promise<"next" | "wait"> {
      if (isTerminating(pod)) return "wait";
      if (!isParallel(this.#set) && (!isReady(pod) || !this.#isAvailable(pod)) && pod !== firstUnavailable)
        return "wait";
      await this.#delete(pod);
      return "wait";
    }

    /** Pods of an older revision go, the highest first. */
    async #updateOldest(): Promise<void> {
      const { partition = 0, maxUnavailable } = this.#set.spec?.updateStrategy?.rollingUpdate ?? {};
      const targets = this.#wanted.slice(partition).toReversed();
      const isOld = (pod: Pod | undefined): pod is Pod =>
        pod !== undefined && revisionOfPod(pod) !== revisionName(this.#update) && !isTerminating(pod);
      if (maxUnavailable !== undefined) {
        // Rounded down, unlike a Deployment's surge (`getStatefulSetMaxUnavailable`).
        const most = Math.max(1, scaled(maxUnavailable, wantedOf(this.#set), "down"));
        const missing = this.#wanted.filter((pod) => this.#isMissing(pod)).length;
        for (const pod of targets.filter(isOld).slice(0, Math.max(0, most - missing))) await this.#replace(pod);
        return;
      }
      // One that is missing holds up those below it, not those above.
      const next = targets.find((pod) => isOld(pod) || this.#isMissing(pod));
      if (isOld(next)) await this.#replace(next);
    }

    async #replace(pod: Pod): Promise<void> {
      await this.#delete(pod);
      this.#replaced += 1;
    }

    async #delete(pod: Pod): Promise<void> {
      written.note(this.#id, await writer.delete(this.#set, pod));
    }

    /** Counts, and whether the rollout has come to its end (`completeRollingUpdate`). */
    status(collisionCount: number): StatefulSetStatus {
      const [currentName, updateName] = [revisionName(this.#current), revisionName(this.#update)];
      const made = this.#before.filter((pod) => pod.status?.phase !== undefined);
      const ofRevision = (revision: string): number =>
        made.filter((pod) => !isTerminating(pod) && revisionOfPod(pod) === revision).length;
      const ready = made.filter((pod) => pod.status?.phase === "Running" && isReady(pod));
      const available = ready.filter((pod) => this.#isAvailable(pod)).length;
      const updated = ofRevision(updateName);
      const isRolling = this.#set.spec?.updateStrategy?.type !== "OnDelete";
      const isOver = isRolling && updated === made.length && ready.length === made.length && made.length === updated;
      const current = isOver ? updated : Math.max(0, ofRevision(currentName) - this.#replaced);
      return {
        observedGeneration: this.#set.metadata.generation ?? 0,
        replicas: made.length,
        ...(ready.length > 0 && { readyReplicas: ready.length }),
        ...(current > 0 && { currentReplicas: current }),
        ...(updated > 0 && { updatedReplicas: updated }),
        currentRevision: isOver ? updateName : currentName,
        updateRevision: updateName,
        collisionCount,
        availableReplicas: available,
      };
    }
  }

  return createController({
    name: "statefulset",
    reconciler: retryConflicts(reconcile),
    sources: [
      watch(sets),
      batched(watch(pods, { map: toController(StatefulSets) })),
      orphanRequests(pods, sets, ({ spec }) => spec?.selector),
    ],
    concurrency: 10,
    clock,
    logger,
  });
}

const templateOf = (revision: ControllerRevision): object => {
  const { $patch: _patch, ...template } =
    ((revision.data ?? {}) as { spec?: { template?: Record<string, unknown> } }).spec?.template ?? {};
  return template;
};

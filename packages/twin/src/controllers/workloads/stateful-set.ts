import {
  ControllerRevisions,
  createController,
  isAlreadyExists,
  isNotFound,
  keyOf,
  keyString,
  ownerReferenceTo,
  PersistentVolumeClaims,
  Pods,
  StatefulSets,
  toController,
  watch,
} from "@fleetwright/kube";
import type { ControllerRevision, Pod, StatefulSet, StatefulSetStatus } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { scaled } from "../percentage.ts";
import { claim } from "../pods/claim.ts";
import { byController, catchUpMs, controlledOrOrphaned, controllerIndex, WrittenVersions } from "../pods/controlled.ts";
import { isAvailable, isFinished, isReady, isTerminating, nextAvailableMs } from "../pods/pod-state.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import { orphanRequests } from "./orphans.ts";
import { ownedRevisions, presentRevision, revisionName, trimRevisions } from "./revision-history.ts";
import {
  claimsOf,
  isParallel,
  ordinalOf,
  historyLabel,
  revisionOfPod,
  startOrdinal,
  statefulPod,
  wantedOf,
} from "./stateful-pods.ts";

const name = "statefulset-controller";

/** Pods with names that stay (pkg/controller/statefulset). */
export const statefulSetController: Controllers = (context) => [start(context)];

function start(context: ControllerContext): Part {
  const { cache, clock, logger } = context;
  const sets = cache.informer(StatefulSets);
  const pods = cache.informer(Pods, { indexes: { [controllerIndex]: byController } });
  const revisions = cache.informer(ControllerRevisions, { indexes: { [controllerIndex]: byController } });
  const claims = cache.informer(PersistentVolumeClaims);
  const client = context.clientOf(name);
  const events = context.eventsOf(name);
  const written = new WrittenVersions(pods);
  const writtenOwn = new WrittenVersions(sets);
  const writtenRevisions = new WrittenVersions(revisions);

  const say = (set: StatefulSet, type: "Normal" | "Warning", reason: string, message: string): void =>
    events.event({ about: set, type, reason, message });

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
    const next = new Round(set, id, current, update, owned);
    const failure = await next.work().then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    const status = next.status(collisionCount);
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
    return wait === undefined ? {} : { requeueAfterMs: wait };
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
    readonly #created: Pod[] = [];

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

    #isHealthy(pod: Pod | undefined): boolean {
      return pod !== undefined && isReady(pod) && !isTerminating(pod);
    }

    #isAvailable(pod: Pod): boolean {
      return isAvailable(pod, this.#set.spec?.minReadySeconds ?? 0, clock.now());
    }

    async work(): Promise<void> {
      if (this.#set.metadata.deletionTimestamp !== undefined) return;
      if (!(await this.#fill())) return;
      if (!(await this.#shrink())) return;
      if (this.#set.spec?.updateStrategy?.type !== "OnDelete") await this.#updateOldest();
    }

    /** @returns whether to go on: in order, one pod that is not there yet holds up all others */
    async #fill(): Promise<boolean> {
      const parallel = isParallel(this.#set);
      for (const [index, pod] of this.#wanted.entries()) {
        if (pod !== undefined && isFinished(pod)) {
          if (!isTerminating(pod)) {
            const [type, reason] =
              pod.status?.phase === "Failed"
                ? (["Warning", "RecreatingFailedPod"] as const)
                : (["Normal", "RecreatingTerminatedPod"] as const);
            const { namespace, name: setName } = this.#set.metadata;
            const what = pod.status?.phase === "Failed" ? "failed" : "terminated";
            say(
              this.#set,
              type,
              reason,
              `StatefulSet ${namespace}/${setName} is recreating ${what} Pod ${pod.metadata.name}`,
            );
            await this.#delete(pod);
          }
          if (!parallel) return false;
          continue;
        }
        if (pod === undefined) {
          await this.#create(index + startOrdinal(this.#set));
          if (!parallel) return false;
          continue;
        }
        if (parallel) continue;
        if (isTerminating(pod) || !isReady(pod) || !this.#isAvailable(pod)) return false;
      }
      return true;
    }

    async #create(ordinal: number): Promise<void> {
      const useUpdate = ordinal >= startOrdinal(this.#set) + this.#currentCount();
      const revision = useUpdate ? this.#update : this.#current;
      const spec = useUpdate
        ? this.#set.spec
        : ({ ...this.#set.spec, template: templateOf(this.#current) } as NonNullable<StatefulSet["spec"]>);
      const pod = statefulPod(this.#set, ordinal, spec, revisionName(revision));
      await this.#claimStorage(ordinal);
      const what = `Create Pod ${pod.metadata.name} in StatefulSet ${this.#set.metadata.name}`;
      try {
        const created = await client.create(Pods, pod);
        written.note(this.#id, created);
        this.#created.push(created);
        say(this.#set, "Normal", "SuccessfulCreate", `${what} successful`);
      } catch (error) {
        if (isAlreadyExists(error)) return;
        say(
          this.#set,
          "Warning",
          "FailedCreate",
          `${what} failed error: ${error instanceof Error ? error.message : String(error)}`,
        );
        throw error;
      }
    }

    /** How many of the first pods still get the current revision when they are made anew (`newVersionedStatefulSetPod`). */
    #currentCount(): number {
      const { updateStrategy } = this.#set.spec ?? {};
      if (updateStrategy?.type === "OnDelete") return 0;
      const { rollingUpdate } = updateStrategy ?? {};
      return rollingUpdate === undefined ? (this.#set.status?.currentReplicas ?? 0) : (rollingUpdate.partition ?? 0);
    }

    async #claimStorage(ordinal: number): Promise<void> {
      for (const wanted of claimsOf(this.#set, ordinal)) {
        const key = keyOf(wanted);
        if (claims.get(key) !== undefined) continue;
        const retention = this.#set.spec?.persistentVolumeClaimRetentionPolicy;
        const reference = ownerReferenceTo(StatefulSets, this.#set, { controller: true, blockOwnerDeletion: true });
        const owned =
          retention?.whenDeleted === "Delete"
            ? { ...wanted, metadata: { ...wanted.metadata, ownerReferences: [reference] } }
            : wanted;
        const what = `Create Claim ${key.name} Pod ${this.#set.metadata.name}-${ordinal} in StatefulSet ${this.#set.metadata.name}`;
        try {
          await client.create(PersistentVolumeClaims, owned);
          say(this.#set, "Normal", "SuccessfulCreate", `${what} success`);
        } catch (error) {
          if (isAlreadyExists(error)) continue;
          say(
            this.#set,
            "Warning",
            "FailedCreate",
            `${what} failed error: ${error instanceof Error ? error.message : String(error)}`,
          );
          throw error;
        }
      }
    }

    async #shrink(): Promise<boolean> {
      const parallel = isParallel(this.#set);
      const firstUnhealthy = [...this.#wanted, ...this.#condemned.toReversed()].find((pod) => !this.#isHealthy(pod));
      for (const pod of this.#condemned) {
        if (isTerminating(pod)) {
          if (!parallel) return false;
          continue;
        }
        if (!parallel) {
          if (!isReady(pod) && pod !== firstUnhealthy) return false;
          if (!this.#isAvailable(pod) && pod !== firstUnhealthy) return false;
        }
        await this.#delete(pod);
        if (!parallel) return false;
      }
      return true;
    }

    /** Pods of an older revision go, the highest first, as many at a time as may be missing. */
    async #updateOldest(): Promise<void> {
      const { rollingUpdate } = this.#set.spec?.updateStrategy ?? {};
      const partition = rollingUpdate?.partition ?? 0;
      const maxUnavailable = rollingUpdate?.maxUnavailable;
      const mayMiss = maxUnavailable === undefined ? 1 : Math.max(1, scaled(maxUnavailable, wantedOf(this.#set), "up"));
      let missing = this.#wanted.filter(
        (pod) => pod === undefined || !this.#isHealthy(pod) || !this.#isAvailable(pod),
      ).length;
      for (let index = this.#wanted.length - 1; index >= partition; index--) {
        const pod = this.#wanted[index];
        if (pod === undefined) return;
        if (revisionOfPod(pod) !== revisionName(this.#update) && !isTerminating(pod)) {
          const isHealthy = this.#isHealthy(pod) && this.#isAvailable(pod);
          if (isHealthy && missing >= mayMiss) return;
          await this.#delete(pod);
          if (isHealthy) missing += 1;
          if (missing >= mayMiss) return;
          continue;
        }
        if ((!this.#isHealthy(pod) || !this.#isAvailable(pod)) && missing >= mayMiss) return;
      }
    }

    async #delete(pod: Pod): Promise<void> {
      const what = `Delete Pod ${pod.metadata.name} in StatefulSet ${this.#set.metadata.name}`;
      try {
        written.note(
          this.#id,
          await client.delete(Pods, keyOf(pod), { preconditions: { uid: pod.metadata.uid ?? "" } }),
        );
        say(this.#set, "Normal", "SuccessfulDelete", `${what} successful`);
      } catch (error) {
        if (isNotFound(error)) return;
        say(
          this.#set,
          "Warning",
          "FailedDelete",
          `${what} failed error: ${error instanceof Error ? error.message : String(error)}`,
        );
        throw error;
      }
    }

    /** Counts, and whether the rollout has come to its end (`completeRollingUpdate`). */
    status(collisionCount: number): StatefulSetStatus {
      const [currentName, updateName] = [revisionName(this.#current), revisionName(this.#update)];
      const all = [...this.#before, ...this.#created];
      const made = all.filter((pod) => pod.status?.phase !== undefined);
      const ofRevision = (revision: string): number =>
        made.filter((pod) => !isTerminating(pod) && revisionOfPod(pod) === revision).length;
      const ready = made.filter((pod) => pod.status?.phase === "Running" && isReady(pod));
      const available = ready.filter((pod) => this.#isAvailable(pod)).length;
      const updated = ofRevision(updateName);
      const isRolling = this.#set.spec?.updateStrategy?.type !== "OnDelete";
      const isOver = isRolling && updated === made.length && ready.length === made.length && made.length === updated;
      const current = isOver ? updated : ofRevision(currentName);
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
      watch(pods, { map: toController(StatefulSets) }),
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

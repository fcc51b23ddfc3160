import {
  createController,
  Deployments,
  isAlreadyExists,
  isControlledBy,
  keyOf,
  keyString,
  ownerReferenceTo,
  Pods,
  ReplicaSets,
  toController,
  watch,
} from "@fleetwright/kube";
import type { Deployment, DeploymentStatus, Pod, PodTemplateSpec, ReplicaSet } from "@fleetwright/kube";
import { batched } from "../batched.ts";
import type { ControllerContext, Controllers, Part } from "../context.ts";
import { claim } from "../pods/claim.ts";
import {
  byController,
  catchUpMs,
  controlledBy,
  controlledOrOrphaned,
  controllerIndex,
  WrittenVersions,
} from "../pods/controlled.ts";
import { isFinished } from "../pods/pod-state.ts";
import { isNamespaceTerminating } from "../pods/pod-writer.ts";
import { retryConflicts } from "../retry-conflicts.ts";
import { sameValue } from "../same-value.ts";
import {
  annotations,
  byCreation,
  isActiveSet,
  isRolling,
  maxScaledDown,
  maxSurge,
  newSetReplicas,
  proportionalScalings,
  revisionNumber,
  revisionOf,
  spareScalings,
  unhealthyScalings,
  wantedOf,
} from "./deployment-plan.ts";
import {
  conditionOf,
  countedStatus,
  deadlineOf,
  hasDeadline,
  isComplete,
  progressing,
  rolloutStatus,
  withCondition,
} from "./deployment-status.ts";
import { orphanRequests } from "./orphans.ts";
import { templateHash } from "./template-hash.ts";

const name = "deployment-controller";
const hashLabel = "pod-template-hash";
/** Of a Deployment, not copied to its sets. */
const ownAnnotations: readonly string[] = [
  "kubectl.kubernetes.io/last-applied-configuration",
  ...Object.values(annotations),
  "deprecated.deployment.rollback.to",
];
const maxHistoryLength = 2_000;

/** Rolls ReplicaSets out (pkg/controller/deployment). */
export const deploymentController: Controllers = (context) => [start(context)];

function start(context: ControllerContext): Part {
  const { cache, clock, logger } = context;
  const deployments = cache.informer(Deployments);
  const sets = cache.informer(ReplicaSets, { indexes: { [controllerIndex]: byController } });
  const pods = cache.informer(Pods, { indexes: { [controllerIndex]: byController } });
  const client = context.clientOf(name);
  const events = context.eventsOf(name);
  const written = new WrittenVersions(sets);
  const writtenOwn = new WrittenVersions(deployments);

  async function reconcile(key: {
    readonly namespace?: string;
    readonly name: string;
  }): Promise<{ requeueAfterMs?: number }> {
    const id = keyString(key);
    const deployment = deployments.get(key);
    if (deployment === undefined) {
      written.forget(id);
      writtenOwn.forget(id);
      return {};
    }
    if (!written.caughtUp(id) || !writtenOwn.caughtUp(id)) return { requeueAfterMs: catchUpMs };
    const owned = await claim({
      client,
      resource: ReplicaSets,
      ownerResource: Deployments,
      owner: deployment,
      selector: deployment.spec?.selector ?? {},
      candidates: controlledOrOrphaned(sets, deployment),
      onWrite: (answer) => written.note(id, answer),
    });
    try {
      return await new Rollout(deployment, owned, id).step();
    } catch (error) {
      if (error instanceof Stale) return { requeueAfterMs: 5 };
      throw error;
    }
  }

  /** One look at one Deployment. Sets are as they were, or as the server answered a moment ago. */
  class Rollout {
    #deployment: Deployment;
    #sets: ReplicaSet[];
    readonly #id: string;
    #isStale = false;

    constructor(deployment: Deployment, owned: readonly ReplicaSet[], id: string) {
      this.#deployment = deployment;
      this.#sets = owned.toSorted(byCreation);
      this.#id = id;
    }

    get #new(): ReplicaSet | undefined {
      const template = withoutHash(this.#deployment.spec?.template);
      return this.#sets.find((set) => sameValue(withoutHash(set.spec?.template), template));
    }

    get #old(): readonly ReplicaSet[] {
      const current = this.#new;
      return this.#sets.filter((set) => set !== current);
    }

    async step(): Promise<{ requeueAfterMs?: number }> {
      if (this.#deployment.metadata.deletionTimestamp !== undefined)
        return this.#writeStatus(countedStatus(this.#deployment, this.#sets, this.#new, clock.now()));
      await this.#checkPaused();
      const wanted = wantedOf(this.#deployment);
      const isScaled = this.#sets.some((set) => {
        const desired = set.metadata.annotations?.[annotations.desired];
        return isActiveSet(set) && desired !== undefined && Number(desired) !== wanted;
      });
      if (this.#deployment.spec?.paused === true || isScaled) return this.#scaleOnly();
      return isRolling(this.#deployment) ? this.#roll() : this.#recreate();
    }

    /** The size has changed, or the rollout stands still: no new sets (`sync`). */
    async #scaleOnly(): Promise<{ requeueAfterMs?: number }> {
      await this.#syncNewSet(false);
      for (const { set, replicas } of proportionalScalings(this.#deployment, this.#new, this.#old))
        await this.#scale(set, replicas);
      if (this.#deployment.spec?.paused === true) await this.#cleanUp();
      return this.#writeStatus(countedStatus(this.#deployment, this.#sets, this.#new, clock.now()));
    }

    async #roll(): Promise<{ requeueAfterMs?: number }> {
      await this.#syncNewSet(true);
      const current = this.#new;
      if (current !== undefined) {
        const replicas =
          wantedOf(current) > wantedOf(this.#deployment)
            ? wantedOf(this.#deployment)
            : newSetReplicas(this.#deployment, this.#sets, wantedOf(current));
        if (await this.#resize(current, replicas)) return this.#writeRolloutStatus();
      }
      let scaledDown = false;
      if (maxScaledDown(this.#deployment, this.#new, this.#old) > 0) {
        // Two writes where both steps concern one set: each is an event of its own.
        for (const scalings of [unhealthyScalings, spareScalings]) {
          for (const { set, replicas } of scalings(this.#deployment, this.#new, this.#old))
            scaledDown = (await this.#resize(set, replicas)) || scaledDown;
        }
      }
      if (!scaledDown && isComplete(this.#deployment, this.#deployment.status ?? {})) await this.#cleanUp();
      return this.#writeRolloutStatus();
    }

    async #recreate(): Promise<{ requeueAfterMs?: number }> {
      await this.#syncNewSet(false);
      const old = this.#old.filter(isActiveSet);
      for (const set of old) await this.#resize(set, 0);
      if (old.length > 0) return this.#writeRolloutStatus();
      if (this.#old.some((set) => controlledBy(pods, set).some((pod: Pod) => !isFinished(pod))))
        return this.#writeRolloutStatus();
      await this.#syncNewSet(true);
      const current = this.#new;
      if (current !== undefined) await this.#resize(current, wantedOf(this.#deployment));
      if (isComplete(this.#deployment, this.#deployment.status ?? {})) await this.#cleanUp();
      return this.#writeRolloutStatus();
    }

    /** The new set with the right annotations, created if need be (`getNewReplicaSet`). */
    async #syncNewSet(mayCreate: boolean): Promise<void> {
      const current = this.#new;
      const newest = this.#old.map(revisionOf).reduce((left, right) => (left > right ? left : right), 0n);
      const revision = String(newest + 1n);
      if (current !== undefined) {
        const wanted = setAnnotations(this.#deployment, current.metadata.annotations ?? {}, revision, true);
        const { minReadySeconds = 0 } = this.#deployment.spec ?? {};
        if (
          !sameValue(wanted, current.metadata.annotations ?? {}) ||
          (current.spec?.minReadySeconds ?? 0) !== minReadySeconds
        ) {
          const spec = { ...current.spec, selector: current.spec?.selector ?? {}, minReadySeconds };
          await this.#update(current, { ...current, metadata: { ...current.metadata, annotations: wanted }, spec });
        }
        await this.#noteRevision(this.#new?.metadata.annotations?.[annotations.revision] ?? revision, {
          reason: "FoundNewReplicaSet",
          message: `Found new replica set "${current.metadata.name}"`,
          onlyFirst: true,
        });
        return;
      }
      if (mayCreate) await this.#create(revision);
    }

    async #create(revision: string): Promise<void> {
      const deployment = this.#deployment;
      const { template, selector, minReadySeconds } = deployment.spec ?? {};
      const hash = templateHash(template, deployment.status?.collisionCount ?? 0);
      const labels = { ...template?.metadata?.labels, [hashLabel]: hash };
      const set: ReplicaSet = {
        metadata: {
          name: `${deployment.metadata.name}-${hash}`,
          ...(deployment.metadata.namespace === undefined ? {} : { namespace: deployment.metadata.namespace }),
          labels,
          ownerReferences: [ownerReferenceTo(Deployments, deployment, { controller: true, blockOwnerDeletion: true })],
        },
        spec: {
          replicas: newSetReplicas(deployment, this.#sets, 0),
          ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
          selector: { ...selector, matchLabels: { ...selector?.matchLabels, [hashLabel]: hash } },
          template: { ...template, metadata: { ...template?.metadata, labels } },
        },
      };
      const annotated = {
        ...set,
        metadata: { ...set.metadata, annotations: setAnnotations(deployment, {}, revision, false) },
      };
      let created: ReplicaSet;
      try {
        created = await client.create(ReplicaSets, annotated);
      } catch (error) {
        if (isAlreadyExists(error)) return this.#onTaken(annotated, error);
        // Nothing can be created any more, and everybody knows why.
        if (!isNamespaceTerminating(error)) await this.#onRefused(set, error);
        throw error;
      }
      written.note(this.#id, created);
      this.#sets.push(created);
      if (wantedOf(created) > 0) this.#scaled("up", created, 0, wantedOf(created));
      if (this.#isStale) throw new Stale();
      await this.#noteRevision(revision, {
        reason: "NewReplicaSetCreated",
        message: `Created new replica set "${created.metadata.name}"`,
        onlyFirst: false,
      });
    }

    async #onRefused(set: ReplicaSet, error: unknown): Promise<void> {
      const reason = "ReplicaSetCreateError";
      const text = error instanceof Error ? error.message : String(error);
      const message = `Failed to create new replica set "${set.metadata.name}": ${text}`;
      try {
        if (hasDeadline(this.#deployment)) await this.#writeConditions({ status: "False", reason, message });
      } catch (notWritten) {
        // The refusal is what has to be told, and the next look writes the status again.
        logger.debug({ deployment: this.#id, error: notWritten }, "the status does not say that a set was refused");
      }
      events.event({ about: this.#deployment, type: "Warning", reason, message });
    }

    /** Ours of before, or another's whose hash is the same: then the hash is to be another one. */
    async #onTaken(wanted: ReplicaSet, error: unknown): Promise<void> {
      const present = await client.get(ReplicaSets, { ...keyOf(wanted), name: wanted.metadata.name ?? "" });
      const isSame = sameValue(withoutHash(present.spec?.template), withoutHash(wanted.spec?.template));
      if (isSame && isControlledBy(present, this.#deployment)) {
        written.note(this.#id, present);
        this.#sets.push(present);
        return;
      }
      const collisionCount = (this.#deployment.status?.collisionCount ?? 0) + 1;
      await this.#put({ ...this.#deployment, status: { ...this.#deployment.status, collisionCount } });
      throw error;
    }

    /** The Deployment's own revision, and what is known of its progress. */
    async #noteRevision(
      revision: string,
      {
        reason,
        message,
        onlyFirst,
      }: { readonly reason: string; readonly message: string; readonly onlyFirst: boolean },
    ): Promise<void> {
      const deployment = this.#deployment;
      const isNew = deployment.metadata.annotations?.[annotations.revision] !== revision;
      const tells =
        hasDeadline(deployment) && !(onlyFirst && conditionOf(deployment.status, progressing) !== undefined);
      const conditions = tells
        ? withCondition(
            deployment.status?.conditions,
            { type: progressing, status: "True", reason, message },
            clock.now(),
          )
        : deployment.status?.conditions;
      if (!isNew && conditions === deployment.status?.conditions) return;
      await this.#put({
        ...deployment,
        metadata: {
          ...deployment.metadata,
          annotations: { ...deployment.metadata.annotations, [annotations.revision]: revision },
        },
        status: { ...deployment.status, ...(conditions === undefined ? {} : { conditions }) },
      });
    }

    /** Pausing and resuming are told, so that the deadline does not count meanwhile (`checkPausedConditions`). */
    async #checkPaused(): Promise<void> {
      if (!hasDeadline(this.#deployment)) return;
      const condition = conditionOf(this.#deployment.status, progressing);
      if (condition?.reason === "ProgressDeadlineExceeded") return;
      const paused = this.#deployment.spec?.paused === true;
      const known = condition?.reason === "DeploymentPaused";
      if (paused === known) return;
      // Upstream goes on with the object from before this write: what it notes at a new set is then refused as a conflict.
      this.#isStale = true;
      await this.#writeConditions(
        paused
          ? { status: "Unknown", reason: "DeploymentPaused", message: "Deployment is paused" }
          : { status: "Unknown", reason: "DeploymentResumed", message: "Deployment is resumed" },
      );
    }

    async #writeConditions(next: {
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }): Promise<void> {
      const conditions = withCondition(
        this.#deployment.status?.conditions,
        { type: progressing, ...next },
        clock.now(),
      );
      await this.#put({ ...this.#deployment, status: { ...this.#deployment.status, conditions } });
    }

    async #put(deployment: Deployment): Promise<void> {
      this.#deployment = await client.updateStatus(Deployments, deployment);
      writtenOwn.note(this.#id, this.#deployment);
    }

    /** A set of the right size keeps its marks, be they out of date (`scaleReplicaSetAndRecordEvent`). @returns whether the size changed */
    async #resize(set: ReplicaSet, replicas: number): Promise<boolean> {
      return wantedOf(set) !== replicas && this.#scale(set, replicas);
    }

    /** @returns whether the size changed */
    async #scale(set: ReplicaSet, replicas: number): Promise<boolean> {
      const wanted = wantedOf(this.#deployment);
      const marks = {
        [annotations.desired]: String(wanted),
        [annotations.max]: String(wanted + maxSurge(this.#deployment)),
      };
      const before = wantedOf(set);
      const known = set.metadata.annotations ?? {};
      const isMarked = Object.entries(marks).every(([key, value]) => known[key] === value);
      if (before === replicas && isMarked) return false;
      await this.#update(set, {
        ...set,
        metadata: { ...set.metadata, annotations: { ...known, ...marks } },
        spec: { ...set.spec, selector: set.spec?.selector ?? {}, replicas },
      });
      if (before === replicas) return false;
      this.#scaled(replicas > before ? "up" : "down", set, before, replicas);
      return true;
    }

    #scaled(direction: "up" | "down", set: ReplicaSet, from: number, to: number): void {
      const message = `Scaled ${direction} replica set ${set.metadata.name} from ${from} to ${to}`;
      events.event({ about: this.#deployment, type: "Normal", reason: "ScalingReplicaSet", message });
    }

    async #update(before: ReplicaSet, after: ReplicaSet): Promise<void> {
      const stored = await client.update(ReplicaSets, after);
      written.note(this.#id, stored);
      this.#sets = this.#sets.map((set) => (set === before ? stored : set));
    }

    /** Old sets beyond the history that is kept (`cleanupDeployment`). */
    async #cleanUp(): Promise<void> {
      const limit = this.#deployment.spec?.revisionHistoryLimit;
      if (limit === undefined) return;
      const alive = this.#old.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      const excess = alive
        .toSorted((left, right) => Number(revisionOf(left) - revisionOf(right)) || byCreation(left, right))
        .slice(0, Math.max(0, alive.length - limit));
      for (const set of excess) {
        const { metadata, status } = set;
        if (
          (status?.replicas ?? 0) !== 0 ||
          wantedOf(set) !== 0 ||
          (metadata.generation ?? 0) > (status?.observedGeneration ?? 0)
        )
          continue;
        await client.delete(ReplicaSets, keyOf(set));
        this.#sets = this.#sets.filter((other) => other !== set);
      }
    }

    #writeRolloutStatus(): Promise<{ requeueAfterMs?: number }> {
      return this.#writeStatus(rolloutStatus(this.#deployment, this.#sets, this.#new, clock.now()));
    }

    async #writeStatus(status: DeploymentStatus): Promise<{ requeueAfterMs?: number }> {
      if (!sameValue(status, this.#deployment.status ?? {})) await this.#put({ ...this.#deployment, status });
      const deadline =
        hasDeadline(this.#deployment) && this.#deployment.spec?.paused !== true
          ? deadlineOf(this.#deployment, status)
          : undefined;
      return deadline === undefined ? {} : { requeueAfterMs: Math.max(1, deadline - clock.now()) + 1_000 };
    }
  }

  return createController({
    name,
    reconciler: retryConflicts(reconcile),
    sources: [
      watch(deployments),
      batched(watch(sets, { map: toController(Deployments) })),
      orphanRequests(sets, deployments, ({ spec }) => spec?.selector),
      // Recreate waits for the last pod of the old sets.
      watch(pods, {
        predicates: [{ added: () => false, updated: (before, after) => isFinished(after) && !isFinished(before) }],
        map: (pod) => controllersOfSet(pod),
      }),
    ],
    concurrency: 10,
    clock,
    logger,
  });

  function controllersOfSet(pod: Pod): readonly { readonly namespace?: string; readonly name: string }[] {
    const setName = pod.metadata.ownerReferences?.find(
      ({ controller, kind }) => controller === true && kind === "ReplicaSet",
    )?.name;
    if (setName === undefined) return [];
    const set = sets.get({ namespace: pod.metadata.namespace ?? "", name: setName });
    if (set === undefined) return [];
    return toController(Deployments)(set).filter((request) => {
      const deployment = deployments.get(request);
      return deployment !== undefined && !isRolling(deployment);
    });
  }
}

/** The Deployment has been written meanwhile. */
class Stale extends Error {}

function withoutHash(template: PodTemplateSpec | undefined): PodTemplateSpec | undefined {
  if (template?.metadata?.labels?.[hashLabel] === undefined) return template;
  const { [hashLabel]: _hash, ...labels } = template.metadata.labels;
  return { ...template, metadata: { ...template.metadata, labels } };
}

/** What a set's annotations are to be (`SetNewReplicaSetAnnotations`). */
function setAnnotations(
  deployment: Deployment,
  before: Readonly<Record<string, string>>,
  revision: string,
  exists: boolean,
): Readonly<Record<string, string>> {
  const result: Record<string, string> = { ...before };
  for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {}))
    if (!ownAnnotations.includes(key)) result[key] = value;
  const known = before[annotations.revision];
  if (revisionNumber(known) < revisionNumber(revision)) {
    result[annotations.revision] = revision;
    if (known !== undefined) {
      const history = [...(before[annotations.history]?.split(",") ?? []), known].join(",");
      result[annotations.history] =
        history.length > maxHistoryLength ? history.slice(history.indexOf(",") + 1) : history;
    }
  }
  if (!exists) {
    const wanted = wantedOf(deployment);
    result[annotations.desired] = String(wanted);
    result[annotations.max] = String(wanted + maxSurge(deployment));
  }
  return result;
}

import { isAlreadyExists, isNotFound, keyOf, PersistentVolumeClaims, Pods } from "@fleetwright/kube";
import type {
  Client,
  CoreEventRecorder,
  Informer,
  KubeObject,
  PersistentVolumeClaim,
  Pod,
  StatefulSet,
} from "@fleetwright/kube";
import { isControlledByOthers, isStaleClaim, retainedClaim } from "./stateful-claims.ts";
import { claimsOf, isIdentified, ordinalOf, withIdentity } from "./stateful-pods.ts";

type Verb = "Create" | "Update" | "Delete";

/** Several errors are told as one (`utilerrors.NewAggregate`). */
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Creates, updates and deletes a StatefulSet's pods with their claims, and says so (`StatefulPodControl`). */
export class StatefulPodWriter {
  readonly #client: Client;
  readonly #events: CoreEventRecorder;
  readonly #claims: Informer<PersistentVolumeClaim>;

  readonly #onClaim: (set: StatefulSet, claim: PersistentVolumeClaim) => void;

  /** @param onClaim told of every claim that was written: the cache of claims may be behind that of pods */
  constructor(
    client: Client,
    events: CoreEventRecorder,
    claims: Informer<PersistentVolumeClaim>,
    onClaim: (set: StatefulSet, claim: PersistentVolumeClaim) => void,
  ) {
    this.#client = client;
    this.#events = events;
    this.#claims = claims;
    this.#onClaim = onClaim;
  }

  /** Whether a claim of this name is about to go, so that the pod has to wait. */
  mustWait(set: StatefulSet, pod: Pod): boolean {
    return this.#present(set, pod).some((claim) => isStaleClaim(set, pod, claim));
  }

  /** @throws ApiError after the event FailedCreate, which a taken name is not worth */
  async create(set: StatefulSet, pod: Pod): Promise<Pod> {
    let created: Pod;
    try {
      await this.#createClaims(set, pod);
      created = await this.#client.create(Pods, pod);
    } catch (error) {
      if (!isAlreadyExists(error)) this.#say(set, "Create", pod, error);
      throw error;
    }
    await this.#retain(set, created);
    this.#say(set, "Create", pod);
    return created;
  }

  /** @returns what the server answered; `undefined`: it is gone already. */
  async delete(set: StatefulSet, pod: Pod): Promise<unknown> {
    try {
      const answer = await this.#client.delete(Pods, keyOf(pod), { preconditions: { uid: pod.metadata.uid ?? "" } });
      this.#say(set, "Delete", pod);
      return answer;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      this.#say(set, "Delete", pod, error);
      throw error;
    }
  }

  /** A pod that waits may wait for a claim that somebody deleted (`createMissingPersistentVolumeClaims`). */
  async createMissingClaims(set: StatefulSet, pod: Pod): Promise<void> {
    await this.#createClaims(set, pod);
    await this.#retain(set, pod);
  }

  /** Brings a pod's labels and its claims' owners up to date (`UpdateStatefulPod`). @returns the pod if it was written */
  async keep(set: StatefulSet, pod: Pod): Promise<KubeObject | undefined> {
    const isSettled = this.#present(set, pod).every((claim) => retainedClaim(set, pod, claim) === undefined);
    if (isSettled && isIdentified(set, pod)) return undefined;
    try {
      await this.#retain(set, pod);
      const written = isIdentified(set, pod)
        ? undefined
        : await this.#client.update(Pods, withIdentity(pod, ordinalOf(set, pod)));
      this.#say(set, "Update", pod);
      return written;
    } catch (error) {
      this.#say(set, "Update", pod, error);
      throw error;
    }
  }

  /** Gives the pod's claims the owners that the set's retention policy wants (`UpdatePodClaimForRetentionPolicy`). */
  async retain(set: StatefulSet, pod: Pod): Promise<void> {
    if (this.#present(set, pod).some((claim) => retainedClaim(set, pod, claim) !== undefined))
      await this.#retain(set, pod);
  }

  async #retain(set: StatefulSet, pod: Pod): Promise<void> {
    for (const claim of this.#present(set, pod)) {
      if (isControlledByOthers(set, pod, claim)) {
        const { name } = claim.metadata;
        const message = `PersistentVolumeClaim ${name} has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim`;
        this.#events.event({ about: set, type: "Warning", reason: "ConflictingController", message });
      }
      const wanted = retainedClaim(set, pod, claim);
      if (wanted !== undefined) this.#onClaim(set, await this.#client.update(PersistentVolumeClaims, wanted));
    }
  }

  /** What the cache has of the pod's claims. */
  #present(set: StatefulSet, pod: Pod): readonly PersistentVolumeClaim[] {
    return claimsOf(set, ordinalOf(set, pod))
      .map((claim) => this.#claims.get(keyOf(claim)))
      .filter((claim) => claim !== undefined);
  }

  async #createClaims(set: StatefulSet, pod: Pod): Promise<void> {
    const problems: string[] = [];
    for (const claim of claimsOf(set, ordinalOf(set, pod))) {
      const key = keyOf(claim);
      const present = this.#claims.get(key);
      if (present !== undefined) {
        if (present.metadata.deletionTimestamp !== undefined) problems.push(`pvc ${key.name} is being deleted`);
        continue;
      }
      try {
        this.#onClaim(set, await this.#client.create(PersistentVolumeClaims, claim));
        this.#sayClaim(set, pod, key.name);
      } catch (error) {
        problems.push(`failed to create PVC ${key.name}: ${textOf(error)}`);
        if (!isAlreadyExists(error)) this.#sayClaim(set, pod, key.name, error);
      }
    }
    if (problems.length > 0) throw new Error(problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`);
  }

  #say(set: StatefulSet, verb: Verb, { metadata }: Pod, error?: unknown): void {
    const what = `${verb} Pod ${metadata.name} in StatefulSet ${set.metadata.name}`;
    this.#event(
      set,
      verb,
      error === undefined ? `${what} successful` : `${what} failed error: ${textOf(error)}`,
      error,
    );
  }

  #sayClaim(set: StatefulSet, { metadata }: Pod, claim: string, error?: unknown): void {
    const where = `Pod ${metadata.name} in StatefulSet ${set.metadata.name}`;
    const message =
      error === undefined
        ? `Create Claim ${claim} ${where} success`
        : `Create Claim ${claim} for ${where} failed error: ${textOf(error)}`;
    this.#event(set, "Create", message, error);
  }

  #event(set: StatefulSet, verb: Verb, message: string, error: unknown): void {
    const [type, outcome] =
      error === undefined ? (["Normal", "Successful"] as const) : (["Warning", "Failed"] as const);
    this.#events.event({ about: set, type, reason: `${outcome}${verb}`, message });
  }
}

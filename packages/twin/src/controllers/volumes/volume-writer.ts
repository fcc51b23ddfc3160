import { PersistentVolumeClaims, PersistentVolumes, quantityFromJson } from "@fleetwright/kube";
import type {
  Client,
  CoreEventRecorder,
  ObjectMeta,
  PersistentVolume,
  PersistentVolumeClaim,
  PersistentVolumeClaimStatus,
} from "@fleetwright/kube";
import { sameValue } from "../same-value.ts";
import type { LatestObjects } from "./latest-objects.ts";
import { isKeptFor } from "./volume-match.ts";

export const bindCompleted = "pv.kubernetes.io/bind-completed";
export const boundByController = "pv.kubernetes.io/bound-by-controller";
const provisioners = ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];

export const hasAnnotation = ({ metadata }: { readonly metadata: ObjectMeta }, key: string): boolean =>
  metadata.annotations?.[key] !== undefined;

const annotated = (metadata: ObjectMeta, added: Readonly<Record<string, string>>): ObjectMeta => ({
  ...metadata,
  annotations: { ...metadata.annotations, ...added },
});

export interface Reason {
  readonly reason: string;
  readonly message: string;
}

/** Writes claims and volumes; nothing is sent for what is so already (pkg/controller/volume/persistentvolume/pv_controller.go). */
export class VolumeWriter {
  readonly #client: Client;
  readonly #events: CoreEventRecorder;
  readonly #claims: LatestObjects<PersistentVolumeClaim>;
  readonly #volumes: LatestObjects<PersistentVolume>;

  constructor(
    client: Client,
    events: CoreEventRecorder,
    claims: LatestObjects<PersistentVolumeClaim>,
    volumes: LatestObjects<PersistentVolume>,
  ) {
    this.#client = client;
    this.#events = events;
    this.#claims = claims;
    this.#volumes = volumes;
  }

  say(about: PersistentVolume | PersistentVolumeClaim, type: "Normal" | "Warning", { reason, message }: Reason): void {
    this.#events.event({ about, type, reason, message });
  }

  /** Binds both to each other, the volume first: whoever breaks off in between is finished by the next one. */
  async bind(volume: PersistentVolume, claim: PersistentVolumeClaim): Promise<void> {
    const kept = await this.#keep(volume, claim);
    const bound = await this.volumePhase(kept, "Bound");
    const named = await this.#name(claim, bound);
    await this.claimPhase(named, "Bound", bound);
  }

  async #keep(volume: PersistentVolume, claim: PersistentVolumeClaim): Promise<PersistentVolume> {
    const { namespace = "", name = "", uid = "", resourceVersion = "" } = claim.metadata;
    const { claimRef } = volume.spec ?? {};
    const isKept = claimRef?.name === name && claimRef.namespace === namespace && claimRef.uid === uid;
    const marks = !isKeptFor(volume, claim) && !hasAnnotation(volume, boundByController);
    if (isKept && !marks) return volume;
    const wanted = isKept
      ? claimRef
      : { kind: "PersistentVolumeClaim", namespace, name, uid, apiVersion: "v1", resourceVersion };
    return this.#update({
      ...volume,
      metadata: marks ? annotated(volume.metadata, { [boundByController]: "yes" }) : volume.metadata,
      spec: { ...volume.spec, claimRef: wanted },
    });
  }

  async #name(claim: PersistentVolumeClaim, { metadata }: PersistentVolume): Promise<PersistentVolumeClaim> {
    const { name = "" } = metadata;
    const isNamed = claim.spec?.volumeName === name;
    if (isNamed && hasAnnotation(claim, bindCompleted)) return claim;
    const marks = {
      ...(!isNamed && { [boundByController]: "yes", ...claim.metadata.annotations }),
      [bindCompleted]: claim.metadata.annotations?.[bindCompleted] ?? "yes",
    };
    return this.claim({
      ...claim,
      metadata: annotated(claim.metadata, marks),
      spec: { ...claim.spec, volumeName: name },
    });
  }

  /** Takes a binding back; a volume that its user keeps for a claim stays kept. */
  async unbind(volume: PersistentVolume): Promise<void> {
    const { claimRef, ...spec } = volume.spec ?? {};
    const { [boundByController]: mark, ...annotations } = volume.metadata.annotations ?? {};
    const { uid: _uid, ...reserved } = claimRef ?? {};
    const freed =
      mark === undefined
        ? { ...volume, spec: { ...spec, claimRef: reserved } }
        : { ...volume, metadata: { ...volume.metadata, annotations }, spec };
    await this.volumePhase(await this.#update(freed), "Available");
  }

  async #update(volume: PersistentVolume): Promise<PersistentVolume> {
    return this.#volumes.note(await this.#client.update(PersistentVolumes, volume));
  }

  async volumePhase(
    volume: PersistentVolume,
    phase: "Available" | "Bound" | "Released" | "Failed",
    why?: Reason,
  ): Promise<PersistentVolume> {
    if (volume.status?.phase === phase) return volume;
    const { message: _message, ...before } = volume.status ?? {};
    const status = { ...before, phase, ...(why !== undefined && { message: why.message }) };
    const updated = await this.#client.updateStatus(PersistentVolumes, { ...volume, status });
    if (why !== undefined) this.say(updated, "Warning", why);
    return this.#volumes.note(updated);
  }

  async claim(claim: PersistentVolumeClaim): Promise<PersistentVolumeClaim> {
    return this.#claims.note(await this.#client.update(PersistentVolumeClaims, claim));
  }

  async provisionedBy(claim: PersistentVolumeClaim, provisioner: string): Promise<PersistentVolumeClaim> {
    if (claim.metadata.annotations?.["volume.kubernetes.io/storage-provisioner"] === provisioner) return claim;
    const added = Object.fromEntries(provisioners.map((key) => [key, provisioner]));
    return this.claim({ ...claim, metadata: annotated(claim.metadata, added) });
  }

  /** @param volume what the claim has of its status; without one it has nothing */
  async claimPhase(
    claim: PersistentVolumeClaim,
    phase: "Pending" | "Bound" | "Lost",
    volume?: PersistentVolume,
  ): Promise<PersistentVolumeClaim> {
    const status = claimStatus(claim, phase, volume);
    if (sameValue(status, claim.status ?? {})) return claim;
    return this.#claims.note(await this.#client.updateStatus(PersistentVolumeClaims, { ...claim, status }));
  }

  async lose(claim: PersistentVolumeClaim, why: Reason): Promise<void> {
    if (claim.status?.phase === "Lost") return;
    this.say(await this.claimPhase(claim, "Lost"), "Warning", why);
  }
}

/** `updateClaimStatus` */
function claimStatus(
  { metadata, status = {} }: PersistentVolumeClaim,
  phase: string,
  volume: PersistentVolume | undefined,
): PersistentVolumeClaimStatus {
  const { accessModes: _modes, capacity, currentVolumeAttributesClassName: attributes, ...rest } = status;
  if (volume === undefined) return { ...rest, phase };
  const { accessModes, capacity: volumeCapacity, volumeAttributesClassName } = volume.spec ?? {};
  const becomes = status.phase !== phase;
  const storage = volumeCapacity?.["storage"];
  if (becomes && storage === undefined)
    throw new Error(
      `PersistentVolume "${volume.metadata.name ?? ""}" is without a storage capacity, which "${metadata.name ?? ""}" needs`,
    );
  const isSame = quantityFromJson(capacity?.["storage"]).cmp(quantityFromJson(storage)) === 0;
  // A file system may be smaller than its volume: what is bound keeps what it says.
  const ownCapacity = becomes && !isSame ? volumeCapacity : capacity;
  const ownAttributes =
    status.phase === "Pending" && phase === "Bound" ? (volumeAttributesClassName ?? attributes) : attributes;
  return {
    ...rest,
    phase,
    ...(accessModes !== undefined && { accessModes }),
    ...(ownCapacity !== undefined && { capacity: ownCapacity }),
    ...(ownAttributes !== undefined && { currentVolumeAttributesClassName: ownAttributes }),
  };
}
